"""Neighbourhoods of the parameters, plain and adaptive, and the options that describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape._sharpness.logits import normalised_logits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._sharpness.context import Context

__all__ = ["Logits", "Scaling", "choose_function", "choose_scale", "validate_neighbourhood"]

Scaling = Literal["plain", "adaptive"]
"""Whether a neighbourhood has the same size for all parameters, or is relative to each."""
Logits = Literal["as_is", "normalised"]
"""Whether logits are divided by their spread over classes."""


def validate_neighbourhood(radius: float, scaling: str, logits: str) -> None:
    """Refuse options that are out of range.

    Raises:
        ValueError: With what was expected.
    """
    if not (np.isfinite(radius) and radius > 0):
        raise ValueError(f"radius={radius}, expected a number above 0")
    if scaling not in ("plain", "adaptive"):
        raise ValueError(f"scaling={scaling!r}, expected 'plain' or 'adaptive'")
    if logits not in ("as_is", "normalised"):
        raise ValueError(f"logits={logits!r}, expected 'as_is' or 'normalised'")


def choose_scale(context: Context, scaling: Scaling) -> NDArray[Any]:
    r"""The scale of every parameter: 1, or \|theta_i\|, shape (d,)."""
    return np.ones_like(context.theta) if scaling == "plain" else np.abs(context.theta)


def choose_function(context: Context, logits: Logits) -> Objective:
    """L, or its form on normalised logits.

    Raises:
        NotApplicable: The loss is not cross-entropy.
    """
    return context.objective if logits == "as_is" else normalised_logits(context)

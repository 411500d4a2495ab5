"""`sam` and `adaptive_sam`: the rise of the loss after one step of gradient ascent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landscape._sharpness.context import GRADIENT, LOSS
from landscape._sharpness.definition import DerivativeDefinition, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["SAM", "AdaptiveSAM"]


@dataclass(frozen=True)
class SAM(DerivativeDefinition):
    r"""The rise of the loss at the end of one normalised step of gradient ascent.

    .. math:: L(\theta + \delta) - L(\theta), \quad
        \delta = \rho \, \nabla L / \lVert \nabla L \rVert

    It is the first-order solution of the worst case in a ball of radius rho, and exact but for
    rounding; :class:`WorstCase` maximises further.

    Args:
        radius: rho, in units of the parameters.

    Raises:
        ValueError: The radius is not positive.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.SAM(radius=0.1)])
    """

    name: ClassVar[str] = "sam"
    reference: ClassVar[str] = (
        "Foret, Kleiner, Mobahi and Neyshabur (2021), Sharpness-Aware Minimization, equation 2"
    )
    rescaling: ClassVar[Invariance] = "no"

    radius: float = 0.05

    def __post_init__(self) -> None:
        if not (np.isfinite(self.radius) and self.radius > 0):
            raise ValueError(f"radius={self.radius}, expected a length above 0")

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """A gradient and two losses."""
        return GRADIENT + 2 * LOSS

    def compute(self, context: Context) -> Outcome:
        """One gradient, and the loss at the end of the step."""
        return _compute_rise(context, np.ones(()), self.radius)


@dataclass(frozen=True)
class AdaptiveSAM(SAM):
    r"""The same in a neighbourhood that scales with the parameters.

    .. math:: \delta = \rho \, T^2 \nabla L / \lVert T \nabla L \rVert, \quad
        T = \operatorname{diag} |\theta|

    Every parameter counts, biases too, and there is no offset (eta = 0), so that a rescaling of
    units that leaves the function unchanged leaves the measure unchanged.

    Args:
        radius: rho, relative to the parameters.

    Raises:
        ValueError: The radius is not positive.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.AdaptiveSAM(radius=1.0)])
    """

    name: ClassVar[str] = "adaptive_sam"
    reference: ClassVar[str] = (
        "Kwon, Kim, Park and Choi (2021), ASAM: Adaptive Sharpness-Aware Minimization, section 3"
    )
    rescaling: ClassVar[Invariance] = "exact"
    penalised: ClassVar[bool] = True

    radius: float = 0.5

    def compute(self, context: Context) -> Outcome:
        """One gradient, and the loss at the end of the step."""
        return _compute_rise(context, np.abs(context.theta.astype(np.float64)), self.radius)


def _compute_rise(context: Context, scale: NDArray[Any], radius: float) -> Outcome:
    gradient = scale * context.gradient.astype(np.float64)
    norm = float(np.linalg.norm(gradient))
    if norm == 0:
        return Outcome(0.0, status="the gradient is zero: there is no direction of ascent")
    step = radius / norm * scale * gradient
    rise = float(context.losses_around([step])[0]) - context.loss
    return Outcome(rise, details={"gradient_norm": norm})

"""`noise_rise`: the expected rise of the loss under Gaussian noise in the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition
from landscape._sharpness.noise import measure_weight_noise

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context
    from landscape._sharpness.definition import Outcome

__all__ = ["NoiseRise"]


@dataclass(frozen=True)
class NoiseRise(Definition):
    r"""The expected rise of the loss under Gaussian noise in all weights.

    .. math:: E_{\xi \sim N(0, 1)} \left[ L(\theta + \sigma \xi) \right] - L(\theta)
        = \frac{\sigma^2}{2} \operatorname{tr} \nabla^2 L + O(\sigma^4)

    Noise comes in pairs of both signs, which cancels the slope and every odd order.

    Args:
        sigma: Standard deviation of the noise, in units of the parameters.
        draws: The number of pairs, at least 2.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.NoiseRise(sigma=0.02)])
    """

    name: ClassVar[str] = "noise_rise"
    reference: ClassVar[str] = (
        "Neyshabur, Bhojanapalli, McAllester and Srebro (2017), Exploring Generalization in Deep "
        "Learning, section 2.3"
    )
    rescaling: ClassVar[Invariance] = "no"

    sigma: float = 0.01
    draws: int = 16

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f"sigma={self.sigma}, expected a standard deviation above 0")
        if self.draws < 2:
            raise ValueError(f"draws={self.draws}, expected at least 2 for a standard error")

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """Two losses a pair."""
        return (2 * self.draws + 1) * LOSS

    def compute(self, context: Context) -> Outcome:
        """The mean over pairs, with the standard error of that mean."""
        return measure_weight_noise(context, self.name, self.draws, self.sigma, context.objective)

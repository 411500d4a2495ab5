"""`average_case_sharpness`: the expected rise under noise relative to the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition
from landscape._sharpness.neighbourhood import (
    Logits,
    Scaling,
    choose_function,
    choose_scale,
    validate_neighbourhood,
)
from landscape._sharpness.noise import measure_weight_noise

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context
    from landscape._sharpness.definition import Outcome

__all__ = ["AverageCase"]


@dataclass(frozen=True)
class AverageCase(Definition):
    r"""Average-case sharpness: the expected rise under Gaussian noise, plain or adaptive.

    .. math:: E_{\delta \sim N(0, \rho^2 \operatorname{diag}(c^2))} L(\theta + \delta) - L(\theta),
        \quad c = 1 \text{ or } |\theta|

    Noise comes in pairs of both signs. The mean over batches of m samples is the same number for
    every m, unlike in the worst case.

    Args:
        radius: rho, relative to c.
        scaling: ``"plain"``: c = 1; ``"adaptive"``: c = \|theta\|, biases too.
        logits: As for :class:`WorstCase`.
        draws: The number of pairs, at least 2.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.AverageCase(0.05)])
    """

    name: ClassVar[str] = "average_case_sharpness"
    reference: ClassVar[str] = (
        "Andriushchenko, Croce, Müller, Hein and Flammarion (2023), A Modern Look at the "
        "Relationship between Sharpness and Generalization, equation 2"
    )

    penalised: ClassVar[bool] = True

    radius: float = 0.1
    scaling: Scaling = "adaptive"
    logits: Logits = "as_is"
    draws: int = 16

    def __post_init__(self) -> None:
        validate_neighbourhood(self.radius, self.scaling, self.logits)
        if self.draws < 2:
            raise ValueError(f"draws={self.draws}, expected at least 2 for a standard error")

    @property
    def rescaling(self) -> Invariance:  # type: ignore[override]  # it depends on an option
        """The adaptive form is invariant."""
        return "exact" if self.scaling == "adaptive" else "no"

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """Two losses a pair."""
        return (2 * self.draws + 1) * LOSS

    def compute(self, context: Context) -> Outcome:
        """The mean over pairs, with the standard error of that mean."""
        scale = self.radius * choose_scale(context, self.scaling)
        function = choose_function(context, self.logits)
        return measure_weight_noise(context, self.name, self.draws, scale, function)

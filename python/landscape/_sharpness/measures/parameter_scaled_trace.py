"""`parameter_scaled_trace`: the trace of the Hessian relative to the sizes of the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.curvature import scale_coordinates
from landscape._sharpness.definition import Outcome
from landscape._sharpness.estimates import StochasticEstimate, make_outcome

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["ParameterScaledTrace"]


@dataclass(frozen=True)
class ParameterScaledTrace(StochasticEstimate):
    r"""The trace of the Hessian in coordinates in which every parameter is 1.

    .. math:: \operatorname{tr} D \nabla^2 L(\theta) D = \sum_i \theta_i^2 \,
        \frac{\partial^2 L}{\partial \theta_i^2}, \quad D = \operatorname{diag}(\theta)

    Noise of standard deviation :math:`\sigma |\theta_i|` in every parameter raises the loss by
    sigma squared times half of it, to second order. Units that are rescaled without changing the
    function do not change it.

    Args:
        relative_error: Requested standard error over the estimate.
        max_products: The maximum number of products.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.ParameterScaledTrace(relative_error=0.05)
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "parameter_scaled_trace"
    reference: ClassVar[str] = (
        "Andriushchenko, Croce, Mueller, Hein and Flammarion (2023), A Modern Look at the "
        "Relationship between Sharpness and Generalization, section 2: adaptive average-case "
        "sharpness to second order"
    )
    rescaling: ClassVar[Invariance] = "exact"
    penalised: ClassVar[bool] = True

    def compute(self, context: Context) -> Outcome:
        """Hutch++ on products with D H D."""
        if not context.theta.any():
            return Outcome(0.0, status="every parameter is zero")
        estimate = scale_coordinates(context.hessian(), context.theta).trace(
            relative_error=self.relative_error,
            max_products=self.max_products,
            level=context.level,
            seed=context.stream(self.name),
            progress=context.watch_products(),
        )
        context.charge(estimate.products * PRODUCT)
        return make_outcome(estimate)

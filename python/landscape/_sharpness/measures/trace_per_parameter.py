"""`trace_per_parameter`: the mean eigenvalue of the Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.definition import Outcome
from landscape._sharpness.estimates import StochasticEstimate, make_outcome
from landscape._sharpness.measures.trace import estimate_trace

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["TracePerParameter"]


@dataclass(frozen=True)
class TracePerParameter(StochasticEstimate):
    r"""The trace of the Hessian over the number of parameters: the mean eigenvalue.

    .. math:: \frac{1}{d} \operatorname{tr} \nabla^2 L(\theta)

    It compares models of different sizes under noise of one total length: a random vector of norm
    rho raises the loss by rho squared times half of it, to second order. It shares its products
    with :class:`Trace` where their options are equal.

    Args:
        relative_error: Requested standard error over the estimate.
        max_products: The maximum number of products.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> landscape.sharpness(model, data, measures=["trace", "trace_per_parameter"])
    """

    name: ClassVar[str] = "trace_per_parameter"
    reference: ClassVar[str] = (
        "Dziugaite and Roy (2017), Computing Nonvacuous Generalization Bounds for Deep "
        "(Stochastic) Neural Networks; Hutchinson (1990) for the estimator"
    )
    rescaling: ClassVar[Invariance] = "no"

    def compute(self, context: Context) -> Outcome:
        """Hutch++ on Hessian products."""
        estimate = estimate_trace(context, self.relative_error, self.max_products)
        return make_outcome(estimate, 1 / context.dim)

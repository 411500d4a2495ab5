"""`trace`: the sum of the Hessian's eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.estimates import StochasticEstimate, make_outcome

if TYPE_CHECKING:
    from landscape._results import Estimate, Invariance
    from landscape._sharpness.context import Context
    from landscape._sharpness.definition import Outcome

__all__ = ["Trace", "estimate_trace"]


@dataclass(frozen=True)
class Trace(StochasticEstimate):
    r"""The trace of the Hessian, by Hutch++.

    .. math:: \operatorname{tr} \nabla^2 L(\theta)

    The expected rise of the loss under Gaussian weight noise is sigma squared times half of it, to
    second order.

    Args:
        relative_error: Requested standard error over the estimate.
        max_products: The maximum number of products.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.Trace(0.02)])
    """

    name: ClassVar[str] = "trace"
    reference: ClassVar[str] = (
        "Meyer, Musco, Musco and Woodruff (2021), Hutch++: Optimal Stochastic Trace Estimation"
    )
    rescaling: ClassVar[Invariance] = "no"

    def compute(self, context: Context) -> Outcome:
        """Hutch++ on Hessian products."""
        return make_outcome(estimate_trace(context, self.relative_error, self.max_products))


def estimate_trace(context: Context, relative_error: float, max_products: int) -> Estimate:
    """The trace of the Hessian, which several measures share."""

    def compute() -> Estimate:
        estimate = context.hessian().trace(
            relative_error=relative_error,
            max_products=max_products,
            level=context.level,
            seed=context.stream("trace"),
            progress=context.watch_products(),
        )
        context.charge(estimate.products * PRODUCT)
        return estimate

    return context.share(f"trace {relative_error} {max_products}", compute)

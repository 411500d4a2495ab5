"""`trace`: the sum of the Hessian's eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.definition import DerivativeDefinition, Outcome

if TYPE_CHECKING:
    from landscape._results import Estimate, Invariance
    from landscape._sharpness.context import Context

__all__ = [
    "TYPICAL_PRODUCTS",
    "Trace",
    "check_accuracy",
    "estimate_trace",
    "make_outcome",
]

TYPICAL_PRODUCTS = 40
"""Of a trace by Hutch++."""

_MIN_PRODUCTS = 30


@dataclass(frozen=True)
class Trace(DerivativeDefinition):
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

    relative_error: float = 0.1
    max_products: int = 1000

    def __post_init__(self) -> None:
        check_accuracy(self.relative_error, self.max_products)

    def estimate_cost(self, context: Context) -> float:
        """That of a typical estimate."""
        return min(TYPICAL_PRODUCTS, context.dim) * PRODUCT

    def compute(self, context: Context) -> Outcome:
        """Hutch++ on Hessian products."""
        return make_outcome(estimate_trace(context, self.relative_error, self.max_products))


def check_accuracy(relative_error: float, max_products: int) -> None:
    """Refuse an accuracy that no estimate from random vectors has.

    Raises:
        ValueError: The error is not positive, or there are too few products for an interval.
    """
    if not relative_error > 0:
        raise ValueError(f"relative_error={relative_error}, expected a number above 0")
    if max_products < _MIN_PRODUCTS:
        raise ValueError(f"max_products={max_products}, expected at least {_MIN_PRODUCTS}")


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


def make_outcome(estimate: Estimate, factor: float = 1.0) -> Outcome:
    """An estimate from random vectors as the outcome of a measure, times a positive factor."""
    error = estimate.standard_error
    if estimate.sampling_error is not None:
        error = (error**2 + estimate.sampling_error**2) ** 0.5
    is_done = estimate.status.startswith(("converged", "exact"))
    low, high = estimate.interval
    return Outcome(
        factor * estimate.value,
        factor * error,
        (factor * low, factor * high),
        status="complete" if is_done else estimate.status,
        details={"probes": estimate.probes, "rank": estimate.rank, "method": estimate.method},
    )

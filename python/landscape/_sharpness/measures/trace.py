"""`trace`: the sum of the Hessian's eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.definition import Definition, Outcome

if TYPE_CHECKING:
    from landscape._results import Estimate, Invariance
    from landscape._sharpness.context import Context

__all__ = ["Trace", "make_outcome"]

_TYPICAL_PRODUCTS = 40


@dataclass(frozen=True)
class Trace(Definition):
    r"""The trace of the Hessian, by Hutch++.

    .. math:: \operatorname{tr} \nabla^2 L(\theta)

    The expected rise of the loss under Gaussian weight noise is sigma squared times half of it, to
    second order.

    Args:
        relative_error: Requested standard error over the estimate.

    Raises:
        ValueError: The error is not positive.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.Trace(0.02)])
    """

    name: ClassVar[str] = "trace"
    reference: ClassVar[str] = (
        "Meyer, Musco, Musco and Woodruff (2021), Hutch++: Optimal Stochastic Trace Estimation"
    )
    rescaling: ClassVar[Invariance] = "no"

    relative_error: float = 0.1

    def __post_init__(self) -> None:
        if not self.relative_error > 0:
            raise ValueError(f"relative_error={self.relative_error}, expected a number above 0")

    def estimate_cost(self, context: Context) -> float:
        """That of a typical estimate."""
        return min(_TYPICAL_PRODUCTS, context.dim) * PRODUCT

    def compute(self, context: Context) -> Outcome:
        """Hutch++ on Hessian products."""
        estimate = context.hessian().trace(
            relative_error=self.relative_error,
            level=context.level,
            seed=context.stream(self.name),
            progress=context.watch_products(),
        )
        context.charge(estimate.products * PRODUCT)
        return make_outcome(estimate)


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

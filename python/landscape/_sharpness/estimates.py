"""What estimates from random vectors share as measures: options, cost, and their outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.definition import DerivativeDefinition, Outcome

if TYPE_CHECKING:
    from landscape._results import Estimate
    from landscape._sharpness.context import Context

__all__ = ["TYPICAL_PRODUCTS", "StochasticEstimate", "check_accuracy", "make_outcome"]

TYPICAL_PRODUCTS = 40
"""Of a trace by Hutch++."""

_MIN_PRODUCTS = 30


@dataclass(frozen=True)
class StochasticEstimate(DerivativeDefinition):
    """A measure that stops at a requested error.

    Args:
        relative_error: Requested standard error over the estimate.
        max_products: The maximum number of products.
    """

    relative_error: float = 0.1
    max_products: int = 1000

    def __post_init__(self) -> None:
        check_accuracy(self.relative_error, self.max_products)

    def estimate_cost(self, context: Context) -> float:
        """That of a typical estimate."""
        return min(TYPICAL_PRODUCTS, context.dim) * PRODUCT


def check_accuracy(relative_error: float, max_products: int) -> None:
    """Refuse an accuracy that no estimate from random vectors has.

    Raises:
        ValueError: The error is not positive, or there are too few products for an interval.
    """
    if not relative_error > 0:
        raise ValueError(f"relative_error={relative_error}, expected a number above 0")
    if max_products < _MIN_PRODUCTS:
        raise ValueError(f"max_products={max_products}, expected at least {_MIN_PRODUCTS}")


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

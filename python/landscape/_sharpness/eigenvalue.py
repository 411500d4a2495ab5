"""What measures of the largest eigenvalue share: their option, their cost, and the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.definition import DerivativeDefinition, Outcome

if TYPE_CHECKING:
    from landscape._sharpness.context import Context
    from landscape._spectrum import Hessian

__all__ = ["TYPICAL_PRODUCTS", "TopEigenvalue", "find_top_eigenvalue"]

TYPICAL_PRODUCTS = 20
"""Of one eigenvalue by Lanczos."""


@dataclass(frozen=True)
class TopEigenvalue(DerivativeDefinition):
    """A measure that is a largest eigenvalue.

    Args:
        tolerance: Of the residual, relative to the eigenvalue.
    """

    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance={self.tolerance}, expected a number above 0")

    def estimate_cost(self, context: Context) -> float:
        """That of a typical Lanczos run."""
        return min(TYPICAL_PRODUCTS, context.dim) * PRODUCT


def find_top_eigenvalue(context: Context, matrix: Hessian, tolerance: float) -> Outcome:
    """The largest eigenvalue of a matrix, with the bound of its residual."""
    spectrum = matrix.eigenvalues(
        1, tolerance=tolerance, seed=context.seed, progress=context.watch_products()
    )
    context.charge(spectrum.products * PRODUCT)
    value, bound = float(spectrum.values[0]), float(spectrum.errors[0])
    sampling = spectrum.standard_errors
    is_done = spectrum.status.startswith(("converged", "exact"))
    return Outcome(
        value,
        None if sampling is None else float(sampling[0]),
        (value - bound, value + bound),
        status="complete" if is_done else spectrum.status,
        details={"residual": float(spectrum.residuals[0])},
    )

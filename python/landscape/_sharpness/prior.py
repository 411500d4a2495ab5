"""What measures of a Gaussian prior against the curvature share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.curvature import compute_eigenvalues, is_dense, require_curvature
from landscape._sharpness.definition import Definition

if TYPE_CHECKING:
    from landscape._sharpness.context import Context

__all__ = ["PriorMeasure", "describe_indefinite", "find_smallest"]

Matrix = Literal["gauss_newton", "fisher", "empirical_fisher", "hessian"]


@dataclass(frozen=True)
class PriorMeasure(Definition):
    """A measure of a prior against the curvature.

    Args:
        prior_precision: alpha.
        curvature: Which matrix.

    Raises:
        ValueError: The precision is not positive, or the curvature is unknown.
    """

    prior_precision: float = 1.0
    curvature: Matrix = "gauss_newton"

    def __post_init__(self) -> None:
        if not (np.isfinite(self.prior_precision) and self.prior_precision > 0):
            raise ValueError(f"prior_precision={self.prior_precision}, expected a number above 0")
        if self.curvature not in get_args(Matrix):
            known = ", ".join(map(repr, get_args(Matrix)))
            raise ValueError(f"curvature={self.curvature!r}, expected one of {known}")

    def require(self, context: Context) -> None:
        """Refuse a curvature that the loss does not have.

        Raises:
            NotApplicable: With the reason.
        """
        require_curvature(context, self.curvature)


def find_smallest(context: Context, curvature: Matrix) -> float:
    """A lower bound of the eigenvalues: 0 for matrices that have no negative one by theorem."""
    if is_dense(context):
        return float(compute_eigenvalues(context, curvature)[0])
    if curvature != "hessian":
        return 0.0

    def compute() -> float:
        spectrum = context.hessian().eigenvalues(
            1, "smallest", seed=context.seed, progress=context.watch_products()
        )
        context.charge(spectrum.products * PRODUCT)
        return float(spectrum.values[0] - spectrum.residuals[0])

    return context.share("smallest eigenvalue", compute)


def describe_indefinite(smallest: float, shift: float) -> str:
    """Why there is no value, as a status."""
    return (
        f"failed: the smallest eigenvalue is {smallest:.3g}, not above -{shift:.3g}; use "
        "curvature='gauss_newton', or a larger prior_precision"
    )

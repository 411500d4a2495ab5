"""`log_determinant`: by how much the data shrink the volume of plausible parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.curvature import (
    compute_eigenvalues,
    count_terms,
    is_dense,
    scale_coordinates,
)
from landscape._sharpness.definition import Outcome
from landscape._sharpness.estimates import check_accuracy, make_outcome
from landscape._sharpness.prior import PriorMeasure, describe_indefinite, find_smallest

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["LogDeterminant"]

_TYPICAL_PRODUCTS = 1500  # 30 vectors of 50 products


@dataclass(frozen=True)
class LogDeterminant(PriorMeasure):
    r"""The log-determinant of the posterior precision over that of the prior.

    .. math:: \log \det \Big( 1 + \frac{n}{\alpha} H \Big)
        = \sum_i \log \Big( 1 + \frac{n \lambda_i}{\alpha} \Big)

    The exponential of minus half of it is the Occam factor of the Laplace approximation: the volume
    of the parameters that explain the data, over the volume of those that a Gaussian prior of
    precision alpha allows. n is the denominator of L (the number of samples, of tokens, or for MSE
    of elements), so that n L is the negative log-likelihood. Directions without curvature
    contribute nothing, so that it is finite for every network, where log det H is not.

    Up to 1000 parameters all eigenvalues are computed, and the value is exact. Beyond that it is
    the mean of Lanczos quadratures over random vectors, with their error.

    Args:
        prior_precision: alpha.
        curvature: Which H. The Gauss-Newton matrix has no negative eigenvalue for convex losses;
            the Hessian may, and fails where one is below -alpha / n.
        relative_error: Requested standard error over the estimate.
        max_products: The maximum number of products.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.LogDeterminant(prior_precision=10.0)
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "log_determinant"
    reference: ClassVar[str] = (
        "MacKay (1992), A Practical Bayesian Framework for Backpropagation Networks, section 3; "
        "Ubaru, Chen and Saad (2017) for the estimator"
    )
    rescaling: ClassVar[Invariance] = "no"

    relative_error: float = 0.05
    max_products: int = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_accuracy(self.relative_error, self.max_products)

    def estimate_cost(self, context: Context) -> float:
        """All products of a small matrix, or typical quadratures."""
        return (context.dim if is_dense(context) else _TYPICAL_PRODUCTS) * PRODUCT

    def compute(self, context: Context) -> Outcome:
        """The sum over eigenvalues, or quadratures."""
        shift = self.prior_precision / count_terms(context)
        smallest = find_smallest(context, self.curvature)
        if smallest <= -shift:
            return Outcome(None, status=describe_indefinite(smallest, shift))
        if is_dense(context):
            values = compute_eigenvalues(context, self.curvature)
            return Outcome(float(np.log1p(values / shift).sum()), details={"shift": shift})
        matrix = scale_coordinates(context.hessian(self.curvature), shift**-0.5)
        try:
            estimate = matrix.log_determinant(
                1.0,
                relative_error=self.relative_error,
                max_products=self.max_products,
                level=context.level,
                seed=context.stream(self.name),
                progress=context.watch_products(),
            )
        except (
            ValueError
        ) as reason:  # rounding makes it indefinite, or a quadrature does not settle
            return Outcome(None, status=f"failed: {reason}")
        context.charge(estimate.products * PRODUCT)
        outcome = make_outcome(estimate)
        return Outcome(
            outcome.value,
            outcome.standard_error,
            outcome.interval,
            outcome.status,
            {**outcome.details, "shift": shift},
        )

"""`frobenius`: the root of the sum of the Hessian's squared eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.definition import Outcome
from landscape._sharpness.estimates import StochasticEstimate, make_outcome

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["Frobenius"]


@dataclass(frozen=True)
class Frobenius(StochasticEstimate):
    r"""The Frobenius norm of the Hessian, from products with random vectors.

    .. math:: \lVert \nabla^2 L(\theta) \rVert_F = \Big( \sum_i \lambda_i^2 \Big)^{1/2}

    Large eigenvalues count most, and negative ones as positive ones do. Where the data are a random
    subset, what another subset would change is not in the error.

    Args:
        relative_error: Requested standard error over the estimate.
        max_products: The maximum number of products.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.Frobenius(0.05)])
    """

    name: ClassVar[str] = "frobenius"
    reference: ClassVar[str] = (
        "Wu, Wang and Su (2022), The Alignment Property of SGD Noise and How It Helps Select Flat "
        "Minima: A Stability Analysis"
    )
    rescaling: ClassVar[Invariance] = "no"

    def compute(self, context: Context) -> Outcome:
        """Squared norms of products with random vectors."""
        estimate = context.hessian().frobenius(
            relative_error=self.relative_error,
            max_products=self.max_products,
            level=context.level,
            seed=context.stream(self.name),
            progress=context.watch_products(),
        )
        context.charge(estimate.products * PRODUCT)
        return make_outcome(estimate)

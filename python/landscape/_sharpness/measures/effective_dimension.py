"""`effective_dimension`: the number of directions that the data determine."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.curvature import compute_eigenvalues, count_terms, is_dense
from landscape._sharpness.definition import Outcome
from landscape._sharpness.prior import PriorMeasure, describe_indefinite, find_smallest
from landscape._sharpness.quadrature import bound_resolvents

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["EffectiveDimension"]


@dataclass(frozen=True)
class EffectiveDimension(PriorMeasure):
    r"""The number of directions that the data determine better than the prior does.

    .. math:: \operatorname{tr} n H (n H + \alpha)^{-1}
        = \sum_i \frac{\lambda_i}{\lambda_i + z}, \quad z = \alpha / n

    Every eigenvalue counts between 0 and 1. n is the denominator of L (the number of samples, of
    tokens, or for MSE of elements), so that n L is the negative log-likelihood, and alpha is the
    precision of a Gaussian prior.

    Up to 1000 parameters all eigenvalues are computed, and the value is exact. Beyond that it is
    the mean over random vectors of Lanczos quadratures: that of Gauss and that of Gauss-Radau bound
    each vector's term on both sides, so that the interval has the error of too few steps too.

    Args:
        prior_precision: alpha.
        curvature: Which H. The Gauss-Newton matrix has no negative eigenvalue for convex losses;
            the Hessian may, and fails where one is below -z.
        probes: Random vectors, at least 2.
        steps: Products with each; fewer where as many vectors exceed the memory budget.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.EffectiveDimension(prior_precision=10.0)
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "effective_dimension"
    reference: ClassVar[str] = (
        "MacKay (1992), Bayesian Interpolation, equation 4.8; Maddox, Benton and Wilson (2020), "
        "Rethinking Parameter Counting in Deep Models, equation 1; Golub and Meurant (2010), "
        "Matrices, Moments and Quadrature, chapter 6"
    )
    rescaling: ClassVar[Invariance] = "no"

    probes: int = 16
    steps: int = 60

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.probes < 2:
            raise ValueError(f"probes={self.probes}, expected at least 2 for a standard error")
        if self.steps < 2:
            raise ValueError(f"steps={self.steps}, expected at least 2")

    def estimate_cost(self, context: Context) -> float:
        """All products of a small matrix, or of the quadratures."""
        return (context.dim if is_dense(context) else self.probes * self.steps) * PRODUCT

    def compute(self, context: Context) -> Outcome:
        """The sum over eigenvalues, or quadratures."""
        shift = self.prior_precision / count_terms(context)
        smallest = find_smallest(context, self.curvature)
        if smallest <= -shift:
            return Outcome(None, status=describe_indefinite(smallest, shift))
        if is_dense(context):
            values = compute_eigenvalues(context, self.curvature)
            value = float((values / (values + shift)).sum())
            return Outcome(value, details={"shift": shift})
        return self._estimate(context, shift, min(smallest, 0.0))

    def _estimate(self, context: Context, shift: float, smallest: float) -> Outcome:
        matrix = context.hessian(self.curvature)
        steps = min(self.steps, matrix.max_vectors)
        if steps < 2:
            return Outcome(None, status="failed: two vectors exceed memory_budget; raise it")
        density = matrix.density(
            probes=self.probes,
            steps=steps,
            seed=context.stream(self.name),
            progress=context.watch_products(),
        )
        context.charge(density.products * PRODUCT)
        cuts = np.cumsum(density.counts)[:-1]
        pairs = zip(np.split(density.nodes, cuts), np.split(density.weights, cuts), strict=True)
        is_exact = density.counts < min(steps, context.dim)
        bounds = np.array([bound_resolvents(*pair, shift, smallest) for pair in pairs])
        bounds[is_exact, 1] = bounds[is_exact, 0]  # the Krylov space ended: Gauss is exact
        # z / (lambda + z) lies between the two, and the quantity is d times 1 minus its mean
        terms = context.dim * (1 - bounds.mean(1))
        value = float(terms.mean())
        error = float(terms.std(ddof=1) / np.sqrt(self.probes))
        margin = context.dim * float(np.ptp(bounds, axis=1).mean()) / 2
        half = NormalDist().inv_cdf((1 + context.level) / 2) * error + margin
        is_settled = margin <= max(error, 1e-6 * value)
        status = "complete"
        if not is_settled:
            status = (
                f"quadratures of {steps} steps leave {2 * margin:.3g} open, more than the "
                "standard error; raise steps, and memory_budget where it limits them"
            )
        return Outcome(
            value,
            error,
            (max(0.0, value - half), value + half),
            status,
            {"shift": shift, "quadrature_margin": margin},
        )

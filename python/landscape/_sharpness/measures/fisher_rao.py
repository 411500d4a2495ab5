"""`fisher_rao`: the length of the parameters in the metric of the Fisher matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.curvature import require_curvature
from landscape._sharpness.definition import Definition, Outcome

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["FisherRao"]


@dataclass(frozen=True)
class FisherRao(Definition):
    r"""The Fisher-Rao norm, squared: the quadratic form of the Fisher matrix at the parameters.

    .. math:: \lVert \theta \rVert_{fr}^2 = \theta^T F \theta = E \left[
        \langle \theta, \nabla_\theta \ell(f_\theta(x), y) \rangle^2 \right]

    The value takes the expectation over targets from the likelihood that the loss claims; the
    detail ``empirical`` takes the data's own targets. For a network without biases that is
    homogeneous of degree D in its parameters,
    :math:`\langle \theta, \nabla_\theta f \rangle = D f`, so that both are
    :math:`D^2 E \langle f, \partial \ell / \partial f \rangle^2`, for any architecture.

    Expectations over the data have the denominator of L. Weight decay is not in it.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.FisherRao()])
    """

    name: ClassVar[str] = "fisher_rao"
    reference: ClassVar[str] = (
        "Liang, Poggio, Rakhlin and Stokes (2019), Fisher-Rao Metric, Geometry, and Complexity of "
        "Neural Networks, definition 2 and theorem 3.1"
    )
    rescaling: ClassVar[Invariance] = "exact"

    def require(self, context: Context) -> None:
        """Refuse a loss without a likelihood.

        Raises:
            NotApplicable: With the reason.
        """
        require_curvature(context, "fisher")

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """One product with each of the two matrices."""
        return 2 * PRODUCT

    def compute(self, context: Context) -> Outcome:
        """The quadratic forms of both matrices."""
        theta = context.theta
        model, empirical = (
            float(theta.astype(np.float64) @ context.hessian(kind).matvec(theta))
            for kind in ("fisher", "empirical_fisher")
        )
        context.charge(2 * PRODUCT)
        if not (np.isfinite(model) and np.isfinite(empirical)):
            return Outcome(None, status="a product with the Fisher matrix is not finite")
        return Outcome(model, details={"empirical": empirical, "norm": max(model, 0.0) ** 0.5})

"""`norms`: the length of the parameters, and the norms of every layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landscape._sharpness.bounds.singular import compute_matrix_norm
from landscape._sharpness.definition import Definition, Outcome

if TYPE_CHECKING:
    from landscape._sharpness.context import Context

__all__ = ["Norms"]


@dataclass(frozen=True)
class Norms(Definition):
    r"""The Euclidean norm of the parameters that vary.

    .. math:: \lVert \theta \rVert_2

    The details have, for every weight with two or more axes, the Frobenius and the spectral norm
    ("layers"), the logarithms of their products, and
    :math:`\sum_i \lVert W_i \rVert_F^2 / \lVert W_i \rVert_2^2`, the sum of stable ranks. A
    kernel counts as the matrix of its output channels by everything else;
    :class:`SpectralNormBound` has the norms of convolutions as maps of whole images.

    Example:
        >>> landscape.sharpness(model, data, measures=["norms"])["norms"].value > 0
        True
    """

    name: ClassVar[str] = "norms"
    reference: ClassVar[str] = (
        "Neyshabur, Bhojanapalli, McAllester and Srebro (2017), Exploring Generalization in Deep "
        "Learning, section 2.2"
    )
    rescaling: ClassVar = "no"

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - nothing is evaluated
        """Nothing is evaluated."""
        return 0.0

    def compute(self, context: Context) -> Outcome:
        """Norms in float64."""
        theta = context.theta.astype(np.float64)
        layers: dict[str, Any] = {}
        for entry in context.objective.layout.entries:
            if len(entry.shape) < 2:
                continue
            matrix = theta[entry.span].reshape(entry.shape[0], -1)
            layers[entry.name] = {
                "frobenius": float(np.linalg.norm(matrix)),
                "spectral": compute_matrix_norm(matrix),
            }
        details: dict[str, Any] = {"layers": layers}
        if layers and all(norms["spectral"] > 0 for norms in layers.values()):
            for kind in ("frobenius", "spectral"):
                logs = [math.log(norms[kind]) for norms in layers.values()]
                details[f"log_product_{kind}"] = sum(logs)
            ranks = [(norms["frobenius"] / norms["spectral"]) ** 2 for norms in layers.values()]
            details["sum_of_stable_ranks"] = sum(ranks)
        return Outcome(float(np.linalg.norm(theta)), details=details)

"""`spectral_norm_bound`: the margin bound of a network's spectral complexity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landscape._sharpness.bounds.spectral import (
    bound_error_by_margins,
    compute_spectral_complexity,
)
from landscape._sharpness.chain import ChainLayer, compute_input_norm, read_chain
from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition, NotApplicable, Outcome
from landscape._sharpness.frozen import require_all_parameters
from landscape._sharpness.predictions import read_predictions, require_single_predictions
from landscape._sharpness.structure import read_structure

if TYPE_CHECKING:
    from landscape._sharpness.context import Context
    from landscape._sharpness.linear_map import LinearMap

__all__ = ["SpectralNormBound"]


@dataclass(frozen=True)
class SpectralNormBound(Definition):
    r"""The spectrally normalised margin bound on the expected 0-1 loss.

    .. math:: P(\text{error}) \le \hat R_\gamma
        + \tilde O\Big( \frac{\lVert X \rVert_F R_A}{\gamma n} \Big), \quad
        R_A = \Big( \prod_i \rho_i \lVert A_i \rVert_2 \Big) \Big( \sum_i
        \frac{\lVert A_i^\top - M_i^\top \rVert_{2,1}^{2/3}}{\lVert A_i \rVert_2^{2/3}}
        \Big)^{3/2}

    It holds with probability 1 - delta over n independent samples, with explicit constants, at the
    margin gamma that makes it smallest. The reference matrices M_i are those of ``initial=``, else
    0. A convolution is the map of whole images; a batch norm belongs to the layer before it, in the
    reference with the statistics of a new one. A bias is a column for an input that is always 1,
    which every layer passes on.

    The details have R_A ("complexity"), delta, n, whether the bound is vacuous (1 or above), the
    norms of every layer and the median margin over :math:`\lVert X \rVert_F R_A / n`
    ("normalised_margin"). It needs a chain of linear layers, convolutions, poolings and activations
    with f(0) = 0. Without ``initial=`` a permutation of hidden units leaves it as it is.

    Args:
        delta: The probability that the bound does not hold.

    Raises:
        ValueError: delta is no probability.

    Example:
        >>> landscape.sharpness(model, data, measures=["spectral_norm_bound"], initial=model)
    """

    name: ClassVar[str] = "spectral_norm_bound"
    reference: ClassVar[str] = (
        "Bartlett, Foster and Telgarsky (2017), Spectrally-normalized margin bounds for neural "
        "networks, theorem 1.1"
    )
    rescaling: ClassVar = "no"
    permutation: ClassVar = "no"

    delta: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise ValueError(f"delta={self.delta}, expected a probability such as 0.05")

    def require(self, context: Context) -> None:
        """Refuse what is no classifier or no chain of layers."""
        require_single_predictions(context)
        require_all_parameters(context)
        read_chain(read_structure(context))

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """The outputs."""
        return LOSS

    def compute(self, context: Context) -> Outcome:
        """The norms of the layers, and the best margin."""
        self.require(context)
        layers = read_chain(read_structure(context))
        margins = read_predictions(context).margins
        if len(margins) < 2:
            raise NotApplicable("it needs at least two samples")
        reference: list[LinearMap | None] = [None] * len(layers)
        if context.initial is not None:
            start = read_structure(context, context.initial, statistics="new")
            reference = [layer.map for layer in read_chain(start)]
        norms = [layer.spectral_norm for layer in layers]
        distances = [_distance(*pair) for pair in zip(layers, reference, strict=True)]
        lipschitz = [layer.lipschitz for layer in layers]
        input_norm = compute_input_norm(context, layers)
        width = max(layer.width for layer in layers)
        bound = bound_error_by_margins(
            margins,
            norms,
            distances,
            lipschitz,
            input_norm=input_norm,
            width=width,
            delta=self.delta,
        )
        complexity = compute_spectral_complexity(norms, distances, lipschitz)
        scale = input_norm * complexity / len(margins)
        details: dict[str, Any] = {
            "delta": self.delta,
            "n": len(margins),
            "vacuous": bound.value >= 1,
            "loss": "0-1",
            "complexity": complexity,
            "margin": bound.margin,
            "margin_error": bound.margin_error,
            "normalised_margin": float(np.median(margins)) / scale if scale > 0 else None,
            "reference": "zero" if context.initial is None else "initial",
            "input_norm": input_norm,
            "layers": {
                layer.map.name: {"spectral": norm, "distance": distance, "lipschitz": rho}
                for layer, norm, distance, rho in zip(
                    layers, norms, distances, lipschitz, strict=True
                )
            },
        }
        if not math.isfinite(bound.value):
            return Outcome(None, status="the bound is not finite", details=details)
        return Outcome(bound.value, details=details)


def _distance(layer: ChainLayer, reference: LinearMap | None) -> float:
    """The sum over outputs of the norms of the rows of (W, b) less those of the reference."""
    moved = layer.map if reference is None else layer.map.subtract(reference)
    return float(moved.row_squares().sqrt().sum())

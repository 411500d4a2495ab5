"""Networks that are chains of layers: each layer with what follows it, as norm bounds see them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from landscape._sharpness.definition import NotApplicable

if TYPE_CHECKING:
    from landscape._sharpness.context import Context
    from landscape._sharpness.linear_map import LinearMap
    from landscape._sharpness.structure import Step, Structure

__all__ = ["ChainLayer", "compute_input_norm", "read_chain"]


@dataclass(frozen=True, eq=False)
class ChainLayer:
    """A layer, and the activations and poolings between it and the next one.

    Where this layer or a later one has a bias, the vector has another entry, the constant 1, which
    the layer and its activation pass on.
    """

    map: LinearMap
    after: tuple[Step, ...]
    takes_constant: bool
    """Whether its inputs have the entry 1."""
    keeps_constant: bool
    """Whether its outputs have it, for the biases of later layers."""

    @cached_property
    def spectral_norm(self) -> float:
        """The largest singular value of the layer with its bias and its constant row."""
        return self.map.spectral_norm(keeps_constant=self.keeps_constant)

    @property
    def lipschitz(self) -> float:
        """The Lipschitz constant of what follows the layer, in Euclidean norms."""
        constant = math.prod(_lipschitz(step) for step in self.after)
        return max(1.0, constant) if self.keeps_constant else constant

    @property
    def frobenius_norm(self) -> float:
        """The Frobenius norm of the layer with its bias and its constant row."""
        return math.sqrt(float(self.map.row_squares().sum()) + self.keeps_constant)

    @property
    def width(self) -> int:
        """The larger of its numbers of inputs and outputs."""
        return max(self.map.columns + self.takes_constant, self.map.rows + self.keeps_constant)


def read_chain(structure: Structure) -> tuple[ChainLayer, ...]:
    """The layers of a network, batch norms folded.

    Raises:
        NotApplicable: The network is no chain that begins with a layer.
    """
    groups: list[tuple[LinearMap, list[Step]]] = []
    for step in structure.fold_batch_norms().iter_chain():
        if step.layer is not None:
            groups.append((step.layer, []))
        elif groups:
            groups[-1][1].append(step)
        elif step.kind != "rearrangement":
            raise NotApplicable(f"the network begins with {step.op}, expected a layer")
    if not groups:
        raise NotApplicable("the network has no layers")
    biased = [layer.bias is not None for layer, _ in groups]
    return tuple(
        ChainLayer(layer, tuple(after), any(biased[index:]), any(biased[index + 1 :]))
        for index, (layer, after) in enumerate(groups)
    )


def compute_input_norm(context: Context, layers: tuple[ChainLayer, ...]) -> float:
    """The Frobenius norm of all inputs, one a row, with the constant 1 where layers take it.

    Raises:
        NotApplicable: Inputs are not tensors of one shape.
    """
    try:
        inputs = context.objective.inputs()
    except ValueError as reason:
        raise NotApplicable(str(reason)) from None
    squares = float(np.square(inputs, dtype=np.float64).sum())
    return math.sqrt(squares + layers[0].takes_constant * len(inputs))


def _lipschitz(step: Step) -> float:
    if step.activation is not None:
        return step.activation.lipschitz
    if step.pooling is not None:
        overlap, size = step.pooling.overlap, step.pooling.size
        return math.sqrt(overlap / size) if step.kind == "average" else math.sqrt(overlap)
    return abs(step.factor)

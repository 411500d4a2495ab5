"""`vc_bound`: the bound on the error by the VC dimension of the architecture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.bounds.vc import (
    UnitLayer,
    bound_error_by_dimension,
    bound_vc_dimension,
)
from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition, NotApplicable, Outcome
from landscape._sharpness.frozen import require_all_parameters
from landscape._sharpness.predictions import read_predictions, require_single_predictions
from landscape._sharpness.structure import read_structure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from landscape._sharpness.context import Context
    from landscape._sharpness.structure import Structure

__all__ = ["VCBound", "list_unit_layers"]


@dataclass(frozen=True)
class VCBound(Definition):
    r"""The bound on the expected 0-1 loss by the VC dimension of a piecewise linear network.

    .. math:: \hat R + \sqrt{\frac{2 D (1 + \ln(n/D))}{n}} + \sqrt{\frac{\ln(1/\delta)}{2n}},
        \quad D = O(W L \log W)

    It holds with probability 1 - delta over n independent samples, and is large for every network
    with more parameters than samples: beyond D = n the growth function is bounded by (n+1)^D, so
    that the value still grows with W. The details have D ("vc_dimension"), its W parameters, L
    layers and U units, delta, n and whether the bound is vacuous (1 or above).

    D is that of the class of errors: with K classes, the last layer's K - 1 comparisons with the
    right class. Every entry of an image is a unit. A maximum over k entries is k - 1 ReLU units in
    ceil(log2 k) layers; averages and sums are linear and have no units; a batch norm is a layer of
    its own.

    Args:
        delta: The probability that the bound does not hold.

    Raises:
        ValueError: delta is no probability.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.VCBound(delta=0.01)])
    """

    name: ClassVar[str] = "vc_bound"
    reference: ClassVar[str] = (
        "Harvey, Liaw and Mehrabian (2017), Nearly-tight VC-dimension bounds for piecewise linear "
        "neural networks, theorem 7"
    )
    rescaling: ClassVar = "exact"

    delta: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise ValueError(f"delta={self.delta}, expected a probability such as 0.05")

    def require(self, context: Context) -> None:
        """Refuse what is no classifier, or not piecewise linear."""
        require_single_predictions(context)
        require_all_parameters(context)
        list_unit_layers(read_structure(context), {}, 2)

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """The outputs."""
        return LOSS

    def compute(self, context: Context) -> Outcome:
        """Count parameters, layers and units."""
        self.require(context)
        predictions = read_predictions(context)
        sizes = {
            name: entry.size
            for entry in context.objective.layout.entries
            for name in (entry.name, *entry.aliases)
        }
        layers = list_unit_layers(read_structure(context), sizes, predictions.classes)
        dimension, samples = bound_vc_dimension(layers), len(predictions.wrong)
        value = bound_error_by_dimension(predictions.error, dimension, samples, self.delta)
        return Outcome(
            value,
            details={
                "delta": self.delta,
                "n": samples,
                "vacuous": value >= 1,
                "loss": "0-1",
                "empirical_error": predictions.error,
                "vc_dimension": dimension,
                "parameters": sum(layer.parameters for layer in layers),
                "layers": len(layers),
                "units": sum(layer.units for layer in layers),
            },
        )


def list_unit_layers(
    structure: Structure, sizes: Mapping[str, int], classes: int
) -> tuple[UnitLayer, ...]:
    """The layers of units of a piecewise linear network.

    Args:
        structure: The network, with its batch norms as they are.
        sizes: The number of entries of every parameter that varies; each counts once.
        classes: The number of classes.

    Raises:
        NotApplicable: An activation is not piecewise linear.
    """
    layers: list[UnitLayer] = []
    counted: set[str] = set()
    linear: str | None = None  # the value of the last layer, whose units have no activation yet
    for step in structure.steps:
        units = math.prod(step.shape)
        if step.layer is not None:
            new = [name for name in step.layer.parameters if name not in counted]
            counted.update(new)
            layers.append(UnitLayer(units, sum(sizes.get(name, 0) for name in new)))
            linear = step.name
        elif step.activation is not None:
            breakpoints = step.activation.breakpoints
            if breakpoints is None:
                raise NotApplicable(f"{step.op} is not piecewise linear")
            if linear in step.inputs:
                layers[-1] = replace(layers[-1], breakpoints=breakpoints)
                linear = None
            else:
                layers.append(UnitLayer(units, 0, breakpoints))
        elif step.pooling is not None and step.kind == "maximum":
            layers += _count_maximum(step.pooling.size, units)
            linear = None
        elif step.kind == "rearrangement" and linear in step.inputs:
            linear = step.name
    comparisons = max(1, classes - 1)
    if linear == structure.output:
        layers[-1] = replace(layers[-1], units=comparisons)
    else:
        layers.append(UnitLayer(comparisons, 0))
    return tuple(layers)


def _count_maximum(size: int, windows: int) -> list[UnitLayer]:
    """max(a, b) = a + relu(b - a), pair by pair."""
    layers: list[UnitLayer] = []
    while size > 1:
        layers.append(UnitLayer(windows * (size // 2), 0, 1))
        size -= size // 2
    return layers

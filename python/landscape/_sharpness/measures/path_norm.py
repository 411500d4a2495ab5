"""`path_norm`: the sum over all paths of the products of their weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from landscape._sharpness.definition import Definition, NotApplicable, Outcome
from landscape._sharpness.structure import read_structure

if TYPE_CHECKING:
    from torch import Tensor

    from landscape._sharpness.context import Context
    from landscape._sharpness.structure import Step, Structure

__all__ = ["PathNorm", "compute_path_sums"]


@dataclass(frozen=True)
class PathNorm(Definition):
    r"""The path norm of a network of positively homogeneous units.

    .. math:: \varphi_p(\theta) = \Big( \sum_{\text{paths } v_0 \to v_1 \to \dots \to v_k}
        \prod_{i=1}^k |w_{v_{i-1} v_i}|^p \Big)^{1/p}

    Paths begin at an input or at a bias, whose input is 1, and end at an output. They are summed by
    one forward pass of the network with the p-th powers of its weights on an input of ones; the
    details have the largest output's share. Batch norms with running statistics are part of the
    layer before them. A window of k entries has k paths: of weight 1/k for an average and of
    weight 1 for a maximum, which passes any of them on. A sum of branches joins their paths.

    Linear layers, convolutions, ReLU and leaky ReLU, averages, maxima and sums are understood;
    another operation has no path norm.

    Args:
        order: p, at least 1.

    Raises:
        ValueError: The order is below 1 or not finite.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.PathNorm(order=1.0)])
    """

    name: ClassVar[str] = "path_norm"
    reference: ClassVar[str] = (
        "Neyshabur, Salakhutdinov and Srebro (2015), Path-SGD, section 3; Neyshabur, Tomioka and "
        "Srebro (2015), Norm-Based Capacity Control in Neural Networks, section 3"
    )
    rescaling: ClassVar = "exact"

    order: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.order < math.inf:
            raise ValueError(f"order={self.order}, expected a number from 1 up")

    def require(self, context: Context) -> None:
        """Refuse networks with operations that have no paths."""
        for step in read_structure(context).steps:
            if step.activation is not None and not step.activation.is_homogeneous:
                raise NotApplicable(f"{step.op} is not positively homogeneous")

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """One sample is evaluated, and no data."""
        return 0.0

    def compute(self, context: Context) -> Outcome:
        """One pass with powers of the weights."""
        self.require(context)
        sums = compute_path_sums(read_structure(context).fold_batch_norms(), self.order)
        total = float(sums.sum())
        share = float(sums.max()) / total if total > 0 else None
        return Outcome(
            total ** (1 / self.order), details={"outputs": sums.numel(), "largest_share": share}
        )


def compute_path_sums(structure: Structure, order: float) -> Tensor:
    """The sums over the paths to every output of the p-th powers of their weights."""
    values = {structure.input: torch.ones((1, *structure.input_shape), dtype=torch.float64)}
    for step in structure.steps:
        values[step.name] = _propagate(step, [values[name] for name in step.inputs], order)
    return values[structure.output]


def _propagate(step: Step, inputs: list[Tensor], order: float) -> Tensor:
    first = inputs[0]
    if step.layer is not None:
        powers = step.layer.map_weights(lambda weight: weight.abs() ** order)
        return powers.apply(first) + powers.expand_bias()
    if step.pooling is not None:
        weight = 1.0 if step.kind == "maximum" else step.pooling.size**-order
        return step.pooling.sum_windows(first) * weight
    if step.kind == "sum":
        return first + inputs[1]
    if step.kind == "multiple":
        return first * math.pow(abs(step.factor), order)
    if step.rearrange is not None:
        joined: Tensor = step.rearrange(*inputs)
        return joined
    return first

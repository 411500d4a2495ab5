"""Filters: the rule that splits each kind of weight into the pieces that are rescaled together.

Filter normalisation (Li et al. 2018, section 4) rescales a direction filter by filter, so this rule
decides what a surface shows.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvTransposeNd
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FilterGrid", "filter_grid", "parameter_owners"]

_NORMALISATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_PACKED_HEADS = {"in_proj_weight": 3, "q_proj_weight": 1, "k_proj_weight": 1, "v_proj_weight": 1}


class FilterGrid(NamedTuple):
    """A tensor laid out as [block][outer][filter][inner] in C order.

    Filter (b, f) is made of all its (outer, inner) entries, so every rule below is four numbers.
    """

    blocks: int
    outer: int
    filters: int
    inner: int


def filter_grid(module: nn.Module, name: str, shape: Sequence[int]) -> FilterGrid | None:
    """Split one parameter of a module into filters.

    A filter is the weights of one output: a row of a linear layer, an output channel of a
    convolution (dimension 1 of a transposed one, within its group), a row of an embedding, and one
    head's query, key or value of a packed attention weight. Any other tensor is split along its
    first dimension.

    Args:
        module: The module that owns the parameter.
        name: The parameter's name within that module.
        shape: Its shape.

    Returns:
        The split, or None for a one-dimensional parameter (bias or normalisation scale).
    """
    if len(shape) <= 1 or isinstance(module, _NORMALISATIONS) or _is_weight_norm(name, shape):
        return None
    size = prod(shape)
    tensor = name.removesuffix("_orig").removesuffix("_v")  # as the hooks of old norms call it
    if isinstance(module, _ConvTransposeNd) and tensor == "weight":
        inputs, outputs = shape[0], shape[1]
        groups = module.groups
        return FilterGrid(groups, inputs // groups, outputs, prod(shape[2:]))
    if isinstance(module, nn.MultiheadAttention):
        if name in {"bias_k", "bias_v"}:
            return None
        if tensor in _PACKED_HEADS:
            heads = _PACKED_HEADS[tensor] * module.num_heads
            return FilterGrid(1, 1, heads, size // heads)
    if _is_transposed_linear(module) and tensor == "weight":
        return FilterGrid(1, shape[0], shape[1], 1)
    return FilterGrid(1, 1, shape[0], size // shape[0] if shape[0] else 0)


def parameter_owners(model: nn.Module) -> dict[int, tuple[nn.Module, str]]:
    """The layer that each parameter belongs to, and its name there: the first, where it is tied."""
    owners: dict[int, tuple[nn.Module, str]] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            owners.setdefault(id(parameter), (module, name))
        if not parametrize.is_parametrized(module):
            continue
        for tensor, parts in module.parametrizations.items():  # type: ignore[operator, union-attr]
            for part, parameter in parts.named_parameters(recurse=False):
                if part != "original0":  # a part is split like the tensor that it parametrises
                    owners.setdefault(id(parameter), (module, tensor))
    return owners


def _is_weight_norm(name: str, shape: Sequence[int]) -> bool:
    """Recognise the magnitudes that weight normalisation splits off: scales, one a filter."""
    return (name == "original0" or name.endswith("_g")) and prod(shape) == max(shape)


def _is_transposed_linear(module: nn.Module) -> bool:
    """Recognise the (inputs, outputs) linear layer of GPT-2 in Hugging Face's transformers."""
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf")

"""Batches as trees of tensors: tuples, lists and mappings, nested to any depth."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

__all__ = [
    "SampleList",
    "SampleTuple",
    "can_concatenate",
    "can_slice",
    "concatenate",
    "is_array",
    "is_graph",
    "is_namedtuple",
    "is_samples",
    "iter_tensors",
    "list_attributes",
    "map_parts",
    "map_tensors",
    "mark_samples",
    "storages",
    "take_rows",
]

_NUMBERS = "biufc"  # the kinds of NumPy's dtypes that are numbers


class SampleList(list[Any]):
    """A list with one entry for each sample (images of several sizes, boxes of an image)."""


class SampleTuple(tuple[Any, ...]):
    """A tuple with one entry for each sample."""

    __slots__ = ()


def is_samples(tree: Any) -> bool:
    """Whether a list or tuple is marked as one entry for each sample."""
    return isinstance(tree, (SampleList, SampleTuple))


def mark_samples(sequence: Any) -> Any:
    """Mark a list or tuple as one entry for each sample, and keep what else it is."""
    return SampleList(sequence) if isinstance(sequence, list) else SampleTuple(sequence)


def is_array(value: Any) -> bool:
    """Whether a value is a tensor, or an array of numbers."""
    return isinstance(value, Tensor) or (
        isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS
    )


def is_graph(value: Any) -> bool:
    """Whether a value is a graph, or a batch of graphs, as PyTorch Geometric has them."""
    return not isinstance(value, (Tensor, np.ndarray, Mapping, tuple, list)) and (
        hasattr(value, "num_graphs") or hasattr(value, "num_nodes")
    )


def is_namedtuple(tree: Any) -> bool:
    """Whether a tuple takes its fields one by one."""
    return isinstance(tree, tuple) and hasattr(tree, "_fields")


def can_slice(tensor: Tensor) -> bool:
    """Whether rows of a tensor can be taken: it is dense, and has a first axis."""
    return tensor.layout == torch.strided and not tensor.is_nested and tensor.ndim > 0


def map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Apply a function to every tensor or array of a tree and keep everything else."""
    if is_array(tree):
        return function(tree if isinstance(tree, Tensor) else _as_tensor(tree))
    if isinstance(tree, PackedSequence):
        return _map_packed(function, tree)
    if is_graph(tree):
        return copy.copy(tree).apply(function) if hasattr(tree, "apply") else tree
    return map_parts(lambda part: map_tensors(function, part), tree)


def _map_packed(function: Callable[[Tensor], Tensor], packed: PackedSequence) -> PackedSequence:
    rows, inverse = packed.sorted_indices, packed.unsorted_indices
    return PackedSequence(
        function(packed.data),
        packed.batch_sizes,  # on the CPU, where it looks for them
        None if rows is None else function(rows),
        None if inverse is None else function(inverse),
    )


def map_parts(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to the parts of a mapping, tuple or list; others are kept as they are."""
    if isinstance(tree, Mapping):
        return {key: function(value) for key, value in tree.items()}
    if is_namedtuple(tree):
        return type(tree)(*map(function, tree))
    return type(tree)(map(function, tree)) if isinstance(tree, (tuple, list)) else tree


def _as_tensor(array: np.ndarray[Any, Any]) -> Tensor:
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)


def iter_tensors(tree: Any) -> Iterator[Tensor]:
    """Yield the tensors of a tree in order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from iter_tensors(value)
    elif isinstance(tree, (tuple, list)):
        for value in tree:
            yield from iter_tensors(value)
    else:
        for _, value in list_attributes(tree):
            if isinstance(value, Tensor):
                yield value


def list_attributes(tree: Any) -> list[tuple[str, Any]]:
    """Names and values of what an object that is no tree of tensors holds, as a graph does."""
    if is_graph(tree) and hasattr(tree, "to_dict"):
        return list(tree.to_dict().items())
    return list(getattr(tree, "__dict__", {}).items())


def storages(tensor: Tensor) -> tuple[Tensor, ...]:
    """The dense tensors that hold a tensor's numbers: of a sparse or nested one, its parts."""
    if tensor.is_nested:
        nested: Any = tensor  # of either kind, with methods that no other tensor has
        is_jagged = tensor.layout == torch.jagged
        lengths = nested.offsets() if is_jagged else nested._nested_tensor_size()
        return lengths, tensor.values().reshape(-1)
    if tensor.layout == torch.sparse_coo:
        return tensor._indices(), tensor._values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    return (tensor,)


def take_rows(rows: slice | Tensor, tree: Any) -> Any:
    """Take samples of a tree whose parts have one row for each; see :func:`can_concatenate`."""
    if isinstance(tree, Tensor):
        return tree[rows if isinstance(rows, slice) else rows.to(tree.device)]
    if is_samples(tree):
        picked = tree[rows] if isinstance(rows, slice) else [tree[i] for i in rows.tolist()]
        return type(tree)(picked)
    return map_parts(lambda part: take_rows(rows, part), tree)


def can_concatenate(trees: list[Any], sizes: list[int]) -> bool:
    """Whether batches of these sizes can be concatenated along their samples, and cut again."""
    first = _signature(trees[0], sizes[0])
    return first is not None and all(
        _signature(tree, size) == first for tree, size in zip(trees[1:], sizes[1:], strict=True)
    )


def concatenate(trees: list[Any]) -> Any:
    """Concatenate batches along their samples; see :func:`can_concatenate`."""
    if len(trees) == 1:
        return trees[0]
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.cat(trees)
    if is_samples(first):
        return type(first)(entry for tree in trees for entry in tree)
    if isinstance(first, Mapping):
        return {key: concatenate([tree[key] for tree in trees]) for key in first}
    parts = [concatenate(list(column)) for column in zip(*trees, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)


def _signature(tree: Any, size: int) -> Any:
    """The structure of a tree without its sample axis; None unless every part has that axis."""
    if isinstance(tree, Tensor):
        fits = can_slice(tree) and tree.shape[0] == size
        return (tree.dtype, tuple(tree.shape[1:])) if fits else None
    if is_samples(tree):
        return type(tree) if len(tree) == size else None
    if isinstance(tree, PackedSequence):
        return None
    if isinstance(tree, Mapping):
        parts = {key: _signature(value, size) for key, value in tree.items()}
        return None if not parts or None in parts.values() else parts
    if isinstance(tree, (tuple, list)):
        items = tuple(_signature(value, size) for value in tree)
        return None if not items or None in items else (type(tree), items)
    return None

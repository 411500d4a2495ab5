"""Batches as trees of tensors: tuples, lists and mappings, nested to any depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["can_concatenate", "concatenate", "count_samples", "iter_tensors", "map_tensors"]


def map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Apply a function to every tensor or array of a tree and keep everything else."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, np.ndarray) and tree.dtype != object:
        return function(torch.from_numpy(tree if tree.flags.writeable else tree.copy()))
    if isinstance(tree, Mapping):
        return {key: map_tensors(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_tensors(function, value) for value in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(map_tensors(function, value) for value in tree)
    return tree


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


def count_samples(tree: Any) -> int:
    """Count the samples of a batch: the first dimension of its first tensor, graphs, or length."""
    for tensor in iter_tensors(tree):
        if tensor.ndim > 0:
            return tensor.shape[0]
    return int(getattr(tree, "num_graphs", 0)) or (len(tree) if hasattr(tree, "__len__") else 1)


def can_concatenate(trees: list[Any]) -> bool:
    """Whether batches can be concatenated along their samples into one tree of tensors."""
    first = _signature(trees[0])
    return first is not None and all(_signature(tree) == first for tree in trees[1:])


def concatenate(trees: list[Any]) -> Any:
    """Concatenate batches along their samples; see :func:`can_concatenate`."""
    if len(trees) == 1:
        return trees[0]
    first = trees[0]
    if isinstance(first, Tensor):
        return torch.cat(trees)
    if isinstance(first, Mapping):
        return {key: concatenate([tree[key] for tree in trees]) for key in first}
    parts = [concatenate(list(column)) for column in zip(*trees, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)


def _signature(tree: Any) -> Any:
    """The structure of a tree without its sample axis; None unless all leaves are tensors."""
    size = next((t.shape[0] for t in iter_tensors(tree) if t.ndim > 0), None)
    return None if size is None else _part_signature(tree, size)


def _part_signature(tree: Any, size: int) -> Any:
    if isinstance(tree, Tensor):
        fits = tree.ndim > 0 and tree.shape[0] == size
        return (tree.dtype, tuple(tree.shape[1:])) if fits else None
    if isinstance(tree, Mapping):
        parts = {key: _part_signature(value, size) for key, value in tree.items()}
        return None if None in parts.values() else parts
    if isinstance(tree, (tuple, list)):
        items = tuple(_part_signature(value, size) for value in tree)
        return None if None in items else (type(tree), items)
    return None

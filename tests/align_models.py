"""Models in another order of their units, by the symmetry that is found in their graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import landscape
from landscape._align.permutation import UnitGroup
from landscape._align.shared import find_shared_symmetry
from landscape._copies import copy_module

__all__ = ["find_groups", "shuffle", "shuffle_all"]

Order = NDArray[np.int64]


def find_groups(model: nn.Module, data: Any) -> tuple[UnitGroup, ...]:
    """The groups of units of a model."""
    objective = landscape.Objective(model, data)
    inputs = objective.example_inputs()
    return find_shared_symmetry(model, model, inputs, objective.layout).groups


def shuffle_all(model: nn.Module, data: Any, seed: int = 0) -> tuple[nn.Module, dict[str, Order]]:
    """The same function with its units in a random order that is allowed, and the order."""
    draw = np.random.default_rng(seed)
    made = copy_module(model)
    tensors = dict(made.state_dict())
    order = {}
    for group in find_groups(model, data):
        permutation = group.best_permutation(draw.normal(size=(group.size, group.size)))
        order[group.name] = permutation
        for (name, axis), entries in group.entries.items():
            index = np.arange(tensors[name].shape[axis])
            index[entries] = entries[permutation]
            tensors[name] = tensors[name].index_select(axis, torch.from_numpy(index))
    made.load_state_dict(tensors)
    return made, order


def shuffle(model: nn.Module, data: Any, seed: int = 0) -> tuple[nn.Module, Order]:
    """The same for a model with one group of units."""
    made, order = shuffle_all(model, data, seed)
    (permutation,) = order.values()
    return made, permutation

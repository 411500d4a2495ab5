"""Copies of a model with other weights and the same function: hidden units permuted or rescaled."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from landscape._align.reparametrised import trace_reparametrised
from landscape._align.shared import find_shared_symmetry
from landscape._copies import copy_module
from landscape._export import Reference, Unsupported
from landscape._objective import compute_float64_outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from landscape._align.permutation import Axis, UnitGroup
    from landscape._export import TracedGraph, TracedNode
    from landscape._objective import Objective

__all__ = ["NoEquivalent", "permute_units", "rescale_units"]

_TOLERANCE = 1e-9  # of the outputs' size, in float64
_EXAMPLES = 16  # samples on which a group's rescaling is tried
_MAX_EXPONENT = 3  # units are multiplied by 2^k, |k| up to this: exact in floating point

_NORMALISATIONS = frozenset({"batch_norm", "_native_batch_norm_legit_no_training"})
_INPUT_AXES: Mapping[str, int] = MappingProxyType(
    {
        "linear": 1,
        "conv1d": 1,
        "conv2d": 1,
        "conv3d": 1,
        "conv_transpose1d": 0,
        "conv_transpose2d": 0,
        "conv_transpose3d": 0,
    }
)
"""Operations that are linear in their input, and the axis of their weight that reads it."""


class NoEquivalent(Exception):  # noqa: N818 - a property of the model, not an error
    """The model has no other weights of this kind with the same function; the text says why."""


def permute_units(objective: Objective, seeds: Sequence[int]) -> tuple[nn.Module, ...]:
    """Copies of the model with the hidden units of every group in a random order.

    Args:
        objective: The model, with data on which it can be traced.
        seeds: One for each copy.

    Raises:
        NoEquivalent: There are no units that could be permuted.
    """
    model, inputs, groups = _find_groups(objective)
    copies = []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        twin = copy_module(model)
        tensors = _tensors(twin)
        for group in groups:
            weights = generator.random((group.size, group.size))
            permutation = group.best_permutation(weights)
            for (name, axis), tensor in _owned(group, tensors):
                index = group.permute_axis((name, axis), permutation, tensor.shape[axis])
                tensor.copy_(tensor.index_select(axis, torch.from_numpy(index).to(tensor.device)))
        copies.append(twin)
    _require_equal(model, copies, inputs, "permuted")
    return tuple(copies)


def rescale_units(objective: Objective, seeds: Sequence[int]) -> tuple[nn.Module, ...]:
    r"""Copies whose hidden units are multiplied by powers of two and read by their reciprocals.

    .. math:: c \, \phi(w^T x + b) = \phi(c w^T x + c b), \quad c > 0

    holds for positively homogeneous functions such as ReLU. Which groups of units can be rescaled
    is tried in float64, group by group, and only those are.

    Args:
        objective: The model, with data on which it can be traced.
        seeds: One for each copy.

    Raises:
        NoEquivalent: No group of units can be rescaled.
    """
    model, inputs, groups = _find_groups(objective)
    roles = _find_roles(trace_reparametrised(model, inputs))
    usable = [group for group in groups if _keeps_function(model, inputs, group, roles)]
    if not usable:
        raise NoEquivalent(
            "no hidden units can be rescaled: that needs positively homogeneous activations such "
            "as ReLU between linear layers"
        )
    copies = []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        twin = copy_module(model)
        for group in usable:
            exponents = generator.integers(-_MAX_EXPONENT, _MAX_EXPONENT + 1, group.size)
            _rescale(twin, group, roles, 2.0**exponents)
        copies.append(twin)
    _require_equal(model, copies, inputs, "rescaled")
    return tuple(copies)


def _find_groups(
    objective: Objective,
) -> tuple[nn.Module, tuple[Tensor, ...], tuple[UnitGroup, ...]]:
    model = objective.model
    try:
        inputs = objective.example_inputs(_EXAMPLES)
        symmetry = find_shared_symmetry(model, model, inputs, objective.layout)
    except (ValueError, Unsupported) as reason:
        raise NoEquivalent(str(reason)) from reason
    return model, inputs, symmetry.groups


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers under all names, detached: writing to them changes the model."""
    named = (
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    )
    return {name: tensor.detach() for name, tensor in named}


def _owned(group: UnitGroup, tensors: Mapping[str, Tensor]) -> list[tuple[Axis, Tensor]]:
    """The tensors of a group by axis, each stored one once: tied names share their memory."""
    seen: set[tuple[int, int]] = set()
    owned = []
    for name, axis in group.entries:
        tensor = tensors[name]
        key = tensor.data_ptr(), axis
        if key not in seen:
            seen.add(key)
            owned.append(((name, axis), tensor))
    return owned


def _find_roles(graph: TracedGraph) -> dict[Axis, int]:
    """Whether an axis of a parameter writes units (1) or reads them (-1), for what is understood.

    What a normalisation reads is left out: it removes the scale of its input.
    """
    parameters = {leaf.name: leaf.target for leaf in graph.leaves if leaf.kind == "parameter"}
    roles: dict[Axis, int] = {}
    for node in graph.nodes:
        kind = node.op.removeprefix("aten.").split(".")[0]
        arguments = {
            key: parameters[value.name]
            for key, value in node.arguments.items()
            if isinstance(value, Reference) and value.name in parameters
        }
        weight, bias = arguments.get("weight"), arguments.get("bias")
        if kind in _INPUT_AXES and weight is not None:
            reads = _INPUT_AXES[kind]
            roles[weight, reads] = -1
            if not _is_normalised(graph, node):
                roles[weight, 1 - reads] = 1
                if bias is not None:
                    roles[bias, 0] = 1
        elif kind in _NORMALISATIONS:
            for name in (weight, bias):
                if name is not None:
                    roles[name, 0] = 1
    return roles


def _is_normalised(graph: TracedGraph, node: TracedNode) -> bool:
    return any(
        user.op.removeprefix("aten.").split(".")[0] in _NORMALISATIONS
        for user in graph.users[node.name]
    )


def _rescale(
    model: nn.Module, group: UnitGroup, roles: Mapping[Axis, int], factors: np.ndarray
) -> None:
    """Multiply what writes each unit by its factor, and divide what reads it."""
    for (name, axis), tensor in _owned(group, _tensors(model)):
        role = roles.get((name, axis), 0)
        if role == 0:
            continue
        entries = group.entries[name, axis]
        scale = np.ones(tensor.shape[axis])
        scale[entries] = (factors**role)[:, None]
        shape = [1] * tensor.ndim
        shape[axis] = -1
        tensor.mul_(torch.from_numpy(scale).to(tensor).reshape(shape))


def _keeps_function(
    model: nn.Module, inputs: tuple[Tensor, ...], group: UnitGroup, roles: Mapping[Axis, int]
) -> bool:
    """Whether a rescaling of one group alone leaves the outputs as they are."""
    if {roles.get(axis, 0) for axis in group.entries} < {-1, 1}:
        return False
    twin = copy_module(model)
    exponents = np.random.default_rng(0).choice([-2, -1, 1, 2], group.size)
    _rescale(twin, group, roles, 2.0**exponents)
    return _difference(model, twin, inputs) <= _TOLERANCE


def _difference(model: nn.Module, twin: nn.Module, inputs: tuple[Tensor, ...]) -> float:
    before, after = (compute_float64_outputs(module, inputs) for module in (model, twin))
    return float((before - after).abs().max()) / (float(before.abs().max()) or 1.0)


def _require_equal(
    model: nn.Module, copies: Sequence[nn.Module], inputs: tuple[Tensor, ...], what: str
) -> None:
    for twin in copies:
        difference = _difference(model, twin, inputs)
        if not difference <= _TOLERANCE:
            raise NoEquivalent(
                f"the {what} copy's outputs differ by {difference:.3g} of their size"
            )

"""`repair`: an interpolated model whose units have the statistics of its endpoints."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from landscape import _core
from landscape._align.activations import UNIT_LAYERS, record_unit_activations, weight_axis
from landscape._align.reparametrised import (
    advise_on_hooks,
    find_norm_of_weight,
    is_computed,
    trace_reparametrised,
)
from landscape._export import Reference, TracedGraph, TracedNode, Unsupported
from landscape._objective import Objective
from landscape._outside import Outside, adopt_weights, compare_outside, validate_outside

__all__ = ["repair"]

_PRODUCTS = {
    *("linear", "bilinear", "matmul", "mm", "bmm", "addmm", "einsum", "lstm", "gru", "rnn_tanh"),
    *("rnn_relu", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"),
    "conv_transpose3d",
}
"""Operations that compute units from parameters."""


def repair(
    model_a: nn.Module,
    model_b: nn.Module,
    data: Any,
    loss: Any = None,
    *,
    position: float = 0.5,
    outside: Outside = "error",
) -> nn.Module:
    r"""The model between two others, with the statistics of its hidden units reset.

    .. math:: z_i \leftarrow \sigma_i \frac{z_i - \mathbb{E} z_i}{\operatorname{sd} z_i} + \mu_i,
        \quad \mu_i = (1 - s)\, \mathbb{E} z_i^A + s\, \mathbb{E} z_i^B

    (and sigma likewise) for the preactivation z of every hidden channel: averaged weights shrink
    the variance of what units compute, which alone makes much of a barrier. The correction is
    folded into weights and biases, layer after layer, since each changes the inputs of the next;
    a layer without a bias gets one. Where batch norm follows, its statistics are re-estimated
    instead, which has the same effect.

    Channels are those of the operation: the last axis of a linear layer, whatever positions come
    before it; of a convolution or a transposed one the axis before its positions. Layers that
    cannot be corrected are named in a warning: weights that other layers share, that spectral norm
    computes, or that no linear layer or convolution holds.

    Align the models first: :func:`landscape.align`.

    Args:
        model_a: The model at s = 0.
        model_b: The model at s = 1, of the same architecture.
        data: As for the Objective; statistics are those over all of them.
        loss: As for the Objective.
        position: s, from 0 (model_a) to 1.
        outside: As for :func:`connect`.

    Returns:
        A new module, in evaluation mode.

    Raises:
        ValueError: The layouts differ, the model cannot be traced, or the models are different
            functions outside their parameters.

    Reference:
        Jordan, Sedghi, Saukh, Entezari and Neyshabur, "REPAIR: REnormalizing Permuted Activations
        for Interpolation Repair" (2023), section 3.

    Example:
        >>> from torch import nn
        >>> a, b = (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)) for _ in range(2))
        >>> middle = landscape.repair(a, landscape.align(a, b, data).model, data)
    """
    if not 0 <= position <= 1:
        raise ValueError(f"position={position}, expected a number from 0 to 1")
    validate_outside(outside)
    objective = Objective(model_a, data, loss, batch_norm="recalibrated")
    model_a = objective.model
    theta_b = objective.layout.flatten(model_b).astype(objective.dtype)
    compare_outside(objective, model_b, name="model_b", outside=outside)
    if outside == "first":
        model_b = adopt_weights(model_a, model_b, objective.layout)
    names, left_out = _choose_layers(model_a, objective)
    endpoints = [
        _compute_statistics(objective.with_model(model), names) for model in (model_a, model_b)
    ]
    for name in [name for name in names if not all(name in end for end in endpoints)]:
        names.remove(name)
        left_out[name] = "its weight is used without calling the module"
    _warn_of_layers(left_out)
    theta = _core.combine([objective.theta, theta_b], np.array([1 - position, position]))
    model = _add_biases(objective.model_at(theta).eval(), names)
    middle = Objective(model, data, loss, batch_norm="recalibrated")
    for name in names:
        (mean_a, deviation_a), (mean_b, deviation_b) = (end[name] for end in endpoints)
        mean = (1 - position) * mean_a + position * mean_b
        deviation = (1 - position) * deviation_a + position * deviation_b
        current = _compute_statistics(middle, [name])[name]
        _rescale_channels(model.get_submodule(name), current, (mean, deviation))
    return middle.model_at(middle.theta)


def _add_biases(model: nn.Module, names: list[str]) -> nn.Module:
    """Give layers without a bias one of zeros, and return the model."""
    for name in names:
        module: Any = model.get_submodule(name)
        if module.bias is None:
            weight = module.weight.detach()
            module.bias = nn.Parameter(weight.new_zeros(_count_channels(module)))
    return model


def _count_channels(module: Any) -> int:
    return int(module.out_features if isinstance(module, nn.Linear) else module.out_channels)


def _choose_layers(model: nn.Module, objective: Objective) -> tuple[list[str], dict[str, str]]:
    """Hidden layers that no batch norm follows, in the order of computation.

    Returns:
        The layers to correct; and those that cannot be corrected, with the reason.
    """
    try:
        graph = trace_reparametrised(model, objective.example_inputs())
    except Unsupported as reason:
        raise ValueError(
            f"the model's layers cannot be put in order ({reason}); {advise_on_hooks(model)}"
            "replace what cannot be traced"
        ) from reason
    outputs = {value.name for value in graph.outputs if isinstance(value, Reference)}
    unit_layers = {name for name, m in model.named_modules() if isinstance(m, UNIT_LAYERS)}
    stored = _list_stored(graph)
    layers: list[str] = []
    left_out: dict[str, str] = {}
    for node in graph.nodes:  # in the order of computation
        operation = node.op.removeprefix("aten.").split(".")[0]
        if operation not in _PRODUCTS or not any(key in stored for key in node.references):
            continue
        if node.name in outputs or _is_normalised(graph, node):
            continue
        name = node.module
        if name in layers or name in left_out:
            continue
        if name not in unit_layers:
            weight = next(stored[key] for key in node.references if key in stored)
            left_out[weight] = f"its {operation} is computed by no linear layer or convolution"
        elif obstacle := _find_obstacle(model, name):
            left_out[name] = obstacle
        else:
            layers.append(name)
    return layers, left_out


def _list_stored(graph: TracedGraph) -> dict[str, str]:
    """Stored tensors, by their names in the graph, and what is computed from these alone."""
    stored = {leaf.name: leaf.target for leaf in graph.leaves if leaf.kind != "input"}
    for node in graph.nodes:
        if node.references and all(key in stored for key in node.references):
            stored[node.name] = stored[node.references[0]]
    return stored


def _is_normalised(graph: TracedGraph, node: TracedNode) -> bool:
    return any("batch_norm" in user.op for user in graph.users[node.name])


def _find_obstacle(model: nn.Module, name: str) -> str | None:
    """Why a layer's channels cannot be scaled by its own parameters; None where they can."""
    module: Any = model.get_submodule(name)
    if module.bias is not None and module._parameters.get("bias") is None:
        return "its bias is computed from other tensors"
    own = {id(p) for p in module.parameters()}
    for other_name, other in model.named_modules():
        inside = other_name == name or other_name.startswith(f"{name}.")
        if not inside and any(id(p) in own for p in other._parameters.values() if p is not None):
            return f"{other_name or 'the model'} shares its parameters"
    if is_computed(module):
        norms = find_norm_of_weight(module)
        if norms is None:
            return "its weight is computed from other tensors"
        if norms[1] != weight_axis(module) or module.weight.shape[weight_axis(module)] != (
            _count_channels(module)
        ):
            return "its weight norm is not one number for each channel"
    return None


def _warn_of_layers(left_out: Mapping[str, str]) -> None:
    if left_out:
        listed = "; ".join(f"{name} ({reason})" for name, reason in left_out.items())
        warnings.warn(
            f"repair leaves these layers as they are: {listed}", UserWarning, stacklevel=3
        )


Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]


def _compute_statistics(objective: Objective, names: list[str]) -> dict[str, Statistics]:
    """Mean and standard deviation of every channel of some layers."""
    activations = record_unit_activations(objective, names)
    return {name: (values.mean(axis=1), values.std(axis=1)) for name, values in activations.items()}


def _rescale_channels(module: Any, current: Statistics, target: Statistics) -> None:
    """Scale and shift a layer's channels to other statistics; a constant one is only shifted."""
    mean, deviation = target
    scale = np.divide(deviation, current[1], out=np.ones_like(deviation), where=current[1] > 0)
    shift = mean - scale * current[0]
    norms = find_norm_of_weight(module)
    stored: Tensor = module.weight if norms is None else norms[0]
    groups, axis = 1, weight_axis(module)
    if getattr(module, "transposed", False) and norms is None:
        groups, axis = module.groups, 1
    with torch.no_grad():
        factor = torch.from_numpy(scale).to(stored)
        # a transposed convolution in groups holds (groups x inputs, outputs of a group, ...)
        blocks = stored.view(groups, -1, *stored.shape[1:]).movedim(axis + 1, 1)
        blocks.mul_(factor.reshape(groups, -1, *[1] * (blocks.ndim - 2)))
        module.bias.mul_(factor).add_(torch.from_numpy(shift).to(stored))

"""`repair`: an interpolated model whose units have the statistics of its endpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from landscape import _core
from landscape._align.activations import UNIT_LAYERS, record_unit_activations
from landscape._export import Reference, Unsupported, trace
from landscape._objective import Objective

__all__ = ["repair"]


def repair(
    model_a: nn.Module,
    model_b: nn.Module,
    data: Any,
    loss: Any = None,
    *,
    position: float = 0.5,
) -> nn.Module:
    r"""The model between two others, with the statistics of its hidden units reset.

    .. math:: z_i \leftarrow \sigma_i \frac{z_i - \mathbb{E} z_i}{\operatorname{sd} z_i} + \mu_i,
        \quad \mu_i = (1 - s)\, \mathbb{E} z_i^A + s\, \mathbb{E} z_i^B

    (and sigma likewise) for the preactivation z of every hidden channel: averaged weights shrink
    the variance of what units compute, which alone makes much of a barrier. The correction is
    folded into weights and biases, layer after layer, since each changes the inputs of the next;
    a layer without a bias gets one. Where batch norm follows, its statistics are re-estimated
    instead, which has the same effect.

    Align the models first: :func:`landscape.align`.

    Args:
        model_a: The model at s = 0.
        model_b: The model at s = 1, of the same architecture.
        data: As for the Objective; statistics are those over all of them.
        loss: As for the Objective.
        position: s, from 0 (model_a) to 1.

    Returns:
        A new module, in evaluation mode.

    Raises:
        ValueError: The layouts differ, or the model cannot be traced.

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
    objective = Objective(model_a, data, loss, batch_norm="recalibrated")
    names = _find_layers_to_correct(model_a, objective)
    endpoints = [_compute_statistics(objective.with_model(model)) for model in (model_a, model_b)]
    thetas = [objective.theta, objective.layout.flatten(model_b).astype(objective.dtype)]
    theta = _core.combine(thetas, np.array([1 - position, position]))
    model = _add_biases(objective.model_at(theta).eval(), names)
    middle = Objective(model, data, loss, batch_norm="recalibrated")
    for name in names:
        (mean_a, deviation_a), (mean_b, deviation_b) = (end[name] for end in endpoints)
        mean = (1 - position) * mean_a + position * mean_b
        deviation = (1 - position) * deviation_a + position * deviation_b
        current = _compute_statistics(middle)[name]
        _rescale_channels(model.get_submodule(name), current, (mean, deviation))
    return middle.model_at(middle.theta)


def _add_biases(model: nn.Module, names: list[str]) -> nn.Module:
    """Give layers without a bias one of zeros, and return the model."""
    for name in names:
        module = model.get_submodule(name)
        weight: Any = module.weight
        if module.bias is None:
            module.bias = nn.Parameter(weight.new_zeros(len(weight)))
    return model


def _find_layers_to_correct(model: nn.Module, objective: Objective) -> list[str]:
    """Hidden layers that no batch norm follows, in the order of computation."""
    try:
        graph = trace(model, objective.example_inputs())
    except Unsupported as reason:
        raise ValueError(f"the model's layers cannot be put in order ({reason})") from reason
    outputs = {value.name for value in graph.outputs if isinstance(value, Reference)}
    unit_layers = {name for name, m in model.named_modules() if isinstance(m, UNIT_LAYERS)}
    layers = []
    for node in graph.nodes:
        if node.module in unit_layers and "weight" in node.arguments and node.name not in outputs:
            normalised = any("batch_norm" in user.op for user in graph.users[node.name])
            if not normalised and node.module not in layers:
                layers.append(node.module)
    return layers


Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]


def _compute_statistics(objective: Objective) -> dict[str, Statistics]:
    """Mean and standard deviation of every channel of every linear layer and convolution."""
    activations = record_unit_activations(objective)
    return {name: (values.mean(axis=1), values.std(axis=1)) for name, values in activations.items()}


def _rescale_channels(module: nn.Module, current: Statistics, target: Statistics) -> None:
    """Scale and shift a layer's channels to other statistics; a constant one is only shifted."""
    mean, deviation = target
    scale = np.divide(deviation, current[1], out=np.ones_like(deviation), where=current[1] > 0)
    shift = mean - scale * current[0]
    weight: Any = module.weight
    bias: Any = module.bias
    with torch.no_grad():
        factor = torch.from_numpy(scale).to(weight)
        weight.mul_(factor.reshape(-1, *[1] * (weight.ndim - 1)))
        bias.mul_(factor).add_(torch.from_numpy(shift).to(weight))

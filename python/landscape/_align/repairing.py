"""`repair`: an interpolated model whose units keep the statistics of its ends.

Depends on the Objective, the traced graph and the activations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from landscape import _core
from landscape._align.activations import MAKERS, observed
from landscape._export import Reference, Unsupported, traced
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
    folded into weights and biases, layer after layer, since each changes what follows; a layer
    without a bias gets one. Where batch norm follows, its statistics are re-estimated instead,
    which has the same effect.

    Align the models first: :func:`landscape.align`.

    Args:
        model_a: The one model.
        model_b: The other one, of the same architecture.
        data: As for the Objective; statistics are those over all of them.
        loss: As for the Objective.
        position: s, from 0 (model_a) to 1.

    Returns:
        A module of its own, in evaluation mode.

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
        raise ValueError(f"position={position}, expected a place from 0 to 1")
    objective = Objective(model_a, data, loss, batch_norm="recalibrated")
    names = _corrected(model_a, objective)
    ends = [_statistics(objective.with_model(model)) for model in (model_a, model_b)]
    both = [objective.theta, objective.layout.flatten(model_b).astype(objective.dtype)]
    theta = _core.combine(both, np.array([1 - position, position]))
    made = _with_biases(objective.model_at(theta).eval(), names)
    whole = Objective(made, data, loss, batch_norm="recalibrated")
    for name in names:
        (mean, spread), (other_mean, other_spread) = (end[name] for end in ends)
        target = (1 - position) * mean + position * other_mean
        width = (1 - position) * spread + position * other_spread
        _reset(made.get_submodule(name), _statistics(whole)[name], target, width)
    return whole.model_at(whole.theta)


def _with_biases(model: nn.Module, names: list[str]) -> nn.Module:
    """The model, its layers able to be shifted."""
    for name in names:
        module = model.get_submodule(name)
        weight: Any = module.weight
        if module.bias is None:
            module.bias = nn.Parameter(weight.new_zeros(len(weight)))
    return model


def _corrected(model: nn.Module, objective: Objective) -> list[str]:
    """Hidden layers without batch norm behind them, in the order of computation."""
    try:
        graph = traced(model, objective.example_inputs())
    except Unsupported as reason:
        raise ValueError(f"the model's layers cannot be put in order ({reason})") from reason
    outputs = {value.name for value in graph.outputs if isinstance(value, Reference)}
    makers = {name for name, module in model.named_modules() if isinstance(module, MAKERS)}
    found = []
    for node in graph.nodes:
        if node.module in makers and "weight" in node.arguments and node.name not in outputs:
            normalised = any("batch_norm" in user.op for user in graph.users[node.name])
            if not normalised and node.module not in found:
                found.append(node.module)
    return found


Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]


def _statistics(objective: Objective) -> dict[str, Statistics]:
    """Mean and standard deviation of every channel of every linear layer and convolution."""
    found = observed(objective.with_batch_norm("frozen"))
    return {name: (values.mean(axis=1), values.std(axis=1)) for name, values in found.items()}


def _reset(
    module: nn.Module,
    now: Statistics,
    mean: NDArray[np.float64],
    spread: NDArray[np.float64],
) -> None:
    """Scale and shift a layer's channels; a dead one is shifted alone."""
    scale = np.divide(spread, now[1], out=np.ones_like(spread), where=now[1] > 0)
    shift = mean - scale * now[0]
    weight: Any = module.weight
    bias: Any = module.bias
    with torch.no_grad():
        factor = torch.from_numpy(scale).to(weight)
        weight.mul_(factor.reshape(-1, *[1] * (weight.ndim - 1)))
        bias.mul_(factor).add_(torch.from_numpy(shift).to(weight))

"""Outputs of a model's inner modules over the data, and outputs of models in float64."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from landscape._copies import copy_module
from landscape._objective.points import Points
from landscape._objective.strategy import Strategy
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.torch_backend.gradients import compute_outputs
from landscape._turns import held, undisturbed

__all__ = ["compute_float64_outputs", "record_activations"]


def record_activations(
    evaluator: Evaluator, point: Points, strategy: Strategy, modules: Mapping[str, int]
) -> dict[str, Tensor]:
    """The outputs of inner modules over all data, at one point.

    Args:
        evaluator: The function; its loss must be a recognised one.
        point: One parameter vector.
        strategy: Its block and memory format are used.
        modules: The modules' names in the model, and which axis of their outputs counts channels.

    Returns:
        Module names to activations, float64, on the CPU, shape (channels, observations); modules
        that were not called are left out.
    """
    parts: dict[str, list[Tensor]] = {}

    def record(name: str, output: Tensor) -> None:
        parts.setdefault(name, []).append(_channels_first(output, modules[name]))

    module = evaluator.model.module
    with held(module), _forward_hooks(module, modules, record):
        for _ in compute_outputs(evaluator, point, strategy):
            pass
    return {name: torch.cat(outputs, dim=1) for name, outputs in parts.items()}


def _channels_first(output: Tensor, axis: int) -> Tensor:
    """A module's output as (channels, observations), float64."""
    double = output.detach().double().cpu()
    return double.movedim(axis, 0).reshape(double.shape[axis], -1)


@contextmanager
def _forward_hooks(
    model: nn.Module, modules: Collection[str], record: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Call a function with the output of each module, inside the block."""
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda _, __, output, name=name: record(name, output)
        )
        for name in modules
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def compute_float64_outputs(model: nn.Module, inputs: Sequence[Any]) -> Tensor:
    """All outputs of a model in float64 and evaluation mode, as one flat vector.

    A copy of the model runs, so that neither the model nor the random generators change.

    Args:
        model: The module.
        inputs: What its forward takes.
    """
    with undisturbed(model):
        double = copy_module(model)
    double = double.double().eval()
    with torch.random.fork_rng(), torch.inference_mode():
        outputs = double(*map(_to_double, inputs))
    return torch.cat([tensor.reshape(-1) for tensor in _flatten_outputs(outputs)])


def _to_double(value: Any) -> Any:
    is_floating = isinstance(value, Tensor) and value.is_floating_point()
    return value.double() if is_floating else value


def _flatten_outputs(outputs: Any) -> list[Tensor]:
    if outputs is None or isinstance(outputs, Tensor):
        return [] if outputs is None else [outputs]
    parts = outputs.values() if isinstance(outputs, Mapping) else outputs
    return [tensor for part in parts for tensor in _flatten_outputs(part)]

"""What modules put out over the data, and inputs that a model can be traced with.

Depends on the Objective.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective

__all__ = ["MAKERS", "activations", "example_inputs", "observed", "seen"]

MAKERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Modules whose rows are units."""

_MOST = 1 << 22  # numbers of a module's output that are kept


def example_inputs(model: nn.Module) -> tuple[Tensor, ...]:
    """Inputs of a model that begins with a linear layer.

    Raises:
        ValueError: It begins otherwise, so that data must say what it takes.
    """
    layers = (m for m in model.modules() if any(True for _ in m.parameters(recurse=False)))
    first = next(layers, None)
    if not isinstance(first, nn.Linear):
        raise ValueError(
            "data is missing, and the model's first layer does not say what inputs it takes; pass "
            "data, as for landscape.Objective"
        )
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(3, first.in_features, generator=generator, dtype=first.weight.dtype),)


def activations(
    objective: Objective | None, first: nn.Module, second: nn.Module
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Outputs of every maker of units, in two models: shape (channels, observations)."""
    if objective is None:
        raise ValueError("activations need data; pass them")
    given = objective.with_batch_norm("frozen")
    return observed(given.with_model(first)), observed(given.with_model(second))


def observed(objective: Objective) -> dict[str, NDArray[np.float64]]:
    """What every linear layer and convolution of the model puts out over the data."""
    parts: dict[str, list[NDArray[np.float64]]] = {}

    def keep(name: str, output: Tensor) -> None:
        parts.setdefault(name, []).append(seen(output).numpy())

    with _watched(objective.model, keep):
        for _ in objective.outputs(objective.theta[None]):
            pass
    joined = {name: np.concatenate(found, axis=1) for name, found in parts.items()}
    return {name: _thinned(values) for name, values in joined.items()}


def seen(output: Tensor) -> Tensor:
    """A module's output as (channels, observations), float64."""
    wide = output.detach().double().cpu()
    channels = 1 if wide.ndim > 3 else -1
    return wide.movedim(channels, 0).reshape(wide.shape[channels], -1)


@contextmanager
def _watched(model: nn.Module, keep: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Hand every maker's output to a function, inside the block."""
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: keep(name, output))
        for name, module in model.named_modules()
        if isinstance(module, MAKERS)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _thinned(values: NDArray[np.float64]) -> NDArray[np.float64]:
    step = max(1, values.size // _MOST)
    return values[:, ::step]

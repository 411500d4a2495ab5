"""Activations of hidden units over the data, by the axes that their operations say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.conv import _ConvNd

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from landscape._objective import Objective

__all__ = ["UNIT_LAYERS", "record_unit_activations", "weight_axis"]

UNIT_LAYERS = (nn.Linear, _ConvNd)
"""Modules whose output channels are units: linear layers, convolutions, transposed ones."""

_MAX_NUMBERS = 1 << 22  # of a module's activations that are kept


def record_unit_activations(
    objective: Objective, names: Iterable[str] | None = None
) -> dict[str, NDArray[np.float64]]:
    """The activations of linear layers and convolutions, shape (channels, observations).

    Args:
        objective: The model and the data; batch norm uses its running statistics.
        names: Of the layers; all of them when None.

    Returns:
        By the layer's name; layers that are not called as modules are left out.
    """
    frozen = objective.with_batch_norm("frozen")
    model = frozen.model
    if names is None:
        names = [name for name, m in model.named_modules() if isinstance(m, UNIT_LAYERS)]
    axes = {name: _channel_axis(model.get_submodule(name)) for name in names}
    return {name: _subsample(values) for name, values in frozen.record_activations(axes).items()}


def _channel_axis(module: nn.Module) -> int:
    """The axis of a layer's outputs that counts channels, from the end.

    Samples, and for a linear layer any positions, come before it; positions of a convolution, of
    which there are as many axes as its kernel has, come after it.
    """
    return -1 - len(module.kernel_size) if isinstance(module, _ConvNd) else -1


def weight_axis(module: nn.Module) -> int:
    """The axis of a layer's weight that counts its output channels.

    Transposed convolutions in several groups have none: theirs counts the channels of one group.
    """
    return 1 if isinstance(module, _ConvNd) and module.transposed and module.groups == 1 else 0


def _subsample(values: NDArray[np.float64]) -> NDArray[np.float64]:
    step = max(1, values.size // _MAX_NUMBERS)
    return values[:, ::step]

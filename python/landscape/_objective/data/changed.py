"""Data with other inputs and the same targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from landscape._objective.data.batches import Batches, RaggedBatches, ResidentBatches
from landscape._objective.data.pytree import iter_tensors, map_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["change_inputs"]

_TARGETS = "labels"  # the column of targets, where a batch is a mapping


def change_inputs(batches: Batches, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Batches:
    """The same batches with every floating-point input changed.

    Args:
        batches: The data.
        change: From an input, shape (n, ...), to an array of the same shape.

    Raises:
        ValueError: They are streamed, have no such input, or `change` returns another shape.
    """
    if isinstance(batches, ResidentBatches):
        return replace(batches, content=_change_content(batches.content, change))
    if isinstance(batches, RaggedBatches):
        contents = tuple(_change_content(content, change) for content in batches.contents)
        return replace(batches, contents=contents)
    raise ValueError(
        "the inputs of streamed data cannot be changed; raise memory_budget so that they are kept"
    )


def _change_content(content: Any, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
    found: list[Tensor] = []

    def convert(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        found.append(tensor)
        return _change_tensor(tensor, change)

    changed: Any
    if isinstance(content, Mapping):
        changed = {
            name: part if name == _TARGETS else map_tensors(convert, part)
            for name, part in content.items()
        }
    elif isinstance(content, (tuple, list)) and len(content) > 1:
        parts = [*(map_tensors(convert, part) for part in content[:-1]), content[-1]]
        changed = type(content)(*parts) if hasattr(content, "_fields") else type(content)(parts)
    else:
        raise ValueError("the batches are not (inputs, targets), so that the inputs are not known")
    if not found:
        kinds = sorted({str(t.dtype).removeprefix("torch.") for t in iter_tensors(content)})
        raise ValueError(
            f"no input is a floating-point tensor (the batches have {', '.join(kinds)}), so that "
            "there is nothing to change"
        )
    return changed


def _change_tensor(tensor: Tensor, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Tensor:
    host = tensor.detach().cpu()
    values = host.float() if host.dtype in (torch.float16, torch.bfloat16) else host
    array = change(values.numpy())
    if array.shape != tuple(tensor.shape):
        raise ValueError(
            f"the changed input has shape {array.shape}, expected {tuple(tensor.shape)}"
        )
    return torch.from_numpy(array).to(device=tensor.device, dtype=tensor.dtype)

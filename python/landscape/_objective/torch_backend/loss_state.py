"""The state of a loss that is an object: restored before every pass, and after the evaluation."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from landscape._objective.losses.criterion import BatchLoss
from landscape._objective.torch_backend.model_state import AttributeSnapshot

__all__ = ["LossState"]

_WITHOUT_STATE = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)


class LossState:
    """The attributes and buffers of a loss, which a call may change.

    A running mean in a loss would make L another function in every call. A change of a closure, or
    of a plain tensor in place, is not seen here.

    Args:
        loss: The loss as the user passed it.
        model: The model, whose modules are restored by themselves.
    """

    def __init__(self, loss: Any, model: nn.Module) -> None:
        own = {id(module) for module in model.modules()}
        self._owners = [owner for owner in _find_owners(loss) if id(owner) not in own]
        self._attributes = AttributeSnapshot(())
        self._buffers: list[tuple[dict[str, Any], str, Tensor, Tensor, int]] = []

    @contextmanager
    def preserved(self) -> Iterator[None]:
        """Work on copies of the buffers inside the block, and restore the loss after it."""
        if not self._owners:
            yield
            return
        outer = self._attributes, self._buffers
        originals = AttributeSnapshot(self._owners)
        try:
            self._buffers = []
            for owner in self._owners:
                buffers: dict[str, Any] = getattr(owner, "_buffers", {})
                for name, buffer in buffers.items():
                    if buffer is not None:
                        buffers[name] = working = buffer.detach().clone()
                        version = working._version
                        self._buffers.append((buffers, name, working, buffer, version))
            self._attributes = AttributeSnapshot(self._owners)
            yield
        finally:
            self._attributes, self._buffers = outer
            originals.restore()

    def changed(self) -> bool:
        """Whether the loss has changed since it was last reset."""
        return self._attributes.changed() or any(
            working._version != version for _, _, working, _, version in self._buffers
        )

    def reset(self) -> None:
        """Undo what the last pass did to it."""
        self._attributes.restore()
        fresh = []
        for buffers, name, working, original, version in self._buffers:
            if working._version != version:
                with torch.no_grad():
                    working.copy_(original)
            fresh.append((buffers, name, working, original, working._version))
        self._buffers = fresh


def _find_owners(loss: Any) -> list[Any]:
    """The objects whose attributes are the loss's state."""
    function = loss.function if isinstance(loss, BatchLoss) else loss
    if isinstance(function, nn.Module):
        return list(function.modules())
    if isinstance(function, types.MethodType):
        function = function.__self__
    if isinstance(function, _WITHOUT_STATE) or not hasattr(function, "__dict__"):
        return []
    return [function]

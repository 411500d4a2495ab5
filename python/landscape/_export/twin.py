"""A twin of a module for the tracer: attributes of its own, and the same tensors."""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict, deque
from types import CellType, FunctionType, MethodType
from typing import Any

from torch import nn

__all__ = ["copy_for_tracing"]

_MAPPINGS = (dict, OrderedDict, defaultdict)
_COLLECTIONS = (list, set, deque)
_ATTENTION = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


def copy_for_tracing(model: nn.Module) -> nn.Module:
    """Copy modules and the plain containers in them, in evaluation mode; all else is shared.

    Tensors are shared, so that the copy takes no memory and a parameter is the same object in both.
    Bound methods and functions that hold a module in their closure are bound to its twin. A deep
    copy would fail where a module holds a lock, a file or a tensor with a history (legacy weight
    norm).

    Args:
        model: The module, which is left alone.
    """
    twin: nn.Module = _Copier().copy(model)
    for module in twin.modules():
        # PyTorch's attention has a fused kernel for inference, which hides its parts; its switch is
        # one for all threads, and in training mode without dropout it is not used either
        fused = any(type(module).forward is kind.forward for kind in _ATTENTION)
        module.__dict__["training"] = fused
        if isinstance(module, nn.MultiheadAttention):
            module.__dict__["dropout"] = 0.0
        if "_compiled_call_impl" in module.__dict__:
            module.__dict__["_compiled_call_impl"] = None  # trace the module itself
    return twin


class _Copier:
    """Copies what is reached from a module, each object once."""

    def __init__(self) -> None:
        self._copies: dict[int, Any] = {}

    def copy(self, value: Any) -> Any:
        """The twin of a value, or the value itself where it is shared."""
        if id(value) not in self._copies:
            self._copies[id(value)] = self._make(value)
        return self._copies[id(value)]

    def _make(self, value: Any) -> Any:
        twin = value
        if isinstance(value, nn.Module):
            twin = object.__new__(type(value))
            self._copies[id(value)] = twin  # before its attributes, which may lead back to it
            twin.__dict__.update({n: self.copy(item) for n, item in value.__dict__.items()})
        elif type(value) in _MAPPINGS:
            twin = self._copies[id(value)] = copy.copy(value)
            for key, item in value.items():
                twin[key] = self.copy(item)
        elif type(value) in _COLLECTIONS:
            twin = self._copies[id(value)] = copy.copy(value)
            twin.clear()
            add = twin.update if isinstance(twin, set) else twin.extend
            add([self.copy(item) for item in value])
        elif type(value) in (tuple, frozenset):
            if any(self.copy(item) is not item for item in value):
                twin = type(value)(self.copy(item) for item in value)
        elif isinstance(value, MethodType) and isinstance(value.__self__, nn.Module):
            twin = MethodType(value.__func__, self.copy(value.__self__))
        elif isinstance(value, FunctionType) and any(map(_holds_module, value.__closure__ or ())):
            twin = self._rebind(value)
        return twin

    def _rebind(self, function: FunctionType) -> FunctionType:
        """A function whose closure holds twins."""
        cells = tuple(
            CellType(self.copy(cell.cell_contents)) if _holds_module(cell) else cell
            for cell in function.__closure__ or ()
        )
        twin = FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, cells
        )
        twin.__kwdefaults__ = function.__kwdefaults__
        twin.__dict__.update(function.__dict__)
        return twin


def _holds_module(cell: CellType) -> bool:
    try:
        return isinstance(cell.cell_contents, nn.Module)
    except ValueError:  # an empty cell
        return False

"""The print of a model: all that a list of its operations may depend on, to be compared later.

It holds no tensor, module or other object of the model's, only weak references to them: an object
that is gone equals none, even where another one was made at its address.
"""

from __future__ import annotations

import weakref
import zlib
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape._objective.torch_backend.model_state import sample_checksum

__all__ = ["UnreadableModelError", "print_model"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_LARGEST = 20_000  # attributes and members: a model that holds more is not compared
_BYTES = 1 << 16  # of an array that enter the print


class UnreadableModelError(Exception):
    """A model holds something that cannot be compared later."""


class _Identity:
    """The very object, as long as it lives."""

    def __init__(self, value: Any) -> None:
        try:
            self._reference = weakref.ref(value)
        except TypeError:
            raise UnreadableModelError(f"{type(value).__name__} has no weak references") from None

    def __eq__(self, other: object) -> bool:
        mine = self._reference()
        return isinstance(other, _Identity) and mine is not None and mine is other._reference()

    __hash__ = None  # type: ignore[assignment]


def print_model(model: nn.Module) -> Any:
    """Read a model: its modules, their attributes and hooks, buffers, and which parameters it has.

    The values of parameters are left out: theta is passed with every call.

    Args:
        model: The module, as its owner left it.

    Returns:
        Something that equals another print of the same, unchanged model.

    Raises:
        UnreadableModelError: The model holds an object that cannot be compared later.
    """
    try:
        return _Printer().read(model)
    except (RuntimeError, TypeError, NotImplementedError) as error:  # of odd tensors and objects
        raise UnreadableModelError(str(error)) from error


class _Printer:
    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        """The positions of objects that were read, by their ids; they live while this is read."""
        self._kept: list[Any] = []
        self._count = 0

    def read(self, value: Any) -> Any:
        """The print of a value and of all that is reached from it, each object once."""
        self._count += 1
        if self._count > _LARGEST:
            raise UnreadableModelError("it holds too much")
        if isinstance(value, _PLAIN):
            return type(value).__name__, repr(value)
        if id(value) in self._seen:
            return "again", self._seen[id(value)]
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)  # so that its id is not used again
        return self._read_object(value)

    def _read_object(self, value: Any) -> Any:
        if isinstance(value, dict):
            return "dict", [(self.read(k), self.read(v)) for k, v in value.items()]
        if isinstance(value, (tuple, list)):
            return "sequence", [self.read(member) for member in value]
        if isinstance(value, (set, frozenset)):
            if not all(isinstance(member, _PLAIN) for member in value):
                raise UnreadableModelError("a set of objects")
            return "set", sorted(map(repr, value))
        return _Identity(value), self._read_state(value)

    def _read_state(self, value: Any) -> Any:
        """What may change in an object that stays the same one."""
        state: Any = None
        if isinstance(value, Tensor):
            state = self._read_tensor(value)
        elif isinstance(value, np.ndarray):
            part = value.reshape(-1)[:_BYTES].tobytes() if value.dtype != object else b""
            state = value.shape, value.dtype.str, zlib.crc32(part)
        elif isinstance(value, FunctionType):
            cells = [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
            state = self.read(cells), self.read(value.__defaults__)
        elif isinstance(value, MethodType):
            state = self.read(value.__self__)
        elif not isinstance(value, (type, ModuleType)):
            kinds = [_Identity(type(value))]
            if isinstance(value, nn.Module):  # a class may get another forward
                kinds.append(_Identity(type(value).forward))
            state = kinds, self.read(getattr(value, "__dict__", {}))
        return state

    def _read_tensor(self, tensor: Tensor) -> Any:
        kind = tuple(tensor.shape), tensor.dtype, tensor.device, tensor.requires_grad
        if isinstance(tensor, nn.Parameter):
            return kind
        version = -1 if tensor.is_inference() else tensor._version
        return (*kind, version, sample_checksum(tensor))


def _is_filled(cell: Any) -> bool:
    try:
        return bool([cell.cell_contents])
    except ValueError:
        return False

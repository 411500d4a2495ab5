"""Attributes of two models compared: values, tensors, functions, and what these hold."""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from landscape._copies import derived_weights
from landscape._parameters import host_array

__all__ = ["AttributeComparison", "Verdict", "equal_tensors", "type_name"]

Verdict = Literal["same", "different", "unknown"]
"""``"unknown"``: only the numbers that the models compute can tell."""

_INTERNAL = {
    *("training", "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"),
    *("_is_full_backward_hook", "_compiled_call_impl", "_flat_weights", "_flat_weight_refs"),
    *("_backward_hooks", "_backward_pre_hooks"),
}
"""Attributes of every module that are no options of its forward pass, or are compared elsewhere."""
_INTERNAL_PREFIXES = ("_forward_hooks_", "_forward_pre_hooks_", "_state_dict", "_load_state_dict")
_PLAIN = (
    *(bool, int, float, complex, str, bytes, type(None), range, slice, set, frozenset),
    *(np.generic, torch.dtype, torch.Size),
)
_SEVERITY: tuple[Verdict, ...] = ("different", "unknown")
_ARRAYS = (Tensor, np.ndarray)
_MAX_DEPTH = 8  # of nested attributes
_MAX_COMPARED = 20_000  # values: a model may refer to a trainer, and that to a data set


class AttributeComparison:
    """Compares the attributes of two models."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        # what is registered is compared by its name, wherever else it is referred to
        self._registered = (_list_registered(first), _list_registered(second))
        self._compared: dict[tuple[int, int], tuple[Any, Any]] = {}
        """The values themselves are kept, so that no other takes their identity."""

    def differences(
        self, one: nn.Module, other: nn.Module
    ) -> Iterator[tuple[str, Verdict, tuple[Any, Any]]]:
        """Name, verdict and values of each attribute that is not the same."""
        ours, theirs = _options(one), _options(other)
        for name in dict.fromkeys((*ours, *theirs)):
            values = ours.get(name, _ABSENT), theirs.get(name, _ABSENT)
            verdict = self._compare(*values)
            if verdict != "same":
                yield name, verdict, values

    def _compare(self, one: Any, other: Any, depth: int = 0) -> Verdict:
        if one is other or (id(one), id(other)) in self._compared:
            return "same"
        verdict = self._compare_leaves(one, other)
        if verdict is not None:
            return verdict
        self._compared[id(one), id(other)] = one, other
        return self._compare_members(one, other, depth + 1)

    def _compare_leaves(self, one: Any, other: Any) -> Verdict | None:
        """A verdict on values that have no members; None for all others."""
        ours, theirs = (r.get(id(v)) for r, v in zip(self._registered, (one, other), strict=True))
        if ours is not None or theirs is not None:
            return "same" if ours == theirs else "different"
        if isinstance(one, torch.device) and isinstance(other, torch.device):
            return "same"
        if isinstance(one, _ARRAYS) and isinstance(other, _ARRAYS):
            return "same" if equal_tensors(one, other) else "different"
        if isinstance(one, _PLAIN) or isinstance(other, _PLAIN):
            is_same = type(one) is type(other) and (one == other or _are_nan(one, other))
            return "same" if is_same else "different"
        if inspect.isclass(one) or inspect.isbuiltin(one):
            return "unknown" if _name_of(one) == _name_of(other) else "different"
        return None

    def _compare_members(self, one: Any, other: Any, depth: int) -> Verdict:
        if type_name(one) != type_name(other):
            return "different"
        if isinstance(one, FunctionType) and not _share_code(one, other):
            return "unknown" if one.__qualname__ == other.__qualname__ else "different"
        ours, theirs = _members(one), _members(other)
        too_large = depth > _MAX_DEPTH or len(self._compared) > _MAX_COMPARED
        if too_large or ours is None or theirs is None:
            return "unknown"
        if list(ours) != list(theirs):
            return "different"
        verdicts = {self._compare(ours[name], theirs[name], depth) for name in ours}
        if type(one) is not type(other):  # a class that was defined twice
            verdicts.add("unknown")
        return next((v for v in _SEVERITY if v in verdicts), "same")


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT = _Absent()

_MEMBERS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Mapping[Any, Any]]], ...] = (
    (
        FunctionType,
        lambda f: {
            "closure": tuple(_cell_contents(cell) for cell in f.__closure__ or ()),
            "defaults": (f.__defaults__, f.__kwdefaults__),
        },
    ),
    (MethodType, lambda m: {"function": m.__func__, "self": m.__self__}),
    (
        functools.partial,
        lambda p: {"function": p.func, "arguments": p.args, "keywords": p.keywords},
    ),
    (Mapping, dict),
    ((list, tuple, deque), lambda values: dict(enumerate(values))),
    # kept in a list, where its parameters are not in theta
    (
        nn.Module,
        lambda m: {
            **{key: m.__dict__[key] for key in ("_parameters", "_buffers", "_modules")},
            "options": _options(m),
        },
    ),
)


def _members(value: Any) -> Mapping[Any, Any] | None:
    """What a value holds, by name; None where it cannot be seen."""
    for kind, members in _MEMBERS:
        if isinstance(value, kind):
            return members(value)
    return dict(vars(value)) if hasattr(value, "__dict__") else None


def _list_registered(model: nn.Module) -> dict[int, str]:
    """The first name of every parameter, buffer and module of a model, by its identity."""
    names: dict[int, str] = {}
    listed: tuple[tuple[str, Iterator[tuple[str, Any]]], ...] = (
        ("module", model.named_modules()),
        ("parameter", model.named_parameters()),
        ("buffer", model.named_buffers()),
    )
    for kind, values in listed:
        for name, value in values:
            names.setdefault(id(value), f"{kind} {name}")
    return names


def _options(module: nn.Module) -> dict[str, Any]:
    """The attributes that may change what a module computes; hooks without their handles."""
    derived = derived_weights(module)
    options = {
        name: value
        for name, value in module.__dict__.items()
        if name not in _INTERNAL and not name.startswith(_INTERNAL_PREFIXES) and name not in derived
    }
    for name in ("_forward_hooks", "_forward_pre_hooks"):
        options[name] = list(options.get(name, {}).values())
    return options


def _share_code(one: FunctionType, other: FunctionType) -> bool:
    """Whether two functions do the same with the same closures and globals."""
    a: CodeType = one.__code__
    b: CodeType = other.__code__
    is_equal = (a.co_code, a.co_consts, a.co_names) == (b.co_code, b.co_consts, b.co_names)
    return is_equal and one.__globals__ is other.__globals__


def _cell_contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _are_nan(one: Any, other: Any) -> bool:
    return isinstance(one, float) and np.isnan(one) and np.isnan(other)


def equal_tensors(one: Any, other: Any) -> bool:
    """Whether two tensors hold the same numbers, whatever their dtypes and devices."""
    if one is other:
        return True
    if tuple(one.shape) != tuple(other.shape):
        return False
    if isinstance(one, Tensor) and isinstance(other, Tensor) and _can_compare(one, other):
        if torch.equal(one, other):
            return True
        if not one.is_floating_point():  # else NaN may be all that differs
            return False
    a, b = host_array(_to_dense(one)), host_array(_to_dense(other))
    has_nan = a.dtype.kind in "fc" and b.dtype.kind in "fc"
    return bool(np.array_equal(a, b, equal_nan=has_nan))


def _can_compare(one: Tensor, other: Tensor) -> bool:
    return (
        one.layout == other.layout == torch.strided
        and (one.dtype, one.device) == (other.dtype, other.device)
        and not one.is_quantized
    )


def _to_dense(tensor: Any) -> Any:
    is_sparse = isinstance(tensor, Tensor) and tensor.layout != torch.strided
    return tensor.detach().to_dense() if is_sparse else tensor


def type_name(value: Any) -> str:
    """The full name of a value's class."""
    return _name_of(type(value))


def _name_of(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', repr(value))}"

"""How units flow through operations: on tensors of atoms, one sample in size.

Depends on PyTorch's operators and on the strands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from landscape._align.strands import FIXED, ZERO, Strands

__all__ = ["RULES", "Flow", "Tensor", "Unknown"]

Atoms = NDArray[np.int64]


class Unknown(Exception):  # noqa: N818 - a verdict, not a fault
    """An operation, or a use of it, through which units cannot be followed."""


@dataclass(frozen=True)
class Tensor:
    """A parameter or a buffer that an operation reads, not yet taken apart into atoms."""

    name: str
    shape: tuple[int, ...]


@dataclass
class Flow:
    """What a rule may use: the strands, and atoms of tensors."""

    strands: Strands

    def along(self, tensor: Tensor, axis: int) -> Atoms:
        """The atoms of one axis."""
        return self.strands.axis(tensor.name, axis, tensor.shape[axis])

    def feature(self, tensor: Tensor | None, atoms: Atoms) -> None:
        """Join a vector with the units that it is applied to, shape (features,)."""
        if isinstance(tensor, Tensor):
            self.strands.join(self.along(tensor, 0), atoms)

    def elementwise(self, tensor: Tensor, atoms: Atoms) -> Atoms:
        """Join a tensor with what it is added to or multiplied by, along the axis that varies."""
        lead = atoms.ndim - len(tensor.shape)
        if lead < 0:
            raise Unknown("a tensor has more axes than what it meets")
        for axis, size in enumerate(tensor.shape):
            there = np.moveaxis(atoms, lead + axis, 0)
            rows = there.reshape(len(there), -1)
            if size == 1 or (rows == rows[:1]).all():
                continue
            if (rows != rows[:, :1]).any():
                raise Unknown("units vary along several axes of a tensor")
            self.strands.join(self.along(tensor, axis), rows[:, 0])
        return atoms

    def spread(self, tensor: Tensor) -> Atoms:
        """The atoms of a tensor that is data by itself, such as a token."""
        long = [axis for axis, size in enumerate(tensor.shape) if size > 1]
        if len(long) != 1:
            raise Unknown("a tensor with several axes that is data by itself")
        shape = [-1 if axis == long[0] else 1 for axis in range(len(tensor.shape))]
        return self.along(tensor, long[0]).reshape(shape)


Rule = Callable[[Flow, Mapping[str, Any]], Any]


def _linear(flow: Flow, a: Mapping[str, Any]) -> Atoms:
    inputs, weight = a["input"], a["weight"]
    rows = inputs.reshape(-1, inputs.shape[-1])
    for row in np.unique(rows, axis=0):
        flow.strands.join(flow.along(weight, 1), row)
    made = flow.along(weight, 0)
    flow.feature(a["bias"], made)
    return np.broadcast_to(made, (*inputs.shape[:-1], len(made))).copy()


def _convolution(flow: Flow, a: Mapping[str, Any]) -> Atoms:
    inputs, weight = a["input"], a["weight"]
    channels = _channels(inputs)
    made, groups = flow.along(weight, 0), a["groups"]
    if groups == 1:
        flow.strands.join(flow.along(weight, 1), channels)
    elif groups == len(channels) == len(made):
        flow.strands.join(made, channels)  # one filter a channel
    else:
        raise Unknown(f"a convolution in {groups} groups")
    flow.feature(a["bias"], made)
    return made.reshape(1, -1, *[1] * (inputs.ndim - 2))


def _channels(atoms: Atoms) -> Atoms:
    """The atoms of the second axis, which must be the same at all positions."""
    flat = atoms.reshape(*atoms.shape[:2], -1)[0]
    if (flat != flat[:, :1]).any():
        raise Unknown("units vary along an axis of positions")
    first: Atoms = flat[:, 0]
    return first


def _batch_norm(flow: Flow, a: Mapping[str, Any]) -> Atoms:
    channels = _channels(a["input"])
    for name in ("weight", "bias", "running_mean", "running_var"):
        flow.feature(a[name], channels)
    found: Atoms = a["input"]
    return found


def _layer_norm(flow: Flow, a: Mapping[str, Any]) -> Atoms:
    inputs: Atoms = a["input"]
    for name in ("weight", "bias"):
        if isinstance(a[name], Tensor):
            flow.elementwise(a[name], inputs)
    return inputs


def _same(flow: Flow, a: Mapping[str, Any]) -> Any:
    return _data(flow, next(iter(a.values())))


def _data(flow: Flow, value: Any) -> Any:
    return flow.spread(value) if isinstance(value, Tensor) else value


def _binary(flow: Flow, a: Mapping[str, Any]) -> Any:
    one, other = a["self"], a["other"]
    if isinstance(one, Tensor):
        one, other = other, one
    if isinstance(other, Tensor):
        return flow.elementwise(other, one)
    if not isinstance(other, np.ndarray):
        return one
    if not isinstance(one, np.ndarray):
        return other
    return flow.strands.join(one, other)


def _pooled(flow: Flow, a: Mapping[str, Any]) -> Atoms:  # noqa: ARG001
    inputs = next(iter(a.values()))
    return _channels(inputs).reshape(1, -1, *[1] * (inputs.ndim - 2))


def _mean(flow: Flow, a: Mapping[str, Any]) -> Atoms:  # noqa: ARG001
    inputs: Atoms = a["self"]
    dims = tuple(sorted(d % inputs.ndim for d in a.get("dim") or range(inputs.ndim)))
    first = inputs[tuple(slice(0, 1) if d in dims else slice(None) for d in range(inputs.ndim))]
    # a mean over units depends on none of their places
    found = np.where((inputs == first).all(axis=dims, keepdims=True), first, FIXED)
    return found if a.get("keepdim") else found.squeeze(dims)


def _padded(flow: Flow, a: Mapping[str, Any]) -> Atoms:  # noqa: ARG001
    if a.get("mode", "constant") != "constant" or (a.get("value") or 0) != 0:
        raise Unknown("padding that is not of zeros")
    found: Atoms = a["self"]
    pad = a["pad"]
    for place in range(len(pad) // 2):
        low, high = pad[2 * place : 2 * place + 2]
        if low < 0 or high < 0:
            raise Unknown("padding that cuts")
        widths = [(0, 0)] * found.ndim
        widths[found.ndim - 1 - place] = (low, high)
        along = np.moveaxis(found, found.ndim - 1 - place, 0)
        if (along == along[:1]).all():  # positions: a zero is a value of the same unit
            found = np.pad(found, widths, mode="edge")
        else:
            found = np.pad(found, widths, constant_values=ZERO)
    return found


def _joined(flow: Flow, a: Mapping[str, Any]) -> Atoms:
    found: Atoms = np.concatenate([_data(flow, part) for part in a["tensors"]], axis=a["dim"])
    return found


def _attention(flow: Flow, a: Mapping[str, Any]) -> Atoms:
    query, key, value = a["query"], a["key"], a["value"]
    if query.ndim != 4 or a.get("enable_gqa"):
        raise Unknown("attention without an axis of heads")
    for head in range(query.shape[1]):
        # whole heads move: their queries, keys and values together
        flow.strands.tie(np.unique([part[:, head] for part in (query, key, value)]).tolist())
    return np.broadcast_to(value[:, :, :1], (*query.shape[:3], value.shape[3])).copy()


def _embedding(flow: Flow, a: Mapping[str, Any]) -> Atoms:
    made = flow.along(a["weight"], 1)
    return np.broadcast_to(made, (*a["indices"].shape, len(made))).copy()


def _by_itself(name: str) -> Rule:
    """An operation that moves entries: it moves atoms alike."""
    operator = getattr(torch.ops.aten, name.split(".", maxsplit=1)[0])
    overload = getattr(operator, name.split(".")[1])

    def rule(flow: Flow, a: Mapping[str, Any]) -> Any:
        first, *rest = a.values()
        given = [list(v) if isinstance(v, tuple) else v for v in rest]
        moved = overload(torch.from_numpy(_data(flow, first).copy()), *given)
        if isinstance(moved, (list, tuple)):
            return tuple(part.numpy() for part in moved)
        return moved.numpy()

    return rule


_SAME = (
    "relu relu_ relu6 gelu tanh sigmoid silu silu_ elu elu_ leaky_relu leaky_relu_ softplus "
    "hardtanh hardtanh_ hardswish hardsigmoid selu mish softmax log_softmax dropout dropout_ "
    "feature_dropout clone contiguous detach detach_ alias neg exp log sqrt rsqrt square abs erf "
    "sin cos to type_as clamp lift_fresh_copy _to_copy"
)
_BINARY = "add add_ sub sub_ mul mul_ div div_"
_MOVING = (
    "view.default reshape.default unflatten.int flatten.using_ints transpose.int permute.default "
    "unsqueeze.default squeeze.dim squeeze.dims select.int slice.Tensor t.default "
    "expand.default chunk.default split.Tensor split_with_sizes.default unbind.int"
)

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_SAME.split(), _same),
    **dict.fromkeys(_BINARY.split(), _binary),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(
        (
            *("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d"),
            *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
        ),
        _pooled,
    ),
    **{name: _by_itself(name) for name in _MOVING.split()},
    "linear": _linear,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "mean": _mean,
    "pad": _padded,
    "constant_pad_nd": _padded,
    "cat": _joined,
    "scaled_dot_product_attention": _attention,
    "embedding": _embedding,
}
"""By the operation's name: with its overload where entries move, without it elsewhere."""

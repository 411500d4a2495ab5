"""Propagation rules: how labels of units flow through each operation of a traced graph.

A value of the graph is an array of labels in the shape of one sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from landscape._align.permutation import FIXED, ZERO, EntryUnionFind, Labels

__all__ = ["RULES", "Operand", "Propagation", "UnsupportedFlow"]


class UnsupportedFlow(Exception):  # noqa: N818 - a property of the model, not an error
    """An operation, or a use of one, through which units cannot be followed."""


@dataclass(frozen=True)
class Operand:
    """A parameter or a buffer that an operation reads, with axes that are not labelled yet."""

    name: str
    shape: tuple[int, ...]
    axes: tuple[int, ...] | None = None
    """Which axis of the stored tensor each axis is, where they were permuted."""

    def permute(self, order: Sequence[int]) -> Operand:
        """The same tensor with its axes in another order."""
        own = self.axes or tuple(range(len(self.shape)))
        axes = [axis % len(self.shape) for axis in order]
        return Operand(
            self.name, tuple(self.shape[a] for a in axes), tuple(own[axis] for axis in axes)
        )


@dataclass
class Propagation:
    """The union-find, with the steps that the rules share."""

    entries: EntryUnionFind

    def label_axis(self, tensor: Operand, axis: int) -> Labels:
        """The labels of one axis."""
        if not isinstance(tensor, Operand):
            raise UnsupportedFlow("a weight that is computed from other values")
        stored = tensor.axes[axis] if tensor.axes else axis
        return self.entries.label_axis(tensor.name, stored, tensor.shape[axis])

    def join_vector(self, tensor: Operand | Labels | None, labels: Labels) -> None:
        """Join a vector, such as a bias, with the units that it is applied to."""
        if isinstance(tensor, Operand):
            self.entries.join(self.label_axis(tensor, 0), labels)
        elif tensor is not None:  # computed from others
            self.entries.join(tensor.reshape(-1), labels)

    def join_elementwise(self, tensor: Operand, labels: Labels) -> Labels:
        """Join a tensor with the value that it is added to or multiplied by."""
        lead = labels.ndim - len(tensor.shape)
        if lead < 0:
            raise UnsupportedFlow("a tensor has more axes than what it meets")
        for axis, size in enumerate(tensor.shape):
            along = np.moveaxis(labels, lead + axis, 0)
            rows = along.reshape(len(along), -1)
            if size == 1 or (rows == rows[:1]).all():
                continue
            if (rows != rows[:, :1]).any():
                raise UnsupportedFlow("units vary along several axes of a tensor")
            self.entries.join(self.label_axis(tensor, axis), rows[:, 0])
        return labels

    def as_value(self, tensor: Operand) -> Labels:
        """The labels of a tensor that is itself data, such as a class token."""
        long = [axis for axis, size in enumerate(tensor.shape) if size > 1]
        if len(long) != 1:
            raise UnsupportedFlow("a tensor with several axes that is data by itself")
        shape = [-1 if axis == long[0] else 1 for axis in range(len(tensor.shape))]
        return self.label_axis(tensor, long[0]).reshape(shape)


Rule = Callable[[Propagation, Mapping[str, Any]], Any]
"""From an operation's arguments, by their names in PyTorch's schema, to its result."""


def _linear(flow: Propagation, a: Mapping[str, Any]) -> Labels:
    inputs, weight = a["input"], a["weight"]
    rows = inputs.reshape(-1, inputs.shape[-1])
    for row in np.unique(rows, axis=0):
        flow.entries.join(flow.label_axis(weight, 1), row)
    outputs = flow.label_axis(weight, 0)
    flow.join_vector(a["bias"], outputs)
    return np.broadcast_to(outputs, (*inputs.shape[:-1], len(outputs))).copy()


def _convolution(flow: Propagation, a: Mapping[str, Any]) -> Labels:
    inputs, weight = a["input"], a["weight"]
    channels = _channels(inputs)
    outputs, groups = flow.label_axis(weight, 0), a["groups"]
    if groups == 1:
        flow.entries.join(flow.label_axis(weight, 1), channels)
    elif groups == len(channels) == len(outputs):  # depthwise
        flow.entries.join(outputs, channels)
    else:
        raise UnsupportedFlow(f"a convolution in {groups} groups")
    flow.join_vector(a["bias"], outputs)
    return outputs.reshape(1, -1, *[1] * (inputs.ndim - 2))


def _transposed_convolution(flow: Propagation, a: Mapping[str, Any]) -> Labels:
    inputs: Labels = a["input"]
    weight, groups = a["weight"], a["groups"]
    channels = _channels(inputs)
    flow.entries.join(flow.label_axis(weight, 0), channels)
    if groups == 1:
        outputs = flow.label_axis(weight, 1)
    elif groups == len(channels) and weight.shape[1] == 1:  # depthwise
        outputs = channels
    else:
        raise UnsupportedFlow(f"a transposed convolution in {groups} groups")
    flow.join_vector(a["bias"], outputs)
    result: Labels = outputs.reshape(1, -1, *[1] * (inputs.ndim - 2))
    return result


def _weight_norm(flow: Propagation, a: Mapping[str, Any]) -> Operand:
    """G v / |v|: its axes are those of v, one of which is also that of the norms."""
    direction: Operand = a["v"]
    norms, axis = a["g"], a["dim"]
    if axis >= 0:
        along = flow.label_axis(direction, axis)
        flow.entries.join(flow.label_axis(norms, axis), along)
    return direction


def _group_norm(flow: Propagation, a: Mapping[str, Any]) -> Labels:
    inputs: Labels = a["input"]
    groups = a["num_groups"]
    channels = _channels(inputs)
    for name in ("weight", "bias"):
        flow.join_vector(a[name], channels)
    if 1 < groups < len(channels):
        flow.entries.keep_blocks(channels.reshape(groups, -1))
    return inputs


def _channels(labels: Labels) -> Labels:
    """The labels of the second axis, which must be the same at all positions."""
    flat = labels.reshape(*labels.shape[:2], -1)[0]
    if (flat != flat[:, :1]).any():
        raise UnsupportedFlow("units vary along an axis of positions")
    first: Labels = flat[:, 0]
    return first


def _batch_norm(flow: Propagation, a: Mapping[str, Any]) -> Labels:
    inputs: Labels = a["input"]
    channels = _channels(inputs)
    for name in ("weight", "bias", "running_mean", "running_var"):
        flow.join_vector(a[name], channels)
    return inputs


def _layer_norm(flow: Propagation, a: Mapping[str, Any]) -> Labels:
    inputs: Labels = a["input"]
    for name in ("weight", "bias"):
        if isinstance(a.get(name), Operand):
            flow.join_elementwise(a[name], inputs)
    return inputs


def _unary(flow: Propagation, a: Mapping[str, Any]) -> Any:
    value = next(iter(a.values()))
    if isinstance(value, Operand) and sum(size > 1 for size in value.shape) > 1:
        return value  # entry by entry: its axes are those of the stored tensor
    return _as_value(flow, value)


def _matmul(flow: Propagation, a: Mapping[str, Any]) -> Labels:
    weight = a.get("other", a.get("mat2"))
    if not isinstance(weight, Operand) or len(weight.shape) != 2:
        raise UnsupportedFlow("a product that is not with one stored matrix")
    return _linear(flow, {"input": a["self"], "weight": weight.permute((1, 0)), "bias": None})


def _permute_axes(name: str) -> Rule:
    """The rule of an operation that permutes axes, of data or of a stored tensor."""
    of_data = _apply_to_labels(name)

    def rule(flow: Propagation, a: Mapping[str, Any]) -> Any:
        tensor, *options = a.values()
        if not isinstance(tensor, Operand) or len(tensor.shape) < 2:
            return of_data(flow, a)
        if name == "permute.default":
            return tensor.permute(options[0])
        order = list(range(len(tensor.shape)))
        one, other = options or (0, 1)
        order[one], order[other] = order[other], order[one]
        return tensor.permute(order)

    return rule


def _as_value(flow: Propagation, value: Any) -> Any:
    return flow.as_value(value) if isinstance(value, Operand) else value


def _binary(flow: Propagation, a: Mapping[str, Any]) -> Any:
    one, other = a["self"], a["other"]
    if isinstance(one, Operand) and isinstance(other, Operand):
        return _join_stored(flow, one, other)
    if isinstance(one, Operand):
        one, other = other, one
    if isinstance(other, Operand) and not isinstance(one, np.ndarray):
        return other  # times a number
    if isinstance(other, Operand):
        return flow.join_elementwise(other, one)
    if not isinstance(other, np.ndarray):
        return one
    if not isinstance(one, np.ndarray):
        return other
    return flow.entries.join(one, other)


def _join_stored(flow: Propagation, one: Operand, other: Operand) -> Operand:
    """Join two stored tensors of one shape, such as a weight and its mask, axis by axis."""
    if one.shape != other.shape:
        raise UnsupportedFlow("a weight that is computed from tensors of several shapes")
    for axis, size in enumerate(one.shape):
        if size > 1:
            flow.entries.join(flow.label_axis(one, axis), flow.label_axis(other, axis))
    return one


def _pool(flow: Propagation, a: Mapping[str, Any]) -> Labels:  # noqa: ARG001
    inputs = next(iter(a.values()))
    return _channels(inputs).reshape(1, -1, *[1] * (inputs.ndim - 2))


def _mean(flow: Propagation, a: Mapping[str, Any]) -> Labels:  # noqa: ARG001
    inputs: Labels = a["self"]
    dims = tuple(sorted(d % inputs.ndim for d in a.get("dim") or range(inputs.ndim)))
    first = inputs[tuple(slice(0, 1) if d in dims else slice(None) for d in range(inputs.ndim))]
    # a mean over units is invariant under their permutation, and is itself no unit
    result = np.where((inputs == first).all(axis=dims, keepdims=True), first, FIXED)
    return result if a.get("keepdim") else result.squeeze(dims)


def _pad(flow: Propagation, a: Mapping[str, Any]) -> Labels:  # noqa: ARG001
    if a.get("mode", "constant") != "constant" or (a.get("value") or 0) != 0:
        raise UnsupportedFlow("padding that is not of zeros")
    result: Labels = a["self"]
    pad = a["pad"]
    for index in range(len(pad) // 2):  # the last axis comes first
        low, high = pad[2 * index : 2 * index + 2]
        if low < 0 or high < 0:
            raise UnsupportedFlow("padding that cuts")
        axis = result.ndim - 1 - index
        widths = [(0, 0)] * result.ndim
        widths[axis] = (low, high)
        along = np.moveaxis(result, axis, 0)
        if (along == along[:1]).all():  # positions: a zero is a value of the same unit
            result = np.pad(result, widths, mode="edge")
        else:
            result = np.pad(result, widths, constant_values=ZERO)
    return result


def _concatenate(flow: Propagation, a: Mapping[str, Any]) -> Labels:
    parts = [_as_value(flow, part) for part in a["tensors"]]
    result: Labels = np.concatenate(parts, axis=a["dim"])
    return result


def _attention(flow: Propagation, a: Mapping[str, Any]) -> Labels:
    query, key, value = a["query"], a["key"], a["value"]
    if query.ndim != 4 or a.get("enable_gqa"):
        raise UnsupportedFlow("attention without an axis of heads")
    for head in range(query.shape[1]):
        # a whole head is one unit: its queries, keys and values together
        flow.entries.join_all(np.unique([part[:, head] for part in (query, key, value)]).tolist())
    return np.broadcast_to(value[:, :, :1], (*query.shape[:3], value.shape[3])).copy()


def _embedding(flow: Propagation, a: Mapping[str, Any]) -> Labels:
    outputs = flow.label_axis(a["weight"], 1)
    return np.broadcast_to(outputs, (*a["indices"].shape, len(outputs))).copy()


def _apply_to_labels(name: str) -> Rule:
    """The rule of an operation that only rearranges entries: it is applied to the labels."""
    operator = getattr(torch.ops.aten, name.split(".", maxsplit=1)[0])
    overload = getattr(operator, name.split(".")[1])

    def rule(flow: Propagation, a: Mapping[str, Any]) -> Any:
        first, *rest = a.values()
        options = [list(v) if isinstance(v, tuple) else v for v in rest]
        result = overload(torch.from_numpy(_as_value(flow, first).copy()), *options)
        if isinstance(result, (list, tuple)):
            return tuple(part.numpy() for part in result)
        return result.numpy()

    return rule


_UNARY = (
    "relu relu_ relu6 gelu tanh sigmoid silu silu_ elu elu_ leaky_relu leaky_relu_ softplus "
    "hardtanh hardtanh_ hardswish hardsigmoid selu mish softmax log_softmax dropout dropout_ "
    "feature_dropout clone contiguous detach detach_ alias neg exp log sqrt rsqrt square abs erf "
    "sin cos to type_as clamp lift_fresh_copy _to_copy"
)
_BINARY = "add add_ sub sub_ mul mul_ div div_"
_REARRANGING = (
    "view.default reshape.default unflatten.int flatten.using_ints "
    "unsqueeze.default squeeze.dim squeeze.dims select.int slice.Tensor "
    "expand.default chunk.default split.Tensor split_with_sizes.default unbind.int"
)

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_UNARY.split(), _unary),
    **dict.fromkeys(_BINARY.split(), _binary),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(
        (
            *("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d"),
            *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"),
            *("adaptive_max_pool2d", "upsample_nearest1d", "upsample_nearest2d"),
            *("upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d"),
            *("upsample_trilinear3d", "upsample_bicubic2d"),
        ),
        _pool,
    ),
    **dict.fromkeys(
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed_convolution
    ),
    **{name: _apply_to_labels(name) for name in _REARRANGING.split()},
    **{name: _permute_axes(name) for name in ("t.default", "transpose.int", "permute.default")},
    **dict.fromkeys(("matmul", "mm"), _matmul),
    "linear": _linear,
    "batch_norm": _batch_norm,
    "instance_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _layer_norm,
    "group_norm": _group_norm,
    "_weight_norm": _weight_norm,
    "mean": _mean,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "cat": _concatenate,
    "scaled_dot_product_attention": _attention,
    "embedding": _embedding,
    "_assert_tensor_metadata": lambda _, __: None,  # computes nothing
}
"""By the operation's name: with its overload where entries are rearranged, without it elsewhere."""

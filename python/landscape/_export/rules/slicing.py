"""Concatenation, padding and slicing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from landscape._export.call import AXES, Call
from landscape._export.operands import Operand, Value
from landscape._export.rules.rule import Rule

__all__ = ["SLICING"]

_AXIS_INDICES = {"channels": 0, "height": 1, "width": 2}


def _concat(call: Call) -> Value:
    parts = call.argument("tensors")
    if not all(isinstance(part, Value) for part in parts):
        raise call.unsupported("it joins values with tensors that do not depend on the sample")
    if call.axis(call.argument("dim"), parts[0]) != 0:
        raise call.unsupported("only channels or features are joined")
    return parts[0] if len(parts) == 1 else call.emit("concat", parts)


def _pad(call: Call) -> Value:
    x = call.value("self")
    if call.node.arguments.get("mode", "constant") != "constant":
        raise call.unsupported(
            f"mode {call.argument('mode')!r}; only constant padding is supported"
        )
    amounts = call.integers("pad", len(call.argument("pad")))
    value = 0.0 if call.argument("value") is None else call.number("value")
    if any(amount < 0 for amount in amounts):
        raise call.unsupported("negative padding")
    sides: dict[str, Any] = {name: [0, 0] for name in _AXIS_INDICES}
    for index in range(len(amounts) // 2):  # the last axis comes first
        pair = amounts[2 * index : 2 * index + 2]
        axis = len(x.shape) - 1 - index
        if axis < 0 and any(pair):
            raise call.unsupported("it pads the batch")
        if axis >= 0:
            sides[_axis_names(call, x)[axis]] = pair
    return call.emit("pad", [x], **sides, value=value)


def _slice(call: Call) -> Operand:
    x, dim = call.value("self"), call.argument("dim")
    if dim in (0, -len(x.shape) - 1):
        if (
            call.node.sample_shape == x.shape
            and call.argument("step") == 1
            and not call.argument("start")
        ):
            return x
        raise call.unsupported("it takes some samples of the batch")
    axis = call.axis(dim, x)
    start, end = (call.argument(name) for name in ("start", "end"))
    step = int(call.number("step"))
    if not all(part is None or type(part) is int for part in (start, end)):
        raise call.unsupported("its bounds depend on the batch size")
    return _slice_axis(call, x, axis, slice(start, end, step))


def _select(call: Call) -> Operand:
    x = call.value("self")
    axis, index = call.axis(call.argument("dim"), x), call.argument("index")
    if type(index) is not int:
        raise call.unsupported("its index depends on the batch size")
    index %= x.shape[axis]
    return call.reshape(_slice_axis(call, x, axis, slice(index, index + 1)), call.shape)


def _narrow(call: Call) -> Operand:
    x, start, length = call.value("self"), call.argument("start"), call.argument("length")
    if type(start) is not int or type(length) is not int:
        raise call.unsupported("its bounds depend on the batch size")
    axis = call.axis(call.argument("dim"), x)
    start %= x.shape[axis]
    return _slice_axis(call, x, axis, slice(start, start + length))


def _chunk(call: Call) -> tuple[Operand, ...]:
    x, chunks = call.value("self"), int(call.number("chunks"))
    axis = call.axis(call.argument("dim"), x)
    return _slice_equal_parts(call, x, axis, -(-x.shape[axis] // chunks))


def _split(call: Call) -> tuple[Operand, ...]:
    x = call.value("self")
    axis = call.axis(call.argument("dim"), x)
    return _slice_equal_parts(call, x, axis, int(call.number("split_size")))


def _split_with_sizes(call: Call) -> tuple[Operand, ...]:
    x = call.value("self")
    axis = call.axis(call.argument("dim"), x)
    sizes = call.integers("split_sizes", len(call.argument("split_sizes")))
    return _slice_parts(call, x, axis, sizes)


def _slice_equal_parts(call: Call, x: Value, axis: int, size: int) -> tuple[Operand, ...]:
    length = x.shape[axis]
    return _slice_parts(
        call, x, axis, [min(size, length - start) for start in range(0, length, size)]
    )


def _slice_parts(call: Call, x: Value, axis: int, sizes: Sequence[int]) -> tuple[Operand, ...]:
    bounds = pairwise(accumulate(sizes, initial=0))
    return tuple(_slice_axis(call, x, axis, slice(start, stop)) for start, stop in bounds)


def _slice_axis(call: Call, x: Value, axis: int, bounds: slice) -> Value:
    """A slice of one axis; slices of slices are merged into one."""
    chosen = range(x.shape[axis])[bounds]
    if len(chosen) == x.shape[axis]:
        return x
    shape = (*x.shape[:axis], len(chosen), *x.shape[axis + 1 :])
    names = _axis_names(call, x)
    previous = call.builder.producer(x, "slice")
    source = x if previous is None else call.builder.value(previous.inputs[0])
    sizes = {**dict.fromkeys(_AXIS_INDICES, 1), **dict(zip(names, source.shape, strict=True))}
    ranges = {
        name: range(sizes[name]) if previous is None else range(*previous.options[name])
        for name in _AXIS_INDICES
    }
    ranges[names[axis]] = ranges[names[axis]][bounds]
    options: dict[str, Any] = {name: [r.start, r.stop, r.step] for name, r in ranges.items()}
    return call.emit("slice", [source], shape=shape, **options)


def _axis_names(call: Call, x: Value) -> tuple[str, ...]:
    names = AXES.get(len(x.shape))
    if names is None:
        raise call.unsupported(f"samples of shape {x.shape}; one to three axes are supported")
    return names


SLICING: Mapping[str, Rule] = {
    "aten.cat.default": _concat,
    "aten.concat.default": _concat,
    "aten.concatenate.default": _concat,
    "aten.pad.default": _pad,
    "aten.constant_pad_nd.default": _pad,
    "aten.slice.Tensor": _slice,
    "aten.select.int": _select,
    "aten.narrow.default": _narrow,
    "aten.chunk.default": _chunk,
    "aten.split.Tensor": _split,
    "aten.split_with_sizes.default": _split_with_sizes,
}

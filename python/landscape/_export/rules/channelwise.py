"""Sums and products of values with tensors that do not depend on the sample.

A number for each channel is a depthwise 1 x 1 convolution. One number for all, or one for each
feature, is the same after the axes are regrouped.
"""

from __future__ import annotations

from math import prod

import torch

from landscape._export.call import Call, Parameter
from landscape._export.operands import Constant, Value, Weight

__all__ = ["add", "apply_affine", "multiply"]


def apply_affine(call: Call, x: Value, scale: float, shift: float) -> Value:
    """Scale x + shift, with plain numbers."""
    if (scale, shift) == (1.0, 0.0):
        return x
    return call.emit("affine", [x], shape=x.shape, scale=scale, shift=shift)


def add(call: Call, x: Value, other: object) -> Value:
    """Add a number, a constant or a parameter to x."""
    if isinstance(other, int | float):
        return apply_affine(call, x, 1.0, float(other))
    tensor = _check_parameter(call, other)
    number = _as_number(tensor)
    if number is not None:
        return apply_affine(call, x, 1.0, number)
    return _add_to_bias(call, x, tensor) or _depthwise(call, x, None, tensor)


def multiply(call: Call, x: Value, other: object) -> Value:
    """Multiply x by a number, a constant or a parameter."""
    if isinstance(other, int | float):
        return apply_affine(call, x, float(other), 0.0)
    tensor = _check_parameter(call, other)
    number = _as_number(tensor)
    if number is not None:
        return apply_affine(call, x, number, 0.0)
    if isinstance(tensor, Constant):
        full = _expand(call, tensor, x)
        return call.emit("multiply", [x], [call.entry(full, x.shape or (1,))], shape=x.shape)
    return _depthwise(call, x, tensor, None)


def _check_parameter(call: Call, operand: object) -> Parameter:
    if isinstance(operand, Weight | Constant):
        return operand
    raise call.unsupported("it joins values in a way that is not supported")


def _as_number(tensor: Parameter) -> float | None:
    if isinstance(tensor, Constant) and tensor.tensor.numel() == 1:
        number = float(tensor.tensor)
        return number if abs(number) < float("inf") else None
    return None


def _expand(call: Call, constant: Constant, x: Value) -> Constant:
    """Expand a constant to every feature of a sample."""
    axes = constant.axes
    if len(axes) == len(x.shape) + 1 and axes[0] == 1:
        axes = axes[1:]
    if len(axes) > len(x.shape):
        raise call.unsupported(f"a constant of shape {constant.axes} does not fit one sample")
    return Constant(constant.tensor.reshape(axes).expand(x.shape))


def _add_to_bias(call: Call, x: Value, shift: Parameter) -> Value | None:
    """Add to the bias of the matrix product behind a value, where it has none."""
    for kind in ("linear", "conv2d"):
        node = call.builder.producer(x, kind)
        if (
            node is not None
            and node.parameters[1] is None
            and _leading_axes(shift, x) == x.shape[:1]
        ):
            source = call.builder.value(node.inputs[0])
            parameters = [node.parameters[0], call.entry(shift, x.shape[:1])]
            return call.emit(kind, [source], parameters, shape=x.shape, **node.options)
    return None


def _depthwise(call: Call, x: Value, scale: Parameter | None, shift: Parameter | None) -> Value:
    tensor = scale or shift
    assert tensor is not None
    if isinstance(tensor, Constant) and _leading_axes(tensor, x) is None:
        tensor = _expand(call, tensor, x)
        scale, shift = (tensor, None) if scale else (None, tensor)
    leading = _leading_axes(tensor, x)
    if leading is None:
        raise call.unsupported(
            f"a parameter of shape {tensor.axes} against samples of shape {x.shape}"
        )
    channels = prod(leading)
    dtype = torch.float64
    weight = scale or Constant(torch.ones(channels, dtype=dtype))
    bias = None if shift is None else call.entry(shift, (channels,))
    grouped = x if leading == x.shape[:1] else call.reshape(x, (channels, x.features // channels))
    y = call.emit(
        "conv2d",
        [grouped],
        [call.entry(weight, (channels, 1, 1, 1)), bias],
        shape=grouped.shape,
        stride=[1, 1],
        padding=[0, 0],
        dilation=[1, 1],
        groups=channels,
    )
    return call.reshape(y, x.shape)


def _leading_axes(tensor: Parameter, x: Value) -> tuple[int, ...] | None:
    """The sample's leading axes along which a tensor varies; None where it varies along others."""
    axes = tensor.axes
    if len(axes) > len(x.shape) + 1 or (len(axes) == len(x.shape) + 1 and axes[0] != 1):
        return None
    axes = (1,) * (len(x.shape) - len(axes)) + axes[max(0, len(axes) - len(x.shape)) :]
    for count in range(len(x.shape) + 1):
        if axes == x.shape[:count] + (1,) * (len(x.shape) - count):
            return x.shape[:count]
    return None

"""Values plus and times tensors that do not depend on the sample.

A number for each channel is a 1 x 1 convolution of one channel each (depthwise); regrouping the
axes makes one number for all, or one for each feature, a case of the same.
"""

from __future__ import annotations

from math import prod

import torch

from landscape._export.call import Call, Parameter
from landscape._export.operands import Held, Value, Weight

__all__ = ["affine", "scaled", "shifted"]


def affine(call: Call, x: Value, scale: float, shift: float) -> Value:
    """Scale x + shift, with plain numbers."""
    if (scale, shift) == (1.0, 0.0):
        return x
    return call.emit("affine", [x], shape=x.shape, scale=scale, shift=shift)


def shifted(call: Call, x: Value, by: object) -> Value:
    """X plus a number, a constant or a parameter."""
    if isinstance(by, int | float):
        return affine(call, x, 1.0, float(by))
    tensor = _tensor(call, by)
    number = _number(tensor)
    if number is not None:
        return affine(call, x, 1.0, number)
    into_bias = _biased(call, x, tensor)
    return into_bias or _depthwise(call, x, None, tensor)


def scaled(call: Call, x: Value, by: object) -> Value:
    """X times a number, a constant or a parameter."""
    if isinstance(by, int | float):
        return affine(call, x, float(by), 0.0)
    tensor = _tensor(call, by)
    number = _number(tensor)
    if number is not None:
        return affine(call, x, number, 0.0)
    if isinstance(tensor, Held):
        full = _expanded(call, tensor, x)
        return call.emit("multiply", [x], [call.entry(full, x.shape or (1,))], shape=x.shape)
    return _depthwise(call, x, tensor, None)


def _tensor(call: Call, found: object) -> Parameter:
    if isinstance(found, Weight | Held):
        return found
    raise call.refused("it joins values in a way that is not supported")


def _number(tensor: Parameter) -> float | None:
    if isinstance(tensor, Held) and tensor.tensor.numel() == 1:
        number = float(tensor.tensor)
        return number if abs(number) < float("inf") else None
    return None


def _expanded(call: Call, constant: Held, x: Value) -> Held:
    """A constant at every feature of a sample."""
    axes = constant.axes
    if len(axes) == len(x.shape) + 1 and axes[0] == 1:
        axes = axes[1:]
    if len(axes) > len(x.shape):
        raise call.refused(f"a constant of shape {constant.axes} does not fit one sample")
    return Held(constant.tensor.reshape(axes).expand(x.shape))


def _biased(call: Call, x: Value, shift: Parameter) -> Value | None:
    """A matrix product without bias takes the shift as its own."""
    for kind in ("linear", "conv2d"):
        made = call.program.maker(x, kind)
        if made is not None and made.parameters[1] is None and _leading(shift, x) == x.shape[:1]:
            source = call.program.value(made.inputs[0])
            parameters = [made.parameters[0], call.entry(shift, x.shape[:1])]
            return call.emit(kind, [source], parameters, shape=x.shape, **made.options)
    return None


def _depthwise(call: Call, x: Value, scale: Parameter | None, shift: Parameter | None) -> Value:
    given = scale or shift
    assert given is not None
    if isinstance(given, Held) and _leading(given, x) is None:
        given = _expanded(call, given, x)
        scale, shift = (given, None) if scale else (None, given)
    leading = _leading(given, x)
    if leading is None:
        raise call.refused(f"a parameter of shape {given.axes} against samples of shape {x.shape}")
    channels = prod(leading)
    dtype = torch.float64
    weight = scale or Held(torch.ones(channels, dtype=dtype))
    bias = None if shift is None else call.entry(shift, (channels,))
    regrouped = x if leading == x.shape[:1] else call.reshape(x, (channels, x.features // channels))
    y = call.emit(
        "conv2d",
        [regrouped],
        [call.entry(weight, (channels, 1, 1, 1)), bias],
        shape=regrouped.shape,
        stride=[1, 1],
        padding=[0, 0],
        dilation=[1, 1],
        groups=channels,
    )
    return call.reshape(y, x.shape)


def _leading(tensor: Parameter, x: Value) -> tuple[int, ...] | None:
    """The sample's leading axes that a tensor has a number for each of; None if it has others."""
    axes = tensor.axes
    if len(axes) > len(x.shape) + 1 or (len(axes) == len(x.shape) + 1 and axes[0] != 1):
        return None
    axes = (1,) * (len(x.shape) - len(axes)) + axes[max(0, len(axes) - len(x.shape)) :]
    for count in range(len(x.shape) + 1):
        if axes == x.shape[:count] + (1,) * (len(x.shape) - count):
            return x.shape[:count]
    return None

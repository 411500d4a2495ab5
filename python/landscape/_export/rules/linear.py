"""Matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from landscape._export.call import Call
from landscape._export.operands import Constant, Value, Weight
from landscape._export.rules.channelwise import add
from landscape._export.rules.rule import Rule

__all__ = ["LINEAR"]


def _linear(call: Call) -> Value:
    x = call.value("input")
    return _product(call, x, call.argument("weight"), call.parameter("bias"))


def _matmul(call: Call) -> Value:
    return _product(
        call, call.value("self"), _to_linear_weight(call, call.argument(_name_of_right(call))), None
    )


def _name_of_right(call: Call) -> str:
    return "other" if "other" in call.node.arguments else "mat2"


def _addmm(call: Call) -> Value:
    """Beta b + alpha x W."""
    x, weight, bias = call.value("mat1"), call.argument("mat2"), call.argument("self")
    if call.number("beta") != 1 or call.number("alpha") != 1:
        raise call.unsupported("only alpha = beta = 1 is supported")
    product = _product(call, x, _to_linear_weight(call, weight), None)
    return add(call, product, bias)


def _to_linear_weight(call: Call, weight: object) -> Weight | Constant:
    """The matrix W of x @ W as linear layers store it: transposed, (out, in)."""
    if isinstance(weight, Constant) and weight.tensor.dim() == 2:
        return Constant(weight.tensor.t())
    if isinstance(weight, Weight) and weight.transposed:
        return Weight(weight.name, weight.offset, weight.shape)
    if isinstance(weight, Weight) and len(weight.shape) == 2:
        raise call.unsupported(
            f"{weight.name} is a matrix of shape (in, out); linear layers take W^T"
        )
    raise call.unsupported("a product of two values that depend on the sample")


def _product(call: Call, x: Value, weight: object, bias: int | None) -> Value:
    if not isinstance(weight, Weight | Constant):
        raise call.unsupported("a product of two values that depend on the sample")
    if len(weight.axes) != 2:
        raise call.unsupported(f"a matrix of shape {weight.axes}")
    if prod(x.shape[:-1]) != 1:
        raise call.unsupported(f"it acts on the last axis of samples of shape {x.shape}")
    rows, columns = weight.axes
    flat = call.reshape(x, (columns,))
    y = call.emit("linear", [flat], [call.entry(weight, (rows, columns)), bias], shape=(rows,))
    return call.reshape(y, call.shape)


def _conv2d(call: Call) -> Value:
    return _convolution(call, 2)


def _conv1d(call: Call) -> Value:
    return _convolution(call, 1)


def _convolution(call: Call, axes: int) -> Value:
    """A convolution of images, or of sequences as images of height 1."""
    x, weight = call.value("input"), call.argument("weight")
    if len(x.shape) != axes + 1:
        raise call.unsupported(f"samples of shape {x.shape}, expected {axes + 1} axes")
    if not isinstance(weight, Weight | Constant) or len(weight.axes) != axes + 2:
        raise call.unsupported("the kernel depends on the sample or has other axes")
    ones, zeros = (1,) * (2 - axes), (0,) * (2 - axes)
    rows, inner, *kernel = weight.axes
    stride = call.integers("stride", axes)
    dilation = call.integers("dilation", axes)
    if isinstance(call.argument("padding"), str):
        x, padding = _resolve_padding(call, x, kernel, dilation)
    else:
        padding = call.integers("padding", axes)
    return call.emit(
        "conv2d",
        [x],
        [call.entry(weight, (rows, inner, *ones, *kernel)), call.parameter("bias")],
        stride=[*ones, *stride],
        padding=[*zeros, *padding],
        dilation=[*ones, *dilation],
        groups=int(call.number("groups")),
    )


def _resolve_padding(
    call: Call, x: Value, kernel: list[int], dilation: list[int]
) -> tuple[Value, list[int]]:
    """Resolve padding="same" or "valid"; an odd total under "same" is padded at the end."""
    if call.argument("padding") == "valid":
        return x, [0] * len(kernel)
    total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if all(amount % 2 == 0 for amount in total):
        return x, [amount // 2 for amount in total]
    sides = [[amount // 2, amount - amount // 2] for amount in total]
    channels, *sizes = x.shape
    shape = (channels, *(s + amount for s, amount in zip(sizes, total, strict=True)))
    height, width = [[0, 0], *sides][-2:]
    options: dict[str, Any] = {"channels": [0, 0], "height": height, "width": width, "value": 0.0}
    return call.emit("pad", [x], shape=shape, **options), [0] * len(kernel)


LINEAR: Mapping[str, Rule] = {
    "aten.linear.default": _linear,
    "aten.matmul.default": _matmul,
    "aten.mm.default": _matmul,
    "aten.addmm.default": _addmm,
    "aten.conv1d.default": _conv1d,
    "aten.conv1d.padding": _conv1d,
    "aten.conv2d.default": _conv2d,
    "aten.conv2d.padding": _conv2d,
}

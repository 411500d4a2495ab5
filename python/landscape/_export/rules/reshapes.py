"""Reshapes, which keep the order of entries, and transposed weights.

The requested shape need not be read: the traced graph has the shape of the result, and a result
with one row per sample is the only one that keeps the samples apart.
"""

from __future__ import annotations

from collections.abc import Mapping

from landscape._export.call import Call
from landscape._export.operands import Operand, Value, Weight
from landscape._export.rules.rule import Rule

__all__ = ["RESHAPES"]


def _reshape(call: Call) -> Operand:
    operand = call.argument("self")
    if isinstance(operand, Value):
        return call.reshape(operand, call.shape)
    shape = call.node.shape
    if isinstance(operand, Weight) and not operand.transposed and shape is not None:
        plain = tuple(size for size in shape if isinstance(size, int))
        if len(plain) == len(shape):
            return operand.reshape(plain)
    raise call.unsupported("it reshapes a transposed parameter")


def _transpose(call: Call) -> Operand:
    operand = call.argument("self")
    if isinstance(operand, Value):
        raise call.unsupported("it exchanges the axes of a sample or of the batch")
    if not isinstance(operand, Weight) or len(operand.shape) != 2:
        raise call.unsupported("it exchanges axes of something else than a matrix")
    if call.node.shape != operand.axes[::-1]:
        raise call.unsupported("it leaves the axes where they are")
    return Weight(operand.name, operand.offset, operand.shape, not operand.transposed)


def _permute(call: Call) -> Operand:
    if call.argument("dims") not in ((1, 0), (-1, -2), (-1, 0), (1, -2)):
        raise call.unsupported("it is no transposition of a matrix")
    return _transpose(call)


def _transpose_dims(call: Call) -> Operand:
    if (call.argument("dim0") - call.argument("dim1")) % 2 == 0:
        raise call.unsupported("it is no transposition of a matrix")
    return _transpose(call)


RESHAPES: Mapping[str, Rule] = {
    **dict.fromkeys(
        (
            "aten.flatten.using_ints",
            "aten.view.default",
            "aten.view_as.default",
            "aten.reshape.default",
            "aten.reshape_as.default",
            "aten._unsafe_view.default",
            "aten.unflatten.int",
            "aten.squeeze.default",
            "aten.squeeze.dim",
            "aten.squeeze.dims",
            "aten.unsqueeze.default",
        ),
        _reshape,
    ),
    "aten.t.default": _transpose,
    "aten.numpy_T.default": _transpose,
    "aten.mT.default": _transpose,
    "aten.transpose.int": _transpose_dims,
    "aten.permute.default": _permute,
}

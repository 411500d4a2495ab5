"""Sums and products of values with each other, with numbers and with constants."""

from __future__ import annotations

from collections.abc import Mapping

from landscape._export.call import Call
from landscape._export.operands import Constant, Value
from landscape._export.rules.channelwise import add, apply_affine, multiply
from landscape._export.rules.rule import Rule

__all__ = ["ARITHMETIC"]


def _add(call: Call) -> Value:
    return _sum(call, call.argument("self"), call.argument("other"), call.number("alpha"))


def _subtract(call: Call) -> Value:
    return _sum(call, call.argument("self"), call.argument("other"), -call.number("alpha"))


def _subtract_from(call: Call) -> Value:
    return _sum(call, call.argument("other"), call.argument("self"), -call.number("alpha"))


def _sum(call: Call, first: object, second: object, alpha: float) -> Value:
    """First + alpha second."""
    if isinstance(first, Value) and isinstance(second, Value):
        if first.shape != second.shape:
            raise call.unsupported(f"samples of shapes {first.shape} and {second.shape}")
        return call.emit("add", [first, second], alpha=alpha)
    if isinstance(second, Value):
        return _check_shape(call, add(call, apply_affine(call, second, alpha, 0.0), first))
    if not isinstance(first, Value):
        raise call.unsupported("it computes with parameters alone while they vary")
    if isinstance(second, int | float):
        return _check_shape(call, apply_affine(call, first, 1.0, alpha * second))
    if isinstance(second, Constant):
        return _check_shape(call, add(call, first, Constant(alpha * second.tensor.double())))
    if alpha in (0.0, 1.0):
        return _check_shape(call, add(call, first, second) if alpha else first)
    scaled_sum = add(call, apply_affine(call, first, 1 / alpha, 0.0), second)
    return _check_shape(call, apply_affine(call, scaled_sum, alpha, 0.0))


def _multiply(call: Call) -> Value:
    first, second = call.argument("self"), call.argument("other")
    if isinstance(first, Value) and isinstance(second, Value):
        raise call.unsupported("a product of two values that depend on the sample")
    if isinstance(second, Value):
        first, second = second, first
    if not isinstance(first, Value):
        raise call.unsupported("it computes with parameters alone while they vary")
    return _check_shape(call, multiply(call, first, second))


def _divide(call: Call) -> Value:
    first, second = call.value("self"), call.argument("other")
    if isinstance(second, int | float) and second != 0:
        return _check_shape(call, apply_affine(call, first, 1 / second, 0.0))
    if isinstance(second, Constant):
        return _check_shape(call, multiply(call, first, Constant(1 / second.tensor.double())))
    raise call.unsupported("only numbers and constants divide")


def _negate(call: Call) -> Value:
    return apply_affine(call, call.value("self"), -1.0, 0.0)


def _check_shape(call: Call, y: Value) -> Value:
    """Refuse a result that broadcasting has enlarged."""
    if y.shape != call.shape:
        raise call.unsupported(f"samples of shape {y.shape} would grow to {call.shape}")
    return y


ARITHMETIC: Mapping[str, Rule] = {
    "aten.add.Tensor": _add,
    "aten.add.Scalar": _add,
    "aten.sub.Tensor": _subtract,
    "aten.sub.Scalar": _subtract,
    "aten.rsub.Tensor": _subtract_from,
    "aten.rsub.Scalar": _subtract_from,
    "aten.mul.Tensor": _multiply,
    "aten.mul.Scalar": _multiply,
    "aten.div.Tensor": _divide,
    "aten.div.Scalar": _divide,
    "aten.neg.default": _negate,
}

"""Sums and products of values with each other, with numbers and with constants."""

from __future__ import annotations

from collections.abc import Mapping

from landscape._export.call import Call
from landscape._export.operands import Held, Value
from landscape._export.rules.channelwise import affine, scaled, shifted
from landscape._export.rules.rule import Rule

__all__ = ["ARITHMETIC"]


def _add(call: Call) -> Value:
    return _sum(call, call.given("self"), call.given("other"), call.number("alpha"))


def _subtract(call: Call) -> Value:
    return _sum(call, call.given("self"), call.given("other"), -call.number("alpha"))


def _subtract_from(call: Call) -> Value:
    return _sum(call, call.given("other"), call.given("self"), -call.number("alpha"))


def _sum(call: Call, first: object, second: object, alpha: float) -> Value:
    """First + alpha second."""
    if isinstance(first, Value) and isinstance(second, Value):
        if first.shape != second.shape:
            raise call.refused(f"samples of shapes {first.shape} and {second.shape}")
        return call.emit("add", [first, second], alpha=alpha)
    if isinstance(second, Value):
        return _kept(call, shifted(call, affine(call, second, alpha, 0.0), first))
    if not isinstance(first, Value):
        raise call.refused("it computes with parameters alone while they vary")
    if isinstance(second, int | float):
        return _kept(call, affine(call, first, 1.0, alpha * second))
    if isinstance(second, Held):
        return _kept(call, shifted(call, first, Held(alpha * second.tensor.double())))
    if alpha in (0.0, 1.0):
        return _kept(call, shifted(call, first, second) if alpha else first)
    scaled_sum = shifted(call, affine(call, first, 1 / alpha, 0.0), second)
    return _kept(call, affine(call, scaled_sum, alpha, 0.0))


def _multiply(call: Call) -> Value:
    first, second = call.given("self"), call.given("other")
    if isinstance(first, Value) and isinstance(second, Value):
        raise call.refused("a product of two values that depend on the sample")
    if isinstance(second, Value):
        first, second = second, first
    if not isinstance(first, Value):
        raise call.refused("it computes with parameters alone while they vary")
    return _kept(call, scaled(call, first, second))


def _divide(call: Call) -> Value:
    first, second = call.value("self"), call.given("other")
    if isinstance(second, int | float) and second != 0:
        return _kept(call, affine(call, first, 1 / second, 0.0))
    if isinstance(second, Held):
        return _kept(call, scaled(call, first, Held(1 / second.tensor.double())))
    raise call.refused("only numbers and constants divide")


def _negate(call: Call) -> Value:
    return affine(call, call.value("self"), -1.0, 0.0)


def _kept(call: Call, y: Value) -> Value:
    """The result, unless the other side had more axes and made the value larger."""
    if y.shape != call.shape:
        raise call.refused(f"samples of shape {y.shape} would grow to {call.shape}")
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

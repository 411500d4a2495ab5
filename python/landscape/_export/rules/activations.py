"""Elementwise functions, and operations that do nothing in evaluation mode."""

from __future__ import annotations

from collections.abc import Mapping

from landscape._export.call import Call
from landscape._export.operands import Operand, Value
from landscape._export.rules.rule import Rule

__all__ = ["ACTIVATIONS"]

# PyTorch's constants of SELU (Klambauer et al. 2017)
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _elementwise(kind: str) -> Rule:
    return lambda call: call.emit(kind, [call.value("self")])


def _leaky_relu(call: Call) -> Value:
    slope = call.number("negative_slope")
    return call.emit("leaky_relu", [call.value("self")], slope=slope)


def _rrelu(call: Call) -> Value:
    if call.argument("training"):
        raise call.unsupported("it draws random slopes")
    slope = (call.number("lower") + call.number("upper")) / 2
    return call.emit("leaky_relu", [call.value("self")], slope=slope)


def _elu(call: Call) -> Value:
    if call.number("scale") != 1 or call.number("input_scale") != 1:
        raise call.unsupported("only scale = input_scale = 1 is supported")
    return call.emit("elu", [call.value("self")], alpha=call.number("alpha"))


def _selu(call: Call) -> Value:
    inner = call.emit("elu", [call.value("self")], alpha=_SELU_ALPHA)
    return call.emit("affine", [inner], scale=_SELU_SCALE, shift=0.0)


def _gelu(call: Call) -> Value:
    return call.emit("gelu", [call.value("self")], approximate=call.argument("approximate"))


def _softplus(call: Call) -> Value:
    beta, threshold = call.number("beta"), call.number("threshold")
    return call.emit("softplus", [call.value("self")], beta=beta, threshold=threshold)


def _dropout(call: Call) -> Operand:
    if call.argument("train"):
        raise call.unsupported("it drops at random; evaluation mode does not reach it")
    return call.value("input")


def _identity(call: Call) -> Operand:
    operand: Operand = call.argument("self")
    assert not isinstance(operand, tuple)
    return operand


def _refuse_detach(call: Call) -> Operand:
    raise call.unsupported("it cuts the derivative")


ACTIVATIONS: Mapping[str, Rule] = {
    "aten.relu.default": _elementwise("relu"),
    "aten.tanh.default": _elementwise("tanh"),
    "aten.sigmoid.default": _elementwise("sigmoid"),
    "aten.silu.default": _elementwise("silu"),
    "aten.leaky_relu.default": _leaky_relu,
    "aten.rrelu.default": _rrelu,
    "aten.elu.default": _elu,
    "aten.selu.default": _selu,
    "aten.gelu.default": _gelu,
    "aten.softplus.default": _softplus,
    "aten.dropout.default": _dropout,
    "aten.feature_dropout.default": _dropout,
    "aten.alpha_dropout.default": _dropout,
    "aten.feature_alpha_dropout.default": _dropout,
    "aten.alias.default": _identity,
    "aten.clone.default": _identity,
    "aten.contiguous.default": _identity,
    "aten.positive.default": _identity,
    # a cast to another dtype is refused later, by the dtype of the result
    "aten.to.dtype": _identity,
    "aten.to.dtype_layout": _identity,
    "aten.to.device": _identity,
    "aten.to.other": _identity,
    "aten.type_as.default": _identity,
    "aten._to_copy.default": _identity,
    "aten.detach.default": _refuse_detach,
    "wrap_with_set_grad_enabled": _refuse_detach,
}

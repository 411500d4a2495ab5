"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Mapping

from landscape._export.call import Call
from landscape._export.operands import Value
from landscape._export.rules.rule import Rule

__all__ = ["NORMS"]


def _batch_norm(call: Call) -> Value:
    x = call.value("input")
    if call.argument("training") or call.argument("running_mean") is None:
        raise call.unsupported("it normalises by the batch that it is given; samples would meet")
    names = ("weight", "bias", "running_mean", "running_var")
    parameters = [call.parameter(name) for name in names]
    return call.emit("batch_norm", [x], parameters, eps=call.number("eps"))


def _instance_norm(call: Call) -> Value:
    """Instance norm as group norm: as many groups as channels."""
    x = call.value("input")
    if not call.argument("use_input_stats"):
        raise call.unsupported("running statistics are not supported here")
    parameters = [call.parameter("weight"), call.parameter("bias")]
    return call.emit("group_norm", [x], parameters, groups=x.shape[0], eps=call.number("eps"))


def _layer_norm(call: Call) -> Value:
    x = call.value("input")
    normalised = tuple(call.argument("normalized_shape"))
    if normalised != x.shape[-len(normalised) :] or x.shape[: -len(normalised)].count(1) != len(
        x.shape
    ) - len(normalised):
        raise call.unsupported(
            f"it normalises the last axes {normalised} of samples of shape {x.shape}, not all"
        )
    parameters = [call.parameter("weight"), call.parameter("bias")]
    return call.emit("layer_norm", [x], parameters, eps=call.number("eps"))


def _group_norm(call: Call) -> Value:
    parameters = [call.parameter("weight"), call.parameter("bias")]
    groups = int(call.number("num_groups"))
    return call.emit(
        "group_norm", [call.value("input")], parameters, groups=groups, eps=call.number("eps")
    )


NORMS: Mapping[str, Rule] = {
    "aten.batch_norm.default": _batch_norm,
    "aten.instance_norm.default": _instance_norm,
    "aten.layer_norm.default": _layer_norm,
    "aten.group_norm.default": _group_norm,
}

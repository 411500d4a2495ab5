"""Pooling, and means over positions; sequences are images of height 1."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any

from landscape._export.call import Call
from landscape._export.operands import Value
from landscape._export.rules.channelwise import apply_affine
from landscape._export.rules.rule import Rule

__all__ = ["POOLING"]


def _get_images(call: Call, axes: int) -> Value:
    x = call.value("self")
    if len(x.shape) != axes + 1:
        raise call.unsupported(f"samples of shape {x.shape}, expected {axes + 1} axes")
    return x


def _read_windows(call: Call, x: Value, axes: int) -> dict[str, Any]:
    """Kernel, stride, padding and dilation, of images."""
    kernel = call.integers("kernel_size", axes)
    stride = call.integers("stride", axes, kernel)
    padding = call.integers("padding", axes)
    dilated = "dilation" in call.node.arguments
    dilation = call.integers("dilation", axes) if dilated else [1] * axes
    for size, k, s, p, d in zip(x.shape[1:], kernel, stride, padding, dilation, strict=True):
        if call.argument("ceil_mode") and (size + 2 * p - d * (k - 1) - 1) % s:
            raise call.unsupported("ceil_mode adds a window that hangs over the edge")
    ones, zeros = [1] * (2 - axes), [0] * (2 - axes)
    return {
        "kernel": ones + kernel,
        "stride": ones + stride,
        "padding": zeros + padding,
        "dilation": ones + dilation,
    }


def _max_pool(call: Call, axes: int) -> Value:
    x = _get_images(call, axes)
    return call.emit("max_pool2d", [x], **_read_windows(call, x, axes))


def _average_pool(call: Call, axes: int) -> Value:
    x = _get_images(call, axes)
    windows = _read_windows(call, x, axes)
    del windows["dilation"]
    divisor = call.node.arguments.get("divisor_override")
    counts_padding = bool(call.argument("count_include_pad")) or divisor is not None
    y = call.emit("avg_pool2d", [x], **windows, count_include_pad=counts_padding)
    # with padding counted, every mean is a sum divided by the size of the window
    return y if divisor is None else apply_affine(call, y, prod(windows["kernel"]) / divisor, 0.0)


def _adaptive_average(call: Call, axes: int) -> Value:
    x = _get_images(call, axes)
    sizes, targets = x.shape[1:], call.shape[1:]
    if all(size == 1 for size in targets):
        return call.emit("global_avg_pool", [x])
    if any(size % window for size, window in zip(sizes, targets, strict=True)):
        raise call.unsupported(f"windows of {sizes} positions into {targets} differ in size")
    kernel = [size // window for size, window in zip(sizes, targets, strict=True)]
    return _mean_of_windows(call, x, kernel)


def _mean(call: Call) -> Value:
    """The mean over some or all positions of every channel."""
    x, dims = call.value("self"), call.argument("dim")
    if call.argument("dtype") is not None or not dims:
        raise call.unsupported("it averages over the batch, or in another dtype")
    axes = {call.axis(dim, x) for dim in dims}
    if 0 in axes and len(x.shape) > 1:
        raise call.unsupported("it averages over channels")
    if axes == {0}:  # features without channels are positions of one channel
        return call.reshape(
            call.emit("global_avg_pool", [call.reshape(x, (1, *x.shape))], shape=(1, 1)), call.shape
        )
    if len(axes) == len(x.shape) - 1:
        shape = (x.shape[0], *(1 for _ in axes))
        return call.reshape(call.emit("global_avg_pool", [x], shape=shape), call.shape)
    kernel = [size if axis in axes else 1 for axis, size in enumerate(x.shape)][1:]
    return call.reshape(_mean_of_windows(call, x, kernel), call.shape)


def _mean_of_windows(call: Call, x: Value, kernel: list[int]) -> Value:
    """Means of adjacent windows."""
    windows = [1] * (2 - len(kernel)) + kernel
    shape = (x.shape[0], *(size // k for size, k in zip(x.shape[1:], kernel, strict=True)))
    options: dict[str, Any] = {
        "kernel": windows,
        "stride": windows,
        "padding": [0, 0],
        "count_include_pad": True,
    }
    return call.emit("avg_pool2d", [x], shape=shape, **options)


POOLING: Mapping[str, Rule] = {
    "aten.max_pool1d.default": partial(_max_pool, axes=1),
    "aten.max_pool2d.default": partial(_max_pool, axes=2),
    "aten.avg_pool1d.default": partial(_average_pool, axes=1),
    "aten.avg_pool2d.default": partial(_average_pool, axes=2),
    "aten.adaptive_avg_pool1d.default": partial(_adaptive_average, axes=1),
    "aten.adaptive_avg_pool2d.default": partial(_adaptive_average, axes=2),
    "aten.mean.dim": _mean,
}

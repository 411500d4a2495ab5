"""An independent PyTorch interpreter of the lowered graph.

Everything is computed as (batch, channels, height, width); a tensor of fewer axes has height or
both of size 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from export_models import shaken
from torch import Tensor, nn
from untouched import untouched

from landscape._export import LoweredModel, lower, trace
from landscape._parameters import ParameterLayout

__all__ = ["agreed", "interpreted", "kinds", "rows"]

Options = dict[str, Any]
Layer = Callable[[list[Tensor], list[Any], Options], Tensor]


def _linear(x: list[Tensor], w: list[Any], _: Options) -> Tensor:
    y: Tensor = x[0].flatten(1) @ w[0].T
    return y if w[1] is None else y + w[1]


def _conv2d(x: list[Tensor], w: list[Any], o: Options) -> Tensor:
    assert w[0].dim() == 4
    return F.conv2d(x[0], w[0], w[1], o["stride"], o["padding"], o["dilation"], o["groups"])


def _batch_norm(x: list[Tensor], w: list[Any], o: Options) -> Tensor:
    channels: list[Any] = [v if v is None else v.reshape(-1, 1, 1) for v in w]
    gamma, beta, mean, var = channels
    y: Tensor = (x[0] - mean) / (var + o["eps"]).sqrt()
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def _grouped(x: Tensor, groups: int, eps: float) -> Tensor:
    rows = x.reshape(len(x), groups, -1)
    centred = rows - rows.mean(2, keepdim=True)
    return (centred / (centred.square().mean(2, keepdim=True) + eps).sqrt()).reshape(x.shape)


def _layer_norm(x: list[Tensor], w: list[Any], o: Options) -> Tensor:
    y = _grouped(x[0], 1, o["eps"])
    y = y if w[0] is None else y * w[0].reshape(y.shape[1:])
    return y if w[1] is None else y + w[1].reshape(y.shape[1:])


def _group_norm(x: list[Tensor], w: list[Any], o: Options) -> Tensor:
    y = _grouped(x[0], o["groups"], o["eps"])
    y = y if w[0] is None else y * w[0].reshape(-1, 1, 1)
    return y if w[1] is None else y + w[1].reshape(-1, 1, 1)


def _max_pool(x: list[Tensor], _: list[Any], o: Options) -> Tensor:
    return F.max_pool2d(x[0], o["kernel"], o["stride"], o["padding"], o["dilation"])


def _avg_pool(x: list[Tensor], _: list[Any], o: Options) -> Tensor:
    counted = o["count_include_pad"]
    return F.avg_pool2d(x[0], o["kernel"], o["stride"], o["padding"], count_include_pad=counted)


def _pad(x: list[Tensor], _: list[Any], o: Options) -> Tensor:
    return F.pad(x[0], (*o["width"], *o["height"], *o["channels"]), value=o["value"])


def _slice(x: list[Tensor], _: list[Any], o: Options) -> Tensor:
    return x[0][:, slice(*o["channels"]), slice(*o["height"]), slice(*o["width"])]


LAYERS: dict[str, Layer] = {
    "linear": _linear,
    "conv2d": _conv2d,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "relu": lambda x, w, o: x[0].clamp(min=0),
    "leaky_relu": lambda x, w, o: torch.where(x[0] > 0, x[0], o["slope"] * x[0]),
    "elu": lambda x, w, o: torch.where(x[0] > 0, x[0], o["alpha"] * torch.expm1(x[0])),
    "silu": lambda x, w, o: x[0] * torch.sigmoid(x[0]),
    "gelu": lambda x, w, o: F.gelu(x[0], approximate=o["approximate"]),
    "tanh": lambda x, w, o: torch.tanh(x[0]),
    "sigmoid": lambda x, w, o: torch.sigmoid(x[0]),
    "softplus": lambda x, w, o: F.softplus(x[0], o["beta"], o["threshold"]),
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "global_avg_pool": lambda x, w, o: x[0].mean((2, 3), keepdim=True),
    "reshape": lambda x, w, o: x[0],
    "add": lambda x, w, o: x[0] + o["alpha"] * x[1],
    "affine": lambda x, w, o: o["scale"] * x[0] + o["shift"],
    "multiply": lambda x, w, o: x[0] * _image(w[0], tuple(w[0].shape)),
    "concat": lambda x, w, o: torch.cat(x, 1),
    "pad": _pad,
    "slice": _slice,
}


def interpreted(lowered: LoweredModel, theta: Tensor, inputs: Tensor) -> Tensor:
    """The network's outputs at theta."""
    graph = json.loads(lowered.graph)
    assert graph["version"] == 1
    sources = {False: theta, True: torch.from_numpy(lowered.constants)}
    assert len(theta) == lowered.dim
    parameters = [
        sources[row["held"]][row["offset"] :][: _size(row["shape"])].reshape(row["shape"])
        for row in graph["parameters"]
    ]
    values: list[Tensor] = [_image(inputs, (len(inputs), *graph["input"]), batch=1)]
    for node in graph["nodes"]:
        x = [values[index] for index in node["inputs"]]
        w = [None if index is None else parameters[index] for index in node["parameters"]]
        y = LAYERS[node["kind"]](x, w, node["options"])
        assert y.numel() == len(inputs) * _size(node["shape"]), node
        values.append(_image(y, (len(inputs), *node["shape"]), batch=1))
        assert node["kind"] in {"reshape", "linear"} or y.shape == values[-1].shape, node
    output: Tensor = values[graph["output"]]
    return output.reshape(len(inputs), *lowered.output_shape)


def rows(shape: tuple[int, ...], samples: int = 5, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((samples, *shape), generator=generator, dtype=torch.float64)


def agreed(model: nn.Module, shape: tuple[int, ...], parameters: Any = None) -> LoweredModel:
    """Export, then compare with the model at its own theta and at another, on other batches."""
    model = shaken(model)
    if not any(True for _ in model.parameters()):  # a layout needs one
        model.spare = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    layout = ParameterLayout.of(model, parameters)
    model.train()
    with untouched(model):
        found = lower(trace(model, rows(shape, 3)), layout, model)
    model.eval()
    theta = torch.from_numpy(layout.flatten(model))
    for samples, point in ((1, theta), (5, theta), (4, theta + rows((len(theta),), 1)[0] / 3)):
        x = rows(shape, samples, seed=samples)
        expected = torch.func.functional_call(model, layout.unflatten(point), (x.clone(),))
        got = interpreted(found, point, x)
        assert got.shape == expected.shape
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    return found


def kinds(lowered: LoweredModel) -> list[str]:
    """The kinds of the graph's nodes, in order."""
    return [node["kind"] for node in json.loads(lowered.graph)["nodes"]]


def _image(tensor: Tensor, shape: tuple[int, ...], batch: int = 0) -> Tensor:
    """(C), (C, L) or (C, H, W), with or without a batch, as channels, rows and columns."""
    first, axes = shape[:batch], shape[batch:]
    assert 1 <= len(axes) <= 3
    filled = (axes[0], *(1,) * (3 - len(axes)), *axes[1:])
    return tensor.reshape(*first, *filled)


def _size(shape: list[int]) -> int:
    return torch.Size(shape).numel()

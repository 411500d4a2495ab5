"""Every supported operation alone: the lowered graph computes what PyTorch does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from export_models import Calls
from export_twin import agreed, kinds
from torch import nn

IMAGE, FLAT, SEQUENCE = (4, 6, 6), (6,), (4, 9)


MODULES: list[tuple[nn.Module, tuple[int, ...], list[str]]] = [
    (nn.Linear(6, 4), FLAT, ["linear"]),
    (nn.Linear(6, 4, bias=False), FLAT, ["linear"]),
    (nn.Conv2d(4, 6, 3), IMAGE, ["conv2d"]),
    (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2), IMAGE, ["conv2d"]),
    (nn.Conv2d(4, 6, 3, padding="same", bias=False), IMAGE, ["conv2d"]),
    (nn.Conv2d(4, 6, (2, 3), padding="same", dilation=(3, 1)), IMAGE, ["pad", "conv2d"]),
    (nn.Conv2d(4, 6, 3, padding="valid"), IMAGE, ["conv2d"]),
    (nn.Conv1d(4, 6, 3, 2, 1, 2, groups=2), SEQUENCE, ["conv2d"]),
    (nn.Conv1d(4, 6, 4, padding="same"), SEQUENCE, ["pad", "conv2d"]),
    (nn.BatchNorm1d(6), FLAT, ["batch_norm"]),
    (nn.BatchNorm1d(4), SEQUENCE, ["batch_norm"]),
    (nn.BatchNorm2d(4, eps=0.1, affine=False), IMAGE, ["batch_norm"]),
    (nn.LayerNorm(6), FLAT, ["layer_norm"]),
    (nn.LayerNorm(IMAGE, eps=0.1), IMAGE, ["layer_norm"]),
    (nn.LayerNorm(SEQUENCE, elementwise_affine=False), SEQUENCE, ["layer_norm"]),
    (nn.GroupNorm(2, 4), IMAGE, ["group_norm"]),
    (nn.GroupNorm(4, 4, affine=False), SEQUENCE, ["group_norm"]),
    (nn.GroupNorm(3, 6), FLAT, ["group_norm"]),
    (nn.InstanceNorm2d(4, affine=True), IMAGE, ["group_norm"]),
    (nn.ReLU(), FLAT, ["relu"]),
    (nn.LeakyReLU(0.2), FLAT, ["leaky_relu"]),
    (nn.RReLU(), FLAT, ["leaky_relu"]),
    (nn.ELU(0.7), FLAT, ["elu"]),
    (nn.SELU(), FLAT, ["elu", "affine"]),
    (nn.SiLU(), FLAT, ["silu"]),
    (nn.GELU(), FLAT, ["gelu"]),
    (nn.GELU("tanh"), FLAT, ["gelu"]),
    (nn.Tanh(), FLAT, ["tanh"]),
    (nn.Sigmoid(), FLAT, ["sigmoid"]),
    (nn.Softplus(2.0, 1.0), FLAT, ["softplus"]),
    (nn.Dropout(), FLAT, []),
    (nn.Dropout2d(), IMAGE, []),
    (nn.AlphaDropout(), FLAT, []),
    (nn.Identity(), FLAT, []),
    (nn.MaxPool2d(3, 2, 1), IMAGE, ["max_pool2d"]),
    (nn.MaxPool2d(2, dilation=2, ceil_mode=True, stride=1), IMAGE, ["max_pool2d"]),
    (nn.MaxPool1d(3, 2), SEQUENCE, ["max_pool2d"]),
    (nn.AvgPool2d(2), IMAGE, ["avg_pool2d"]),
    (nn.AvgPool2d((3, 2), 1, 1, count_include_pad=False), IMAGE, ["avg_pool2d"]),
    (nn.AvgPool2d(3, 2, 1, divisor_override=5), IMAGE, ["avg_pool2d", "affine"]),
    (nn.AvgPool1d(3, padding=1), SEQUENCE, ["avg_pool2d"]),
    (nn.AdaptiveAvgPool2d(1), IMAGE, ["global_avg_pool"]),
    (nn.AdaptiveAvgPool2d((3, 2)), IMAGE, ["avg_pool2d"]),
    (nn.AdaptiveAvgPool1d(1), SEQUENCE, ["global_avg_pool"]),
    (nn.Flatten(), IMAGE, ["reshape"]),
    (nn.Flatten(2), IMAGE, ["reshape"]),
    (nn.Unflatten(1, (2, 3)), FLAT, ["reshape"]),
    (nn.ZeroPad2d((1, 0, 2, 3)), IMAGE, ["pad"]),
    (nn.ConstantPad1d((1, 2), 0.5), SEQUENCE, ["pad"]),
]


@pytest.mark.parametrize(
    ("module", "shape", "expected"), MODULES, ids=[str(m)[:50] for m, _, _ in MODULES]
)
def test_modules(module: nn.Module, shape: tuple[int, ...], expected: list[str]) -> None:
    assert kinds(agreed(module, shape)) == expected


FORWARDS: list[tuple[str, Any, tuple[int, ...], list[str]]] = [
    ("relu_", lambda m, x: (x * 2).relu_(), FLAT, ["affine", "relu"]),
    ("functions", lambda m, x: F.silu(F.elu(F.relu(x))), FLAT, ["relu", "elu", "silu"]),
    (
        "in place",
        lambda m, x: F.leaky_relu(x + 1, 0.1, inplace=True),
        FLAT,
        ["affine", "leaky_relu"],
    ),
    ("flatten", lambda m, x: torch.flatten(x, 1), IMAGE, ["reshape"]),
    ("view", lambda m, x: x.view(x.size(0), -1), IMAGE, ["reshape"]),
    ("reshape", lambda m, x: x.reshape(-1, 144), IMAGE, ["reshape"]),
    ("views of views", lambda m, x: x.view(x.shape[0], 12, 12).flatten(1), IMAGE, ["reshape"]),
    ("there and back", lambda m, x: x.unsqueeze(1).squeeze(1), FLAT, []),
    ("one number", lambda m, x: x[:, :1].squeeze(1), FLAT, ["slice", "reshape"]),
    ("same dtype", lambda m, x: x.to(x.dtype).contiguous().clone() + 1, FLAT, ["affine"]),
    ("residual", lambda m, x: x + torch.tanh(x), FLAT, ["tanh", "add"]),
    ("alpha", lambda m, x: torch.sub(x, torch.tanh(x), alpha=3), FLAT, ["tanh", "add"]),
    ("scalars", lambda m, x: (2 - x / 3 + 1) * 4, FLAT, ["affine"] * 5),
    ("minus", lambda m, x: -x, FLAT, ["affine"]),
    ("constant", lambda m, x: x * torch.tensor(2.5), FLAT, ["affine"]),
    ("constants", lambda m, x: x / torch.tensor([1.0, 2, 4, 5, 3, 7]), FLAT, ["multiply"]),
    ("sum of parts", lambda m, x: sum(x.chunk(2, 1)), FLAT, ["slice", "slice", "add"]),
    ("cat", lambda m, x: torch.cat([x, torch.tanh(x), x], 1), IMAGE, ["tanh", "concat"]),
    ("mean", lambda m, x: x.mean((2, 3)), IMAGE, ["global_avg_pool", "reshape"]),
    ("mean kept", lambda m, x: x.mean((-1, -2), keepdim=True), IMAGE, ["global_avg_pool"]),
    ("mean of rows", lambda m, x: x.mean(2), IMAGE, ["avg_pool2d", "reshape"]),
    (
        "mean of means",
        lambda m, x: x.mean(3).mean(2),
        IMAGE,
        ["avg_pool2d", "reshape", "global_avg_pool", "reshape"],
    ),
    ("mean of features", lambda m, x: x.mean(1), FLAT, ["reshape", "global_avg_pool", "reshape"]),
    (
        "option A",
        lambda m, x: F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2)),
        IMAGE,
        ["slice", "pad"],
    ),
    ("slices", lambda m, x: x[:, 1:, 1:-1, 2::3][:, :, 1::2], IMAGE, ["slice"]),
    ("select", lambda m, x: x[:, -1], IMAGE, ["slice", "reshape"]),
    ("narrow", lambda m, x: x.narrow(2, 1, 3), IMAGE, ["slice"]),
    (
        "split",
        lambda m, x: torch.cat(x.split([1, 3], 1)[::-1], 1),
        IMAGE,
        ["slice", "slice", "concat"],
    ),
    ("splits", lambda m, x: x.split(3, 1)[1], IMAGE, ["slice"]),
    ("unused", lambda m, x: (torch.sort(x), x + 1)[1], FLAT, ["affine"]),
]


@pytest.mark.parametrize(
    ("forward", "shape", "expected"), [case[1:] for case in FORWARDS], ids=[c[0] for c in FORWARDS]
)
def test_functions_are_as_good_as_modules(
    forward: Any, shape: tuple[int, ...], expected: list[str]
) -> None:
    assert sorted(kinds(agreed(Calls(forward), shape))) == sorted(expected)


PRODUCTS: list[tuple[str, Any, list[str]]] = [
    ("linear", lambda m, x: F.linear(x, m.w, m.b), ["linear"]),
    ("t", lambda m, x: x @ m.w.t() + m.b, ["linear"]),
    ("T", lambda m, x: x @ m.w.T, ["linear"]),
    ("mT", lambda m, x: torch.mm(x, m.w.mT), ["linear"]),
    ("transpose", lambda m, x: torch.matmul(x, m.w.transpose(-1, -2)), ["linear"]),
    ("addmm", lambda m, x: torch.addmm(m.b, x, m.w.permute(1, 0)), ["linear"]),
    ("held matrix", lambda m, x: x @ m.held, ["linear"]),
    ("computed", lambda m, x: F.linear(x, 2 * m.held.t() + 1), ["linear"]),
]


@pytest.mark.parametrize(
    ("forward", "expected"), [case[1:] for case in PRODUCTS], ids=[c[0] for c in PRODUCTS]
)
def test_products_in_every_writing(forward: Any, expected: list[str]) -> None:
    model = Calls(
        forward,
        w=nn.Parameter(torch.zeros(4, 6)),
        b=nn.Parameter(torch.zeros(4)),
        held=torch.zeros(6, 4),
    )
    assert kinds(agreed(model, FLAT)) == expected


@pytest.mark.parametrize("axes", [(4, 1, 1), (1, 4, 1, 1), (1,), (), (4, 6, 6), (1, 4, 6, 1)])
@pytest.mark.parametrize("varied", [True, False])
@pytest.mark.parametrize("forward", [
    lambda m, x: x + m.w,
    lambda m, x: m.w - x,
    lambda m, x: x - m.w,
    lambda m, x: m.w * x,
    lambda m, x: (x - m.w) * m.w,
    lambda m, x: (x * m.w.clone()).relu_(),
])  # fmt: skip
def test_tensors_that_stretch_over_a_sample(
    axes: tuple[int, ...], varied: bool, forward: Any
) -> None:
    tensor = torch.zeros(axes)
    agreed(Calls(forward, w=nn.Parameter(tensor) if varied else tensor), IMAGE)


def test_scales_of_rows_and_of_one_number() -> None:
    for axes in ((6,), (1, 6), (1,)):
        agreed(Calls(lambda m, x: x * m.w + m.w, w=nn.Parameter(torch.zeros(axes))), FLAT)


def test_normalised_inputs() -> None:
    model = Calls(
        lambda m, x: m.conv((x - m.mean) / m.std),
        mean=torch.zeros(1, 4, 1, 1), std=torch.zeros(4, 1, 1), conv=nn.Conv2d(4, 2, 3),
    )  # fmt: skip
    assert "conv2d" in kinds(agreed(model, IMAGE))

"""Every kind of layer in the native network, against PyTorch's losses and derivatives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from _export.test_export_kinds import FORWARDS, MODULES, PRODUCTS
from export_models import Calls, OptionA, shaken
from models import TiedAutoencoder
from native_models import compared, data_for, fed, narrow_resnet
from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")

LAYERS = [(f"{module}"[:50], module, shape) for module, shape, _ in MODULES]
CALLS = [(name, Calls(forward), shape) for name, forward, shape, _ in FORWARDS]


@pytest.mark.parametrize(
    ("module", "shape"),
    [case[1:] for case in LAYERS + CALLS],
    ids=[case[0] for case in LAYERS + CALLS],
)
def test_behind_another_layer(module: nn.Module, shape: tuple[int, ...]) -> None:
    model = fed(module, shape)
    compared(model, data_for(model, shape), nn.MSELoss())


@pytest.mark.parametrize("forward", [p[1] for p in PRODUCTS], ids=[p[0] for p in PRODUCTS])
def test_products_in_every_writing(forward: Any) -> None:
    model = Calls(
        forward, w=nn.Parameter(torch.zeros(4, 6)), b=nn.Parameter(torch.zeros(4)),
        held=torch.zeros(6, 4), first=nn.Linear(6, 6),
    )  # fmt: skip
    model.function = lambda m, x: forward(m, torch.tanh(m.first(x)))
    shaken(model)
    compared(model, data_for(model, (6,)), nn.MSELoss())


@pytest.mark.parametrize("varied", [True, False], ids=["varied", "held"])
@pytest.mark.parametrize("axes", [(4, 1, 1), (1,), (4, 6, 6), (1, 4, 6, 1)], ids=str)
@pytest.mark.parametrize(
    "forward",
    [lambda m, x: torch.tanh(x) * m.w, lambda m, x: m.w - torch.tanh(x)],
    ids=["times", "minus"],
)
def test_tensors_that_stretch_over_a_sample(
    forward: Any, axes: tuple[int, ...], varied: bool
) -> None:
    tensor = torch.zeros(axes)
    model = fed(Calls(forward, w=nn.Parameter(tensor) if varied else tensor), (4, 6, 6))
    compared(model, data_for(model, (4, 6, 6)), nn.MSELoss())


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "tied": (TiedAutoencoder(), (5,)),
    "used twice": (
        Calls(lambda m, x: m.f(torch.tanh(m.f(x))) + x, f=nn.Linear(5, 5)),
        (5,),
    ),
    "option A": (nn.Sequential(nn.Conv2d(3, 4, 3), OptionA(4, 8, 2)), (3, 7, 7)),
    "identity block": (OptionA(4, 4, 1), (4, 5, 5)),
    "narrow ResNet": (narrow_resnet(), (3, 8, 8)),
    "dense block": (
        Calls(
            lambda m, x: m.last(torch.cat([x, F.silu(m.first(x)), x[:, :1]], 1)),
            first=nn.Conv2d(3, 4, 3, padding=1), last=nn.Conv2d(8, 2, 2, stride=2, groups=2),
        ),
        (3, 6, 6),
    ),
    "branches": (
        Calls(
            lambda m, x: F.gelu(m.a(x)) - 0.5 * torch.sigmoid(m.b(x)) + m.a.bias,
            a=nn.Linear(5, 4), b=nn.Linear(5, 4),
        ),
        (5,),
    ),
    "pre-activation with layer norm": (
        nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 7), nn.GELU("tanh"), nn.Linear(7, 2)),
        (5,),
    ),
    "depthwise": (
        nn.Sequential(
            nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.GroupNorm(3, 6), nn.SiLU(),
            nn.Conv2d(6, 4, 1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 2),
        ),
        (6, 6, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str) -> None:
    model, shape = NETWORKS[name]
    shaken(model).eval()
    compared(model, data_for(model, shape), nn.MSELoss())

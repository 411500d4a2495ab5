"""Every public function leaves the model bit-identical: after success, error and Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from untouched import untouched

import landscape
from landscape.measures import WorstCase

DATA = (torch.randn(24, 1, 8, 8), torch.arange(24) % 3)


class Network(nn.Module):
    """Batch norm, dropout, a tied weight, a frozen one, a hook, gradients, an odd train state."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(4, 3)
        self.again = nn.Linear(4, 3)
        self.again.weight = self.head.weight
        self.conv.bias.requires_grad_(False)  # type: ignore[union-attr]
        self.register_buffer("seen", torch.zeros(()))
        self.last: torch.Tensor | None = None
        self.seen: torch.Tensor
        self.calls = 0
        self.stop_at: tuple[int, type[BaseException]] | None = None
        self.norm.register_forward_hook(lambda *_: None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        COUNTER[0] += 1
        if self.stop_at and COUNTER[0] == self.stop_at[0]:
            raise self.stop_at[1]
        self.seen += 1
        hidden = torch.relu(self.norm(self.conv(x))).mean(dim=(2, 3))
        self.last = self.dropout(hidden)
        out: torch.Tensor = self.head(self.last) + self.again(hidden)
        return out


COUNTER = [0]  # outside the model, which forgets what its forward does to it


def network() -> Network:
    torch.manual_seed(0)
    model = Network().train()
    model.dropout.eval()
    model.head.weight.grad = torch.ones_like(model.head.weight)
    COUNTER[0] = 0
    return model


@pytest.fixture(scope="module", autouse=True)
def _other() -> None:
    torch.manual_seed(1)
    OTHER.append(Network())


OTHER: list[nn.Module] = []
pytestmark = pytest.mark.filterwarnings("ignore:the barrier:UserWarning")

CALLS: dict[str, Callable[[nn.Module], Any]] = {
    "surface": lambda m: landscape.surface(m, DATA, points=4),
    "surface, batch": lambda m: landscape.surface(m, DATA, points=4, batch_norm="batch"),
    "surface, seeded dropout": lambda m: landscape.surface(m, DATA, points=4, dropout="seeded"),
    "surface, float64": lambda m: landscape.surface(m, DATA, points=4, dtype="float64"),
    "surface, test and metrics": lambda m: landscape.surface(
        m, DATA, points=4, test=DATA, metrics="accuracy"
    ),
    "trust": lambda m: landscape.surface(m, DATA, points=4).trust(planes=3, max_products=40),
    "line": lambda m: landscape.line(m, DATA, points=6),
    "line, to": lambda m: landscape.line(m, DATA, to=OTHER[0], points=6),
    "plane": lambda m: landscape.surface(
        m, DATA, directions=landscape.plane(OTHER[0], noisy(m)), points=4
    ),
    "pca": lambda m: landscape.surface(
        m, DATA, directions=landscape.pca([OTHER[0], noisy(m), m]), points=4
    ),
    "barrier": lambda m: landscape.barrier(m, OTHER[0], DATA, points=4),
    "connect": lambda m: landscape.connect(
        m, OTHER[0], DATA, points=4, method=landscape.AutoNEB([(2, 0.01)], pivots=2)
    ),
    "simplex": lambda m: landscape.simplex(
        [m, OTHER[0]], DATA, points=2, draws=1, cycles=[(2, 0.01)]
    ),
    "model_at": lambda m: landscape.Objective(m, DATA, batch_norm="recalibrated").model_at(),
    "plot_surface": lambda m: landscape.plot_surface(m, DATA, points=4),
    "surface to a tolerance": lambda m: landscape.surface(
        m, DATA, tolerance=0.5, evaluations=81, metrics="accuracy", test=DATA
    ),
    "line to a tolerance": lambda m: landscape.line(m, DATA, to=OTHER[0], tolerance=0.5),
    "sharpness": lambda m: landscape.sharpness(
        m,
        DATA,
        measures=["fast", "keskar", "input_noise_rise", WorstCase(logits="normalised", steps=2)],
        test=DATA,
        invariance="check",
    ),
    "compare": lambda m: landscape.compare(
        {"a": m, "b": OTHER[0]}, DATA, measures=["sam"], test=DATA, points=4
    ),
    "Objective": lambda m: landscape.Objective(m, DATA),
    "gradient": lambda m: landscape.Objective(m, DATA, batch_norm="batch").gradient(),
    "hessian_product": lambda m: landscape.Objective(m, DATA).hessian_product(
        np.ones(landscape.Objective(m, DATA).dim)
    ),
    "loader": lambda m: landscape.line(
        m,
        torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(*DATA), batch_size=5, shuffle=True
        ),
        points=4,
    ),
}


def noisy(model: nn.Module) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        name: value.detach() + torch.randn(value.shape, generator=generator)
        for name, value in model.named_parameters()
    }


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_after_success(call: Callable[[nn.Module], Any]) -> None:
    model = network()
    with untouched(model):
        call(model)
    assert COUNTER[0] > 0


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_after_an_error_in_the_model(
    call: Callable[[nn.Module], Any], error: type[BaseException]
) -> None:
    model = network()
    # where the model fails on batches of a loader that were joined, it is run on one of them
    is_tried_again = call is CALLS["loader"] and error is not KeyboardInterrupt
    for when in (1, 2, 6):
        COUNTER[0] = 0
        model.stop_at = (when, error)
        is_raised = when < 6 and not is_tried_again
        with untouched(model), pytest.raises(error) if is_raised else suppress(error):
            call(model)


def test_the_test_sees_a_touched_model() -> None:
    model = network()
    with pytest.raises(AssertionError, match="seen: bits"), untouched(model):
        model(DATA[0])

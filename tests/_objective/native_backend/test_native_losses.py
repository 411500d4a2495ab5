"""Every loss in the native network, with its options and metrics, against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from export_models import Calls, shaken
from native_models import DOUBLE, ENGINES, compared, drawn, off_centre
from torch import Tensor, nn

from landscape import Objective

SAMPLES, WIDTH, CLASSES = 37, 5, 4
X = drawn((SAMPLES, WIDTH), 1)
Y = torch.arange(SAMPLES) * 7 % CLASSES
IGNORED = torch.where(torch.arange(SAMPLES) % 3 == 0, 2, Y)
WEIGHT = torch.tensor([0.5, 2.0, 0.0, 1.25])
REAL = drawn((SAMPLES, CLASSES), 2)
BINARY = (REAL > 0).double()


def mlp() -> nn.Module:
    return shaken(nn.Sequential(nn.Linear(WIDTH, 6), nn.Tanh(), nn.Linear(6, CLASSES)))


LOSSES: dict[str, tuple[nn.Module, Tensor]] = {
    "cross-entropy": (nn.CrossEntropyLoss(), Y),
    "weights": (nn.CrossEntropyLoss(WEIGHT), Y),
    "smoothing": (nn.CrossEntropyLoss(label_smoothing=0.3), Y),
    "smoothing and weights": (nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.3), Y),
    "ignored": (nn.CrossEntropyLoss(ignore_index=2), IGNORED),
    "ignored -100": (nn.CrossEntropyLoss(), torch.where(Y == 1, -100, Y)),
    "ignored, weights, smoothing": (
        nn.CrossEntropyLoss(WEIGHT, ignore_index=2, label_smoothing=0.1),
        IGNORED,
    ),
    "class probabilities": (nn.CrossEntropyLoss(), REAL.softmax(1)),
    "class probabilities, all": (
        nn.CrossEntropyLoss(WEIGHT, label_smoothing=0.2),
        REAL.softmax(1),
    ),
    "NLL": (nn.NLLLoss(), Y),
    "NLL, weights, ignored": (nn.NLLLoss(WEIGHT, ignore_index=2), IGNORED),
    "MSE": (nn.MSELoss(), REAL),
    "L1": (nn.L1Loss(), REAL),
    "Huber": (nn.HuberLoss(), REAL),
    "Huber, delta": (nn.HuberLoss(delta=0.4), REAL),
    "BCE": (nn.BCEWithLogitsLoss(), BINARY),
    "BCE, soft": (nn.BCEWithLogitsLoss(), REAL.sigmoid()),
    "BCE, weight": (nn.BCEWithLogitsLoss(WEIGHT), BINARY),
    "BCE, one weight": (nn.BCEWithLogitsLoss(torch.tensor([3.0])), BINARY),
    "BCE, pos_weight": (nn.BCEWithLogitsLoss(pos_weight=WEIGHT), BINARY),
    "BCE, both": (nn.BCEWithLogitsLoss(WEIGHT, pos_weight=WEIGHT + 1), BINARY),
}
METRICS = {"cross-entropy", "weights", "ignored", "NLL", "BCE", "class probabilities"}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    loss, targets = LOSSES[name]
    compared(mlp(), (X, targets), loss)


POSITIONS: dict[str, tuple[nn.Module, Tensor]] = {
    "classes": (nn.CrossEntropyLoss(), torch.arange(9 * 16).reshape(9, 4, 4) % 3),
    "ignored": (
        nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]), ignore_index=1),
        torch.arange(9 * 16).reshape(9, 4, 4) * 5 % 3,
    ),
    "NLL": (nn.NLLLoss(), torch.arange(9 * 16).reshape(9, 4, 4) % 3),
    "probabilities": (nn.CrossEntropyLoss(label_smoothing=0.1), drawn((9, 3, 4, 4), 4).softmax(1)),
    "MSE": (nn.MSELoss(), drawn((9, 3, 4, 4), 3)),
    "BCE": (
        nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 0.5]).reshape(3, 1, 1)),
        drawn((9, 3, 4, 4), 3).sigmoid(),
    ),
}


@pytest.mark.parametrize("name", POSITIONS)
def test_a_loss_at_every_position(name: str) -> None:
    loss, targets = POSITIONS[name]
    model = shaken(nn.Sequential(nn.Conv2d(2, 4, 3), nn.Softplus(), nn.Conv2d(4, 3, 1)))
    compared(model, (drawn((9, 2, 6, 6), 5), targets), loss)


def test_one_number_a_sample() -> None:
    model = shaken(Calls(lambda m, x: m.layer(x).squeeze(1), layer=nn.Linear(WIDTH, 1)))
    compared(model, (X, REAL[:, 0]), nn.MSELoss())
    compared(model, (X, BINARY[:, 0]), nn.BCEWithLogitsLoss())


@pytest.mark.parametrize("name", sorted(METRICS))
def test_metrics(name: str) -> None:
    loss, targets = LOSSES[name]
    native, ours = (
        Objective(mlp(), (X, targets), loss, engine=engine, dtype=DOUBLE) for engine in ENGINES
    )
    theta = off_centre(native)
    found = native.metrics(["accuracy", "error"], theta)
    assert found == ours.metrics(["accuracy", "error"], theta)
    assert 0 < found["accuracy"] < 1


@pytest.mark.parametrize("name", LOSSES)
def test_sample_losses(name: str) -> None:
    loss, targets = LOSSES[name]
    native, ours = (
        Objective(mlp(), (X, targets), loss, engine=engine, dtype=DOUBLE) for engine in ENGINES
    )
    points = np.stack([native.theta, off_centre(native)])
    found, expected = native.sample_losses(points), ours.sample_losses(points)
    assert found.shape == (2, SAMPLES)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def test_a_weight_for_each_sample_is_refused_by_name() -> None:
    weights: Any = torch.rand(SAMPLES, CLASSES)
    with pytest.raises(ValueError, match="BCE with logits's weight"):
        Objective(mlp(), (X, BINARY), nn.BCEWithLogitsLoss(weights), dtype=DOUBLE, engine="native")

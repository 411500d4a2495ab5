"""Recognised losses: L is that of one batch of all samples, however the data are split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import CLASSES, Pair, classes, cut, mlp, regression, seeded
from torch import Tensor, nn

from landscape import Objective

SAMPLES = 20
RAGGED = (7, 1, 9, 3)


@dataclass(frozen=True)
class Case:
    """A loss in a dtype, with a model and targets that it takes."""

    loss: Callable[[torch.dtype], Any]
    model: Callable[[], nn.Module] = mlp
    data: Callable[[torch.dtype], Pair] = lambda dtype: classes(SAMPLES, dtype=dtype)


def weights(dtype: torch.dtype) -> Tensor:
    return torch.tensor([0.2, 1.0, 3.0], dtype=dtype)


def with_ignored(dtype: torch.dtype) -> Pair:
    x, y = classes(SAMPLES, dtype=dtype)
    y[:8] = -100  # one ragged batch has not a single target left
    return x, y


def probabilities(dtype: torch.dtype) -> Pair:
    x, _ = classes(SAMPLES, dtype=dtype)
    return x, seeded(lambda: torch.randn(SAMPLES, CLASSES, dtype=dtype).softmax(1), 5)


def binary(dtype: torch.dtype) -> Pair:
    x, y = regression(SAMPLES, dtype=dtype)
    return x, (y > 0).to(dtype)


def pixels(dtype: torch.dtype) -> Pair:
    def make() -> Pair:
        y = torch.randint(CLASSES, (SAMPLES, 3, 2))
        y[::2, 0] = 1
        y[::3] = 2  # samples of unequal weight
        return torch.randn(SAMPLES, 1, 3, 2, dtype=dtype), y

    return seeded(make)


def pixel_probabilities(dtype: torch.dtype) -> Pair:
    x, _ = pixels(dtype)
    return x, seeded(lambda: torch.randn(SAMPLES, CLASSES, 3, 2, dtype=dtype).softmax(1))


def segmenter() -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Conv2d(1, CLASSES, 3, padding=1), nn.Tanh()))


def log_probabilities() -> nn.Module:
    return mlp().append(nn.LogSoftmax(1))


def two_outputs() -> nn.Module:
    return mlp(outputs=2)


def regress(loss: Callable[[torch.dtype], Any]) -> Case:
    return Case(loss, two_outputs, lambda dtype: regression(SAMPLES, dtype=dtype))


CASES = {
    "inferred cross-entropy": Case(lambda _: None),
    "inferred MSE": regress(lambda _: None),
    "cross-entropy": Case(lambda _: nn.CrossEntropyLoss()),
    "F.cross_entropy": Case(lambda _: F.cross_entropy),
    "weights": Case(lambda dtype: nn.CrossEntropyLoss(weights(dtype))),
    "smoothing": Case(lambda _: nn.CrossEntropyLoss(label_smoothing=0.2)),
    "ignored": Case(lambda _: nn.CrossEntropyLoss(), data=with_ignored),
    "inferred ignored": Case(lambda _: None, data=with_ignored),
    "ignored class": Case(lambda _: nn.CrossEntropyLoss(ignore_index=1)),
    "all options": Case(
        lambda dtype: nn.CrossEntropyLoss(weights(dtype), label_smoothing=0.3, ignore_index=0)
    ),
    "probabilities": Case(lambda _: nn.CrossEntropyLoss(), data=probabilities),
    "weighted probabilities": Case(
        lambda dtype: nn.CrossEntropyLoss(weights(dtype), label_smoothing=0.1), data=probabilities
    ),
    "pixels": Case(
        lambda dtype: nn.CrossEntropyLoss(weights(dtype), ignore_index=2), segmenter, pixels
    ),
    "pixel probabilities": Case(
        lambda _: nn.CrossEntropyLoss(label_smoothing=0.1), segmenter, pixel_probabilities
    ),
    "NLL": Case(lambda _: nn.NLLLoss(), log_probabilities),
    "F.nll_loss": Case(lambda _: F.nll_loss, log_probabilities),
    "weighted NLL": Case(
        lambda dtype: nn.NLLLoss(weights(dtype), ignore_index=1), log_probabilities
    ),
    "MSE": regress(lambda _: nn.MSELoss()),
    "F.mse_loss": regress(lambda _: F.mse_loss),
    "L1": regress(lambda _: nn.L1Loss()),
    "F.l1_loss": regress(lambda _: F.l1_loss),
    "Huber": regress(lambda _: nn.HuberLoss(delta=0.4)),
    "F.huber_loss": regress(lambda _: F.huber_loss),
    "BCE": Case(lambda _: nn.BCEWithLogitsLoss(), two_outputs, binary),
    "F.BCE": Case(lambda _: F.binary_cross_entropy_with_logits, two_outputs, binary),
    "weighted BCE": Case(
        lambda dtype: nn.BCEWithLogitsLoss(
            weight=weights(dtype)[:2], pos_weight=2 * weights(dtype)[1:]
        ),
        two_outputs,
        binary,
    ),
}
INFERRED: dict[str, Any] = {
    "inferred cross-entropy": F.cross_entropy,
    "inferred ignored": F.cross_entropy,
    "inferred MSE": F.mse_loss,
}


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=["f32", "f64"]
)
@pytest.mark.parametrize("name", CASES)
def test_loss_is_one_full_batch_call(name: str, dtype: torch.dtype, tolerance: float) -> None:
    case = CASES[name]
    model, (x, y), loss = case.model().to(dtype), case.data(dtype), case.loss(dtype)
    with torch.no_grad():
        expected = float((loss or INFERRED[name])(model(x), y))
    ragged = cut((x, y), RAGGED)
    splits = {
        "whole": Objective(model, (x, y), loss),
        "batches of 7": Objective(model, (x, y), loss, batch_size=7),
        "ragged": Objective(model, ragged, loss),
        "streamed": Objective(model, ragged, loss, memory_budget=1),
    }
    for split, objective in splits.items():
        assert objective.loss() == pytest.approx(expected, rel=tolerance), split
        assert objective.policy["reduction"].startswith("sum over all data"), split
        sampled = objective.sample_losses(objective.theta[None])[0]
        assert sampled.shape == (SAMPLES,)
        assert sampled.mean() == pytest.approx(expected, rel=tolerance), split


def test_batch_means_would_be_wrong() -> None:
    """The cases above mean something: a mean of batch means is another number."""
    model, (x, y) = mlp(), with_ignored(torch.float32)
    loss = nn.CrossEntropyLoss(weights(torch.float32))
    with torch.no_grad():
        parts = [loss(model(x[i : i + 5]), y[i : i + 5]) for i in range(5, SAMPLES, 5)]
    exact = Objective(model, (x, y), loss).loss()
    assert abs(float(torch.stack(parts).mean()) - exact) > 1e-2


@pytest.mark.parametrize("margin", [12.0, 16.0, 18.0])
def test_head_is_right_where_float32_is_not(margin: float) -> None:
    """A sure prediction of a float32 model: log(1 + 2 exp(-m)), about 1e-7 at m = 16."""
    model = nn.Linear(1, CLASSES, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[margin], [0.0], [0.0]]))
    data = (torch.ones(6, 1), torch.zeros(6, dtype=torch.long))
    exact = np.log1p(2 * np.exp(-margin))
    objective = Objective(model, data)
    assert objective.dtype == np.float32
    assert objective.loss() == pytest.approx(exact, rel=1e-12)
    with torch.no_grad():
        wrong = float(F.cross_entropy(model(data[0]), data[1]))
    assert abs(wrong / exact - 1) > (0.01 if margin > 12 else 1e-4)
    slope = objective.gradient()[0]  # dL/dm = -2 / (2 + exp(m)), in float32
    assert slope == pytest.approx(-2 / (2 + np.exp(margin)), rel=1e-6)


@pytest.mark.parametrize("name", ["NLL", "BCE"])
def test_names_stand_in_the_policy(name: str) -> None:
    case = CASES[name]
    objective = Objective(case.model(), case.data(torch.float32), case.loss(torch.float32))
    assert objective.policy["loss"].startswith(name)

"""Losses of single samples, and metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import ConvNet, HuggingFaceLike, classes, cut, images, mlp, regression, seeded
from numpy.testing import assert_allclose
from torch import Tensor, nn

from landscape import Objective

DATA = classes(40)
DOUBLE = torch.float64


def predictions(model: nn.Module, x: Tensor = DATA[0]) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(x).argmax(1)
    return found


@pytest.mark.parametrize("options", [{}, {"batch_size": 7}, {"batch_size": 7, "seed": 3}])
def test_sample_losses_are_in_the_order_of_the_data(options: Any) -> None:
    model = mlp().double()
    x, y = classes(40, dtype=DOUBLE)
    with torch.no_grad():
        expected = F.cross_entropy(model(x), y, reduction="none").numpy()
    objective = Objective(model, (x, y), **options)
    here = objective.theta[None]
    assert_allclose(objective.sample_losses(here)[0], expected, rtol=1e-11)
    plane = objective.subspace(None, [np.ones(objective.dim)])
    assert_allclose(plane.sample_losses([[0.0]])[0], expected, rtol=1e-11)
    elsewhere = plane.sample_losses([[0.0], [0.2]])[1]
    assert elsewhere.mean() == pytest.approx(objective.loss(objective.theta + 0.2), rel=1e-11)


def test_sample_losses_of_a_shuffled_split_with_batch_statistics() -> None:
    """Evaluated in the batches of the split, and put back into the order of the data."""
    model = seeded(ConvNet).double()
    x, y = images(12, dtype=DOUBLE)
    objective = Objective(model, (x, y), batch_norm="batch", batch_size=4, seed=2)
    found = objective.sample_losses(objective.theta[None])[0]
    assert found.mean() == pytest.approx(objective.loss(), rel=1e-12)
    with torch.no_grad():
        alone = F.cross_entropy(model.eval()(x), y, reduction="none").numpy()
    correlation = np.corrcoef(found, alone)[0, 1]
    shuffled = [np.corrcoef(np.roll(found, k), alone)[0, 1] for k in range(1, 12)]
    assert correlation > max(*shuffled, 0.5)


def test_sample_losses_carry_their_weights() -> None:
    """The share of L times n, so that a heavy class stands out and the mean is L."""
    model, (x, y) = mlp().double(), classes(40, dtype=DOUBLE)
    y[3] = -100
    weights = torch.tensor([0.2, 1.0, 3.0], dtype=DOUBLE)
    with torch.no_grad():
        shares = F.cross_entropy(model(x), y, weights, reduction="none")
    total = weights[y[y >= 0]].sum()
    objective = Objective(model, (x, y), nn.CrossEntropyLoss(weights))
    found = objective.sample_losses(objective.theta[None])[0]
    assert_allclose(found, (shares * 40 / total).numpy(), rtol=1e-12)
    assert found[3] == 0


def test_sample_losses_need_a_recognised_loss() -> None:
    objective = Objective(mlp(), DATA, nn.MultiMarginLoss())
    with pytest.raises(ValueError, match=r"per-sample losses need a recognised loss.*MultiMargin"):
        objective.sample_losses(objective.theta[None])


def test_accuracy_and_error() -> None:
    model = mlp()
    right = float((predictions(model) == DATA[1]).double().mean())
    for data in (DATA, cut(DATA, (1, 30, 9))):
        found = Objective(model, data).metrics(["accuracy", "error"])
        assert found == pytest.approx({"accuracy": right, "error": 1 - right}, abs=1e-12)


def test_ignored_targets_do_not_count() -> None:
    model, (x, y) = mlp(), classes(40)
    y[::3] = -100
    counted = y >= 0
    right = float((predictions(model)[counted] == y[counted]).double().mean())
    for data in ((x, y), cut((x, y), (1, 30, 9))):
        found = Objective(model, data).metrics(["accuracy", "error"])
        assert found == pytest.approx({"accuracy": right, "error": 1 - right}, abs=1e-12)


def test_accuracy_of_pixels_probabilities_and_logits() -> None:
    segmenter = seeded(lambda: nn.Conv2d(1, 3, 3, padding=1))
    x, _ = images(12)
    y = seeded(lambda: torch.randint(3, (12, 6, 6)))
    right = float((predictions(segmenter, x) == y).double().mean())
    assert Objective(segmenter, (x, y)).metrics("accuracy")["accuracy"] == pytest.approx(right)

    model, soft = mlp(), seeded(lambda: torch.rand(40, 3).softmax(1))
    right = float((predictions(model) == soft.argmax(1)).double().mean())
    objective = Objective(model, (DATA[0], soft), nn.CrossEntropyLoss())
    assert objective.metrics("accuracy")["accuracy"] == pytest.approx(right)

    model = mlp(outputs=2)
    x, targets = regression(40)
    binary = (targets > 0).float()
    with torch.no_grad():
        right = float(((model(x) > 0) == (binary > 0.5)).double().mean())
    objective = Objective(model, (x, binary), nn.BCEWithLogitsLoss())
    assert objective.metrics("accuracy")["accuracy"] == pytest.approx(right)


def largest(outputs: Tensor, targets: Tensor) -> float:
    """A metric whose batch means do not average to the mean of all, as a Python number."""
    return float(outputs.max() + targets.max())


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.mean()


class Margin:
    """A metric that is an object, and returns a tensor."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.gather(1, targets[:, None])[:, 0] - outputs.mean(1)).mean()


def test_functions_are_weighted_by_batch_size() -> None:
    model, sizes = mlp(), (1, 30, 9)
    batches = cut(DATA, sizes)
    with torch.no_grad():
        values = [largest(model(x), y) for x, y in batches]
        whole = largest(model(DATA[0]), DATA[1])
        margin = float(Margin()(model(DATA[0]), DATA[1]))
    objective = Objective(model, batches)
    found = objective.metrics([largest, Margin()])
    assert found["largest"] == pytest.approx(np.average(values, weights=sizes), rel=1e-6)
    assert found["Margin"] == pytest.approx(margin, rel=1e-5)
    assert Objective(model, DATA).metrics(largest)["largest"] == pytest.approx(whole, rel=1e-6)


def test_metrics_of_a_model_with_its_own_loss() -> None:
    """The metric sees the logits, where the outputs have some."""
    model = seeded(HuggingFaceLike)
    tokens = seeded(lambda: torch.randint(7, (6, 4)))

    def hits(logits: Tensor, labels: Tensor) -> Tensor:
        return (logits.argmax(-1) == labels).double().mean()

    with torch.no_grad():
        expected = float(hits(model(tokens).logits, tokens))
    objective = Objective(model, {"input_ids": tokens, "labels": tokens})
    assert objective.metrics(hits)["hits"] == pytest.approx(expected)


def test_metrics_on_a_plane_stand_beside_the_loss() -> None:
    objective = Objective(mlp(), DATA, samples=30)
    direction = np.ones(objective.dim)
    plane = objective.subspace(None, [direction], metrics=["accuracy", largest])
    assert plane.columns == objective.column_names(["accuracy", largest])
    assert plane.columns == ("loss", "accuracy", "largest", "standard_error")
    values = plane.evaluate([[0.0], [0.5]])
    for row, theta in zip(values, (None, objective.theta + np.float32(0.5)), strict=True):
        there = objective.metrics(["accuracy", largest], theta)
        assert row[0] == pytest.approx(objective.loss(theta), rel=1e-6)
        assert dict(zip(plane.columns[1:3], row[1:3], strict=True)) == pytest.approx(there)
    assert plane.metrics([[0.5]])["accuracy"][0] == values[1, 1]


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "unknown": ("precision", None, r"'precision' is unknown; expected 'accuracy', 'error'"),
    "twice": ([largest, largest], None, "two metrics are called 'largest'"),
    "a column's name": (loss, None, "a metric is called 'loss', as a column of every result"),
    "no classes": ("accuracy", nn.MultiMarginLoss(), r"not defined for the loss 'MultiMarginLoss'"),
    "vector": (lambda outputs, targets: outputs, None, r"returned shape \(40, 3\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    metrics, criterion, text = REFUSED[name]
    with pytest.raises(ValueError, match=text):
        Objective(mlp(), DATA, criterion).metrics(metrics)


def test_regression_has_no_accuracy() -> None:
    with pytest.raises(ValueError, match=r"'accuracy' is not defined for the loss 'MSE'"):
        Objective(mlp(outputs=2), regression()).metrics("accuracy")


def test_a_metric_that_raises() -> None:
    error = LookupError("mine")

    def failing(outputs: Tensor, targets: Tensor) -> float:
        raise error

    metric: Callable[..., float] = failing
    with pytest.raises(LookupError) as caught:
        Objective(mlp(), DATA).metrics(metric)
    assert caught.value is error

"""Counts, norms, distances, margins and gaps against plain NumPy and PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from models import (
    ConvNet,
    HuggingFaceLike,
    LanguageModel,
    classes,
    images,
    mlp,
    regression,
    seeded,
    sequences,
)
from numpy.testing import assert_allclose
from sharpness_networks import make_context
from torch import nn

import landscape
from landscape._sharpness import plan_sharpness, sharpness
from landscape._sharpness.context import Context
from landscape._sharpness.inputs import Inputs
from landscape._sharpness.measures import GeneralisationGap
from landscape._sharpness.table import SETS


def measure(model: nn.Module, data: Any, name: Any, **options: Any) -> landscape.Measure:
    result = sharpness(model, data, measures=[name], progress="off", **options)
    return next(iter(result.values()))


def test_the_fast_set_costs_less_than_ten_gradients() -> None:
    plan = plan_sharpness(mlp(), classes(), measures="fast", test=classes(seed=2))
    assert plan.cost < 10
    assert {m.name for m in plan.measures} == set(SETS["fast"])
    assert all(m.status == "planned" for m in plan.measures)


def test_counts_norms_and_distances_are_those_of_numpy() -> None:
    model, initial = seeded(lambda: mlp(nn.ReLU), 1), mlp(nn.ReLU)
    tensors = {name: p.detach().double().numpy() for name, p in model.named_parameters()}
    flat = np.concatenate([t.ravel() for t in tensors.values()])
    count = measure(model, classes(20), "parameter_count")
    assert count.value == flat.size
    assert count.details["per_sample"] == flat.size / 20
    norms = measure(model, classes(), "norms")
    assert_allclose(float(norms), np.linalg.norm(flat), rtol=1e-12)
    weights = {name: t for name, t in tensors.items() if t.ndim == 2}
    spectral = [np.linalg.norm(t, 2) for t in weights.values()]
    frobenius = [np.linalg.norm(t) for t in weights.values()]
    details: Any = norms.details
    assert_allclose([row["spectral"] for row in details["layers"].values()], spectral)
    assert_allclose([row["frobenius"] for row in details["layers"].values()], frobenius)
    assert_allclose(details["log_product_spectral"], np.log(spectral).sum())
    ranks = (np.array(frobenius) / spectral) ** 2
    assert_allclose(details["sum_of_stable_ranks"], ranks.sum())
    start = np.concatenate([p.detach().double().numpy().ravel() for p in initial.parameters()])
    distance = measure(model, classes(), "distance_from_initialisation", initial=initial)
    assert_allclose(float(distance), np.linalg.norm(flat - start), rtol=1e-12)
    missing = measure(model, classes(), "distance_from_initialisation")
    assert missing.value is None
    assert "initial=" in missing.status


def test_margins_are_those_of_a_loop_over_samples() -> None:
    model, data = mlp(), classes(200)
    scores = model(data[0]).detach().double().numpy()
    margins = np.sort(
        [row[y] - max(np.delete(row, y)) for row, y in zip(scores, data[1].numpy(), strict=True)]
    )
    found = measure(model, data, landscape.measures.Margin(quantile=0.25))
    assert_allclose(float(found), margins[49], rtol=1e-6)
    assert_allclose(found.curves["margins"], margins, rtol=1e-6)
    details: Any = found.details
    assert_allclose([details["mean"], details["min"]], [margins.mean(), margins[0]])
    assert found.details["error"] == (scores.argmax(1) != data[1].numpy()).mean()
    assert found.interval is not None
    assert found.interval[0] < float(found) < found.interval[1]
    assert found.interval[0] in found.curves["margins"]


def test_binary_margins_have_the_sign_of_the_label() -> None:
    model = seeded(lambda: nn.Linear(5, 1))
    inputs, targets = classes(60)
    labels = (targets > 0).float()[:, None]
    found = measure(model, (inputs, labels), "margin", loss=nn.BCEWithLogitsLoss())
    margins = ((2 * labels - 1) * model(inputs)).detach().double().numpy()
    assert_allclose(found.curves["margins"], np.sort(margins.ravel()), rtol=1e-6)
    assert found.details["error"] == (margins < 0).mean()
    soft = measure(model, (inputs, 0.7 * labels), "margin", loss=nn.BCEWithLogitsLoss())
    assert soft.status == "not applicable: targets between 0 and 1 are no classes"


def test_ignored_targets_and_positions_are_counted_right() -> None:
    model = LanguageModel()
    tokens, _ = sequences()
    targets = tokens.roll(-1, 1).clone()
    targets[:, -1] = -100

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.body(x).movedim(-1, 1)
            return found

    found = measure(Last(), (tokens, targets), "margin", loss=nn.CrossEntropyLoss())
    assert found.details["count"] == 27


def test_a_models_own_loss_has_margins_of_its_tokens() -> None:
    tokens, _ = sequences()
    batch = {"input_ids": tokens, "labels": tokens}
    found = measure(HuggingFaceLike(), [batch], "margin")
    assert found.details["count"] == tokens.numel()
    several = measure(HuggingFaceLike(), [batch], "vc_bound")
    assert several.status.startswith("not applicable: a sample has several predictions")


def test_class_probabilities_are_one_prediction_a_sample() -> None:
    inputs, targets = classes(40)
    soft = nn.functional.one_hot(targets, 3).float() * 0.9 + 0.1 / 3
    hard = measure(mlp(nn.ReLU), (inputs, targets), "vc_bound")
    found = measure(mlp(nn.ReLU), (inputs, soft), "vc_bound", loss=nn.CrossEntropyLoss())
    assert float(found) == float(hard)


def test_regression_has_no_margin() -> None:
    found = measure(mlp(outputs=2), regression(), "margin")
    assert found.value is None
    assert found.status == "not applicable: the loss MSE has no classes"
    assert found.rescaling == "not applicable"


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_gaps_are_differences_of_losses_and_errors(engine: str) -> None:
    model = seeded(ConvNet).eval()
    train, test, far = images(50), images(40, seed=2), images(30, seed=3)
    found = measure(
        model, train, "generalisation_gap", test={"near": test, "far": far}, engine=engine
    )
    assert list(found.details) == ["near", "far"]
    losses = [
        F.cross_entropy(model(x), y, reduction="none").detach().double()
        for x, y in (train, test, far)
    ]
    errors = [float((model(x).argmax(1) != y).double().mean()) for x, y in (train, test, far)]
    for index, name in enumerate(("near", "far"), start=1):
        row: Any = found.details[name]
        assert_allclose(row["loss_gap"], float(losses[index].mean() - losses[0].mean()), rtol=1e-5)
        variance = losses[0].var() / 50 + losses[index].var() / len(losses[index])
        assert_allclose(row["standard_error"], math.sqrt(variance), rtol=1e-5)
        assert_allclose(row["error_gap"], errors[index] - errors[0], rtol=1e-6)
        assert row["error_interval"][0] < row["error_gap"] < row["error_interval"][1]
    near: Any = found.details["near"]
    assert float(found) == near["loss_gap"]
    assert found.interval is not None
    assert_allclose(found.interval, near["interval"])


def test_a_gap_needs_test_data_and_takes_regression() -> None:
    assert "test=" in measure(mlp(), classes(), "generalisation_gap").status
    found = measure(mlp(outputs=2), regression(), "generalisation_gap", test=regression(seed=2))
    row: Any = found.details["test"]
    assert "error_gap" not in row
    assert float(found) == row["loss_gap"]


def test_the_interval_of_a_gap_covers() -> None:
    """Two samples of one distribution: the gap of means is 0."""
    inputs, targets = classes(8000, seed=5)
    context = make_context(seeded(lambda: nn.Linear(5, 3), 3), (inputs, targets))
    losses = context.sample_losses.reshape(40, 2, 100)
    covered = []
    for part in range(40):
        first, second = (slice(200 * part + start, 200 * part + start + 100) for start in (0, 100))
        train, test = (
            context.objective.with_samples(np.arange(8000)[rows]) for rows in (first, second)
        )
        strategies = (train.plain_strategy, train.plain_strategy)
        found = GeneralisationGap().compute(Context(train, strategies, Inputs(test={"test": test})))
        assert found.value is not None
        assert found.standard_error is not None
        assert_allclose(found.value, losses[part, 1].mean() - losses[part, 0].mean(), rtol=1e-9)
        covered.append(abs(found.value) <= 1.96 * found.standard_error)
    assert np.mean(covered) >= 0.85

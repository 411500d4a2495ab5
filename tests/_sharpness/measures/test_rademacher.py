"""Rademacher complexities of models: linear functions, norms of layers, fits to random signs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, regression, seeded
from numpy.testing import assert_allclose
from sharpness_networks import make_context
from torch import Tensor, nn

from landscape._sharpness.bounds.rademacher import (
    bound_network_complexity,
    estimate_linear_complexity,
)
from landscape._sharpness.definition import NotApplicable, Outcome
from landscape._sharpness.measures import Rademacher


def value(outcome: Outcome) -> float:
    assert outcome.value is not None
    return outcome.value


@pytest.mark.parametrize("dim", [10, 100, 1000])
def test_a_linear_model_on_the_unit_sphere(dim: int) -> None:
    inputs = seeded(lambda: torch.nn.functional.normalize(torch.randn(400, dim)), dim)
    model = nn.Linear(dim, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(inputs[:1])  # of unit norm
    outcome = Rademacher("linear").compute(make_context(model, (inputs, torch.zeros(400, 1))))
    assert value(outcome) == pytest.approx(0.05, abs=0.002)
    assert outcome.details["bound"] == pytest.approx(0.05)
    assert outcome.details["radius"] == pytest.approx(1)
    assert outcome.standard_error is not None
    twice = Rademacher("linear", radius=2.0)
    found = twice.compute(make_context(model, (inputs, torch.zeros(400, 1))))
    assert value(found) == pytest.approx(2 * value(outcome))


def test_a_bias_is_a_column_of_ones() -> None:
    model = seeded(lambda: nn.Linear(5, 3))
    inputs, targets = classes(50)
    context = make_context(model, (inputs, targets))
    outcome = Rademacher("linear", draws=400).compute(context)
    rows = np.hstack([model.weight.detach().numpy(), model.bias.detach().numpy()[:, None]])
    radius = float(np.linalg.norm(rows, axis=1).max())
    assert outcome.details["radius"] == pytest.approx(radius)
    bound = radius * math.sqrt(float(inputs.square().sum()) + 50) / 50
    assert outcome.details["bound"] == pytest.approx(bound)
    augmented = np.hstack([inputs.numpy(), np.ones((50, 1))])
    seed = context.stream("rademacher")
    expected = estimate_linear_complexity(augmented, radius, 400, seed)
    assert_allclose((value(outcome), outcome.standard_error or 0.0), expected, rtol=1e-6)


def test_the_bound_by_norms_is_that_of_augmented_matrices() -> None:
    model, (inputs, targets) = mlp(nn.ReLU), classes(50)
    outcome = Rademacher().compute(make_context(model, (inputs, targets)))
    first, bias, last, shift = (p.detach().double().numpy() for p in model.parameters())
    norms = [
        math.sqrt(np.square(first).sum() + np.square(bias).sum() + 1),
        float(np.linalg.norm(np.hstack([last, shift[:, None]]), axis=1).max()),
    ]
    input_norm = math.sqrt(float(inputs.double().square().sum()) + 50)
    assert_allclose(value(outcome), bound_network_complexity(norms, input_norm, 50), rtol=1e-9)
    assert outcome.standard_error is None


def train(model: nn.Module, data: tuple[Tensor, Tensor], steps: int = 60) -> nn.Module:
    loss = nn.CrossEntropyLoss() if data[1].dtype == torch.int64 else nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model(data[0]), data[1]).backward()
        optimizer.step()
    return model


def train_in_place(model: nn.Module, data: Any) -> None:
    train(model, data)


@pytest.mark.parametrize("fit", [train, train_in_place])
def test_fits_correlate_with_signs_as_their_errors_say(fit: Any) -> None:
    """Few samples are fitted whole, many are not: 1 - 2 error, above sqrt(2 ln 2 / n) or so."""
    few, many = (
        Rademacher("fit", draws=3).compute(make_context(mlp(), classes(n), fit=fit))
        for n in (8, 400)
    )
    assert value(few) > 0.9
    assert 0.05 < value(many) < 0.6
    assert_allclose(few.curves["draws"].mean(), value(few))
    assert few.details["kind"] == "estimate from below"


def test_real_targets_are_signs_and_begin_at_the_initialisation() -> None:
    model = mlp(outputs=1)
    inputs, targets = regression(30)
    starts = []

    def fit(model: nn.Module, data: tuple[Tensor, Tensor]) -> nn.Module:
        starts.append(next(model.parameters()).detach().clone())
        assert set(data[1].flatten().tolist()) == {-1.0, 1.0}
        return train(model, data)

    initial = np.full(57, 0.125, np.float32)
    context = make_context(model, (inputs, targets[:, :1]), fit=fit, initial=initial)
    assert value(Rademacher("fit", draws=2).compute(context)) > 0
    assert all((start == 0.125).all() for start in starts)


@pytest.mark.parametrize(
    ("definition", "model", "reason"),
    [
        (Rademacher("fit"), mlp(), "needs fit="),
        (Rademacher("linear"), mlp(), "no linear function"),
        (Rademacher("norm"), mlp(), "does not hold for networks with tanh"),
    ],
)
def test_a_method_that_does_not_fit_is_not_applicable(
    definition: Rademacher, model: nn.Module, reason: str
) -> None:
    with pytest.raises(NotApplicable, match=reason):
        definition.require(make_context(model, classes()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "norms"}, "method='norms'"),
        ({"method": "norm", "draws": 9}, "draws= is an option"),
        ({"method": "fit", "radius": 1.0}, "radius= is an option"),
        ({"method": "linear", "radius": -1.0}, "radius=-1"),
        ({"method": "linear", "draws": 1}, "draws=1"),
    ],
)
def test_options_that_do_not_apply_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rademacher(**options)

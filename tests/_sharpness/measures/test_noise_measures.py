"""Measures from noise: closed forms on quadratics, coverage, and what makes them fail."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from models import LanguageOutput
from quadratic_models import assert_close, blobs, measure, quadratic, relu_mlp, rescaled, rotation
from torch import Tensor, nn

import landscape
from landscape.measures import (
    BasinVolume,
    InputNoiseRise,
    LocalEntropy,
    MagnitudeSigma,
    PACBayesSigma,
)


def test_the_noise_that_costs_a_rise_is_that_of_the_trace() -> None:
    values = np.linspace(0.1, 2, 100)
    theta = np.linspace(-1, 2, 100)
    model, data = quadratic(values, theta)
    found = measure(PACBayesSigma(0.3, draws=32), model, data)
    assert_close(found.value, values.sum() / 0.6, rtol=0.05)
    assert_close(found.details["sigma"], float(found) ** -0.5)
    scaled = measure(MagnitudeSigma(0.3, draws=32), model, data)
    assert_close(scaled.value, (values * theta**2).sum() / 0.6, rtol=0.1)
    assert scaled.rescaling == "exact"
    assert scaled.cost < 2 * 32 * 10 / 3


def test_the_interval_of_the_noise_covers_the_truth() -> None:
    values = np.linspace(0.1, 2, 30)
    objective = landscape.Objective(*quadratic(values, np.ones(30)))
    found = [measure(PACBayesSigma(0.3, draws=20), objective, seed=seed) for seed in range(40)]
    truth = values.sum() / 0.6
    intervals = [m.interval for m in found if m.interval is not None]
    assert 34 <= sum(low <= truth <= high for low, high in intervals) <= 40
    errors = [m.standard_error for m in found if m.standard_error is not None]
    assert_close(np.mean(errors), np.std([float(m) for m in found]), rtol=0.35)


def test_noise_in_proportion_survives_rescaling() -> None:
    model, data = relu_mlp(), blobs()
    for metric in ("loss", "accuracy"):
        plain, scaled = (
            landscape.sharpness(
                m,
                data,
                measures=[PACBayesSigma(metric=metric), MagnitudeSigma(metric=metric)],
                progress="off",
            )
            for m in (model, rescaled(model))
        )
        assert_close(plain["magnitude_sigma"].value, scaled["magnitude_sigma"].value, rtol=1e-5)
        assert float(scaled["pac_bayes_sigma"]) > 2 * float(plain["pac_bayes_sigma"])


def test_a_fall_of_the_accuracy_is_that_of_predictions() -> None:
    model, (inputs, targets) = relu_mlp(), blobs()
    found = measure(PACBayesSigma(0.1, metric="accuracy", draws=4), model, (inputs, targets))
    sigma = found.curves["sigmas"][-1]
    objective = landscape.Objective(model, (inputs, targets))
    seed = int(np.random.SeedSequence([0, zlib.crc32(b"pac_bayes_sigma")]).generate_state(1)[0])
    falls = []
    for stream in range(4):
        noise = landscape._core.gaussian(objective.dim, seed=seed, stream=stream, dtype="float64")
        for sign in (1, -1):
            with torch.no_grad():
                noisy = objective.model_at(objective.theta + sign * sigma * noise)(inputs)
            falls.append(float((noisy.argmax(1) != targets).double().mean()))
    base = float((model(inputs).argmax(1) != targets).double().mean())
    assert_close(found.curves["rises"][-1], np.mean(falls) - base, rtol=1e-12)


def test_noise_without_a_cost_has_no_largest_value() -> None:
    flat = measure(PACBayesSigma(), *quadratic([0.0, 0.0], [1.0, 1.0]))
    assert flat.value is None
    assert "below 0.1" in flat.status
    zero = measure(MagnitudeSigma(), *quadratic([1.0, 1.0]))
    assert zero.value is None
    regression = measure(PACBayesSigma(metric="accuracy"), *quadratic([1.0]))
    assert "not applicable" in regression.status


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_the_rise_under_input_noise_is_that_of_a_linear_model(engine: Any) -> None:
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 4, generator=draw, dtype=torch.float64)
    model = nn.Linear(4, 1).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 0.5, 0.0]]))
    data = inputs, torch.zeros(400, 1, dtype=torch.float64)
    draws = 2 if engine == "native" else 16
    found = measure(InputNoiseRise(sigma=0.2, draws=draws), model, data, engine=engine)
    assert found.value is not None
    assert found.standard_error is not None
    truth = 0.04 * (1 + 4 + 0.25)
    assert abs(found.value - truth) < 8 * found.standard_error
    assert_close(found.value, truth, rtol=0.1)


def test_input_noise_depends_on_the_function_alone() -> None:
    model, data = relu_mlp(), blobs()
    found, other = (measure("input_noise_rise", m, data) for m in (model, rescaled(model)))
    assert_close(found.value, other.value, rtol=1e-9)
    assert found.rescaling == "exact"


def test_columns_and_ragged_batches_change_too() -> None:
    inputs, targets = blobs(6)
    linear = nn.Linear(5, 3).double()
    ragged = [(inputs[:4], targets[:4]), (inputs[4:], targets[4:])]
    objective = landscape.Objective(linear, ragged)
    whole = landscape.Objective(linear, (3 * inputs, targets))
    assert_close(objective.with_inputs(lambda x: 3 * x).loss(), whole.loss(), rtol=1e-12)
    columns = [{"x": inputs, "labels": targets}]
    named = landscape.Objective(Columns(linear), columns)
    assert_close(named.with_inputs(lambda x: 3 * x).loss(), whole.loss(), rtol=1e-12)
    found = measure("input_noise_rise", Columns(linear), columns)
    assert found.value is not None


class Columns(nn.Module):
    """A linear layer that takes columns and returns its own loss."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, labels: Tensor | None = None) -> LanguageOutput:
        logits = self.layer(x)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return LanguageOutput(loss, logits)


def test_tokens_have_no_noise() -> None:
    model = nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Linear(6, 3))
    data = (torch.randint(7, (8, 2)), torch.randint(3, (8,)))
    found = measure("input_noise_rise", model, data)
    assert "no input is a floating-point tensor" in found.status
    with pytest.raises(ValueError, match="no input is a floating-point tensor"):
        landscape.Objective(model, data).with_inputs(lambda x: x)


def test_the_local_entropy_of_a_quadratic_is_a_determinant() -> None:
    values = np.array([3.0, 1.0, 0.5, 0.1, 0.0])
    theta = np.array([0.2, 0.1, -0.3, 0.5, 1.0])
    basis = rotation(5)
    model, data = quadratic(values, theta, basis)
    found = measure(LocalEntropy(sigma=0.4, inverse_temperature=6.0, draws=4000), model, data)
    gradient = values * (basis.T @ theta)
    precision = 6.0 * values + 0.4**-2
    truth = -0.5 * np.log1p(6.0 * 0.16 * values).sum() + 18.0 * (gradient**2 / precision).sum()
    assert found.value is not None
    assert found.standard_error is not None
    assert abs(found.value - truth) < 4 * found.standard_error
    assert found.standard_error < 0.05
    loss = theta @ basis @ np.diag(values) @ basis.T @ theta / 2
    integral = truth - 6.0 * loss + 2.5 * np.log(2 * np.pi * 0.16)
    assert_close(found.details["log_integral"], integral, rtol=0.05)
    default = measure(LocalEntropy(), model, data)
    assert_close(default.details["inverse_temperature"], 5.0)


def test_an_entropy_that_a_few_draws_decide_says_so() -> None:
    model, data = quadratic(np.full(200, 1.0))
    found = measure(LocalEntropy(sigma=1.0, inverse_temperature=200.0), model, data)
    assert found.value is not None
    assert "of 64 draws decide the mean" in found.status
    fine = measure(LocalEntropy(sigma=0.01, inverse_temperature=200.0), model, data)
    assert fine.status == "complete"


def test_the_basin_of_a_quadratic_is_an_ellipsoid() -> None:
    values = np.array([1.0, 0.7, 1.5, 2.0])
    model, data = quadratic(values, basis=rotation(4))
    found = measure(BasinVolume(rise=0.3, directions=800), model, data)
    ball = 2 * math.log(math.pi) - math.lgamma(3)
    truth = ball + 2 * math.log(0.6) - 0.5 * np.log(values).sum()
    assert found.value is not None
    assert found.standard_error is not None
    assert abs(found.value - truth) < 4 * found.standard_error
    assert found.standard_error < 0.05
    assert found.status == "complete"
    sphere = measure(BasinVolume(rise=0.3, directions=4, tolerance=1e-6), *quadratic(np.ones(4)))
    assert_close(sphere.value, ball + 2 * math.log(0.6), rtol=1e-5)
    assert_close(sphere.details["equivalent_radius"], math.sqrt(0.6), rtol=1e-5)


def test_the_interval_of_the_volume_covers_it() -> None:
    values = np.array([1.0, 0.5, 2.0])
    objective = landscape.Objective(*quadratic(values))
    truth = math.log(4 / 3 * math.pi) + 1.5 * math.log(0.6) - 0.5 * np.log(values).sum()
    held = 0
    for seed in range(40):
        found = measure(BasinVolume(rise=0.3, directions=40), objective, seed=seed)
        assert found.interval is not None
        held += found.interval[0] <= truth <= found.interval[1]
    assert 34 <= held <= 40


def test_a_volume_that_a_few_directions_decide_says_so() -> None:
    values = np.geomspace(1e-4, 10, 100)
    found = measure(BasinVolume(rise=0.3), *quadratic(values))
    assert "of 50 draws decide the mean" in found.status
    flat = measure(BasinVolume(rise=0.3, directions=4), *quadratic(np.zeros(3)))
    assert flat.value is None
    assert "along 4 of 4 directions" in flat.status


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PACBayesSigma(rise=0.0), "rise"),
        (lambda: PACBayesSigma(metric="f1"), "metric"),  # type: ignore[arg-type]
        (lambda: MagnitudeSigma(draws=1), "draws"),
        (lambda: PACBayesSigma(tolerance=2.0), "tolerance"),
        (lambda: InputNoiseRise(sigma=0.0), "sigma"),
        (lambda: InputNoiseRise(draws=1), "draws"),
        (lambda: LocalEntropy(sigma=-1.0), "sigma"),
        (lambda: LocalEntropy(inverse_temperature=0.0), "inverse_temperature"),
        (lambda: LocalEntropy(draws=1), "draws"),
        (lambda: BasinVolume(rise=-1.0), "rise"),
        (lambda: BasinVolume(directions=1), "directions"),
        (lambda: BasinVolume(tolerance=0.0), "tolerance"),
    ],
)
def test_options_out_of_range_are_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()

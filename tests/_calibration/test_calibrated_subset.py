"""Estimates from calibrated subsets: exact at pilots, unbiased elsewhere, errors that cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from subset_cases import HIGH, LOW, Engine, Name, case
from torch import nn

import landscape
from landscape import _core
from landscape._calibration import CalibratedSubset, calibrate_subset


def calibrate(
    name: Name, engine: Engine = "native", tolerance: float = 0.1, **options: Any
) -> CalibratedSubset:
    """A subset of a case; full evaluations are dear enough not to stand in the way."""
    objective = case(name).objective(engine)
    subspace = objective.subspace(None, case(name).basis)
    arguments: dict[str, Any] = {"points": 200, "full_evaluations": 2601, **options}
    return calibrate_subset(objective, subspace, LOW, HIGH, tolerance=tolerance, **arguments)


def relative(losses: np.ndarray, truth: np.ndarray) -> np.ndarray:
    errors: np.ndarray = np.abs(losses - truth) / truth
    return errors


@pytest.mark.parametrize("name", ["digits", "cnn", "mixture"])
def test_weights_are_positive_and_reproduce_the_pilots(name: Name) -> None:
    subset = calibrate(name)
    assert (subset.weights > 0).all()
    assert subset.weights.sum() == pytest.approx(1, abs=0.2)
    chosen = case(name).objective().subspace(None, case(name).basis)
    losses = chosen.sample_losses(subset.pilots)
    estimates = losses[:, subset.rows] @ subset.weights
    assert relative(estimates, losses.mean(1)).max() < 5e-3
    assert subset.error.residual < 5e-3
    base = 1 / (subset.samples * subset.to_arrays()["inclusion"])
    factors = subset.weights / base
    assert factors.min() >= 0.05 * (1 - 1e-12)
    assert factors.max() <= 20 * (1 + 1e-12)


@pytest.mark.parametrize("name", ["digits", "cnn", "mixture"])
def test_the_reported_error_holds_and_a_raw_subset_is_much_worse(name: Name) -> None:
    coordinates, truth = case(name).truth()
    subset = calibrate(name)
    assert subset.error.quantile95 <= 0.1
    losses, _ = subset.evaluate(coordinates)
    errors = relative(losses, truth)
    assert np.quantile(errors, 0.95) <= subset.error.quantile95
    assert errors.max() <= subset.error.maximum
    every = case(name).objective().subspace(None, case(name).basis).sample_losses(coordinates)
    raw = []
    for seed in range(5):
        rows = np.random.default_rng(seed).choice(subset.samples, len(subset.rows), replace=False)
        raw.append(np.quantile(relative(every[:, rows].mean(1), truth), 0.95))
    assert np.median(raw) > 3 * np.quantile(errors, 0.95)


def test_standard_errors_cover_and_estimates_are_unbiased_over_seeds() -> None:
    coordinates, truth = case("mixture").truth(7)
    scores = []
    for seed in range(12):
        losses, errors = calibrate("mixture", seed=seed).evaluate(coordinates)
        assert (errors > 0).all()
        scores.append((losses - truth) / errors)
    shares = (np.abs(scores) < 1.96).mean(axis=1)
    assert 0.92 <= shares.mean() <= 1
    assert np.abs(np.mean(scores)) < 0.3
    assert np.sqrt(np.mean(np.square(scores))) < 1.1


def test_a_tighter_tolerance_takes_more_and_is_met() -> None:
    coordinates, truth = case("mixture").truth()
    loose, tight = calibrate("mixture", tolerance=0.1), calibrate("mixture", tolerance=0.01)
    assert tight.cost > loose.cost
    errors = relative(tight.evaluate(coordinates)[0], truth)
    assert np.quantile(errors, 0.95) <= tight.error.quantile95 <= 0.01


def test_errors_may_be_relative_to_the_range() -> None:
    coordinates, truth = case("mixture").truth()
    subset = calibrate("mixture", tolerance=0.02, tolerance_of="range")
    errors = np.abs(subset.evaluate(coordinates)[0] - truth) / (truth.max() - truth.min())
    assert np.quantile(errors, 0.95) <= 0.02


def test_pilots_and_the_minimum_are_exact() -> None:
    known = case("mixture")
    subspace = known.objective().subspace(None, known.basis)
    subset = calibrate("mixture", pilots=[(0.25, 0.5)])
    losses, errors = subset.evaluate([(0.0, 0.0), (0.25, 0.5), (1.0, -1.0), (-0.0, 0.0)])
    np.testing.assert_allclose(losses, subspace.losses([(0, 0), (0.25, 0.5), (1, -1), (0, 0)]))
    assert (errors == 0).all()
    coordinates, truth = known.truth()
    settled, errors = subset.settle_minimum(coordinates, *subset.evaluate(coordinates))
    lowest = int(settled.argmin())
    assert errors[lowest] == 0
    assert settled[lowest] == pytest.approx(truth[lowest])
    cost = subset.cost
    assert subset.evaluate(coordinates[[lowest]])[0][0] == settled[lowest]
    assert subset.evaluate_fully(coordinates[[lowest]])[0] == settled[lowest]
    assert subset.cost == cost


def test_progress_counts_pilots_and_shows_the_error() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.updates: list[tuple[int, dict[str, float]]] = []

        def __enter__(self) -> Recorder:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, done: int, **values: float) -> None:
            self.updates.append((done, values))

    recorder = Recorder()
    subset = calibrate("mixture", tolerance=0.01, progress=recorder)
    counts = [done for done, _ in recorder.updates]
    assert counts == sorted(counts)
    assert counts[-1] == len(subset.pilots) > 24
    assert recorder.updates[0][1] == {}
    assert 0 < recorder.updates[-1][1]["error"] < 0.1


def test_cost_counts_pilots_and_parts() -> None:
    subset = calibrate("mixture")
    pilots = len(subset.pilots)
    assert subset.cost == pilots
    assert pilots >= 24
    coordinates, _ = case("mixture").truth(5)
    subset.evaluate(coordinates)
    assert subset.cost == pytest.approx(pilots + 25 * len(subset.rows) / 5000)


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_the_seed_decides_and_a_stored_subset_has_the_same_bits(engine: Engine) -> None:
    coordinates, _ = case("mixture").truth(4)
    first, again, other = (calibrate("mixture", engine, seed=seed) for seed in (3, 3, 4))
    assert not np.array_equal(first.rows, other.rows)
    first.evaluate_fully(coordinates[:1])
    stored = first.to_arrays()
    assert all(isinstance(array, np.ndarray) for array in stored.values())
    objective = case("mixture").objective(engine)
    strategy = objective.strategy
    subspace = objective.subspace(None, case("mixture").basis, strategy=strategy)
    restored = CalibratedSubset(objective, subspace, stored)
    expected = first.evaluate(coordinates)
    for subset, start in ((again, 1), (restored, 0)):
        np.testing.assert_array_equal(subset.rows, first.rows)
        np.testing.assert_array_equal(subset.weights, first.weights)
        for one, two in zip(subset.evaluate(coordinates), expected, strict=True):
            np.testing.assert_array_equal(one[start:], two[start:])
    assert restored.error == first.error
    assert restored.evaluate(coordinates[:1])[1][0] == 0


def test_the_engines_agree() -> None:
    coordinates, _ = case("cnn").truth(5)
    by_torch = calibrate("cnn", "torch")
    objective = case("cnn").objective("native")
    # of the same samples: last bits of the losses may decide how many are chosen
    subspace = objective.subspace(None, case("cnn").basis)
    by_native = CalibratedSubset(objective, subspace, by_torch.to_arrays())
    for one, two in zip(
        by_torch.evaluate(coordinates), by_native.evaluate(coordinates), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=2e-3)


def test_weight_decay_is_exact() -> None:
    known = case("mixture")
    coordinates, _ = known.truth(4)
    plain = calibrate("mixture", "torch")
    objective = known.objective("torch", weight_decay=0.1)
    subspace = objective.subspace(None, known.basis)
    decayed = CalibratedSubset(objective, subspace, plain.to_arrays())
    theta = objective.theta + coordinates @ np.stack(known.basis)
    penalties = 0.05 * (theta.astype(np.float64) ** 2).sum(1)
    difference = decayed.evaluate(coordinates)[0] - plain.evaluate(coordinates)[0]
    np.testing.assert_allclose(difference, penalties, rtol=1e-5)
    pilots = calibrate_subset(objective, subspace, LOW, HIGH, points=200, full_evaluations=2601)
    truth = subspace.losses(coordinates)
    assert relative(pilots.evaluate(coordinates)[0], truth).max() < pilots.error.maximum


def test_weighted_losses_keep_their_denominator() -> None:
    known = case("mixture")
    weight = torch.tensor([1.0, 3.0, 0.5, 1.0, 2.0, 0.1])
    targets = known.data[1].clone()
    targets[::7] = -100
    objective = landscape.Objective(
        known.model,
        (known.data[0], targets),
        nn.CrossEntropyLoss(weight=weight),
        engine="torch",
    )
    coordinates, _ = known.truth(5)
    subspace = objective.subspace(None, known.basis)
    subset = calibrate_subset(objective, subspace, LOW, HIGH, points=200, full_evaluations=2601)
    truth = subspace.losses(coordinates)
    losses, errors = subset.evaluate(coordinates)
    bound = subset.bound_error(losses, errors)
    assert relative(losses, truth).max() < bound.maximum < 0.5
    assert np.quantile(relative(losses, truth), 0.95) < bound.quantile95 < 0.1


def test_bounds_have_the_quantiles_of_normal_errors() -> None:
    subset = calibrate("mixture")
    losses = np.full(4000, 2.0)
    errors = np.where(np.arange(4000) % 4 == 0, 3.0, 1.0)
    bound = subset.bound_error(losses, errors)
    draws = np.random.default_rng(0).standard_normal((50, 4000)) * errors / losses
    assert bound.quantile95 == pytest.approx(np.quantile(np.abs(draws), 0.95), rel=0.02)
    assert 0.85 <= (np.abs(draws).max(1) <= bound.maximum).mean() <= 1
    to_range = subset.bound_error(losses, errors, 20.0)
    assert to_range.quantile95 == pytest.approx(bound.quantile95 / 10)
    exact = subset.bound_error(losses, np.zeros(4000))
    assert exact == subset.error
    assert subset.bound_error(losses[:2], np.full(2, np.nan)) == subset.error


def test_a_line_is_estimated_too() -> None:
    known = case("mixture")
    objective = known.objective()
    subspace = objective.subspace(None, known.basis[:1])
    subset = calibrate_subset(objective, subspace, [-1.0], [1.0], points=101, full_evaluations=101)
    positions = np.linspace(-0.93, 0.91, 40)[:, None]
    truth = subspace.losses(positions)
    assert np.quantile(relative(subset.evaluate(positions)[0], truth), 0.95) < 0.05


def test_losses_that_are_not_finite_stay_where_they_are() -> None:
    inputs = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    model = nn.Linear(2, 1, bias=False)
    data = inputs.abs() + 0.5, torch.zeros(1000, 1)

    def infinite(outputs: torch.Tensor) -> torch.Tensor:
        return torch.where(outputs > 8, torch.inf, outputs + 5)

    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return infinite(self.layer(x))

    objective = landscape.Objective(Broken(), data, nn.MSELoss(), engine="torch")
    basis = [np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)]
    subspace = objective.subspace([0, 0], basis)
    subset = calibrate_subset(
        objective, subspace, LOW, (2.0, 2.0), points=500, full_evaluations=2601
    )
    losses, errors = subset.evaluate([(0.3, 0.1), (1.9, 1.95), (2.0, 2.0)])
    assert np.isfinite(losses[0])
    assert errors[0] > 0
    assert np.isinf(losses[1:]).all()
    assert np.isnan(errors[1:]).all()
    settled, _ = subset.settle_minimum([(0.3, 0.1), (1.9, 1.95)], losses[:2], errors[:2])
    truth = subspace.losses([(0.3, 0.1)])
    assert settled[0] == pytest.approx(truth[0])


def test_the_core_agrees_with_a_naive_calibration() -> None:
    generator = np.random.default_rng(1)
    table = np.exp(0.3 * generator.standard_normal((5, 40)))
    inclusion = generator.uniform(0.2, 0.6, 40)
    targets = np.full(5, 1.05)
    calibration = _core.SubsetCalibration(table, targets, inclusion, population=100)
    base = 1 / (100 * inclusion)
    gram = (table * base) @ table.T + 1e-4 * np.eye(5)
    weights = base * (1 + np.linalg.solve(gram, targets - table @ base) @ table)
    assert (weights / base > 0.05).all()  # no bound is active: a linear system
    np.testing.assert_allclose(calibration.weights, weights, rtol=1e-8)
    losses = np.exp(0.3 * generator.standard_normal((2, 40)))
    slopes = np.linalg.solve(gram, (table * base) @ losses.T)
    leverages = base * np.einsum("ki,kl,li->i", table, np.linalg.inv(gram), table)
    residuals = (losses - slopes.T @ table) * weights
    variances = ((1 - inclusion) / (1 - leverages) * residuals**2).sum(1)
    missed = slopes.T @ (table @ weights - targets)
    values, errors = calibration.estimate(losses)
    np.testing.assert_allclose(values, losses @ weights, rtol=1e-10)
    np.testing.assert_allclose(errors, np.sqrt(variances + missed**2), rtol=1e-7)
    assert calibration.residual == pytest.approx(np.abs(table @ weights - targets).max(), rel=1e-5)
    with pytest.raises(ValueError, match="losses of 39 samples"):
        calibration.estimate(losses[:, :39])

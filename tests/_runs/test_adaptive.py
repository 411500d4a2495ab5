"""Surfaces and lines to a tolerance: cost, error, budgets, resuming, subsets and refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import Surface
from landscape._runs.accuracy import Accuracy, read_accuracy

Data = tuple[torch.Tensor, torch.Tensor]


def quadratic() -> tuple[nn.Module, Data]:
    """A linear model with squared error, whose loss is a quadratic of its parameters."""
    torch.manual_seed(0)
    inputs = torch.randn(40, 3, dtype=torch.float64)
    return nn.Linear(3, 1).double(), (inputs, inputs.sum(1, keepdim=True))


def classifier(samples: int = 200) -> tuple[nn.Module, Data]:
    torch.manual_seed(1)
    inputs = torch.randn(samples, 5)
    targets = (inputs[:, 0] + inputs[:, 1] ** 2 > 0.5).long()
    model = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        torch.autograd.backward(nn.functional.cross_entropy(model(inputs), targets))
        optimizer.step()
    return model, (inputs, targets)


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Data]:
    return classifier()


def relative_errors(surface: Surface, truth: Surface) -> Any:
    alpha, beta = np.meshgrid(truth.alpha, truth.beta)
    return np.abs(surface(alpha, beta) / truth.losses - 1)


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_a_quadratic_relative_to_its_range_takes_81_points(engine: Any) -> None:
    model, data = quadratic()
    surface = landscape.surface(
        model, data, tolerance=1e-6, tolerance_of="range", engine=engine, seed=3
    )
    truth = landscape.surface(model, data, points=21, engine=engine, seed=3)
    assert surface.evaluated is not None
    assert surface.error is not None
    assert surface.run.evaluations == len(surface.evaluated) == 81
    assert surface.losses.shape == (101, 101)
    np.testing.assert_allclose(
        surface(*np.meshgrid(truth.alpha, truth.beta)), truth.losses, rtol=1e-10, atol=1e-12
    )
    assert surface.error.quantile95 < 1e-12
    assert surface.error.scale == "range"
    assert surface.centre_loss == truth.centre_loss


@pytest.mark.parametrize("tolerance", [0.2, 0.05, 0.01])
def test_the_error_bound_holds(trained: tuple[nn.Module, Data], tolerance: float) -> None:
    truth = landscape.surface(*trained, points=65, engine="native")
    surface = landscape.surface(*trained, tolerance=tolerance, engine="native", confidence=0.95)
    assert surface.error is not None
    assert surface.evaluated is not None
    errors, error = relative_errors(surface, truth), surface.error
    assert np.quantile(errors, 0.95) <= error.estimate <= tolerance
    assert np.quantile(errors, 0.95) <= error.quantile95 <= 2 * tolerance
    assert errors.max() <= error.maximum
    assert (error.confidence, error.checks) == (0.95, 59)
    assert surface.run.evaluations == len(surface.evaluated) + 59 < 65**2
    assert error.map.shape == surface.losses.shape
    assert "within the tolerance" in surface.run.status
    assert f"{tolerance:.2g} asked for" in repr(surface)


def test_engines_agree(trained: tuple[nn.Module, Data]) -> None:
    one, two = (
        landscape.surface(*trained, tolerance=0.05, engine=engine) for engine in ("torch", "native")
    )
    assert one.evaluated is not None
    assert two.evaluated is not None
    np.testing.assert_array_equal(one.evaluated.coordinates, two.evaluated.coordinates)
    np.testing.assert_allclose(one.losses, two.losses, rtol=1e-4)


def test_evaluated_points_keep_their_losses(trained: tuple[nn.Module, Data]) -> None:
    model, data = trained
    objective = landscape.Objective(model, data, engine="torch")
    surface = landscape.surface(
        objective, tolerance=0.05, points=9, metrics="accuracy", test=(data[0][:50], data[1][:50])
    )
    truth = landscape.surface(
        objective, points=9, metrics="accuracy", test=(data[0][:50], data[1][:50])
    )
    np.testing.assert_array_equal(surface.losses, truth.losses)
    np.testing.assert_array_equal(surface.metrics["accuracy"], truth.metrics["accuracy"])
    assert surface.test is not None
    assert truth.test is not None
    np.testing.assert_array_equal(surface.test.losses, truth.test.losses)
    drawn = landscape.surface(objective, tolerance=0.05, metrics="accuracy")
    assert drawn.metrics["accuracy"].max() <= 1.0


def test_rectangular_spans(trained: tuple[nn.Module, Data]) -> None:
    options: Any = {"span": ((-0.5, 1.0), (0.0, 0.25)), "engine": "torch"}
    surface = landscape.surface(*trained, tolerance=0.02, points=(7, 5), **options)
    truth = landscape.surface(*trained, points=(7, 5), **options)
    assert surface.losses.shape == (5, 7)
    np.testing.assert_allclose(surface.losses, truth.losses, rtol=0.02)


def test_lines_are_within_the_tolerance_everywhere(trained: tuple[nn.Module, Data]) -> None:
    line = landscape.line(*trained, tolerance=0.02, span=2.0, engine="torch")
    truth = landscape.line(*trained, points=301, span=2.0, engine="torch")
    assert line.error is not None
    assert line.evaluated is not None
    errors = np.abs(line(truth.positions) / truth.losses - 1)
    assert errors.max() <= line.error.maximum <= 4 * 0.02
    assert 9 <= len(line.evaluated) < 60
    np.testing.assert_array_equal(line(truth.positions).shape, truth.losses.shape)


def test_a_budget_ends_with_the_error_reached(trained: tuple[nn.Module, Data]) -> None:
    options: Any = {"engine": "torch", "tolerance": 1e-4}
    surface = landscape.surface(*trained, evaluations=120, **options)
    assert surface.run.evaluations == 120
    assert surface.error is not None
    assert "budget ended" in surface.run.status
    assert surface.error.quantile95 > 1e-4
    checked = landscape.surface(*trained, evaluations=150, confidence=0.95, **options)
    assert checked.run.evaluations == 150
    assert checked.error is not None
    assert checked.error.confidence == 0.95
    late = landscape.surface(*trained, seconds=1e-9, **options)
    assert late.run.evaluations == 81


def test_previews_are_surfaces_of_growing_accuracy(trained: tuple[nn.Module, Data]) -> None:
    seen: list[Surface] = []
    final = landscape.surface(
        *trained, tolerance=0.005, engine="torch", points=9, preview=seen.append
    )
    assert len(seen) >= 1
    evaluations = [surface.run.evaluations for surface in (*seen, final)]
    assert evaluations == sorted(set(evaluations))
    assert evaluations[0] == 81
    assert all("preview" in surface.run.status for surface in seen)
    assert seen[0].error is not None
    assert final.error is not None
    assert final.error.quantile95 < seen[0].error.quantile95


def interrupting(after: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        assert done > 0
        assert total == 0 or done <= total  # of pilots it is not known
        if total and done >= after:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("after", [1, 82, 120, 10**6])
def test_interrupted_runs_resume_to_the_bit(
    trained: tuple[nn.Module, Data], tmp_path: Path, after: int
) -> None:
    objective = landscape.Objective(*trained, engine="torch")
    options: Any = {"tolerance": 0.005, "confidence": 0.95, "points": 17}
    whole = landscape.surface(objective, **options)
    file = tmp_path / "run"
    stop = min(after, whole.run.evaluations - 20)
    with pytest.raises(KeyboardInterrupt):
        landscape.surface(objective, **options, resume=file, progress=interrupting(stop))
    resumed = landscape.surface(objective, **options, resume=file)
    assert resumed.losses.tobytes() == whole.losses.tobytes()
    assert resumed.error is not None
    assert whole.error is not None
    assert resumed.error.to_record() == whole.error.to_record()
    again = landscape.surface(objective, **options, resume=file, progress=interrupting(0))
    assert again.losses.tobytes() == whole.losses.tobytes()


def test_a_larger_budget_continues_a_run(trained: tuple[nn.Module, Data], tmp_path: Path) -> None:
    objective = landscape.Objective(*trained, engine="torch")
    file = tmp_path / "run"
    short = landscape.surface(objective, tolerance=0.005, evaluations=130, resume=file)
    longer = landscape.surface(objective, tolerance=0.005, resume=file)
    whole = landscape.surface(objective, tolerance=0.005)
    assert short.run.evaluations == 130 < longer.run.evaluations == whole.run.evaluations
    np.testing.assert_allclose(longer.losses, whole.losses, rtol=1e-6)
    with pytest.raises(ValueError, match=r"tolerance is 0\.005 in the file and 0\.01 here"):
        landscape.surface(objective, tolerance=0.01, resume=file)


def test_results_are_saved_with_points_and_error(
    trained: tuple[nn.Module, Data], tmp_path: Path
) -> None:
    surface = landscape.surface(*trained, tolerance=0.05, test=trained[1], points=11)
    surface.save(tmp_path / "surface.npz")
    loaded = landscape.load(tmp_path / "surface.npz")
    assert isinstance(loaded, Surface)
    assert loaded.equals(surface)
    assert loaded(0.123, -0.4).tobytes() == surface(0.123, -0.4).tobytes()
    fine = loaded.resample(21)
    assert fine.losses.shape == (21, 21)
    assert fine.test is not None
    np.testing.assert_allclose(fine.losses[::2, ::2], surface.losses, rtol=1e-12)
    np.testing.assert_allclose(fine.losses, surface(*np.meshgrid(fine.alpha, fine.beta)))
    assert np.isnan(surface(1.5, 0.0))
    assert surface(np.zeros((3, 1)), np.zeros(4)).shape == (3, 4)


def test_a_full_grid_is_interpolated_but_not_resampled(trained: tuple[nn.Module, Data]) -> None:
    surface = landscape.surface(*trained, points=33, engine="torch")
    truth = landscape.surface(*trained, points=97, engine="torch")
    assert surface.error is None
    assert surface.evaluated is None
    assert relative_errors(surface, truth).max() < 0.02
    with pytest.raises(ValueError, match="full grid"):
        surface.resample(51)


def test_infinite_losses_are_drawn_and_do_not_spread() -> None:
    class Walled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.position = nn.Parameter(torch.zeros(2, dtype=torch.float64))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            x, y = self.position
            wall = torch.where(x + y > 0.7, torch.inf, 0.0)
            value: torch.Tensor = inputs * 0 + x**2 + torch.exp(y) + wall
            return value

    data = torch.ones(4, 1, dtype=torch.float64), torch.zeros(4, 1, dtype=torch.float64)
    basis = (np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    surface = landscape.surface(
        Walled(), data, nn.L1Loss(), tolerance=0.02, directions=basis, engine="torch"
    )
    alpha, beta = np.meshgrid(surface.alpha, surface.beta)
    inside = alpha + beta < 0.7 - 0.25
    np.testing.assert_allclose(surface.losses[inside], (alpha**2 + np.exp(beta))[inside], rtol=0.02)
    assert np.isposinf(surface.losses[alpha + beta > 0.7 + 0.25]).all()
    assert surface.error is not None
    assert np.isfinite(surface.error.maximum)


def test_negative_losses_have_errors_relative_to_the_range() -> None:
    model, data = quadratic()
    surface = landscape.surface(
        model,
        data,
        lambda outputs, targets: ((outputs - targets) ** 2).mean() - 5.0,
        tolerance=0.01,
    )
    assert surface.error is not None
    assert surface.error.scale == "range"
    assert "relative to the range" in surface.run.status


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evaluations": 100}, "evaluations=100 without tolerance"),
        ({"confidence": 0.9, "seconds": 2}, "seconds=2, confidence=0.9 without tolerance"),
        ({"tolerance_of": "range"}, "without tolerance"),
        ({"subset": "never"}, "without tolerance"),
        ({"preview": print}, "together with tolerance"),
        ({"tolerance": 0}, "a positive number"),
        ({"tolerance": float("nan")}, "a positive number"),
        ({"tolerance": 0.1, "tolerance_of": "mean"}, "'loss' or 'range'"),
        ({"tolerance": 0.1, "evaluations": 80}, "from 81 up"),
        ({"tolerance": 0.1, "evaluations": 100, "confidence": 0.95}, "at least 140"),
        ({"tolerance": 0.1, "seconds": -1}, "a positive number"),
        ({"tolerance": 0.1, "confidence": 1.0}, "between 0 and 1"),
        ({"tolerance": 0.1, "subset": "maybe"}, "'auto', 'always' or 'never'"),
        ({"tolerance": 0.1, "subset": "always", "metrics": "accuracy"}, "not possible"),
        ({"tolerance": 0.1, "subset": "always", "batch_norm": "batch"}, "not possible"),
    ],
)
def test_options_that_do_not_apply_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        landscape.surface(*quadratic(), **options)


def test_confidence_decides_the_number_of_fresh_points() -> None:
    assert Accuracy(0.1, confidence=0.95).checks == 59
    assert Accuracy(0.1, confidence=0.99).checks == 90
    assert Accuracy(0.1).checks == 0
    assert read_accuracy(
        1, tolerance=0.1, tolerance_of="loss", evaluations=9, seconds=None, confidence=None
    ) == Accuracy(0.1, quantile=1.0, finest=6, evaluations=9)


@pytest.fixture(scope="module")
def large() -> tuple[nn.Module, Data]:
    return classifier(8000)


def test_large_data_take_a_calibrated_subset(large: tuple[nn.Module, Data], tmp_path: Path) -> None:
    options: Any = {"engine": "native", "tolerance": 0.05}
    truth = landscape.surface(*large, points=33, engine="native")
    surface = landscape.surface(*large, **options, resume=tmp_path / "run")
    assert surface.error is not None
    assert surface.evaluated is not None
    assert surface.error.sampling is not None
    assert surface.standard_error is not None
    assert surface.run.evaluations < 120 < len(surface.evaluated) + 60
    assert "samples, calibrated at" in " ".join(surface.run.notes)
    errors = relative_errors(surface, truth)
    assert np.quantile(errors, 0.95) <= surface.error.quantile95
    assert surface.centre_loss == pytest.approx(truth.centre_loss, rel=1e-6)
    *place, lowest = min(
        zip(*surface.evaluated.coordinates.T, surface.evaluated.losses, strict=True),
        key=lambda point: point[-1],
    )
    exact = landscape.Objective(*large, engine="native")
    basis = landscape.surface(exact, points=2).context.axes.basis
    assert float(exact.subspace(None, basis).losses([place])[0]) == pytest.approx(lowest, rel=1e-6)
    again = landscape.surface(*large, **options, resume=tmp_path / "run")
    assert again.losses.tobytes() == surface.losses.tobytes()
    full = landscape.surface(*large, **options, subset="never")
    assert full.error is not None
    assert full.error.sampling is None
    assert full.run.evaluations > surface.run.evaluations
    with pytest.raises(ValueError, match="another computation"):
        landscape.surface(*large, **options, subset="never", resume=tmp_path / "run")


def test_small_data_are_computed_whole(trained: tuple[nn.Module, Data]) -> None:
    surface = landscape.surface(*trained, tolerance=0.05)
    assert surface.error is not None
    assert surface.error.sampling is None
    with pytest.raises(ValueError, match="too few"):
        landscape.surface(*trained, tolerance=0.05, subset="always")


def test_pilots_of_a_useless_subset_are_kept(large: tuple[nn.Module, Data], tmp_path: Path) -> None:
    options: Any = {"engine": "torch", "tolerance": 1e-4, "evaluations": 250, "points": 9}
    whole = landscape.surface(*large, **options)
    assert whole.error is not None
    assert whole.error.sampling is None
    assert "computed on all data" in " ".join(whole.run.notes)
    assert whole.run.evaluations <= 250
    with pytest.raises(KeyboardInterrupt):
        landscape.surface(*large, **options, resume=tmp_path / "run", progress=interrupting(100))
    resumed = landscape.surface(*large, **options, resume=tmp_path / "run")
    assert resumed.losses.tobytes() == whole.losses.tobytes()
    assert resumed.run.evaluations == whole.run.evaluations
    assert "computed on all data" in " ".join(resumed.run.notes)

"""Critical points: classified against known matrices, searched for by both engines."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, seeded
from numpy.testing import assert_allclose
from numpy.typing import ArrayLike
from torch import Tensor, nn
from untouched import untouched

import landscape
from landscape._runs import checkpoint


class Form(nn.Module):
    """f(x) = x' A x / 2 + b' x, whatever the data are."""

    def __init__(self, matrix: ArrayLike, x: ArrayLike, slope: ArrayLike = 0.0) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor(np.asarray(x, np.float64)))
        self.matrix = torch.tensor(np.asarray(matrix, np.float64))
        self.slope = torch.tensor(np.broadcast_to(np.asarray(slope, np.float64), self.x.shape))

    def forward(self, inputs: Tensor) -> Tensor:
        value = self.x @ self.matrix @ self.x / 2 + self.slope @ self.x
        return value.expand(len(inputs), 1)


DATA = torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)


def itself(outputs: Tensor, _: Tensor) -> Tensor:
    return outputs.mean()


def classify(matrix: ArrayLike, **options: Any) -> landscape.CriticalPoint:
    model = Form(matrix, np.zeros(len(np.asarray(matrix))))
    return landscape.hessian(model, DATA, itself).classify(**options)


@pytest.mark.parametrize(
    ("matrix", "nature", "index"),
    [
        ([[1, 2], [2, 1]], "saddle", 1),
        ([[2, 1], [1, 2]], "minimum", 0),
        ([[-2, 1], [1, -2]], "maximum", 2),
        ([[1, 1], [1, 1]], "degenerate", 0),
        ([[0, 0], [0, 0]], "degenerate", 0),
        ([[1, 0, 0], [0, 0, 0], [0, 0, -1]], "saddle", 1),
    ],
)
def test_small_matrices_are_what_their_signs_say(matrix: Any, nature: str, index: int) -> None:
    found = classify(matrix)
    assert (found.nature, found.index.tolist()) == (nature, [index] * 3)
    assert found.critical
    assert found.values is not None
    assert_allclose(found.values, np.linalg.eigvalsh(np.array(matrix, float))[::-1], atol=1e-15)
    zeros = np.sum(np.abs(np.linalg.eigvalsh(np.array(matrix, float))) < 1e-12)
    assert found.near_zero[0] == zeros


@pytest.mark.parametrize(
    ("size", "probability"),
    [
        (1, 1 / 2),
        (2, (2 - math.sqrt(2)) / 4),
        (3, (math.pi - 2 * math.sqrt(2)) / (4 * math.pi)),
    ],
)
def test_gaussian_matrices_are_minima_as_often_as_theory_says(
    size: int, probability: float
) -> None:
    random, count, minima = np.random.default_rng(size), 400, 0
    for _ in range(count):
        drawn = random.normal(size=(size, size))
        minima += classify((drawn + drawn.T) / 2, progress="off").nature == "minimum"
    error = math.sqrt(probability * (1 - probability) / count)
    assert abs(minima / count - probability) <= 3 * error


def test_a_threshold_decides_what_is_zero() -> None:
    matrix = np.diag([1.0, 1e-3, -1e-5])
    assert classify(matrix).nature == "saddle"
    assert classify(matrix, threshold=1e-4).nature == "degenerate"
    assert classify(matrix, threshold=1e-4).near_zero[0] == 1


def test_a_slope_is_said_to_be_one() -> None:
    model = Form(np.eye(2), [1.0, 0.0])
    found = landscape.hessian(model, DATA, itself).classify()
    assert not found.critical
    assert found.gradient_norm == pytest.approx(1.0)
    assert found.status.startswith("not critical: the gradient's norm is 1, above 0.0001")
    assert "Minimum in curvature alone" in repr(found)


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_densities_count_as_many_as_there_are(engine: Any) -> None:
    inputs, targets = classes(40)
    model = seeded(mlp, 1).double()
    hessian = landscape.hessian(model, (inputs.double(), targets), engine=engine)
    exact = hessian.classify(threshold=1e-3)
    found = hessian.classify(threshold=1e-3, method="density", probes=200, steps=75)
    assert (exact.method, found.method) == ("dense", "density")
    assert found.nature == exact.nature == "saddle"
    for name in ("index", "near_zero"):
        wanted, (value, low, high) = getattr(exact, name)[0], getattr(found, name)
        assert low - 1 <= wanted <= high + 1
        assert abs(value - wanted) < 0.2 * hessian.dim
    assert found.values is None
    assert found.lowest <= exact.lowest + 1e-3 * exact.highest


def saddle(x: ArrayLike) -> Form:
    return Form([[2, 0], [0, -2]], x)


def test_saddle_free_newton_leaves_what_newton_runs_into() -> None:
    """x^2 - y^2 from (1, 1e-6)."""
    newton = landscape.find_critical_point(saddle([1, 1e-6]), DATA, itself, tolerance=1e-10)
    assert newton.converged
    assert_allclose(newton.theta, 0, atol=1e-10)
    free = landscape.saddle_free_newton(saddle([1, 1e-6]), DATA, itself, max_steps=25)
    assert free.losses[-1] < -1
    assert free.steps <= 25
    assert (np.diff(free.losses) < 0).all()


@pytest.mark.parametrize("engine", ["torch", "native"])
@pytest.mark.parametrize("batch", [None, 7])
def test_searches_end_where_the_gradient_vanishes(engine: Any, batch: int | None) -> None:
    inputs, targets = classes(40)
    model = seeded(mlp, 1).double()
    options: Any = {"engine": engine, "weight_decay": 0.05, "batch_size": batch}
    data = inputs.double(), targets
    with untouched(model):
        found = landscape.saddle_free_newton(model, data, tolerance=1e-8, **options)
    assert found.converged, found.status
    assert found.run.engine.startswith(engine)
    objective = landscape.Objective(model, data, **options)
    slope = objective.gradient(found.theta)
    assert_allclose(np.linalg.norm(slope), found.gradient_norms[-1], rtol=1e-3, atol=1e-12)
    assert_allclose(objective.loss(found.theta), found.losses[-1], rtol=1e-10)
    point = landscape.Hessian(objective, found.theta).classify()
    assert point.lowest > -1e-3 * point.highest
    critical = landscape.find_critical_point(model, data, tolerance=1e-8, **options)
    norms = critical.gradient_norms
    assert (np.diff(norms) < 0).all()
    assert norms[-1] < 1e-3 * norms[0]


def test_engines_go_the_same_way() -> None:
    inputs, targets = classes(40)
    model, data = seeded(mlp, 1).double(), (inputs.double(), targets)
    for walk in (landscape.find_critical_point, landscape.saddle_free_newton):
        ways = [walk(model, data, engine=e, max_steps=5) for e in ("torch", "native")]
        assert_allclose(ways[0].losses, ways[1].losses, rtol=1e-6)


@pytest.mark.parametrize("walk", [landscape.find_critical_point, landscape.saddle_free_newton])
def test_a_search_goes_on_from_its_file(
    walk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint.Checkpoint, "due", True)
    inputs, targets = classes(40)
    model, data = seeded(mlp, 1).double(), (inputs.double(), targets)
    whole = walk(model, data, max_steps=8, engine="native")

    def stop(done: int, _: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    file = tmp_path / "search.run"
    with pytest.raises(KeyboardInterrupt):
        walk(model, data, max_steps=8, engine="native", resume=file, progress=stop)
    again = walk(model, data, max_steps=8, engine="native", resume=file)
    for name in ("theta", "losses", "gradient_norms", "lengths"):
        assert np.array_equal(getattr(again, name), getattr(whole, name))
    with pytest.raises(ValueError, match="krylov"):
        walk(model, data, max_steps=8, krylov=3, engine="native", resume=file)


def test_ctrl_c_can_return_the_point_so_far() -> None:
    inputs, targets = classes(40)

    def stop(done: int, _: int) -> None:
        if done == 3:
            signal.raise_signal(signal.SIGINT)

    found = landscape.find_critical_point(
        seeded(mlp, 1).double(),
        (inputs.double(), targets),
        interrupt="return",
        progress=stop,
    )
    assert found.ending == "interrupted"
    assert found.steps == 3


def test_ends_are_told_apart() -> None:
    flat = landscape.find_critical_point(Form(np.zeros((2, 2)), [0, 0], 1.0), DATA, itself)
    assert flat.ending == "flat"
    assert "lies in the kernel of the Hessian" in flat.status
    stopped = landscape.find_critical_point(
        seeded(mlp, 1), classes(40), max_steps=1, tolerance=1e-9
    )
    assert stopped.status.startswith("stopped at max_steps=1")
    here = landscape.find_critical_point(saddle([0, 0]), DATA, itself)
    assert here.converged
    assert here.steps == 0


def test_a_saddle_in_a_narrow_bulk_is_none_the_less_left() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([[1.0], random.uniform(0, 0.01, 298), [-0.008]])
    found = landscape.saddle_free_newton(
        Form(np.diag(values), np.zeros(300)), DATA, itself, max_steps=3
    )
    assert found.losses[-1] < 0


def test_a_krylov_space_that_is_full_proves_nothing() -> None:
    model = Form([[1, 0], [0, -1]], [1e-3, -1e-3])
    found = landscape.find_critical_point(model, DATA, itself, krylov=1)
    assert found.ending == "stalled"
    assert "raise krylov" in found.status


def test_small_curvature_is_no_zero() -> None:
    for matrix in ([[1e-4]], 1e-4 * np.eye(20)):
        for method in ("dense", "density"):
            assert classify(matrix, method=method).nature == "minimum"


def test_bad_input_is_refused() -> None:
    model, data = seeded(mlp, 1), classes(40)
    with pytest.raises(ValueError, match=r"start has shape \(3,\), expected \(75,\)"):
        landscape.find_critical_point(model, data, start=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="tolerance=-1, expected the norm of a gradient"):
        landscape.find_critical_point(model, data, tolerance=-1)
    with pytest.raises(ValueError, match=r"krylov=75 vectors of 75 parameters take.*at most"):
        landscape.find_critical_point(model, data, krylov=75, memory_budget=9000)
    with pytest.raises(ValueError, match="negative_tolerance=2, expected a share"):
        landscape.saddle_free_newton(model, data, negative_tolerance=2)
    with pytest.raises(ValueError, match="starts=0, expected at least one"):
        landscape.critical_points(model, data, starts=0)
    with pytest.raises(ValueError, match="threshold=-1"):
        landscape.hessian(model, data).classify(threshold=-1)
    with pytest.raises(FloatingPointError, match=r"the loss is NaN.*begin where both are finite"):
        landscape.find_critical_point(Form([[math.nan]], [1]), DATA, itself)


def test_many_points_are_set_against_their_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint.Checkpoint, "due", True)
    torch.manual_seed(0)
    inputs = torch.randn(60, 3).double()
    data = inputs, inputs[:, :1] * inputs[:, 1:2]
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    options: Any = {"starts": 6, "distance": 2.0, "max_steps": 30, "tolerance": 1e-5, "seed": 3}
    found = landscape.critical_points(model, data, **options)
    assert len(found) == len(found.natures) == len(found.endings) == 6
    for row in range(6):
        point = landscape.hessian(model, data, theta=found.points[row]).classify()
        assert found.losses[row] == pytest.approx(point.loss)
        assert found.gradient_norms[row] == pytest.approx(point.gradient_norm, rel=1e-3, abs=1e-12)
        assert found.fractions[row, 0] == point.fraction_negative[0]
    assert len({round(loss, 9) for loss in found.losses.tolist()}) > 1

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    file = tmp_path / "points.run"
    with pytest.raises(KeyboardInterrupt):
        landscape.critical_points(model, data, resume=file, progress=stop, **options)
    again = landscape.critical_points(model, data, resume=file, **options)
    assert np.array_equal(again.points, found.points)
    assert again.products == found.products
    found.save(tmp_path / "points.npz")
    assert found.equals(landscape.load(tmp_path / "points.npz"))
    ax = found.plot()
    assert ax.get_xlabel() == "loss"
    drawn = sum(np.asarray(c.get_offsets()).size // 2 for c in ax.collections)
    assert drawn >= 6
    assert all(len(line) <= 100 for line in repr(found).splitlines())


def test_starts_can_be_models_of_a_training_run() -> None:
    inputs, targets = classes(40)
    models = [seeded(mlp, seed).double() for seed in range(2)]
    found = landscape.critical_points(
        models[0], (inputs.double(), targets), starts=models, max_steps=3
    )
    assert len(found) == 2


def test_results_are_saved_and_loaded(tmp_path: Path) -> None:
    point = classify([[1, 2], [2, 1]])
    way = landscape.find_critical_point(saddle([1, 1e-6]), DATA, itself)
    for index, result in enumerate((point, way)):
        result.save(tmp_path / f"{index}.npz")
        assert result.equals(landscape.load(tmp_path / f"{index}.npz"))
        assert all(len(line) <= 100 for line in repr(result).splitlines())

"""Trained curves: on both engines, lower than the line, interrupted and resumed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from path_models import DATA, two
from untouched import untouched

import landscape
from landscape import _core
from landscape._runs import checkpoint

Points = NDArray[np.float64]
CYCLES = [(10, 0.05), (10, 0.01)]
SHORT: dict[str, Any] = {"points": 13, "batch_size": 16}
METHODS: dict[str, Any] = {"bezier": landscape.Bezier, "polychain": landscape.Polychain}
pytestmark = pytest.mark.filterwarnings("ignore:the barrier:UserWarning")


class Spied:
    """|x|^2 / 2 in three batches, and what was asked of it."""

    batches = 3

    def __init__(self) -> None:
        self.asked: list[tuple[Points, list[int]]] = []

    def losses(self, points: Points) -> Points:
        found: Points = (points**2).sum(1) / 2
        return found

    def gradients_on(self, points: Points, batches: Sequence[int]) -> tuple[Points, Points]:
        self.asked.append((points.copy(), list(batches)))
        return self.losses(points), points * (1 + np.array(batches)[:, None])


@pytest.mark.parametrize("kind", ["bezier", "polychain"])
def test_a_naive_curve_goes_the_same_way(kind: Any) -> None:
    first, last = np.array([-1.0, 2.0, 0.5]), np.array([1.5, 0.0, -1.0])
    spied = Spied()
    options: dict[str, Any] = {"cycles": [(20, 0.1)], "rule": 0.9, "between": 3, "seed": 5}
    curve = _core.CurveTraining(spied, first, last, kind=kind, bends=2, draws=3, **options)
    control, velocity = curve.control(), np.zeros((2, 3))
    straight = [first, first + (last - first) / 3, last - (last - first) / 3, last]
    assert_allclose(control, straight, atol=1e-12)
    curve.run(spied, lambda *_: True)
    for points, batches in spied.asked:
        # the drawn parameters, from where the points lie on the curve
        weights = []
        for place, point in enumerate(points):
            grid = np.linspace(place / 3, (place + 1) / 3, 200001)
            table = _coefficients(kind, grid)
            weights.append(table[np.abs(table @ control - point).sum(1).argmin()])
        slopes = points * (1 + np.array(batches)[:, None])
        force = -np.array(weights)[:, 1:3].T @ slopes / 3
        velocity = 0.9 * velocity + force
        control[1:3] += 0.1 * velocity
    assert_allclose(curve.control(), control, atol=1e-3)
    assert len(spied.asked) == 20


def _coefficients(kind: str, t: Points) -> Points:
    if kind == "bezier":
        s = 1 - t
        return np.stack([s**3, 3 * t * s**2, 3 * t**2 * s, t**3], axis=1)
    found: Points = np.clip(1 - np.abs(3 * t[:, None] - np.arange(4)), 0, None)
    return found


@pytest.mark.parametrize("method", ["bezier", "polychain"])
def test_both_engines_find_the_same_curve(method: Any) -> None:
    a, b = two()
    given: dict[str, Any] = {"method": METHODS[method](CYCLES, control_points=2), **SHORT}
    found = [landscape.connect(a, b, DATA, engine=e, **given) for e in ("torch", "native")]
    assert_allclose(found[0].points, found[1].points, rtol=1e-7, atol=1e-9)
    assert_allclose(found[0].losses, found[1].losses, rtol=1e-8)


@pytest.mark.parametrize("method", ["bezier", "polychain"])
def test_a_curve_is_lower_than_the_line(method: Any) -> None:
    a, b = two()
    with untouched(a), untouched(b):
        chosen = METHODS[method]([(150, 0.05), (150, 0.01)])
        path = landscape.connect(a, b, DATA, method=chosen, batch_size=20)
    straight = landscape.barrier(a, b, DATA)
    assert path.excess < 0.5 * straight.excess
    assert path.curve == {"bezier": "bezier", "polychain": "polyline"}[method]
    assert len(path.points) == 3
    assert path.history[:, 0].tolist() == [0, 150, 300]
    assert path.surface(points=5).losses.shape == (5, 5)
    model = path.model_at(0.5)
    loss = landscape.Objective(model, DATA).loss()
    assert loss == pytest.approx(float(np.interp(0.5, path.positions, path.losses)), rel=1e-3)


@pytest.mark.parametrize("stop", [1, 5, 12, 21])
def test_a_killed_run_goes_on_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    monkeypatch.setattr(checkpoint, "_SAVE_INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint, "_MAX_OVERHEAD", 0)
    a, b = two()
    options: dict[str, Any] = {"method": landscape.Bezier(CYCLES), "engine": "torch", **SHORT}
    whole = landscape.connect(a, b, DATA, **options)
    calls = 0

    def kill(done: int, most: int) -> None:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise ZeroDivisionError

    file = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        landscape.connect(a, b, DATA, **options, resume=file, progress=kill)
    again = landscape.connect(a, b, DATA, **options, resume=file)
    assert again.points.tobytes() == whole.points.tobytes()
    assert again.losses.tobytes() == whole.losses.tobytes()


def test_a_curve_without_control_points_is_refused() -> None:
    with pytest.raises(ValueError, match="control_points=0"):
        landscape.Bezier(control_points=0)

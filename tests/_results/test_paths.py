"""Path as a result: against hand-computed numbers, saved and loaded bit for bit, plotted."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path as File
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from result_examples import make_run

import landscape
from landscape import Path, Profile, _store
from landscape._results import Curve


def profile(**changes: Any) -> Profile:
    values: dict[str, Any] = {
        "positions": [0.0, 0.25, 0.5, 1.0],
        "losses": [1.0, 3.0, 2.0, 2.0],
        "metrics": {"error": [0.1, 0.3, 0.2, 0.3]},
        "standard_error": [0.1, 0.2, 0.1, 0.1],
        "barrier_error": 0.15,
    }
    return Profile(**(values | changes))


def made(**changes: Any) -> Path:
    values: dict[str, Any] = {
        "points": np.array([[0, 0], [3, 4], [3, 10]], np.float32),
        "history": [[0, 1, 4.0], [7, 1, 3.0]],
        "curve": "polyline",
        "method": "autoneb",
        "train": profile(),
        "test": profile(losses=[1.0, 1.5, np.nan, np.inf], standard_error=None, metrics={}),
        "gradient_norms": (0.1, 0.2),
        "descent_gain": (0.01, 0.02),
        "stored_losses": (1.5, math.nan),
        "distance": float(np.hypot(3, 10)),
        "status": "complete: 7 steps in 1 cycles",
        "run": make_run(),
    }
    return Path(**(values | changes))


@pytest.mark.parametrize(
    "changes", [{}, {"test": None, "stored_losses": None, "descent_gain": None}]
)
def test_a_file_holds_every_bit(tmp_path: File, changes: dict[str, Any]) -> None:
    path = made(**changes)
    path.save(tmp_path / "path.npz")
    again = landscape.load(tmp_path / "path.npz")
    assert isinstance(again, Path)
    assert path.equals(again)
    assert again.points.dtype == np.float32
    assert repr(again) == repr(path)
    assert not path.equals(replace(path, distance=3.0))
    assert not path.equals(replace(path, train=profile(barrier_error=0.2)))
    with pytest.raises(ValueError, match="loaded from a file"):
        again.model_at(0.5)
    with pytest.raises(ValueError, match="loaded from a file"):
        again.surface()


def test_large_points_stay_on_the_disk(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "MAPPED", 16)
    path = made()
    path.save(tmp_path / "path.npz")
    again = landscape.load(tmp_path / "path.npz")
    assert isinstance(again, Path)
    assert isinstance(again.points, np.memmap)
    assert again.points.tobytes() == path.points.tobytes()
    assert again.theta_at(0.5).tolist() == path.theta_at(0.5).tolist()
    assert path.equals(again)
    again.save(tmp_path / "path.npz")  # over the file that it is mapped from
    assert again.points.tobytes() == path.points.tobytes()
    with pytest.raises(ValueError, match="read-only"):
        again.points[0, 0] = 1


def test_both_barriers_and_their_places() -> None:
    path = made()
    assert (path.barrier, path.saddle) == (1.0, 1)
    assert path.excess == pytest.approx(3.0 - 1.25)
    assert path.train.rise("error") == pytest.approx(0.3 - 0.15)
    assert path.train.resolution == 0.25
    down = profile(losses=[3.0, 2.0, 1.0, 0.5])
    assert (down.barrier, down.between, down.saddle) == (0.0, 0.0, 0)
    assert path.test is not None
    assert math.isnan(path.test.barrier)


def test_between_points_a_parabola_is_found_exactly() -> None:
    at = np.array([0.0, 0.3, 0.45, 0.8, 1.0])
    found = profile(positions=at, losses=1 - 5 * (at - 0.4) ** 2, metrics={}, standard_error=None)
    assert found.losses[found.saddle] + found.between == pytest.approx(1.0)


def test_a_polyline_goes_by_its_length() -> None:
    line = made().geometry
    assert line.length == pytest.approx(11.0)
    assert_allclose(line.segments, [5.0, 6.0])
    assert_allclose(line.at(5 / 11), [3.0, 4.0], rtol=1e-6)
    assert_allclose(line.at(8 / 11), [3.0, 7.0], rtol=1e-6)
    assert_allclose(line.cosines, [0.8])
    assert line.at(1.0).tolist() == [3.0, 10.0]
    with pytest.raises(ValueError, match=r"position 1\.2"):
        line.at(1.2)


def test_a_bezier_curve_goes_by_its_length_and_like_de_casteljau() -> None:
    points = np.array([[0.0, 0.0], [1.0, 3.0], [4.0, -1.0], [5.0, 1.0]])
    curve = Curve(points, "bezier")

    def casteljau(t: float) -> Any:
        row = points
        while len(row) > 1:
            row = (1 - t) * row[:-1] + t * row[1:]
        return row[0]

    dense = np.array([casteljau(t) for t in np.linspace(0, 1, 20001)])
    steps = np.linalg.norm(np.diff(dense, axis=0), axis=1)
    assert curve.length == pytest.approx(steps.sum(), rel=1e-7)
    shares = np.concatenate([[0], np.cumsum(steps)]) / steps.sum()
    for position in (0.0, 0.1, 0.37, 0.5, 0.9, 1.0):
        there = dense[np.searchsorted(shares, position)]
        assert_allclose(curve.at(position), there, atol=1e-3)
    straight = Curve(points[[0, 3]], "bezier")
    assert_allclose(straight.at(0.3), 0.7 * points[0] + 0.3 * points[3], rtol=1e-12)
    assert straight.length == pytest.approx(np.linalg.norm(points[3] - points[0]))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 to 1"):
        profile(positions=[0.0, 0.25, 0.5, 0.9])
    with pytest.raises(ValueError, match="losses has shape"):
        profile(losses=[1.0, 2.0])
    with pytest.raises(ValueError, match="two rows or more"):
        made(points=np.zeros((1, 2)))
    with pytest.raises(ValueError, match="read-only"):
        made().points[0, 0] = 1


def test_it_says_what_matters() -> None:
    text = repr(made())
    assert "Path, autoneb: 1 point between the two models" in text
    assert "barrier 1 +- 0.15" in text
    assert "excess 1.75" in text
    assert "error: 0.1 and 0.3 at the ends" in text
    assert "gradient norms 0.1 and 0.2" in text


def test_it_is_drawn_with_its_chord_and_another_path() -> None:
    axes = made(test=None).plot(beside=made(method="linear"))
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["linear", "train"]
    drawn = [np.asarray(line.get_xydata()).tolist() for line in axes.lines]
    assert [[0.0, 1.0], [1.0, 2.0]] in drawn
    assert "barrier 1, excess 1.75" in axes.get_title()

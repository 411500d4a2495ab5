"""The result of surface.trust(): derived numbers, and the sentences of its verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from result_examples import make_run

import landscape
from landscape import Trust


def make_trust(**changes: Any) -> Trust:
    rises = np.arange(1.0, 7.0)[:, None, None] * np.ones((6, 2, 4))
    rises[:, 0] *= 0.25
    values: dict[str, Any] = {
        "radii": [0.5, 1.0],
        "rises": rises[[2, 0, 1, 3, 4, 5]],
        "plane_seeds": (1, 2, 3, 4, 5),
        "centre_loss": 0.5,
        "loss_range": (0.4, 9.0),
        "dim": 100,
        "slice_curvature": [[2.0, 0.0], [0.0, 1.0]],
        "cosine": 0.0,
        "eigenvalues": [10.0, -0.01],
        "residuals": [0.1, 0.02],
        "eigenvalue_errors": [0.01, 0.02],
        "mean_curvature": 1.2,
        "mean_curvature_error": 0.1,
        "gradient_norm": 2.0,
        "plane_gradient_norm": 0.5,
        "descent_gain": 0.001,
        "interpolation_error": (0.01, 0.03),
        "interpolation_scale": "loss",
        "interpolation_source": "held-out points",
        "products": 30,
        "status": "complete",
        "run": make_run(),
    }
    return Trust(**{**values, **changes})


def says(trust: Trust, text: str) -> bool:
    return text in " ".join(trust.verdict)


def test_derived_numbers() -> None:
    trust = make_trust()
    assert trust.rank == 3
    others = np.array([1.0, 2.0, 4.0, 5.0, 6.0])
    spread = others.std(ddof=1)
    assert trust.spread == pytest.approx(spread / 3.6)
    half = 2.776445 * spread * np.sqrt(1.2)
    assert trust.typical_range == pytest.approx((3.6 - half, 3.6 + half))
    assert trust.curvature_share == pytest.approx(0.2)
    assert trust.gradient_share == 0.25
    assert trust.outside_share is None
    skewed = make_trust(slice_curvature=[[2.0, 1.0], [1.0, 2.0]], cosine=0.5)
    assert skewed.plane_eigenvalues == pytest.approx([2.0, 2.0])  # H = 2 on the plane


def test_the_typical_range_holds_its_probability() -> None:
    """Of normal rises, 95% of planes are typical: 3,000 draws, five standard errors."""
    draws = np.random.default_rng(0).normal(5.0, 1.0, (3000, 6))
    hits = 0
    for row in draws:
        limits = make_trust(radii=[1.0], rises=row[:, None, None]).typical_range
        assert limits is not None
        hits += limits[0] <= row[0] <= limits[1]
    assert abs(hits / 3000 - 0.95) < 5 * np.sqrt(0.95 * 0.05 / 3000)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "The plane is typical: at the edge the loss rises by 3 on average"),
        ({"slice_curvature": np.eye(2) * 0.3}, "3% of the largest curvature: sharp directions"),
        ({}, "20% of the largest curvature: valleys are up to 2.2 times as narrow"),
        ({"slice_curvature": np.eye(2) * 9.0}, "contains a direction about as sharp as any"),
        ({"slice_curvature": -np.eye(2)}, "shows 0% of the largest curvature"),
        ({"eigenvalue_errors": [4.0, 0.1]}, "largest curvature (known to within 40%): valleys"),
        ({"descent_gain": 1e-9}, "lowers the loss by <0.01%"),
        ({"eigenvalues": [10.0, -2.0]}, "curves downwards along other directions"),
        ({}, "close to critical: a gradient step lowers the loss by 0.2%"),
        ({"descent_gain": 0.1}, "gradient, of which the plane shows 25%, lowers the loss by 20%"),
        ({"interpolation_error": (0.2, 0.3)}, "may be wrong by 20% of the loss (from points twice"),
        ({"interpolation_error": (0.2, 0.3), "interpolation_source": "bound"},
         "may be wrong by 20% of the loss; lower"),
        ({"subset_error": (2.0, 3.0)}, "noise of 46% of the range"),
        ({"unavailable": {"curvature": "none"}}, "Not examined: curvature, none."),
    ],
)  # fmt: skip
def test_thresholds_become_sentences(changes: dict[str, Any], sentence: str) -> None:
    assert says(make_trust(**changes), sentence)


def test_what_is_small_is_not_said() -> None:
    rises = 5.0 + 0.1 * np.arange(6.0)[:, None, None] * np.ones((6, 2, 4))
    trust = make_trust(subset_error=(0.1, 0.2), eigenvalues=[10.0, -0.015], rises=rises)
    for words in ("wrong by", "noise", "downwards", "differ much", "Not examined"):
        assert not says(trust, words)
    with_negative_plane = make_trust(
        eigenvalues=[10.0, -2.0], slice_curvature=[[2.0, 0.0], [0.0, -1.0]]
    )
    assert not says(with_negative_plane, "downwards")


def test_planes_out_of_the_range_and_far_apart() -> None:
    rises = make_trust().rises
    assert rises is not None
    high = np.concatenate([50 * np.ones_like(rises[:1]), rises[1:]])
    assert says(make_trust(rises=high), "not typical")
    assert says(make_trust(rises=high), "higher than 95%")
    assert says(make_trust(rises=-high), "lower than 95%")
    assert says(make_trust(), "Random planes differ much (by 58%")
    endless = high.copy()
    endless[2, 1, 0] = np.inf
    assert says(make_trust(rises=endless), "not all finite")


def test_trajectories_are_judged() -> None:
    path: dict[str, Any] = {
        "checkpoint_losses": [1.0, 2.0, 4.0],
        "plane_losses": [1.0, 4.0, np.nan],
        "distances": [3.0, 2.0, 0.0],
        "outside": [0.5, 0.5, 0.0],
    }
    trust = make_trust(**path)
    assert trust.outside_share == pytest.approx(0.5 / 13)
    assert says(trust, "close to the plane: 3.8%")
    assert says(trust, "1.4 times as large in the median")
    assert not says(make_trust(**{**path, "plane_losses": [1.0, 2.0, 4.0]}), "times as large")
    assert says(make_trust(**{**path, "outside": [2.0, 2.0, 0.0]}), "far from the plane")


def test_a_trust_is_saved_and_printed(tmp_path: Path) -> None:
    for trust in (
        make_trust(unavailable={"trajectory": "moved"}, subset_error=(0.1, 0.2)),
        make_trust(radii=None, rises=None, plane_seeds=(), slice_curvature=None, eigenvalues=None),
    ):
        trust.save(tmp_path / "trust")
        assert landscape.load(tmp_path / "trust").equals(trust)
        assert "Trust in a plane of 100 dimensions" in repr(trust)


@pytest.mark.parametrize(
    "changes",
    [{"rises": np.ones((5, 2, 4))}, {"eigenvalues": [1.0]}, {"checkpoint_losses": [1.0],
                                                             "outside": [1.0, 2.0]}],
)  # fmt: skip
def test_shapes_must_fit(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has shape"):
        make_trust(**changes)

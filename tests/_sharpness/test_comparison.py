"""Several models side by side: tables, ranks, correlations, views, resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quadratic_models import blobs, relu_mlp, rescaled
from scipy.stats import kendalltau
from torch import nn
from untouched import untouched

import landscape
from landscape._results.rank_correlation import granulated_tau, kendall_tau
from landscape._sharpness import comparison as module

MEASURES = ["sam", "adaptive_sam", "norms"]


def models(count: int) -> dict[str, nn.Module]:
    return {f"seed {seed}": relu_mlp(seed=seed) for seed in range(count)}


def test_a_comparison_has_the_numbers_of_each_model_alone(tmp_path: Path) -> None:
    given, data = models(3), blobs()
    with untouched(given["seed 0"]):
        found = landscape.compare(
            given, data, measures=MEASURES, test=data, points=5, engine="torch"
        )
    for name, model in given.items():
        alone = landscape.sharpness(model, data, measures=MEASURES, engine="torch")
        for measure in MEASURES:
            assert found[name][measure].value == alone[measure].value
    assert list(found) == list(given)
    assert found.measures == (*MEASURES, "generalisation_gap")
    assert set(found.profiles) == set(given)
    assert set(found.lines) == {"seed 0, seed 1", "seed 0, seed 2", "seed 1, seed 2"}
    line = found.lines["seed 0, seed 1"]
    at_the_ends = np.interp([0.0, 1.0], line.positions, line.losses)
    assert at_the_ends == pytest.approx([found[n].loss for n in ("seed 0", "seed 1")], rel=1e-3)
    assert line.test is not None
    values = found.values("sam")
    ranks = found.ranks("sam")
    assert [ranks[name] for name in found] == (values.argsort().argsort() + 1).tolist()
    text = repr(found)
    assert all(part in text for part in (*given, *found.measures, "line seed 0, seed 1"))
    found.save(tmp_path / "comparison.npz")
    assert landscape.load(tmp_path / "comparison.npz").equals(found)
    frame = found.to_pandas()
    assert frame.loc[("sam", "seed 1"), "value"] == values[1]
    assert len(frame) == 3 * 4


def test_kendalls_tau_is_that_of_scipy() -> None:
    draw = np.random.default_rng(0)
    for size in (3, 8, 30):
        x, y = draw.integers(0, 9, size).astype(float), draw.normal(size=size)
        y = 0.3 * x + np.round(y, 1)
        assert kendall_tau(x, y) == pytest.approx(kendalltau(x, y).statistic, abs=1e-12)
    assert np.isnan(kendall_tau(np.ones(4), np.arange(4.0)))


def test_a_measure_that_tracks_one_hyperparameter_has_a_small_granulated_tau() -> None:
    draw = np.random.default_rng(1)
    rows = [{"width": w, "seed": s} for w in (1, 2, 3, 4) for s in range(5)]
    width = np.array([float(row["width"]) for row in rows])
    noise = draw.normal(size=(2, len(rows))) * 0.1
    measure, gap = width + noise[0], width + noise[1]
    assert kendall_tau(measure, gap) > 0.7
    found = granulated_tau(measure, gap, rows)
    assert found["width"] == pytest.approx(1.0)
    assert abs(found["seed"]) < 0.4
    # by hand: the mean over widths of tau over seeds
    groups = [kendall_tau(measure[width == w], gap[width == w]) for w in (1, 2, 3, 4)]
    assert found["seed"] == pytest.approx(np.mean(groups))


def test_correlations_have_intervals_and_the_control_moves_what_is_not_invariant() -> None:
    data = blobs()
    given = {f"{i}": rescaled(relu_mlp(seed=i), seed=i) if i % 2 else relu_mlp(seed=i) for i in
             range(6)}  # fmt: skip
    settings = {name: {"odd": int(name) % 2} for name in given}
    found = landscape.compare(
        given, data, measures=[*MEASURES, "margin"], views=[], control="rescaling",
        hyperparameters=settings, engine="torch",
    )  # fmt: skip
    rows = {row.measure: row for row in found.correlations("margin")}
    assert list(rows) == sorted(rows, key=lambda name: -abs(rows[name].tau))
    for row in rows.values():
        assert row.models == 6
        assert -1 <= row.interval[0] <= row.tau <= row.interval[1] <= 1
        assert set(row.by_hyperparameter) == {"odd"}
    assert rows["adaptive_sam"].rescaled_tau == pytest.approx(rows["adaptive_sam"].tau)
    for name in given:
        one, other = found[name], found.rescaled[name]
        assert float(one["adaptive_sam"]) == pytest.approx(float(other["adaptive_sam"]), rel=1e-5)
        assert float(one["norms"]) != pytest.approx(float(other["norms"]), rel=1e-2)
    with pytest.raises(KeyError, match="there is no measure 'trace'"):
        found.correlations("trace")


def test_two_models_have_no_rank_correlation() -> None:
    found = landscape.compare(models(2), blobs(), measures=["norms", "margin"], views=[])
    with pytest.raises(ValueError, match="compare three or more"):
        found.correlations("margin")


def test_a_comparison_resumes_model_by_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, data, file = models(3), blobs(), tmp_path / "run.npz"
    options: dict[str, Any] = {"measures": MEASURES, "points": 5, "views": ["profiles"],
                               "engine": "torch"}  # fmt: skip
    whole = landscape.compare(given, data, **options)
    calls: list[str] = []
    own = module._Comparer.measure

    def stop_at_the_last(self: Any, name: str) -> None:
        calls.append(name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        own(self, name)

    monkeypatch.setattr(module._Comparer, "measure", stop_at_the_last)
    part = landscape.compare(given, data, resume=file, interrupt="return", **options)
    assert list(part) == ["seed 0", "seed 1"]
    assert part.run.status.startswith("interrupted: 1 of 3 models")
    found = landscape.compare(given, data, resume=file, **options)
    assert calls == ["seed 0", "seed 1", "seed 2", "seed 2"]
    for name in given:
        assert found[name].measures[0].value == whole[name].measures[0].value
        assert np.array_equal(found.profiles[name].losses, whole.profiles[name].losses)
    with pytest.raises(ValueError, match="holds another computation"):
        landscape.compare(given, data, resume=file, **{**options, "points": 7})


def test_surfaces_and_arguments_of_each_model() -> None:
    given, data = models(2), blobs()
    initial = {name: np.zeros(landscape.Objective(m, data).dim) for name, m in given.items()}
    found = landscape.compare(
        given,
        data,
        measures=["distance_from_initialisation", "norms"],
        views=["surfaces"],
        points=3,
        initial={"seed 1": initial["seed 1"]},
    )
    assert found.surfaces["seed 0"].losses.shape == (3, 3)
    assert not found["seed 0"]["distance_from_initialisation"].is_applicable
    assert found["seed 1"]["distance_from_initialisation"].value == found["seed 1"]["norms"].value


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"models": [relu_mlp()]}, TypeError, "expected a mapping of names to modules"),
        ({"models": models(1)}, ValueError, "expected two or more"),
        ({"views": ["profile"]}, ValueError, "expected some of profiles"),
        ({"control": "permutation"}, ValueError, "expected 'none' or 'rescaling'"),
        ({"hyperparameters": {"seed 0": {}}}, ValueError, "one mapping for each"),
        ({"initial": {"other": 3}}, ValueError, "'other' is none of them"),
        ({"interrupt": "stop"}, ValueError, "expected 'raise' or 'return'"),
    ],
)
def test_bad_arguments_are_refused(options: Any, error: type[Exception], text: str) -> None:
    arguments = {"models": models(2), "measures": ["norms"], **options}
    with pytest.raises(error, match=text):
        landscape.compare(arguments.pop("models"), blobs(), **arguments)

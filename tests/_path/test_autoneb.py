"""AutoNEB: against a naive band, on both engines, interrupted and resumed."""

from __future__ import annotations

import copy
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import seeded
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from path_models import DATA, two
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from torch import nn
from untouched import untouched

import landscape
from landscape import _core
from landscape._path.methods import parse_method
from landscape._runs import checkpoint

Points = NDArray[np.float64]
CYCLES = [(6, 0.05), (6, 0.02)]
SHORT: dict[str, Any] = {
    "method": landscape.AutoNEB(CYCLES),
    "points": 13,
    "batch_size": 16,
}
pytestmark = pytest.mark.filterwarnings("ignore:the barrier:UserWarning")


class Bowls:
    """Two minima of a sum of cosines and a bowl, in batches that tilt it differently."""

    batches = 3
    tilts = np.array([[0.3, -0.2, 0.1], [-0.1, 0.4, 0.0], [-0.2, -0.2, -0.1]])

    def losses(self, points: Points) -> Points:
        bowl: Points = 0.5 * (points[:, 1:] ** 2 + points[:, 1:] ** 4).sum(1)
        return np.cos(2 * points[:, 0]) + bowl

    def gradients_on(self, points: Points, batches: Sequence[int]) -> tuple[Points, Points]:
        slopes = points + 2 * points**3
        slopes[:, 0] = -2 * np.sin(2 * points[:, 0])
        tilt = self.tilts[list(batches)]
        return self.losses(points) + (points * tilt).sum(1), slopes + tilt


class NaiveBand:
    """The same algorithm, one pivot after the other: no insertion, bands spread in one pass."""

    def __init__(self, first: Points, last: Points, pivots: int) -> None:
        shares = np.linspace(0, 1, pivots + 2)[:, None]
        self.band = (1 - shares) * first + shares * last
        self.velocity = np.zeros_like(self.band[1:-1])
        self.energies = Bowls().losses(self.band)

    def tangent(self, i: int) -> Points:
        up, down = self.band[i + 1] - self.band[i], self.band[i] - self.band[i - 1]
        before, here, after = self.energies[i - 1 : i + 2]
        if after > here > before:
            found = up
        elif after < here < before:
            found = down
        else:
            high, low = abs(after - here), abs(here - before)
            high, low = max(high, low), min(high, low)
            found = up * high + down * low if after > before else up * low + down * high
        unit: Points = found / np.linalg.norm(found)
        return unit

    def step(self, batches: Sequence[int], rate: float, spring: float) -> None:
        losses, slopes = Bowls().gradients_on(self.band[1:-1], batches)
        self.energies[1:-1] = 0.9 * self.energies[1:-1] + 0.1 * losses
        forces = []
        for i, slope in enumerate(slopes, start=1):
            along = self.tangent(i)
            after = np.linalg.norm(self.band[i + 1] - self.band[i])
            before = np.linalg.norm(self.band[i] - self.band[i - 1])
            forces.append(-slope + (slope @ along + spring * (after - before)) * along)
        self.velocity = 0.9 * self.velocity + np.array(forces)
        self.band[1:-1] += rate * self.velocity


def band(**changes: Any) -> _core.AutoNeb:
    options: dict[str, Any] = {
        "cycles": [(25, 0.02)],
        "rule": 0.9,
        "spring": 2.0,
        "climb": 0,
        "tolerance": 0.0,
        "pivots": 4,
        "max_pivots": 4,
        "insertion": 0.2,
        "between": 3,
        "seed": 7,
    }
    first, last = np.array([-1.6, 0.3, -0.2]), np.array([1.5, -0.4, 0.5])
    return _core.AutoNeb(Bowls(), first, last, **{**options, **changes})


def test_a_naive_band_goes_the_same_way() -> None:
    asked: list[list[int]] = []

    class Spied(Bowls):
        def gradients_on(self, points: Points, batches: Sequence[int]) -> tuple[Points, Points]:
            asked.append(list(batches))
            return super().gradients_on(points, batches)

    ours = band()
    naive = NaiveBand(ours.band()[0], ours.band()[-1], 4)
    assert ours.run(Spied(), lambda *_: True)
    assert len(asked) == 25
    for batches in asked:
        naive.step(batches, 0.02, 2.0)
    assert_allclose(ours.band(), naive.band, rtol=1e-12, atol=1e-14)
    drawn = [batch for step in asked for batch in step]
    epochs = [sorted(drawn[i : i + 3]) for i in range(0, 99, 3)]
    assert epochs == [[0, 1, 2]] * 33


def test_both_engines_find_the_same_band() -> None:
    a, b = two()
    found = [
        landscape.connect(a, b, DATA, engine=engine, **SHORT) for engine in ("torch", "native")
    ]
    assert_allclose(found[0].points, found[1].points, rtol=1e-7, atol=1e-9)
    assert_allclose(found[0].losses, found[1].losses, rtol=1e-8)
    assert found[1].run.engine == "native"


def test_the_path_is_lower_than_the_line_and_tells_how_it_was_found() -> None:
    a, b = two()
    with untouched(a), untouched(b):
        path = landscape.connect(
            a, b, DATA, method=landscape.AutoNEB([(40, 0.05), (40, 0.01)]), batch_size=20
        )
    straight = landscape.barrier(a, b, DATA)
    assert path.excess < 0.5 * straight.excess
    assert path.length > path.distance
    assert path.history[:, 0].tolist() == [0, 40, 80]
    assert path.history[-1, 2] < path.history[0, 2]
    assert len(path.cosines) == len(path.points) - 2
    assert (np.abs(path.cosines) <= 1).all()
    lengths = path.geometry.segments
    assert lengths.max() / lengths.min() <= 1.1
    assert "3 mini-batches" in repr(path)
    assert_allclose(path.points[0], landscape.Objective(a, DATA).theta)
    surface = path.surface(points=5)
    assert surface.recipe.trajectory is not None
    assert len(surface.recipe.trajectory) == len(path.points)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("stop", [1, 5, 8, 12])
def test_a_killed_run_goes_on_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, optimizer: Any
) -> None:
    monkeypatch.setattr(checkpoint, "_SAVE_INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint, "_MAX_OVERHEAD", 0)
    a, b = two()
    method = landscape.AutoNEB(CYCLES, optimizer=optimizer)
    options: dict[str, Any] = {**SHORT, "engine": "torch", "method": method}
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
    assert again.history.tobytes() == whole.history.tobytes()
    with pytest.raises(ValueError, match="another computation"):
        landscape.connect(
            a, b, DATA, **{**options, "method": replace(method, pivots=2)}, resume=file
        )


def test_an_interrupt_can_return_the_best_band() -> None:
    a, b = two()

    def press(done: int, most: int) -> None:
        if done == 9:
            signal.raise_signal(signal.SIGINT)

    path = landscape.connect(a, b, DATA, **SHORT, progress=press, interrupt="return")
    assert path.status.startswith("interrupted after")
    assert path.history[-1, 2] <= path.history[0, 2]


class Cliff(nn.Module):
    """A loss that is not a number beyond a cliff."""

    def __init__(self, x: float) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.tensor([x, 0.0], dtype=torch.float64))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        across = torch.where(self.x[1] > -0.5, self.x[1], torch.nan)
        value = (self.x[0] ** 2 - 1) ** 2 + across * (2 + self.x[0])
        return value.expand(len(inputs), 1)


def test_numbers_that_are_not_finite_stop_the_band_and_keep_the_last_good_one() -> None:
    data = torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)

    def itself(outputs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return outputs.mean()

    method = landscape.AutoNEB([(50, 0.05)], optimizer="sgd")
    options: dict[str, Any] = {"method": method, "loss": itself}
    with pytest.raises(FloatingPointError, match=r"pivot \d of 5, in cycle 1 after \d+ steps"):
        landscape.connect(Cliff(-1.0), Cliff(1.0), data, **options)
    path = landscape.connect(Cliff(-1.0), Cliff(1.0), data, **options, interrupt="return")
    assert path.status.startswith("stopped: at pivot")
    assert np.isfinite(path.losses).all()
    assert (path.points[:, 1] > -0.5).all()
    assert path.points[:, 1].min() < -0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cycles": []}, "cycles"),
        ({"cycles": [(0, 0.1)]}, "cycles"),
        ({"cycles": [(5, -0.1)]}, "cycles"),
        ({"optimizer": "adamw"}, "optimizer='adamw'"),
        ({"pivots": 0}, "pivots=0"),
        ({"pivots": 5, "max_pivots": 4}, "max_pivots=4"),
        ({"spring": 0.0}, "spring=0"),
        ({"insertion": -1}, "insertion=-1"),
    ],
)
def test_options_out_of_range_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        landscape.AutoNEB(**change)


def test_an_unknown_interrupt_is_refused() -> None:
    a, b = two()
    with pytest.raises(ValueError, match="interrupt='stop'"):
        landscape.connect(a, b, DATA, **SHORT, interrupt="stop")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"spring": 1.0}, r"spring= is an option of a path method; pass .*AutoNEB\(spring="),
        ({"control_points": 2}, r"landscape\.Bezier\(.* or landscape\.Polychain\(control_points="),
        ({"cycles": [(5, 0.1)]}, r"AutoNEB\(cycles=.*Bezier\(cycles=.*Polychain\(cycles="),
    ],
)
def test_a_loose_option_names_the_class_it_belongs_to(option: dict[str, Any], message: str) -> None:
    a, b = two()
    with pytest.raises(TypeError, match=message):
        landscape.connect(a, b, DATA, **option)
    with pytest.raises(TypeError, match=message):
        landscape.connect_all([a, b], DATA, **option)


def test_a_name_means_the_defaults_of_a_method() -> None:
    assert parse_method("autoneb") == landscape.AutoNEB()
    assert parse_method("bezier") == landscape.Bezier()
    assert parse_method("polychain") == landscape.Polychain()
    assert parse_method("linear") == landscape.Linear()
    with pytest.raises(TypeError, match=r"method is a dict, expected .*landscape\.AutoNEB"):
        parse_method({"pivots": 3})  # type: ignore[arg-type]


def trained(width: int) -> tuple[landscape.Objective, Points]:
    """Two minima of a tanh network on 500 digits, with a gradient of at most 1e-4."""
    digits = load_digits()
    data = torch.tensor(digits.data[:500]) / 16, torch.tensor(digits.target[:500])
    ends, model = [], nn.Module()
    for seed in (0, 1):
        model = seeded(
            lambda: nn.Sequential(nn.Linear(64, width), nn.Tanh(), nn.Linear(width, 10)), seed
        ).double()
        objective = landscape.Objective(model, data, weight_decay=1e-3, engine="native")

        def both(theta: Points, given: landscape.Objective = objective) -> tuple[float, Points]:
            losses, slopes = given.gradients(theta[None])
            return losses[0], slopes[0]

        limits = {"maxiter": 5000, "maxfun": 9000, "ftol": 0, "gtol": 5e-6, "maxcor": 30}
        found = minimize(both, objective.theta, jac=True, method="L-BFGS-B", options=limits)
        assert np.linalg.norm(found.jac) <= 1e-4
        ends.append(found.x)
    model.load_state_dict(objective.layout.unflatten(ends[0]))
    return landscape.Objective(model, data, weight_decay=1e-3, engine="native"), ends[1]


def test_wide_networks_are_connected_and_narrow_ones_are_not() -> None:
    ratios = {}
    for width in (2, 3, 4, 8, 32):
        objective, end = trained(width)
        straight = landscape.barrier(objective, end, points=31)
        path = landscape.connect(
            objective,
            end,
            method=landscape.AutoNEB([(150, 0.02), (150, 0.02), (150, 0.005)]),
            points=31,
        )
        ratios[width] = path.excess / straight.excess
    assert ratios[32] <= 0.02
    assert ratios[32] < ratios[3]
    assert min(ratios[2], ratios[3], ratios[4]) > 5 * ratios[32]


def test_a_search_that_finds_nothing_better_than_the_line_says_so() -> None:
    a, b = two()
    for method in (
        landscape.AutoNEB(cycles=[(1, 1e-9)]),
        landscape.Bezier(cycles=[(1, 1e-9)]),
    ):
        path = landscape.connect(a, b, DATA, method=method, points=9)
        assert "nothing better than the straight line was found" in repr(path)
        assert "whose barrier is" in repr(path)
    better = landscape.connect(a, b, DATA, method=landscape.AutoNEB(cycles=[(40, 0.05)]), points=9)
    assert better.barrier < landscape.barrier(a, b, DATA, points=9).barrier
    assert "nothing better" not in repr(better)
    near = copy.deepcopy(a)
    with torch.no_grad():
        next(near.parameters()).add_(1e-3)
    path = landscape.connect(a, near, DATA, method=landscape.AutoNEB(cycles=[(1, 1e-3)]), points=9)
    assert "which has no barrier either" in " ".join(repr(path).split())

"""Walks: in the null space of linear regression, on both engines, resumed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, seeded
from numpy.testing import assert_allclose
from path_models import DATA, two
from torch import nn
from untouched import untouched

import landscape
from landscape._runs import checkpoint


def regression() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """12 weights, 7 samples, solved exactly: a null space of 5 dimensions."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(7, 12, generator=generator, dtype=torch.float64)
    targets = torch.randn(7, 1, generator=generator, dtype=torch.float64)
    model = nn.Linear(12, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_((torch.linalg.pinv(inputs) @ targets).T)
    return model, (inputs, targets)


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_in_underdetermined_regression_the_walk_stays_in_the_null_space(engine: Any) -> None:
    model, data = regression()
    with untouched(model):
        found = landscape.walk(model, data, distance=3.0, tolerance=1e-9, engine=engine)
    assert found.ending == "reached"
    assert found.distances[-1] == pytest.approx(3.0)
    off = (found.points - found.points[0]) @ data[0].numpy().T
    assert np.abs(off).max() <= 1e-10
    assert np.abs(found.losses - found.losses[0]).max() <= 1e-18
    assert found.steps == 20  # straight on, each step a twentieth
    assert np.abs(found.curvatures).max() <= 1e-10 * found.scales.max()


def test_every_point_of_a_network_is_within_the_tolerance() -> None:
    a, _ = two()
    objective = landscape.Objective(a, DATA)
    found = landscape.walk(
        a, DATA, distance=1.0, tolerance=0.02, flat_tolerance=0.02, engine="torch"
    )
    for point, loss in zip(found.points, found.losses, strict=True):
        assert objective.loss(point) == pytest.approx(loss, rel=1e-9)
        assert loss <= found.losses[0] + 0.02
    apart = np.linalg.norm(found.points - found.points[0], axis=1)
    assert_allclose(found.distances, apart, rtol=1e-9, atol=1e-12)
    assert found.distances[-1] > 0.3
    assert (np.abs(found.curvatures) <= 0.02 * found.scales + 1e-12).all()


def test_both_engines_go_the_same_way() -> None:
    model = seeded(mlp).double()
    data = classes(40, dtype=torch.float64)
    walks = [
        landscape.walk(
            model, data, distance=0.3, tolerance=0.1, flat_tolerance=0.05, max_steps=4, engine=e
        )
        for e in ("torch", "native")
    ]
    assert_allclose(walks[0].points, walks[1].points, rtol=1e-6, atol=1e-8)


def test_a_killed_walk_goes_on_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_SAVE_INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint, "_MAX_OVERHEAD", 0)
    model, data = regression()
    options: dict[str, Any] = {"distance": 3.0, "tolerance": 1e-9, "engine": "torch"}
    whole = landscape.walk(model, data, **options)

    def stop(done: int, most: int) -> None:
        if done == 7:
            raise ZeroDivisionError

    file = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        landscape.walk(model, data, **options, resume=file, progress=stop)
    again = landscape.walk(model, data, **options, resume=file)
    assert again.points.tobytes() == whole.points.tobytes()
    assert again.losses.tobytes() == whole.losses.tobytes()
    with pytest.raises(ValueError, match="another computation"):
        landscape.walk(model, data, **{**options, "distance": 4.0}, resume=file)


def test_an_interrupt_can_return_what_there_is(tmp_path: Path) -> None:
    model, data = regression()

    def press(done: int, most: int) -> None:
        if done == 3:
            signal.raise_signal(signal.SIGINT)

    found = landscape.walk(
        model, data, distance=3.0, tolerance=1e-9, progress=press, interrupt="return"
    )
    assert found.ending == "interrupted"
    assert 2 <= found.steps <= 4
    found.save(tmp_path / "walk.npz")
    again = landscape.load(tmp_path / "walk.npz")
    assert isinstance(again, landscape.Walk)
    assert again.equals(found)
    assert repr(again) == repr(found)
    axes = found.plot()
    assert_allclose(np.asarray(axes.lines[0].get_ydata()), found.losses)


def test_without_a_flat_direction_it_says_so() -> None:
    model = nn.Linear(2, 1, bias=False).double()
    data = torch.eye(2, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
    found = landscape.walk(model, data, distance=1.0, tolerance=0.1)
    assert found.ending == "stalled"
    assert "no direction is flat" in found.status


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance": 0.0}, "distance=0"),
        ({"stride": -1.0}, "stride=-1"),
        ({"tolerance": float("nan")}, "tolerance=nan"),
        ({"krylov": 0}, "krylov=0"),
        ({"memory_budget": 100}, "lower max_steps or krylov"),
    ],
)
def test_options_out_of_range_are_named(change: dict[str, Any], message: str) -> None:
    model, data = regression()
    with pytest.raises(ValueError, match=message):
        landscape.walk(model, data, **{"distance": 1.0, "tolerance": 0.1, **change})

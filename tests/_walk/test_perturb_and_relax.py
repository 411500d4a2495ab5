"""One parameter shifted and frozen: against least squares with one coefficient fixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp
from numpy.testing import assert_allclose
from torch import nn
from untouched import untouched

import landscape
from landscape._runs import checkpoint


def regression(samples: int = 20) -> tuple[nn.Module, Any]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(samples, 6, generator=generator, dtype=torch.float64)
    targets = torch.randn(samples, 1, generator=generator, dtype=torch.float64)
    model = nn.Linear(6, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.linalg.lstsq(inputs, targets).solution.T)
    return model, (inputs, targets)


def fixed(data: Any, place: int, value: float) -> tuple[float, np.ndarray[Any, Any]]:
    """Least squares with one coefficient fixed: the mean loss, and all coefficients."""
    x, y = (part.numpy() for part in data)
    others = [k for k in range(x.shape[1]) if k != place]
    rest = y[:, 0] - value * x[:, place]
    found = np.full(x.shape[1], value)
    found[others] = np.linalg.lstsq(x[:, others], rest, rcond=None)[0]
    return float(np.mean((x @ found - y[:, 0]) ** 2)), found


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_the_others_go_where_least_squares_says(engine: Any) -> None:
    model, data = regression()
    with untouched(model):
        found = landscape.perturb_and_relax(
            model, data, parameter="weight", index=(0, 2), shifts=[0.5, -1.0], engine=engine
        )
    start = model.get_parameter("weight").detach().numpy()[0]
    assert found.shifts.tolist() == [0.0, 0.5, -1.0]
    assert found.moved[0] == pytest.approx(0, abs=1e-6)
    for k, shift in enumerate(found.shifts):
        loss, coefficients = fixed(data, 2, start[2] + shift)
        assert found.relaxed[k] == pytest.approx(loss, rel=1e-9)
        assert_allclose(found.points[k], coefficients, atol=1e-6)
        assert found.points[k][2] == start[2] + shift
        moved = start.copy()
        moved[2] += shift
        straight = np.mean((data[0].numpy() @ moved - data[1].numpy()[:, 0]) ** 2)
        assert found.shifted[k] == pytest.approx(straight)
    assert found.continues.tolist() == [True, False, False]
    assert "ends" in repr(found)


def test_where_there_are_more_parameters_than_samples_the_minimum_goes_on() -> None:
    model, data = regression(samples=4)
    found = landscape.perturb_and_relax(model, data, parameter="weight", index=(0, 1), shifts=2.0)
    assert found.continues.all()
    assert found.shifted[1] > 0.1
    assert found.relaxed[1] < 1e-10


def test_a_killed_run_goes_on_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_SAVE_INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint, "_MAX_OVERHEAD", 0)
    model, data = mlp().double(), classes(30, dtype=torch.float64)
    options: dict[str, Any] = {"parameter": "0.weight", "index": (1, 2), "shifts": [0.1, 0.2]}
    options |= {"max_steps": 4, "engine": "torch"}
    whole = landscape.perturb_and_relax(model, data, **options)

    def stop(done: int, most: int) -> None:
        if done == 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        landscape.perturb_and_relax(model, data, **options, resume=tmp_path / "run", progress=stop)
    again = landscape.perturb_and_relax(model, data, **options, resume=tmp_path / "run")
    assert again.points.tobytes() == whole.points.tobytes()
    assert again.relaxed.tobytes() == whole.relaxed.tobytes()
    again.save(tmp_path / "relaxation.npz")
    loaded = landscape.load(tmp_path / "relaxation.npz")
    assert isinstance(loaded, landscape.Relaxation)
    assert loaded.equals(again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameter": "bias"}, "'bias' does not vary"),
        ({"index": (0, 6)}, r"index=\(0, 6\)"),
        ({"index": 3}, "index=3"),
        ({"shifts": float("inf")}, "expected finite shifts"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], message: str) -> None:
    model, data = regression()
    given = {"parameter": "weight", "index": (0, 1), "shifts": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        landscape.perturb_and_relax(model, data, **given)

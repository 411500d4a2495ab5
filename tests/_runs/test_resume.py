"""A killed run resumes from its checkpoint, with the same bits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import nn

import landscape
from landscape import _store
from landscape._runs import checkpoint

TESTS = Path(__file__).parents[1]
KILLED = """
import os, signal, sys
import torch
from landscape._runs import checkpoint
import landscape
sys.path.insert(0, {tests!r})
from _runs.test_resume import in_chunks

checkpoint._SAVE_INTERVAL = 0.0
checkpoint._MAX_OVERHEAD = 0

def die(done, total):
    if done > total // 2:
        os.kill(os.getpid(), signal.SIGKILL)

objective = in_chunks(8)
landscape.surface(objective, points=9, resume={path!r}, progress=die)
"""


def problem() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))
    return model, (torch.randn(64, 6), torch.arange(64) % 3)


def in_chunks(chunk: int) -> landscape.Objective:
    """The problem by PyTorch's loop, with so many points in a call of the driver."""
    objective = landscape.Objective(*problem(), engine="torch")
    strategy = landscape._objective.Strategy(chunk=chunk)
    objective.__dict__["_loss_engine"] = landscape._objective.engine.Engine(strategy)
    return objective


def test_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    script = KILLED.format(path=str(path), tests=str(TESTS))
    died = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert died.returncode == -9, died.stderr.decode()
    half = _store.read(path, "partial")
    done = len(half.arrays["values"])
    assert 0 < done < 81
    model, data = problem()
    evaluated: list[int] = []
    resumed = landscape.surface(
        model, data, points=9, resume=path, progress=lambda done, _: evaluated.append(done)
    )
    assert evaluated[0] > done  # the first half was not computed again
    whole = landscape.surface(in_chunks(8), points=9, resume=fresh_with_plan(half, tmp_path))
    assert_array_equal(resumed.losses, whole.losses)


def fresh_with_plan(half: _store.Stored, folder: Path) -> Path:
    """The same run from its beginning: the plan of the first one, and no values."""
    path = folder / "whole.npz"
    arrays = {**half.arrays, "values": half.arrays["values"][:0]}
    _store.write(path, "partial", half.record, arrays)
    return path


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whatever_stops_a_run_leaves_its_file(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    objective = in_chunks(8)

    def stop(done: int, _: int) -> None:
        if done >= 24:
            raise error

    with pytest.raises(error):
        landscape.surface(objective, points=9, resume=path, progress=stop)
    assert len(_store.read(path, "partial").arrays["values"]) == 24
    finished = landscape.surface(objective, points=9, resume=path)
    assert_array_equal(finished.losses, landscape.surface(objective, points=9).losses)
    assert finished.run.status == "complete"
    again = landscape.surface(objective, points=9, resume=path, progress=forbidden)
    assert_array_equal(again.losses, finished.losses)


def forbidden(done: int, total: int) -> None:
    raise AssertionError("a finished run was computed again")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"points": 7}, "axes is"),
        ({"seed": 5}, "directions is"),
        ({"metrics": "accuracy"}, "columns is"),
        ({"weight_decay": 0.1}, r"policy\.train\.weight_decay is 0\.0 in the file and 0\.1 here"),
    ],
)
def test_other_inputs_are_refused_with_the_difference(
    change: dict[str, Any], text: str, tmp_path: Path
) -> None:
    model, data = problem()
    path = tmp_path / "run.npz"
    landscape.surface(model, data, points=5, resume=path)
    with pytest.raises(ValueError, match=text):
        landscape.surface(model, data, **{"points": 5, **change}, resume=path)


def test_other_data_and_weights_are_refused(tmp_path: Path) -> None:
    model, (inputs, targets) = problem()
    path = tmp_path / "run.npz"
    landscape.surface(model, (inputs, targets), points=5, resume=path)
    with pytest.raises(ValueError, match="crc32"):
        landscape.surface(model, (inputs + 1, targets), points=5, resume=path)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    with pytest.raises(ValueError, match="directions is"):
        landscape.surface(model, (inputs, targets), points=5, resume=path)


def test_threads_are_those_of_the_first_run_and_another_build_is_said_so(tmp_path: Path) -> None:
    model, data = problem()
    path = tmp_path / "run.npz"
    landscape.surface(model, data, points=5, resume=path)
    stored = _store.read(path)
    plan = {**stored.record["plan"], "threads": 1}
    plan["environment"] = {**plan["environment"], "torch": "1.0"}
    arrays = {**stored.arrays, "values": stored.arrays["values"][:0]}
    _store.write(path, "partial", {**stored.record, "plan": plan}, arrays)
    before = torch.get_num_threads()
    seen: list[int] = []
    with pytest.warns(UserWarning, match=r"torch is '1\.0' in the file"):
        surface = landscape.surface(
            model,
            data,
            points=5,
            resume=path,
            progress=lambda *_: seen.append(torch.get_num_threads()),
        )
    assert set(seen) == {1}
    assert torch.get_num_threads() == before
    assert "last bits" in surface.run.status
    assert surface.run.strategy["threads"] == 1


def test_a_damaged_or_foreign_resume_file_is_refused(tmp_path: Path) -> None:
    model, data = problem()
    path = tmp_path / "run.npz"
    surface = landscape.surface(model, data, points=5, resume=path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match="cut short"):
        landscape.surface(model, data, points=5, resume=path)
    surface.save(path)
    with pytest.raises(ValueError, match="holds a surface"):
        landscape.surface(model, data, points=5, resume=path)


def test_progress_is_saved_while_the_run_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_SAVE_INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint, "_MAX_OVERHEAD", 0)
    path = tmp_path / "run.npz"
    objective = in_chunks(5)
    kept: list[int] = []

    def look(done: int, _: int) -> None:
        kept.append(len(_store.read(path).arrays["values"]) - done)

    landscape.surface(objective, points=5, resume=path, progress=look)
    assert np.array_equal(kept, np.zeros(5))


@pytest.mark.parametrize(
    "change",
    [
        {"loss": nn.CrossEntropyLoss(label_smoothing=0.5)},
        {"loss": nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))},
        {"metrics": lambda outputs, targets: outputs.mean()},
        {"dropout": "seeded"},
    ],
    ids=["smoothing", "class weights", "metric's code", "dropout"],
)
def test_a_run_goes_on_only_with_the_same_function(change: dict[str, Any], tmp_path: Path) -> None:
    _, data = problem()
    model = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3)).eval()
    options: dict[str, Any] = {
        "loss": nn.CrossEntropyLoss(),
        "metrics": lambda outputs, targets: outputs.max(),
        "points": 3,
        "resume": tmp_path / "run.npz",
    }
    landscape.surface(model, data, **options)
    landscape.surface(model, data, **options)
    with pytest.raises(ValueError, match="holds another computation"):
        landscape.surface(model, data, **{**options, **change})
    model[1].running_mean.add_(1)  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"policy\.train\.held"):
        landscape.surface(model, data, **options)

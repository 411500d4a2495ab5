"""Interrupted runs on the native network: resumed to the same bits; Ctrl-C at once."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from native_models import drawn, normalised_cnn
from numpy.testing import assert_array_equal
from torch import nn
from untouched import untouched

import landscape
from landscape import Objective, _store
from landscape._objective.native_backend import build as native_build

TESTS = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from landscape._runs import checkpoint
import landscape
from _objective.native_backend.test_native_runs import in_chunks, problem

checkpoint._SAVE_INTERVAL = 0.0
checkpoint._MAX_OVERHEAD = 0

def die(done, total):
    if done > total // 2:
        os.kill(os.getpid(), signal.SIGKILL)

objective = in_chunks(landscape.Objective(*problem(), engine="native"), 8)
landscape.surface(objective, points=9, resume={path!r}, progress=die)
"""


def problem() -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))
    return model, (torch.randn(64, 6), torch.arange(64) % 3)


def in_chunks(objective: Objective, chunk: int) -> Objective:
    """Let the driver ask for so many points at once."""
    strategy = landscape._objective.Strategy(
        kind="native" if objective.engine == "native" else "loop", chunk=chunk
    )
    objective.__dict__["_loss_engine"] = landscape._objective.engine.Engine(strategy)
    return objective


def half_done(path: Path, engine: Any) -> None:
    """A run that was stopped after 24 of 81 points."""
    objective = in_chunks(Objective(*problem(), engine=engine), 8)

    def stop(done: int, _: int) -> None:
        if done >= 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        landscape.surface(objective, points=9, resume=path, progress=stop)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    script = KILLED.format(path=str(path), tests=str(TESTS))
    died = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True)
    assert died.returncode == -9, died.stderr.decode()
    half = _store.read(path, "partial")
    assert 0 < len(half.arrays["values"]) < 81
    assert half.record["plan"]["strategies"][0]["kind"] == "native"
    resumed = landscape.surface(*problem(), points=9, resume=path)
    assert resumed.run.engine == "native"
    whole = landscape.surface(in_chunks(Objective(*problem(), engine="native"), 81), points=9)
    assert_array_equal(resumed.losses, whole.losses)


@pytest.mark.parametrize(("begun", "asked"), [("native", "torch"), ("torch", "native")])
def test_another_engine_does_not_go_on(begun: Any, asked: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    half_done(path, begun)
    before = path.read_bytes()
    text = f"begun with engine='{begun}' and engine='{asked}' was asked for"
    with pytest.raises(ValueError, match=text):
        landscape.surface(*problem(), points=9, resume=path, engine=asked)
    assert path.read_bytes() == before
    for engine in ("auto", begun):
        assert landscape.surface(*problem(), points=9, resume=path, engine=engine).run.engine == (
            begun
        )


def test_a_native_run_that_is_no_longer_possible(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "run.npz"
    half_done(path, "native")
    monkeypatch.setattr(
        native_build, "_UNSUPPORTED_BEHAVIOUR", {"overwrites_inputs": "it is another one"}
    )
    objective = Objective(*problem())
    object.__setattr__(objective._evaluator.model.behaviour, "overwrites_inputs", True)
    text = r"begun with engine='native', .* no longer possible \(model: it is another one\)"
    with pytest.raises(ValueError, match=text):
        landscape.surface(objective, points=9, resume=path)


CALLS: dict[str, Callable[[nn.Module, Any], Any]] = {
    "surface": lambda m, d: landscape.surface(m, d, points=3, engine="native"),
    "line": lambda m, d: landscape.line(m, d, points=3, engine="native", batch_norm="recalibrated"),
    "test": lambda m, d: landscape.surface(m, d, points=3, test=d, metrics="error"),
    "gradient": lambda m, d: Objective(m, d, engine="native").gradient(),
    "product": lambda m, d: Objective(m, d, engine="native", batch_norm="batch").hessian_at()(
        np.ones(sum(p.numel() for p in m.parameters()))
    ),
    "sample losses": lambda m, d: Objective(m, d, engine="native").sample_losses(
        Objective(m, d).theta[None]
    ),
    "refused": lambda m, d: Objective(m, d, nn.MultiMarginLoss(), engine="native"),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_model_is_untouched(name: str, training: bool) -> None:
    model = normalised_cnn().train(training)
    model[1].eval()  # type: ignore[index]
    model[0].weight.grad = torch.ones_like(model[0].weight)  # type: ignore[index]
    data = drawn((20, 1, 8, 8), 1), torch.arange(20) % 5
    before = [part.clone() for part in data]
    with untouched(model):
        try:
            CALLS[name](model, data)
        except ValueError:
            assert name == "refused"
    assert all(torch.equal(a, b) for a, b in zip(data, before, strict=True))


# Python cannot raise in a callback of dying objects, and says so
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_while_the_model_is_traced() -> None:
    model, data = problem()
    Objective(model, data, engine="native")  # imports what traces: no module is left half imported
    for delay in np.linspace(0.005, 0.15, 12):
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        with untouched(model):
            try:
                timer.start()
                end = time.monotonic() + 2 * delay
                while time.monotonic() < end:
                    Objective(model, data, engine="native")
                timer.join()
            except KeyboardInterrupt:
                pass
            finally:
                timer.join()


def large() -> Objective:
    """So large that a point takes some tenths of a second."""
    model = nn.Sequential(nn.Linear(256, 512), nn.Tanh(), nn.Linear(512, 512), nn.Linear(512, 10))
    return Objective(model, (torch.randn(4000, 256), torch.arange(4000) % 10), engine="native")


LONG: dict[str, Callable[[Objective], Any]] = {
    "surface": lambda o: landscape.surface(o, points=101),
    "plane": lambda o: o.subspace(None, [o.theta]).losses(np.linspace(-1, 1, 200_000)[:, None]),
    "losses": lambda o: o.losses(np.repeat(o.theta[None], 250, 0)),
    "gradients": lambda o: o.gradients(np.repeat(o.theta[None], 60, 0)),
    "sample losses": lambda o: o.sample_losses(np.repeat(o.theta[None], 250, 0)),
    "products": lambda o: o.hessian_at()(np.ones((60, o.dim))),
}


@contextmanager
def without_collections() -> Iterator[None]:
    """Python forgets an interrupt that falls upon a callback of the garbage collector.

    Other tests leave such callbacks: those of dying objects, and Hypothesis's clock.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("name", LONG)
def test_ctrl_c_stops_long_work(name: str) -> None:
    objective = large()
    objective.strategy  # noqa: B018 - measured here
    model = objective.model
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    with untouched(model), without_collections():
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            LONG[name](objective)
        timer.join()
    assert np.isfinite(objective.loss())  # and everything still works


def test_a_stopped_surface_is_kept(tmp_path: Path) -> None:
    objective, path = large(), tmp_path / "run.npz"
    objective.strategy  # noqa: B018 - measured here
    timer = threading.Timer(2.5, os.kill, (os.getpid(), signal.SIGINT))
    with without_collections():
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            landscape.surface(objective, points=101, resume=path)
        timer.join()
    kept = _store.read(path, "partial").arrays["values"]
    assert 0 < len(kept) < 101**2
    assert np.isfinite(kept).all()

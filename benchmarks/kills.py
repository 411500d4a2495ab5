"""Long calls that are killed at random moments and resumed give the numbers of one that was not.

    python benchmarks/kills.py [--kills N] [--seed N] [--calls NAME ...]

Each call runs in a forked process that is killed (SIGKILL by a timer, also while it writes its
checkpoint) and begun again, until it ends. Its result must then equal that of an uninterrupted call
in every array and every count, bit for bit; seconds and notes apart.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import landscape
from landscape._objective import Strategy
from landscape._objective.engine import Engine
from landscape._runs import checkpoint

ENGINES = ("torch", "native")
DATA = (torch.linspace(-1, 1, 360).reshape(60, 6).sin(), torch.arange(60) % 3)
BAND = landscape.AutoNEB(cycles=[(4, 0.01)] * 3, pivots=2)
CURVE = landscape.Bezier(cycles=[(8, 0.01)] * 2)
OFF = {"progress": "off"}


def make_model(seed: int) -> nn.Module:
    """A small network of three classes."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def make_objective(engine: str, seed: int = 0) -> landscape.Objective:
    """The function of one model, by a fixed strategy: a choice by the clock is another function."""
    objective = landscape.Objective(
        make_model(seed), DATA, engine=engine, batch_norm="frozen", batch_size=20
    )
    strategy = Strategy(kind="native" if engine == "native" else "loop", chunk=3)
    objective.__dict__["_loss_engine"] = Engine(strategy)
    objective.__dict__["_derivative_engine"] = Engine(strategy)
    objective.loss()
    return objective


Call = Callable[..., landscape.Result]

CALLS: Mapping[str, Call] = {
    "surface": lambda o, **k: landscape.surface(o, points=9, **k),
    "surface to a tolerance": lambda o, **k: landscape.surface(
        o, tolerance=0.02, confidence=0.95, points=9, **k
    ),
    "line": lambda o, **k: landscape.line(o, points=31, **k),
    "line to a tolerance": lambda o, **k: landscape.line(o, tolerance=0.001, **k),
    "eigenvalues": lambda o, **k: landscape.Hessian(o).eigenvalues(
        3, basis=8, tolerance=1e-7, which="both", **k
    ),
    "density": lambda o, **k: landscape.Hessian(o).density(probes=20, steps=8, **k),
    "trace": lambda o, **k: landscape.Hessian(o).trace(relative_error=0.1, **k),
    "critical point": lambda o, **k: landscape.find_critical_point(
        o, max_steps=12, tolerance=1e-9, **k
    ),
    "saddle-free": lambda o, **k: landscape.saddle_free_newton(
        o, max_steps=12, tolerance=1e-9, **k
    ),
    "critical points": lambda o, **k: landscape.critical_points(o, starts=3, max_steps=3, **k),
    "walk": lambda o, **k: landscape.walk(o, tolerance=0.1, distance=1.0, max_steps=12, **k),
    "relaxation": lambda o, **k: landscape.perturb_and_relax(
        o, parameter="0.bias", index=0, shifts=(-0.5, 0.5, 1.0), max_steps=3, **k
    ),
    "band": lambda o, **k: landscape.connect(o, make_model(1), method=BAND, **k),
    "curve": lambda o, **k: landscape.connect(o, make_model(1), method=CURVE, **k),
    "barrier": lambda o, **k: landscape.barrier(o, make_model(1), points=21, **k),
    "pairs": lambda o, **k: landscape.connect_all(
        [o, make_model(1), make_model(2)], method=BAND, points=7, **k
    ),
    "simplex": lambda o, **k: landscape.simplex(
        [o, make_model(1)], connectors=2, cycles=[(6, 0.01)], **k
    ),
    "sharpness": lambda o, **k: landscape.sharpness(
        o, measures=["noise_rise", "trace", "keskar", "sam", "pac_bayes_sigma"], **k
    ),
    "curvature map": lambda o, **k: landscape.curvature_map(o, points=4, **k),
}


def kill_and_resume(
    call: Call,
    objective: landscape.Objective,
    folder: Path,
    kills: int,
    seconds: Callable[[], float],
) -> tuple[landscape.Result, int]:
    """Begin a call again and again until it ends, killing it so many times after some seconds.

    Returns:
        Its result, and how often it was killed.

    Raises:
        RuntimeError: The call failed; its traceback is in the text.
    """
    file, result, failure = (folder / name for name in ("run.npz", "result.npz", "failure"))
    killed = 0
    while True:
        limit = seconds() if killed < kills else 0.0
        child = os.fork()
        if child == 0:
            _work(lambda: call(objective, resume=file, progress="off"), result, failure, limit)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            continue
        if os.WEXITSTATUS(status):
            raise RuntimeError(failure.read_text())
        return landscape.load(result, progress="off"), killed


def _work(call: Callable[[], landscape.Result], result: Path, failure: Path, limit: float) -> None:
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process at once
        signal.setitimer(signal.ITIMER_REAL, limit)
        found = call()
        signal.setitimer(signal.ITIMER_REAL, 0)
        found.save(result)
        os._exit(0)
    except BaseException:  # also Ctrl-C: the child must not go back into the parent's code
        failure.write_text(traceback.format_exc())
        os._exit(1)


def list_differences(found: landscape.Result, expected: landscape.Result) -> list[str]:
    """The fields in which two results differ, seconds and notes apart."""
    (record, arrays), (other, others) = found.pack(), expected.pack()
    lines = [
        f"{name}: {arrays.get(name)!r} for {others.get(name)!r}"
        for name in {**arrays, **others}
        if not np.array_equal(arrays.get(name), others.get(name), equal_nan=True)
    ]
    _compare(record, other, "", lines)
    return lines


def _compare(found: Any, expected: Any, path: str, lines: list[str]) -> None:
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        for key in {**found, **expected}:
            if key not in ("seconds", "notes"):
                _compare(found.get(key), expected.get(key), f"{path}.{key}", lines)
    elif isinstance(found, (list, tuple)) and isinstance(expected, (list, tuple)):
        if len(found) != len(expected):
            lines.append(f"{path}: {len(found)} for {len(expected)}")
        for index, pair in enumerate(zip(found, expected, strict=False)):
            _compare(*pair, f"{path}[{index}]", lines)
    elif found != expected and not (found != found and expected != expected):  # noqa: PLR0124
        lines.append(f"{path}: {found!r} for {expected!r}")


def main() -> None:
    """Kill every call on both engines, and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500, help="in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--calls", nargs="+", choices=list(CALLS), default=list(CALLS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads of PyTorch do not survive a fork
    checkpoint._SAVE_INTERVAL, checkpoint._MAX_OVERHEAD = 0.0, 0
    generator = random.Random(arguments.seed)
    each = -(-arguments.kills // (len(arguments.calls) * len(ENGINES)))
    total = wrong = 0
    for engine in ENGINES:
        objective = make_objective(engine)
        for name in arguments.calls:
            with tempfile.TemporaryDirectory() as folder:
                expected = CALLS[name](objective, **OFF)
                start = time.perf_counter()
                CALLS[name](objective, resume=Path(folder) / "whole.npz", **OFF)
                whole = time.perf_counter() - start
                found, killed = kill_and_resume(
                    CALLS[name],
                    objective,
                    Path(folder),
                    each,
                    lambda whole=whole: generator.uniform(1e-4, 0.6 * whole),
                )
            differences = list_differences(found, expected)
            total, wrong = total + killed, wrong + bool(differences)
            print(f"{engine:7} {name:16} {killed:4} kills  {'; '.join(differences) or 'equal'}")
    print(f"{total} kills, {wrong} calls with another result")


if __name__ == "__main__":
    main()

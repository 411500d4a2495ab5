"""Speed of two builds of landscape against each other: whole calls in fresh processes.

    python benchmarks/versions.py BEFORE AFTER [--rounds N]

BEFORE and AFTER are checkouts of version 0.2 or later in which `make build` has run. Rounds run
interleaved, each in the opposite order of the one before; a figure is the least of three calls on
the native engine with one thread, and a ratio is the median over rounds, with its range.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

CALLS = 3


def main() -> None:
    """Compare two builds, or, in a process of one build, time it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("builds", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not arguments.builds:
        print(json.dumps(time_calls()))
        return
    before, after = arguments.builds
    seconds: dict[Path, list[dict[str, float]]] = {before: [], after: []}
    for index in range(arguments.rounds):
        for build in (before, after) if index % 2 == 0 else (after, before):
            seconds[build].append(run_build(build))
    for name in seconds[before][0]:
        pairs = zip(seconds[before], seconds[after], strict=True)
        ratios = [new[name] / old[name] for old, new in pairs]
        middle = statistics.median(ratios)
        print(f"{name:20} {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def run_build(build: Path) -> dict[str, float]:
    """The seconds of every call, in a process of this build."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(build / "python"),
        "OMP_NUM_THREADS": "1",
        "RAYON_NUM_THREADS": "1",
    }
    command = [sys.executable, str(build / "benchmarks" / "versions.py")]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    seconds: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
    return seconds


def time_calls() -> dict[str, float]:
    """The seconds of surfaces, eigenvalues and paths on real digits."""
    import _cases  # noqa: PLC0415  (PyTorch takes seconds, and the comparison needs none)
    import torch  # noqa: PLC0415

    import landscape  # noqa: PLC0415

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    mlp, cnn = _cases.digits_mlp(), _cases.digits_cnn()
    on_mlp, on_cnn = (landscape.Objective(c.model, c.data, engine="native") for c in (mlp, cnn))
    models = [train(mlp, seed) for seed in (1, 2)]

    def connect(method: Any) -> Callable[[], object]:
        options = {"engine": "native", "points": 21, "progress": "off"}
        return lambda: landscape.connect(*models, mlp.data, method=method, **options)

    calls: dict[str, Callable[[], object]] = {
        "surface, MLP": lambda: landscape.surface(on_mlp, points=51, progress="off"),
        "surface, CNN": lambda: landscape.surface(on_cnn, points=15, progress="off"),
        "eigenvalues, MLP": lambda: landscape.Hessian(on_mlp).eigenvalues(5, progress="off"),
        "AutoNEB, MLP": connect(landscape.AutoNEB()),
        "Bezier curve, MLP": connect(landscape.Bezier()),
    }
    return {name: min(seconds(call) for _ in range(CALLS)) for name, call in calls.items()}


def seconds(call: Callable[[], object]) -> float:
    """The seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def train(case: Any, seed: int) -> Any:
    """A copy of the network, trained from its own initial weights."""
    import torch  # noqa: PLC0415

    torch.manual_seed(seed)
    model = copy.deepcopy(case.model)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.train()
    for _ in range(30):
        optimizer.zero_grad()
        case.loss(model(case.inputs), case.targets).backward()
        optimizer.step()
    return model.eval()


if __name__ == "__main__":
    main()

"""Every long call, killed at random moments on both engines and resumed: nothing differs.

The loop of 500 kills is `benchmarks/kills.py`; here is a short one.
"""

from __future__ import annotations

import importlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = """
import random, sys, tempfile
from pathlib import Path
sys.path.insert(0, {benchmarks!r})
import kills
import torch
from landscape._runs import checkpoint

torch.set_num_threads(1)
checkpoint._SAVE_INTERVAL, checkpoint._MAX_OVERHEAD = 0.0, 0
generator = random.Random({seed})
objective = kills.make_objective({engine!r})
for name in {names!r}:
    with tempfile.TemporaryDirectory() as folder:
        expected = kills.CALLS[name](objective, progress="off")
        found, killed = kills.kill_and_resume(
            kills.CALLS[name], objective, Path(folder), 2, lambda: generator.uniform(0.01, 0.2)
        )
    print(name, killed, kills.list_differences(found, expected))
"""
CALLS = (
    "surface",
    "surface to a tolerance",
    "eigenvalues",
    "density",
    "trace",
    "walk",
    "sharpness",
)
PATHS = ("band", "curve", "simplex")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("engine", ["torch", "native"])
@pytest.mark.parametrize("names", [CALLS, PATHS], ids=["calls", "paths"])
def test_a_killed_and_resumed_call_equals_one_that_was_not(
    names: tuple[str, ...], engine: str
) -> None:
    seed = random.Random(engine).randrange(1000)
    script = SCRIPT.format(benchmarks=str(BENCHMARKS), seed=seed, engine=engine, names=names)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(names)
    assert [line for line in lines if not line.endswith("[]")] == []


def test_a_density_counts_every_product_once(tmp_path: Path) -> None:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        kills = importlib.import_module("kills")
    finally:
        sys.path.remove(str(BENCHMARKS))
    objective = kills.make_objective("native")
    whole = kills.CALLS["density"](objective, progress="off")

    def stop(done: int, _: int) -> None:
        if done >= 70:  # in the middle of a block of eight probes
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kills.CALLS["density"](objective, resume=tmp_path / "run", progress=stop)
    resumed = kills.CALLS["density"](objective, resume=tmp_path / "run", progress="off")
    assert kills.list_differences(resumed, whole) == []
    assert resumed.products == whole.products == 160

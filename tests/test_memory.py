"""The number of parameter vectors that a surface holds at once, measured in a process."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEASURE = """
import torch
from torch import nn
import landscape

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

def forget_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")

data = (torch.randn(4, 2000), torch.randn(4, 16000))
landscape.surface(nn.Linear(2000, 40), (data[0], torch.randn(4, 40)), points=2)  # imports, pools
model = nn.Linear(2000, 16000)
objective = landscape.Objective(model, data, engine="torch")
engine = landscape._objective.engine.Engine(landscape._objective.Strategy())
objective.__dict__["_loss_engine"] = engine
forget_peak()
before = peak()
landscape.surface(objective, points=2, progress="off")
print((peak() - before) / (4 * objective.dim))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_a_surface_holds_five_vectors_of_the_models_size() -> None:
    """The origin, two directions, the working point, and one more while directions are made."""
    found = subprocess.run(
        [sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True
    )
    assert float(found.stdout) < 5.2

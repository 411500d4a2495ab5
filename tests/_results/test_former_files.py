"""Files that version 0.1 saved: finished results load, unfinished runs resume.

One file of every kind of result, and an interrupted run of each kind that can be resumed, from a
3-4-2 tanh network on 24 samples. `inputs.npz` has the data and the parameters of both models.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import _store
from landscape._results.base import result_kinds

FILES = Path(__file__).parent / "fixtures" / "saved_by_0_1"
NEWER = {"comparison", "sharpness", "surface_geometry", "topology", "trust"}
"""Kinds that version 0.1 did not have."""
RESULTS = sorted(p for p in FILES.glob("*.npz") if p.stem != "inputs" and "partial" not in p.stem)


def model(name: str) -> nn.Module:
    """The network whose parameters stand in `inputs.npz` under this name."""
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    with np.load(FILES / "inputs.npz") as inputs:
        vector = torch.from_numpy(inputs[name])
    nn.utils.vector_to_parameters(vector, network.parameters())
    return network


def data() -> tuple[torch.Tensor, torch.Tensor]:
    with np.load(FILES / "inputs.npz") as inputs:
        return torch.from_numpy(inputs["inputs"]), torch.from_numpy(inputs["targets"])


def test_every_kind_of_result_has_a_file() -> None:
    stored = {_store.read(path, *result_kinds()).kind for path in RESULTS}
    assert stored == set(result_kinds()) - NEWER


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_loads_with_all_its_numbers(path: Path, tmp_path: Path) -> None:
    result = landscape.load(path)
    stored = _store.read(path, result.kind)
    _, arrays = result.pack()
    unnamed = sorted(array.tobytes() for array in arrays.values())
    assert unnamed == sorted(array.tobytes() for array in stored.arrays.values())
    assert result.run.versions["landscape"].startswith("0.1")
    assert repr(result)
    result.save(tmp_path / "again")
    assert landscape.load(tmp_path / "again").equals(result)


def test_renamed_fields_keep_their_values() -> None:
    path = landscape.load(FILES / "path.npz")
    assert isinstance(path, landscape.Path)
    stored = _store.read(FILES / "path.npz", "path")
    assert path.history.tolist() == stored.arrays["looks"].tolist()
    assert path.descent_gain == tuple(stored.record["slack"])
    alignment = landscape.load(FILES / "alignment.npz")
    assert isinstance(alignment, landscape.Alignment)
    record = _store.read(FILES / "alignment.npz", "alignment").record
    assert [list(axis) for axis in alignment.axes] == [list(row) for row in record["places"]]
    assert dict(alignment.unsupported) == dict(record["held"])


RUNS: dict[str, Callable[[Any], Any]] = {
    "surface": lambda resume: landscape.surface(
        model("a"), data(), points=21, engine="torch", resume=resume, progress="off"
    ),
    "eigenvalues": lambda resume: landscape.hessian(model("a"), data()).eigenvalues(
        k=3, resume=resume, progress="off"
    ),
    "autoneb": lambda resume: landscape.connect(
        *(model("a"), model("b"), data()),
        method=landscape.AutoNEB(cycles=[(4, 0.02), (3, 0.01)]),
        points=7,
        engine="torch",
        resume=resume,
        progress="off",
    ),
    "bezier": lambda resume: landscape.connect(
        *(model("a"), model("b"), data()),
        method=landscape.Bezier(cycles=[(6, 0.02)]),
        points=7,
        engine="torch",
        resume=resume,
        progress="off",
    ),
}


@pytest.mark.filterwarnings("ignore:resumed in another environment", "ignore:the barrier")
@pytest.mark.parametrize("name", RUNS)
def test_an_unfinished_run_resumes(name: str, tmp_path: Path) -> None:
    unfinished = tmp_path / "unfinished.npz"
    shutil.copy(FILES / f"partial_{name}.npz", unfinished)
    resumed, whole = RUNS[name](unfinished), RUNS[name](None)
    assert isinstance(resumed, landscape.Surface | landscape.Spectrum | landscape.Path)
    assert type(resumed) is type(whole)
    numbers = "values" if name == "eigenvalues" else "losses"
    np.testing.assert_allclose(getattr(resumed, numbers), getattr(whole, numbers), rtol=1e-5)

"""Solver records saved by earlier versions resume, with the results of an uninterrupted run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from record_models import OPTIONS, DoubleWell, matrix

from landscape import _core

SAVED = json.loads((Path(__file__).parent / "fixtures" / "solver_records.json").read_text())
CLASSES: dict[str, tuple[Any, str]] = {
    "AutoNeb": (_core.AutoNeb, "band"),
    "CurveTraining": (_core.CurveTraining, "control"),
    "SimplexTraining": (_core.SimplexTraining, "vertices"),
    "CriticalPointSearch newton_mr": (_core.CriticalPointSearch, "theta"),
    "CriticalPointSearch saddle_free": (_core.CriticalPointSearch, "theta"),
    "Walker": (_core.Walker, "points"),
}


def read_arrays(saved: dict[str, Any]) -> dict[str, Any]:
    return {name: np.array(values, np.float64) for name, values in saved["arrays"].items()}


@pytest.mark.parametrize("name", CLASSES)
def test_solvers_on_objectives(name: str) -> None:
    (solver_class, result), saved = CLASSES[name], SAVED[name]
    solver = solver_class.resumed(saved["record"], *read_arrays(saved).values())
    assert json.loads(solver.record()) == json.loads(saved["record"])
    solver.run(DoubleWell(), lambda *_: True)
    np.testing.assert_allclose(getattr(solver, result)(), saved["result"], rtol=1e-9, atol=1e-12)


def test_lanczos() -> None:
    saved = SAVED["Lanczos"]
    solver = _core.Lanczos.resumed(saved["record"], read_arrays(saved))
    # to which residuals were relative in every record of 0.1
    assert json.loads(solver.state()[0]) == {**json.loads(saved["record"]), "relative_to": "norm"}
    solver.run(matrix, lambda *_: True)
    np.testing.assert_allclose(solver.values(), saved["result"], rtol=1e-9)


def test_trace() -> None:
    saved = SAVED["Trace"]
    arrays = {**read_arrays(saved), "sketch": np.empty((0, 40))}
    state = (saved["record"], arrays)
    solver = _core.Trace(40, "float64", **OPTIONS["Trace"], state=state)
    assert json.loads(solver.state()[0]) == json.loads(saved["record"])
    solver.run(matrix, lambda *_: True)
    np.testing.assert_allclose(solver.means(), saved["result"], rtol=1e-9)

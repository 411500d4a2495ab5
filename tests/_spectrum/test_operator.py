"""`spectrum`: the measures of a symmetric operator that is no derivative of a loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import diags
from scipy.sparse.linalg import aslinearoperator

import landscape

RANDOM = np.random.default_rng(0)
ENTRIES = RANDOM.standard_normal((60, 60))
MATRIX = ENTRIES + ENTRIES.T + np.diag(np.arange(60.0))
EXACT = np.linalg.eigvalsh(MATRIX)[::-1]

FORMS: dict[str, tuple[Any, int | None]] = {
    "function": (lambda v: MATRIX @ v, 60),
    "array": (MATRIX, None),
    "SciPy operator": (aslinearoperator(MATRIX), None),
    "float32": (MATRIX.astype(np.float32), None),
}


@pytest.mark.parametrize("form", FORMS)
def test_measures_of_every_form(form: str) -> None:
    operator = landscape.spectrum(*FORMS[form])
    found = operator.eigenvalues(3, "both", 1e-8 if form != "float32" else 1e-5, progress="off")
    assert_allclose(found.values, [*EXACT[:3], *EXACT[-3:]], rtol=1e-4)
    assert (np.abs(found.values - [*EXACT[:3], *EXACT[-3:]]) <= found.bounds).all()
    trace = operator.trace(progress="off")
    low, high = trace.interval
    assert low - 1e-3 <= np.trace(MATRIX) <= high + 1e-3
    assert_allclose(operator.dense(progress="off"), MATRIX, rtol=1e-5, atol=1e-5)
    assert_allclose(operator @ np.ones(60), MATRIX.sum(1), rtol=1e-4)


def test_a_sparse_matrix() -> None:
    operator = landscape.spectrum(diags(np.arange(500.0)))
    assert_allclose(operator.eigenvalues(2, progress="off").values, [499, 498], rtol=1e-4)
    assert operator.density(probes=5, steps=20, progress="off").dim == 500


def test_a_run_is_saved_and_resumed(tmp_path: Any) -> None:
    path = tmp_path / "run"
    operator = landscape.spectrum(MATRIX)
    first = operator.eigenvalues(2, basis=20, max_products=12, resume=path, progress="off")
    assert "operator" in first.run.engine
    again = landscape.spectrum(MATRIX).eigenvalues(
        2, basis=20, max_products=12, resume=path, progress="off"
    )
    assert_allclose(again.values, first.values, rtol=0)
    with pytest.raises(ValueError, match="operator"):
        landscape.spectrum(2 * MATRIX).eigenvalues(
            2, basis=20, max_products=12, resume=path, progress="off"
        )


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="dim is missing"):
        landscape.spectrum(lambda v: v)
    with pytest.raises(ValueError, match="square"):
        landscape.spectrum(np.ones((3, 4)))
    with pytest.raises(ValueError, match="dim=4 for an operator of 60 rows"):
        landscape.spectrum(MATRIX, 4)
    with pytest.raises(TypeError, match="expected a function"):
        landscape.spectrum("matrix", 3)
    with pytest.raises(ValueError, match="float32 or float64"):
        landscape.spectrum(MATRIX, dtype=np.int64)
    with pytest.raises(ValueError, match="not those of a symmetric matrix"):
        landscape.spectrum(ENTRIES).eigenvalues(1, progress="off")
    with pytest.raises(TypeError, match="no gradient"):
        landscape.spectrum(MATRIX).gradient_energy(2, progress="off")
    with pytest.raises(ValueError, match="returned an array of shape"):
        landscape.spectrum(lambda v: v[:3], 5).eigenvalues(1, progress="off")

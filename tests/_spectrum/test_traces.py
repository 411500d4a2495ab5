"""Traces, diagonals and moments of losses: against dense matrices, with files and interrupts."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, seeded
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from torch import nn

import landscape
from landscape import Hessian
from landscape._runs import checkpoint

Case = tuple[Hessian, NDArray[np.float64]]


@pytest.fixture(params=["torch", "native"])
def case(request: pytest.FixtureRequest) -> Case:
    inputs, targets = classes(40)
    model = seeded(mlp, 1).double()
    hessian = landscape.hessian(model, (inputs.double(), targets), engine=request.param)
    return hessian, hessian.dense()


def assert_holds(found: landscape.Estimate, truth: float) -> None:
    assert abs(found.value - truth) <= 5 * found.standard_error + 1e-12 * abs(truth)
    assert found.interval[0] < found.value < found.interval[1]
    assert float(found) == found.value


@pytest.mark.parametrize("method", ["hutch++", "hutchinson", "xtrace"])
def test_traces_are_the_sums_of_eigenvalues(case: Case, method: Any) -> None:
    hessian, dense = case
    found = hessian.trace(method=method, relative_error=0.1, progress="off")
    assert_holds(found, float(np.trace(dense)))
    assert found.status.startswith(("converged", "exact"))
    assert found.products == found.run.evaluations
    assert found.probes >= 30


def test_a_precision_beyond_random_vectors_sums_all_rows(case: Case) -> None:
    hessian, dense = case
    found = hessian.trace(relative_error=1e-9, progress="off")
    assert_allclose(found.value, np.trace(dense), rtol=1e-12)
    assert found.status.startswith("exact")


def test_norms_moments_and_determinants(case: Case) -> None:
    hessian, dense = case
    values = np.linalg.eigvalsh(dense)
    assert_holds(hessian.frobenius(relative_error=0.05), float(np.linalg.norm(dense)))
    shift = 1.0 - float(values[0])
    log = hessian.log_determinant(shift, relative_error=0.05)
    truth = float(np.log(values + shift).sum())
    assert abs(log.value - truth) <= 5 * log.standard_error + 0.01 * abs(truth)
    moments = hessian.spectral_moments(4, relative_error=0.1, progress="off")
    powers = np.array([(values**p).mean() for p in range(1, 5)])
    off = np.abs(moments.values - powers)
    assert (off <= 5 * moments.standard_errors + 1e-12 * np.abs(powers)).all()
    with pytest.raises(ValueError, match=r"has no logarithm.*pass a shift above"):
        hessian.log_determinant(-float(values.mean()))


@pytest.mark.parametrize("method", ["hutch++", "hutchinson"])
def test_diagonals_lie_within_their_errors(case: Case, method: Any) -> None:
    hessian, dense = case
    found = hessian.diagonal(method=method, relative_error=0.2, progress="off")
    held = (found.interval[:, 0] <= np.diag(dense)) & (np.diag(dense) <= found.interval[:, 1])
    assert held.mean() > 0.9
    off = np.linalg.norm(found.values - np.diag(dense)) / np.linalg.norm(np.diag(dense))
    assert off < 0.4
    named = hessian.layout.unflatten(found.values)
    assert list(named) == list(hessian.names)


def test_one_sample_has_no_spread() -> None:
    inputs, targets = classes(20)
    found = landscape.hessian(seeded(mlp, 1), (inputs, targets), samples=1).trace()
    assert found.sampling_error is None
    fisher = landscape.hessian(
        seeded(mlp, 1), (inputs, targets), samples=3, curvature="empirical_fisher"
    )
    assert fisher.trace().interval[0] >= 0


def test_a_sketch_saves_products_where_a_few_eigenvalues_are_large() -> None:
    """Targets of one scale, inputs of one large component: one curvature a output."""
    torch.manual_seed(0)
    inputs = torch.randn(60, 30) + 4 * torch.randn(60, 1)
    model = nn.Linear(30, 4)
    hessian = landscape.hessian(model, (inputs, torch.randn(60, 4)), nn.MSELoss())
    with_sketch = hessian.trace(relative_error=0.02, progress="off")
    without = hessian.trace(relative_error=0.02, method="hutchinson", progress="off")
    assert 2 * with_sketch.products <= without.products
    assert_allclose(with_sketch.value, np.trace(hessian.dense()), rtol=0.1)


def test_errors_of_a_subset_contain_the_whole() -> None:
    """Traces from many random subsets: their 95% intervals hold that of all samples."""
    torch.manual_seed(3)
    inputs = torch.randn(300, 5, dtype=torch.float64)
    data = (inputs, (inputs[:, 0] > 0).long())
    model = nn.Linear(5, 2).double()
    truth = float(np.trace(landscape.hessian(model, data).dense()))
    held = 0
    for seed in range(100):
        hessian = landscape.hessian(model, data, samples=60, seed=seed)
        found = hessian.trace(progress="off")
        assert found.sampling_error is not None
        held += found.interval[0] <= truth <= found.interval[1]
    assert 88 <= held <= 100
    note = hessian.frobenius(progress="off").run.notes
    assert any("another draw" in text for text in note)


def test_a_run_goes_on_from_its_file(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hessian, _ = case
    monkeypatch.setattr(checkpoint.Checkpoint, "due", True)
    whole = hessian.trace(relative_error=0.1, progress="off")
    path = tmp_path / "trace"

    def stop(done: int, total: int) -> None:
        del total
        if done > whole.products // 2:
            signal.raise_signal(signal.SIGINT)

    options: Any = {"relative_error": 0.1, "resume": path}
    with pytest.raises(KeyboardInterrupt):
        hessian.trace(progress=stop, **options)
    resumed = hessian.trace(progress="off", **options)
    assert (resumed.value, resumed.interval) == (whole.value, whole.interval)
    assert resumed.products == whole.products
    with pytest.raises(ValueError, match="another computation"):
        hessian.trace(relative_error=0.2, resume=path, progress="off")


def test_an_interrupt_returns_what_there_is(case: Case) -> None:
    hessian, _ = case

    def stop(done: int, total: int) -> None:
        del total
        if done > 60:
            signal.raise_signal(signal.SIGINT)

    found = hessian.trace(
        relative_error=0.01, method="hutchinson", interrupt="return", progress=stop
    )
    assert found.status.startswith("interrupted")
    assert math.isfinite(found.value)


def test_results_are_saved_and_read_again(case: Case, tmp_path: Path) -> None:
    hessian, _ = case
    found = hessian.trace(relative_error=0.1, progress="off")
    found.save(tmp_path / "trace.npz")
    assert found.equals(landscape.load(tmp_path / "trace.npz"))
    diagonal = hessian.diagonal(relative_error=0.5, progress="off")
    diagonal.save(tmp_path / "diagonal.npz")
    assert diagonal.equals(landscape.load(tmp_path / "diagonal.npz"))
    assert "trace" in repr(found)
    assert "hutch++" in repr(found)
    assert "more" in repr(diagonal)


def test_too_few_products_are_said(case: Case) -> None:
    hessian, _ = case
    found = hessian.trace(relative_error=1e-6, max_products=60, progress="off")
    assert found.status.startswith("stopped at max_products=60")
    assert found.products <= 60


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"relative_error": -1}, "relative_error=-1"),
        ({"relative_error": 0.0}, "expected one of them above 0"),
        ({"level": 1.0}, "level=1.0, expected a probability"),
        ({"max_products": 5}, "max_products=5, expected at least 30"),
        ({"method": "lanczos"}, "method='lanczos', expected 'hutch"),
        ({"method": "xtrace", "resume": "file"}, "cannot be resumed"),
    ],
)
def test_options_are_checked(case: Case, options: Any, text: str) -> None:
    hessian, _ = case
    with pytest.raises(ValueError, match=text):
        hessian.trace(**options)
    with pytest.raises(ValueError, match="count=0"):
        hessian.spectral_moments(0)
    with pytest.raises(ValueError, match="relative_error alone"):
        hessian.frobenius(absolute_error=0.1)

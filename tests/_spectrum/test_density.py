"""Densities of eigenvalues: against dense spectra, with coverage, files and interrupts."""

from __future__ import annotations

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
from landscape import Hessian, _core
from landscape._results.density import Quadratures, bootstrap_interval
from landscape._runs import checkpoint

Case = tuple[Hessian, NDArray[np.float64]]


@pytest.fixture(params=["torch", "native"])
def case(request: pytest.FixtureRequest) -> Case:
    inputs, targets = classes(40)
    model = seeded(mlp, 1).double()
    hessian = landscape.hessian(model, (inputs.double(), targets), engine=request.param)
    return hessian, np.linalg.eigvalsh(hessian.dense())


def broadened(values: NDArray[np.float64], grid: NDArray[np.float64], width: float) -> Any:
    """The exact density under the same kernel, one Gaussian an eigenvalue."""
    apart = (grid[:, None] - values[None]) / width
    return np.exp(-0.5 * apart**2).mean(axis=1) / (width * np.sqrt(2 * np.pi))


def test_densities_are_those_of_the_dense_matrix(case: Case) -> None:
    hessian, values = case
    found = hessian.density(probes=120, steps=50, progress="off")
    exact = broadened(values, found.grid, found.width)
    seen = exact > 0.01 * exact.max()
    held = (found.interval[:, 0] <= exact) & (exact <= found.interval[:, 1])
    assert held[seen].mean() > 0.7
    assert np.abs(found.density - exact)[seen].max() < 0.1 * exact.max()
    assert_allclose(np.trapezoid(found.density, found.grid), 1, rtol=1e-3)
    below = (values[None] <= found.grid[:, None]).mean(axis=1)
    assert np.abs(found.cumulative - below).max() < 0.1
    assert found.trusted
    assert found.products == found.run.evaluations == 120 * 50


def test_intervals_cover() -> None:
    """1,000 seeds of 300 probes: 95% intervals hold 91 to 98%, at points above 1% of the peak."""
    values = np.array([-0.5, -0.1, 0.0, 0.0, 0.1, 0.3, 0.4, 1.0, 2.5, 6.0])
    random = np.random.default_rng(3)
    turn = np.linalg.qr(random.normal(size=(10, 10)))[0]
    matrix = turn * values @ turn.T
    grid, width = np.linspace(-1, 7, 60), 0.3
    exact = broadened(values, grid, width)
    seen = exact > 0.01 * exact.max()
    shares = (values[None] <= grid[:, None]).mean(axis=1)
    between = (shares > 0) & (shares < 1)
    held, held_shares = [], []
    # The standard error of 400 coverages of 0.95 is 0.011: one of 0.88 would fail for 97% of the
    # choices of seeds.
    for seed in range(400):
        solver = _core.Density(
            10, "float64", probes=300, steps=10, block=300, seed=seed, known=[], products=0
        )
        assert solver.run(lambda rows: rows @ matrix, lambda *_: True)
        nodes, weights = zip(*solver.quadratures(), strict=True)
        found = Quadratures(nodes, weights)
        low, high = bootstrap_interval(found.kernel_density(grid[seen], width), 0.95, seed).T
        held.append((low <= exact[seen]) & (exact[seen] <= high))
        low, high = bootstrap_interval(found.cumulative(grid[between]), 0.95, seed).T
        held_shares.append((low <= shares[between]) & (shares[between] <= high))
    assert 0.91 <= np.mean(held) <= 0.98
    assert 0.91 <= np.mean(held_shares) <= 0.98


@pytest.mark.parametrize(("dim", "steps"), [(400, 30), (1000, 20)])
def test_shares_know_what_quadratures_cannot_see(dim: int, steps: int) -> None:
    """A cut through an evenly filled bulk, of which a few nodes stand for many eigenvalues."""
    values, cut = np.linspace(-0.7, 1.0, dim), 0.0137
    truth, held = float((values <= cut).mean()), []
    for seed in range(30):
        solver = _core.Density(
            dim, "float64", probes=100, steps=steps, block=100, seed=seed, known=[], products=0
        )
        assert solver.run(lambda rows: rows * values, lambda *_: True)
        nodes, weights = zip(*solver.quadratures(), strict=True)
        found = Quadratures(nodes, weights).weight_between(-np.inf, cut, np.zeros(100, bool))
        low, high = (bootstrap_interval(rows[:, None], 0.95, seed)[0] for rows in found[1:])
        held.append(low[0] <= truth <= high[1])
    assert np.mean(held) >= 0.9


def test_a_kernel_that_no_grid_resolves_is_refused(case: Case) -> None:
    found = case[0].density(probes=2, steps=20, progress="off")
    with pytest.raises(ValueError, match=r"width=1e-07, expected at least .* narrower kernel"):
        found.with_width(1e-7)


def test_outliers_stand_apart_from_the_bulk() -> None:
    """Inputs with a few large components: as many eigenvalues a output stand out."""
    torch.manual_seed(0)
    inputs = torch.randn(200, 40)
    inputs[:, :3] *= torch.tensor([10.0, 14.0, 20.0])
    model, targets = nn.Linear(40, 2), torch.randn(200, 2)
    hessian = landscape.hessian(model, (inputs, targets), nn.MSELoss())
    found = hessian.density(probes=100, steps=60, progress="off")
    below, above = found.outliers
    assert below[0] == 0
    assert below[2] < 1
    assert above[1] <= 6 <= above[2]
    low, high = found.bulk
    values = np.linalg.eigvalsh(hessian.dense())
    assert (values > high).sum() == 6
    share, least, most = found.share(low, high)
    assert least <= share <= most
    assert_allclose(share, 1 - above[0] / hessian.dim, rtol=1e-9)


def test_a_matrix_of_one_eigenvalue_is_a_single_peak() -> None:
    model = nn.Linear(3, 1, bias=False).double()
    data = torch.eye(3, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)
    found = landscape.hessian(model, data, nn.MSELoss()).density(probes=4, progress="off")
    assert_allclose(found.nodes, 2 / 3, rtol=1e-12)
    assert found.products == 4
    assert_allclose(found.grid[found.density.argmax()], 2 / 3, atol=found.width)
    assert found.outliers.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_too_few_probes_are_said_so(case: Case) -> None:
    hessian, _ = case
    found = hessian.density(probes=4, steps=10, progress="off")
    assert not found.trusted
    assert "undercover" in repr(found)
    assert all(len(line) <= 100 for line in repr(found).splitlines())


def test_a_kernel_can_be_changed_afterwards(case: Case) -> None:
    hessian, _ = case
    found = hessian.density(probes=4, steps=40, width=0.1, progress="off")
    wider = found.with_width(0.5)
    assert (found.width, wider.width) == (0.1, 0.5)
    assert wider.nodes.tolist() == found.nodes.tolist()
    assert wider.density.max() < found.density.max()


def test_a_run_goes_on_from_its_file(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hessian, _ = case
    monkeypatch.setattr(checkpoint.Checkpoint, "due", True)
    whole = hessian.density(probes=20, steps=30, progress="off")

    def stop(done: int, _: int) -> None:
        if done > 300:
            raise KeyboardInterrupt

    file = tmp_path / "density.run"
    with pytest.raises(KeyboardInterrupt):
        hessian.density(probes=20, steps=30, resume=file, progress=stop)
    again = hessian.density(probes=20, steps=30, resume=file, progress="off")
    assert again.nodes.tolist() == whole.nodes.tolist()
    assert again.weights.tolist() == whole.weights.tolist()
    with pytest.raises(ValueError, match="seed"):
        hessian.density(probes=20, steps=30, seed=1, resume=file, progress="off")


def test_ctrl_c_can_return_the_finished_probes(case: Case) -> None:
    hessian, _ = case

    def stop(done: int, _: int) -> None:
        if done > 300:
            signal.raise_signal(signal.SIGINT)

    found = hessian.density(probes=40, steps=30, interrupt="return", progress=stop)
    assert found.status == f"interrupted after {found.probes} of 40 probes"
    assert 2 <= found.probes < 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probes": 1}, "probes=1, expected at least 2"),
        ({"steps": 0}, "steps=0, expected at least 1"),
        ({"width": 0.0}, "width=0.0, expected a positive number"),
        ({"level": 1.0}, "level=1.0, expected a probability"),
    ],
)
def test_options_out_of_range_are_refused(case: Case, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        case[0].density(**options)


def test_a_basis_beyond_the_budget_says_how_much_it_takes() -> None:
    inputs, targets = classes(10)
    hessian = landscape.hessian(seeded(mlp, 0), (inputs, targets), memory_budget=2000)
    with pytest.raises(ValueError, match=r"60 steps keep as many vectors.*at most steps="):
        hessian.density()


def test_it_is_saved_and_drawn(case: Case, tmp_path: Path) -> None:
    hessian, _ = case
    found = hessian.density(probes=4, steps=20, progress="off")
    found.save(tmp_path / "density.npz")
    again = landscape.load(tmp_path / "density.npz")
    assert isinstance(again, landscape.Density)
    assert found.equals(again)
    assert again.interval.tolist() == found.interval.tolist()
    ax = found.plot()
    assert ax.get_yscale() == "log"
    assert found.plot(show="cumulative").get_ylim() == (0, 1.02)
    with pytest.raises(ValueError, match="show='both', expected 'density' or 'cumulative'"):
        found.plot(show="both")

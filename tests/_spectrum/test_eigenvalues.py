"""Eigenvalues of losses: against dense matrices, with residuals, multiplicity and interrupts."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, regression, seeded
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from torch import nn
from untouched import untouched

import landscape
from landscape import Hessian, Objective
from landscape._runs import checkpoint

Case = tuple[Hessian, NDArray[np.float64]]


def trained(seed: int = 0) -> nn.Module:
    """A few steps of descent: both signs of curvature, but more of the positive."""
    model, (inputs, targets) = seeded(mlp, seed).double(), double()
    parameters = list(model.parameters())
    for _ in range(20):
        loss = nn.functional.cross_entropy(model(inputs), targets)
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.sub_(slope)
    return model


def double() -> Any:
    inputs, targets = classes(40)
    return inputs.double(), targets


@pytest.fixture(params=["torch", "native"])
def case(request: pytest.FixtureRequest) -> Case:
    hessian = landscape.hessian(trained(), double(), engine=request.param)
    return hessian, np.linalg.eigvalsh(hessian.dense())[::-1]


@pytest.mark.parametrize("method", ["lanczos", "power"])
@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude", "both"])
def test_values_lie_within_their_bounds(case: Case, which: Any, method: Any) -> None:
    hessian, dense = case
    found = hessian.eigenvalues(
        2, which, 1e-6, True, method=method, max_products=20_000, progress="off"
    )
    wanted = {
        "largest": dense[:2],
        "smallest": dense[::-1][:2],
        "magnitude": dense[np.argsort(-np.abs(dense))][:2],
        "both": np.concatenate([dense[:2], dense[-2:]]),
    }[which]
    assert found.converged.all(), found.status
    slack = 1e-12 * np.abs(dense).max()
    assert (np.abs(found.values - wanted) <= found.bounds + slack).all()
    assert found.vectors is not None
    for value, vector, residual in zip(found.values, found.vectors, found.residuals, strict=True):
        true = np.linalg.norm(hessian @ vector - value * vector)
        assert_allclose(true, residual, rtol=1e-3, atol=1e-12)
        assert residual <= 1e-6 * found.scale <= 1e-6 * np.abs(dense).max() * (1 + 1e-12)
    assert found.status.startswith(("converged", "exact"))


def test_all_of_them(case: Case) -> None:
    hessian, dense = case
    found = hessian.eigenvalues(hessian.dim, progress="off")
    assert found.status.startswith("exact")
    assert_allclose(found.values, dense, atol=1e-10)


def test_fewer_products_than_scipy_needs(case: Case) -> None:
    linalg = pytest.importorskip("scipy.sparse.linalg")
    hessian, _ = case
    calls = 0

    def counted(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        nonlocal calls
        calls += 1
        return hessian.matvec(np.reshape(vector, -1))

    operator = linalg.LinearOperator(hessian.shape, matvec=counted, dtype=np.float64)
    linalg.eigsh(operator, k=5, which="LA", tol=1e-3, return_eigenvectors=False)
    assert hessian.eigenvalues(5, progress="off").products < calls


def test_an_interpolating_network_has_one_eigenvalue_a_sample() -> None:
    """Squared error at zero loss: H = 2/n J'J of rank n; 10 samples and 84 parameters."""
    inputs, targets = (part.double()[:10] for part in regression(10))
    model = seeded(
        lambda: nn.Sequential(nn.Linear(5, 12), nn.Tanh(), nn.Linear(12, 1, bias=False))
    ).double()
    data = (inputs, targets[:, :1])
    _interpolate(model, data)
    hessian = landscape.hessian(model, data, nn.MSELoss())
    assert hessian.dim == 84
    assert hessian.objective.loss() < 1e-20
    found = hessian.eigenvalues(12, tolerance=1e-9, progress="off")
    assert int((found.values > 1e-6 * found.values[0]).sum()) == 10


def _interpolate(model: nn.Module, data: Any) -> None:
    """Gauss-Newton with minimum-norm steps, which converges quadratically."""
    objective = Objective(model, data, nn.MSELoss(), engine="torch")
    theta = objective.theta
    parameters = list(model.parameters())
    for _ in range(60):
        state = objective.layout.unflatten(theta)
        model.load_state_dict(state)
        residual = (model(data[0]) - data[1])[:, 0]
        rows = [
            torch.cat(
                [g.reshape(-1) for g in torch.autograd.grad(r, parameters, retain_graph=True)]
            )
            for r in residual
        ]
        step = torch.linalg.lstsq(torch.stack(rows), residual.detach()[:, None], driver="gelsd")
        theta = theta - step.solution[:, 0].numpy()
    model.load_state_dict(objective.layout.unflatten(theta))


def test_copies_of_an_eigenvalue_are_found_on_request() -> None:
    """A linear model with one-hot inputs under MSE: every eigenvalue comes several times."""
    inputs = torch.eye(6, dtype=torch.float64).repeat(2, 1)
    model = nn.Linear(6, 2, bias=False).double()
    hessian = landscape.hessian(model, (inputs, torch.zeros(12, 2).double()), nn.MSELoss())
    dense = np.linalg.eigvalsh(hessian.dense())[::-1]
    assert_allclose(dense, dense[0])
    found = hessian.eigenvalues(3, multiplicity="check", progress="off")
    assert_allclose(found.values, dense[:3])
    assert found.multiplicity is not None


def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads() -> None:
    hessian = landscape.hessian(trained(), double(), engine="native")
    found = []
    for threads in (1, 2, 3):
        landscape.set_threads(threads)
        found.append(hessian.eigenvalues(3, seed=5, progress="off").values)
    landscape.set_threads(2)
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()
    assert (found[0] != hessian.eigenvalues(3, seed=6, progress="off").values).any()


def test_a_run_goes_on_from_its_file_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_SAVE_INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint, "_MAX_OVERHEAD", 0)
    hessian = landscape.hessian(trained(), double(), engine="torch")
    options: dict[str, Any] = {"k": 3, "tolerance": 1e-8, "basis": 8, "vectors": True}
    whole = hessian.eigenvalues(**options, progress="off")
    path = tmp_path / "run"

    def stop(done: int, total: int) -> None:
        if done == 11:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        hessian.eigenvalues(**options, resume=path, progress=stop)
    asked: list[int] = []
    again = hessian.eigenvalues(**options, resume=path, progress=lambda done, _: asked.append(done))
    assert asked[0] == 11 or asked[0] == 12
    assert again.products == whole.products
    assert again.values.tobytes() == whole.values.tobytes()
    assert again.vectors is not None
    assert whole.vectors is not None
    assert again.vectors.tobytes() == whole.vectors.tobytes()
    with pytest.raises(ValueError, match="k is 3 in the file and 2 here"):
        hessian.eigenvalues(**{**options, "k": 2}, resume=path)


def test_ctrl_c_returns_what_there_is_on_request() -> None:
    hessian = landscape.hessian(trained(), double(), engine="torch")

    def interrupt(done: int, total: int) -> None:
        if done == 6:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        hessian.eigenvalues(3, tolerance=1e-12, progress=interrupt)
    found = hessian.eigenvalues(3, tolerance=1e-12, progress=interrupt, interrupt="return")
    assert found.status.startswith("interrupted")
    assert found.products <= 7
    assert len(found) >= 1


class Quadratic(nn.Module):
    """L = sum_i d_i w_i^2 / 2, whose Hessian is diag(d)."""

    w: nn.Parameter
    curvatures: torch.Tensor

    def __init__(self, curvatures: torch.Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.full((len(curvatures),), 0.1))
        self.curvatures = curvatures

    def loss(self) -> Any:
        def loss(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
            w = dict(model.named_parameters())["w"]
            return 0.5 * (self.curvatures.to(w) * w.square()).sum() + 0 * x.sum()

        return landscape.batch_loss(loss)


def diagonal(curvatures: torch.Tensor, **options: Any) -> Hessian:
    model = Quadratic(curvatures)
    return landscape.hessian(model, torch.ones(4, 1), model.loss(), **options)


@pytest.mark.parametrize("dim", [50, 400])
def test_convergence_is_relative_to_the_end_that_was_asked_for(dim: int) -> None:
    """The other end is a million times larger."""
    curvatures = torch.linspace(0, 1, dim)
    curvatures[0] = -1e6
    top = diagonal(curvatures, dtype="float64").eigenvalues(k=1, progress="off")
    assert_allclose(top.values, 1.0, rtol=1e-3)
    assert abs(top.values[0] - 1.0) <= top.bounds[0]
    assert top.converged.all()
    assert top.scale == pytest.approx(1.0, rel=1e-3)
    assert dim < 100 or "x 1" in top.status  # the scale is printed


def test_small_eigenvalues_of_a_graded_spectrum() -> None:
    """Restarts would lose them: the basis of a small matrix is whole."""
    curvatures = 10.0 ** torch.linspace(-6, 2, 120, dtype=torch.float64)
    found = diagonal(curvatures, dtype="float64").eigenvalues(4, "smallest", progress="off")
    assert_allclose(found.values, curvatures[:4], rtol=1e-6)
    assert found.converged.all()
    assert found.products <= 120


def test_bounds_cover_the_rounding_of_float32() -> None:
    for seed in range(5):
        model = trained(seed).float()
        inputs, targets = double()
        single = landscape.hessian(model, (inputs.float(), targets)).eigenvalues(3, progress="off")
        exact = landscape.hessian(model, (inputs, targets), dtype="float64").dense()
        top = np.linalg.eigvalsh(exact)[::-1][:3]
        assert (np.abs(single.values - top) <= single.bounds).all()


def test_half_precision_is_told_from_a_matrix_that_is_not_symmetric() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)).bfloat16()
    data = (torch.randn(64, 8).bfloat16(), torch.randint(3, (64,)))
    found = landscape.hessian(model, data).eigenvalues(1, progress="off")
    exact = landscape.hessian(model, data, dtype="float64").eigenvalues(1, progress="off")
    assert found.run.policy["dtype"] == "bfloat16"
    assert abs(found.values[0] - exact.values[0]) <= found.bounds[0]


def test_too_few_products_are_said() -> None:
    hessian = landscape.hessian(trained(), double())
    found = hessian.eigenvalues(5, tolerance=1e-10, max_products=7, progress="off")
    assert found.products == 7
    assert found.status.startswith("stopped at max_products=7")
    assert not found.converged.all()


def test_a_basis_in_a_file_gives_the_same_bits() -> None:
    model, data = trained(), double()
    in_memory = landscape.hessian(model, data, engine="native")
    in_file = landscape.hessian(model, data, engine="native", memory_budget=20_000)
    first, second = (h.eigenvalues(3, tolerance=1e-9, progress="off") for h in (in_memory, in_file))
    assert_allclose(first.values, second.values, rtol=1e-12)


def test_bad_input_is_refused_with_advice() -> None:
    hessian = landscape.hessian(mlp(), classes(20))
    refused: list[tuple[dict[str, Any], str]] = [
        ({"k": 76}, "k=76, expected 1 to 75"),
        ({"k": 0}, "k=0, expected 1 to 75"),
        ({"which": "top"}, "which='top', expected one of 'largest'"),
        ({"method": "arnoldi"}, "method='arnoldi'"),
        ({"tolerance": 0.0}, "tolerance=0.0, expected a number between 0 and 1"),
        ({"basis": 3}, "basis=3, expected at least 7 vectors for 5 pairs"),
        ({"max_products": 0}, "max_products=0"),
        ({"interrupt": "ignore"}, "interrupt='ignore'"),
        ({"method": "power", "resume": "x"}, "only method='lanczos' can be resumed"),
    ]
    for options, message in refused:
        with pytest.raises(ValueError, match=message):
            hessian.eigenvalues(**options)


def test_products_that_are_not_finite_stop_the_run() -> None:
    model = mlp()
    with torch.no_grad():
        model.get_parameter("2.weight").fill_(3e38)
    hessian = landscape.hessian(model, classes(20), engine="torch")
    with pytest.raises(FloatingPointError, match="product 1 is"):
        hessian.eigenvalues(progress="off")


def test_an_operator_that_is_not_symmetric_is_refused() -> None:
    class Wrong(torch.autograd.Function):
        """x^2, whose backward pass is not the derivative of its forward pass."""

        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx: Any, slope: torch.Tensor) -> torch.Tensor:
            (x,) = ctx.saved_tensors
            wrong: torch.Tensor = slope * x.roll(1, dims=1) * x
            return wrong

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = Wrong.apply(self.layer(x))
            return found

    hessian = landscape.hessian(seeded(Model), classes(20), engine="torch", check="off")
    with pytest.raises(ValueError, match="not those of a symmetric matrix"):
        hessian.eigenvalues(progress="off")


def test_a_subset_carries_the_error_of_its_drawing() -> None:
    model, data = trained(), double()
    found = landscape.hessian(model, data, samples=20, seed=1).eigenvalues(2, progress="off")
    assert found.standard_errors is not None
    assert (found.standard_errors > 0).all()
    assert (found.interval[:, 1] - found.interval[:, 0] > 2 * found.bounds).all()
    whole = landscape.hessian(model, data).eigenvalues(2, progress="off")
    assert whole.standard_errors is None


def test_the_model_is_untouched_and_the_run_recorded() -> None:
    model = trained()
    with untouched(model):
        found = landscape.hessian(model, double()).eigenvalues(2, multiplicity="check")
    assert found.run.evaluations >= found.products
    assert found.run.policy["samples"] == 40

"""Gauss-Newton, Fisher and covariance matrices: against naive sums, on both engines."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
import torch
from models import ConvNet, classes, images, mlp, seeded
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from torch import Tensor, nn

import landscape
from landscape import Hessian
from landscape._objective import CurvatureKind

KINDS: tuple[CurvatureKind, ...] = (
    "hessian",
    "gauss_newton",
    "fisher",
    "empirical_fisher",
    "gradient_covariance",
    "gradient_noise",
)


@dataclass(frozen=True)
class Case:
    """A loss, with all targets that its likelihood allows one sample, and their probabilities."""

    loss: nn.Module
    targets: Callable[[], Tensor]
    possible: Callable[[Tensor], list[tuple[Tensor, Tensor]]]
    weight: Callable[[Tensor], float]


def labels(z: Tensor) -> list[tuple[Tensor, Tensor]]:
    p = z.softmax(0)
    return [(torch.tensor(c), p[c]) for c in range(len(z))]


def answers(z: Tensor) -> list[tuple[Tensor, Tensor]]:
    p = torch.sigmoid(z)
    found = []
    for bits in itertools.product((0.0, 1.0), repeat=len(z)):
        y = torch.tensor(bits, dtype=z.dtype)
        found.append((y, (y * p + (1 - y) * (1 - p)).prod()))
    return found


def two_sided(z: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Numbers a deviation to either side: the second moments of normal ones."""
    signs = list(itertools.product((-1.0, 1.0), repeat=len(z)))
    share = torch.tensor(1 / len(signs), dtype=z.dtype)
    return [(z + 0.5**0.5 * torch.tensor(sign, dtype=z.dtype), share) for sign in signs]


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


WEIGHTS = torch.tensor([0.5, 2.0, 1.3], dtype=torch.float64)


def ignoring() -> Tensor:
    targets = torch.randint(0, 3, (13,), generator=random(1))
    targets[4] = -100
    return targets


CASES = {
    "cross-entropy": Case(
        nn.CrossEntropyLoss(),
        lambda: torch.randint(0, 3, (13,), generator=random(1)),
        labels,
        lambda targets: float(len(targets)),
    ),
    "weighted and smoothed": Case(
        nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.2),
        ignoring,
        labels,
        lambda targets: float(WEIGHTS[targets[targets >= 0]].sum()),
    ),
    "MSE": Case(
        nn.MSELoss(),
        lambda: torch.randn(13, 3, generator=random(1), dtype=torch.float64),
        two_sided,
        lambda targets: float(targets.numel()),
    ),
    "BCE": Case(
        nn.BCEWithLogitsLoss(weight=WEIGHTS, pos_weight=WEIGHTS.flip(0)),
        lambda: torch.randint(0, 2, (13, 3), generator=random(1)).double(),
        answers,
        lambda targets: float(targets.numel()),
    ),
}


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def inputs() -> Tensor:
    return torch.randn(13, 3, generator=random(2), dtype=torch.float64)


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def flat(pieces: Any) -> Tensor:
    return torch.cat([piece.reshape(-1) for piece in pieces])


def sample_slope(case: Case, z: Tensor, target: Tensor) -> Tensor:
    """The derivative of a sample's summed loss by its outputs."""
    leaf = z.detach().requires_grad_()
    weight = case.weight(target[None]) if int(target.reshape(-1)[0]) != -100 else 0.0
    if weight == 0.0:
        return torch.zeros_like(z)
    total = case.loss(leaf[None], target[None]) * weight
    (slope,) = torch.autograd.grad(total, leaf)
    return slope


def naive(case: Case, kind: str) -> NDArray[np.float64]:
    """Sums over samples of J' M J with M from its definition."""
    model, x, targets = network(), inputs(), case.targets()
    leaves = list(model.parameters())
    weight, n = case.weight(targets), len(targets)
    matrix = torch.zeros(31, 31, dtype=torch.float64)
    shares = []
    for row, target in zip(x, targets, strict=True):
        z = model(row)
        j = torch.stack([flat(torch.autograd.grad(v, leaves, retain_graph=True)) for v in z])
        slope = sample_slope(case, z, target)
        shares.append(n / weight * slope @ j)
        if kind == "empirical_fisher":
            middle = torch.outer(slope, slope)
        elif kind == "fisher" and int(target.reshape(-1)[0]) != -100:
            found = [(sample_slope(case, z, y), p) for y, p in case.possible(z.detach())]
            middle = torch.stack([p * torch.outer(s, s) for s, p in found]).sum(0)
        elif kind == "gauss_newton" and int(target.reshape(-1)[0]) != -100:
            total = case.weight(target[None])
            middle = torch.autograd.functional.hessian(  # type: ignore[no-untyped-call]
                lambda out, y=target, t=total: case.loss(out[None], y[None]) * t, z.detach()
            )
        else:
            middle = torch.zeros(3, 3, dtype=torch.float64)
        matrix = matrix + j.T @ middle @ j / weight
    rows = torch.stack(shares)
    if kind == "gradient_covariance":
        matrix = rows.T @ rows / n
    if kind == "gradient_noise":
        matrix = (rows - rows.mean(0)).T @ (rows - rows.mean(0)) / n
    return np.asarray(matrix)


def hessian(case: Case, kind: CurvatureKind, **options: Any) -> Hessian:
    data = inputs(), case.targets()
    return landscape.hessian(network(), data, case.loss, curvature=kind, **options)


@pytest.mark.parametrize("engine", ["torch", "native"])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_matrices_are_those_of_their_definitions(
    case: Case, kind: CurvatureKind, engine: Any
) -> None:
    found = hessian(case, kind, engine=engine)
    expected = naive(case, kind)
    assert_allclose(found.dense(), expected, atol=1e-12 * float(np.abs(expected).max()))
    assert found.eigenvalues(1).run.engine == engine
    first = hessian(case, kind, engine=engine, memory_budget=12000).dense()
    assert_allclose(first, found.dense(), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_those_of_the_whole(case: Case, kind: CurvatureKind) -> None:
    whole = hessian(case, kind, engine="torch")
    dense = whole.dense()
    spans = [entry.span for entry in whole.layout.entries]
    rows = np.concatenate([np.arange(s.start, s.stop) for s in spans[2:]])
    for engine in ("torch", "native"):
        block = hessian(case, kind, engine=engine).blocks()["2"]
        assert_allclose(block.dense(), dense[np.ix_(rows, rows)], atol=1e-12)


def test_the_likelihood_of_a_loss_makes_fisher_and_gauss_newton_one() -> None:
    for name in ("cross-entropy", "MSE"):
        fisher, gauss_newton = (
            hessian(CASES[name], kind, engine="torch").dense()
            for kind in ("fisher", "gauss_newton")
        )
        assert_allclose(fisher, gauss_newton, atol=1e-13)


def test_random_targets_have_the_fisher_matrix_as_their_mean(case: Case) -> None:
    exact = hessian(case, "fisher").dense()
    draws = 4000
    found = hessian(case, "monte_carlo_fisher", draws=draws)
    assert_allclose(found.dense(), exact, atol=8 / draws**0.5 * float(np.abs(exact).max()))
    assert found.eigenvalues(1).run.engine.startswith("torch")
    few = [hessian(case, "monte_carlo_fisher", seed=seed).dense() for seed in (0, 0, 1)]
    assert np.array_equal(few[0], few[1])
    assert not np.array_equal(few[0], few[2])
    streamed = hessian(case, "monte_carlo_fisher", memory_budget=9000)
    assert_allclose(streamed.dense(), few[0], atol=1e-12)


@pytest.mark.parametrize("policy", ["frozen", "batch"])
def test_images_under_batch_norm(policy: Any) -> None:
    """Samples that share statistics have one Jacobian together."""
    x, y = images(12)
    model = seeded(ConvNet).double()
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    for kind in ("gauss_newton", "fisher", "empirical_fisher", "gradient_noise"):
        found, twin = (
            landscape.hessian(
                model, (x.double(), y), loss, curvature=kind, batch_norm=policy, engine=engine
            )
            for engine in ("torch", "native")
        )
        vectors = np.random.default_rng(0).normal(size=(found.dim, 3))
        expected = found.matmat(vectors)
        assert_allclose(twin.matmat(vectors), expected, atol=1e-9 * float(np.abs(expected).max()))
    copied = seeded(ConvNet).double().train(policy == "batch")
    z = copied(x.double())
    leaves = list(copied.parameters())
    rows = [flat(torch.autograd.grad(v, leaves, retain_graph=True)) for v in z.reshape(-1)]
    j = torch.stack(rows).reshape(*z.shape, -1)
    p = z.softmax(1).detach()
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None]
    wanted = torch.einsum("nip,nij,njq,qk->pk", j, middle, j, torch.from_numpy(vectors)) / 12
    gauss_newton = landscape.hessian(
        model, (x.double(), y), loss, curvature="gauss_newton", batch_norm=policy, engine="torch"
    )
    assert_allclose(gauss_newton.matmat(vectors), wanted.numpy(), atol=1e-10)


def test_weight_decay_is_in_the_curvatures_of_the_whole_loss() -> None:
    case = CASES["MSE"]
    for kind in KINDS:
        with_decay = hessian(case, kind, weight_decay=0.3).dense()
        apart = with_decay - hessian(case, kind).dense()
        expected = 0.3 if kind in ("hessian", "gauss_newton") else 0.0
        assert_allclose(apart, expected * np.eye(len(apart)), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_sampling_errors_are_the_spread_over_draws(kind: CurvatureKind) -> None:
    x, y = classes(400)
    model = seeded(mlp, 1).double()
    vectors = np.random.default_rng(0).normal(size=(2, 75))
    forms, errors = [], []
    for seed in range(60):
        found = landscape.hessian(
            model, (x.double(), y), curvature=kind, samples=60, seed=seed, engine="torch"
        )
        forms.append(np.einsum("ki,ki->k", vectors, found.matmat(vectors.T).T))
        errors.append(np.asarray(found.sampling_errors(vectors)))
    ratio = np.std(forms, axis=0, ddof=1) / np.mean(errors, axis=0)
    assert ratio.min() > 0.7
    assert ratio.max() < 1.4


@pytest.mark.parametrize("kind", ["gauss_newton", "gradient_covariance", "gradient_noise"])
def test_sampling_errors_know_of_weights(kind: CurvatureKind) -> None:
    x, y = classes(400)
    y = torch.where(torch.rand(400, generator=random(0)) < 0.4, -100, y)
    model, loss = (
        seeded(mlp, 1).double(),
        nn.CrossEntropyLoss(torch.tensor([1.0, 1.0, 6.0]).double()),
    )
    vectors = np.random.default_rng(0).normal(size=(2, 75))
    forms, errors = [], []
    for seed in range(60):
        found = landscape.hessian(
            model, (x.double(), y), loss, curvature=kind, samples=60, seed=seed, engine="torch"
        )
        forms.append(np.einsum("ki,ki->k", vectors, found.matmat(vectors.T).T))
        errors.append(np.asarray(found.sampling_errors(vectors)))
    ratio = np.std(forms, axis=0, ddof=1) / np.mean(errors, axis=0)
    assert ratio.min() > 0.7
    assert ratio.max() < 1.4


def test_what_a_curvature_needs_is_said() -> None:
    model, data = nn.Linear(3, 2), (torch.randn(5, 3), torch.randn(5, 2))
    for engine in ("torch", "native"):
        with pytest.raises(ValueError, match=r"L1 has no likelihood"):
            landscape.hessian(model, data, nn.L1Loss(), curvature="fisher", engine=engine).dense()
    with pytest.raises(ValueError, match=r"needs a recognised loss.*pass a torch.nn loss"):
        landscape.hessian(
            model, data, lambda out, y: (out - y).abs().mean(), curvature="gauss_newton"
        ).dense()
    with pytest.raises(ValueError, match="curvature='ggn', expected one of 'hessian'"):
        landscape.hessian(model, data, curvature="ggn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="draws=0, expected at least 1"):
        landscape.hessian(model, data, curvature="monte_carlo_fisher", draws=0)
    with pytest.raises(ValueError, match="random targets are drawn by engine='torch' alone"):
        landscape.hessian(model, data, curvature="monte_carlo_fisher", engine="native").dense()


def test_pos_weight_makes_fisher_another_matrix_than_gauss_newton() -> None:
    """One output z = w: E[s^2] over labels against the second derivative at the data's labels."""
    c, w = 4.0, 0.7
    model = nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        model.weight.fill_(w)
    y = torch.tensor([[1.0], [0.0], [0.0], [1.0], [1.0]], dtype=torch.float64)
    data = (torch.ones_like(y), y)
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([c], dtype=torch.float64))
    p = 1 / (1 + np.exp(-w))
    expected = {
        "fisher": p * (1 - p) * (p + c**2 * (1 - p)),
        "gauss_newton": p * (1 - p) * (2 + 3 * c) / 5,
    }
    kinds: tuple[CurvatureKind, ...] = ("fisher", "gauss_newton")
    engines: tuple[Literal["torch", "native"], ...] = ("torch", "native")
    for engine, kind in itertools.product(engines, kinds):
        found = landscape.hessian(model, data, loss, curvature=kind, engine=engine).dense()
        assert found[0, 0] == pytest.approx(expected[kind], rel=1e-10)
    assert expected["fisher"] > 1.2 * expected["gauss_newton"]


def test_a_loss_that_is_linear_in_the_outputs_says_what_holds() -> None:
    """NLL and L1: a Gauss-Newton matrix of zeros is refused, and what is advised works."""
    torch.manual_seed(0)
    bare = nn.Linear(4, 3).double()
    model = nn.Sequential(bare, nn.LogSoftmax(1))
    data = (torch.randn(20, 4).double(), torch.randint(3, (20,)))
    refused: tuple[CurvatureKind, ...] = ("fisher", "gauss_newton")
    for kind in refused:
        with pytest.raises(ValueError, match=r"Leave LogSoftmax out.*CrossEntropyLoss\(\)"):
            landscape.hessian(model, data, nn.NLLLoss(), curvature=kind).dense()
    advised: tuple[CurvatureKind, ...] = ("hessian", "empirical_fisher")
    for kind in advised:
        first = landscape.hessian(model, data, nn.NLLLoss(), curvature=kind)
        second = landscape.hessian(bare, data, curvature=kind)
        np.testing.assert_allclose(first.dense(), second.dense(), atol=1e-12)
    real = (data[0], torch.randn(20, 3).double())
    for engine in ("torch", "native"):
        with pytest.raises(ValueError, match="Gauss-Newton matrix of L1 is zero for every model"):
            landscape.hessian(
                bare, real, nn.L1Loss(), curvature="gauss_newton", engine=engine
            ).dense()


def test_an_empirical_fisher_sums_a_samples_positions_before_they_are_squared() -> None:
    torch.manual_seed(0)
    model = nn.Conv1d(2, 3, 1).double()
    x, y = torch.randn(5, 2, 4).double(), torch.randint(3, (5, 4))
    rows = []
    for i in range(5):
        total = nn.functional.cross_entropy(model(x[i : i + 1]), y[i : i + 1], reduction="sum")
        rows.append(flat(torch.autograd.grad(total, list(model.parameters()))))
    gradients = torch.stack(rows)
    expected = (gradients.T @ gradients / 20).numpy()
    found = landscape.hessian(model, (x, y), curvature="empirical_fisher").dense()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_outputs_without_a_second_axis() -> None:
    """One number a sample, shape (n,)."""

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1).double()

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.layer(x)[:, 0]
            return found

    torch.manual_seed(0)
    model, x = Flat(), inputs()
    y = torch.randn(13, dtype=torch.float64)
    residual = 2 * (model(x) - y)[:, None] * torch.cat([x, torch.ones(13, 1)], dim=1)
    expected = (residual.T @ residual / 13).detach().numpy()
    for kind in KINDS:
        found = landscape.hessian(model, (x, y), curvature=kind).dense()
        if kind == "empirical_fisher":
            np.testing.assert_allclose(found, expected, atol=1e-12)
    labels = (y > 0).double()
    exact: tuple[CurvatureKind, ...] = ("fisher", "gauss_newton")
    for kind in exact:
        matrix = landscape.hessian(model, (x, labels), nn.BCEWithLogitsLoss(), curvature=kind)
        assert np.linalg.matrix_rank(matrix.dense()) == 4


def test_a_run_of_another_curvature_is_not_gone_on_with(tmp_path: Any) -> None:
    case = CASES["MSE"]
    file = tmp_path / "run"
    hessian(case, "gauss_newton").eigenvalues(1, resume=file)
    with pytest.raises(ValueError, match="curvature"):
        hessian(case, "empirical_fisher").eigenvalues(1, resume=file)

"""L on an affine subspace, against evaluating theta + a u + b v one by one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import (
    ConvNet,
    LanguageModel,
    Recurrent,
    SelfAttention,
    TiedAutoencoder,
    Transformer,
    classes,
    cut,
    images,
    mlp,
    seeded,
    sequences,
)
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn

from landscape import Objective
from landscape._objective import Strategy

COORDINATES = np.random.default_rng(3).uniform(-1, 1, (7, 2))


@dataclass(frozen=True)
class Case:
    """A model and data, and whether PyTorch can vectorise the model."""

    model: Callable[[], nn.Module]
    data: Callable[[torch.dtype], Any]
    vectorises: bool = True


def same_tokens(dtype: torch.dtype) -> Any:
    tokens, _ = sequences()
    return tokens, torch.roll(tokens, 1, 1)


class NextToken(LanguageModel):
    """Classes in dimension 1, as cross-entropy takes them."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens).transpose(1, 2)


CASES = {
    "mlp": Case(mlp, lambda dtype: classes(dtype=dtype)),
    "convolutions": Case(ConvNet, lambda dtype: images(dtype=dtype)),
    "tied": Case(TiedAutoencoder, lambda dtype: (classes(dtype=dtype)[0],) * 2),
    "tied embedding": Case(NextToken, same_tokens),
    "MultiheadAttention": Case(Transformer, lambda _: sequences()),
    "scaled dot product": Case(SelfAttention, lambda _: sequences()),
    "LSTM": Case(Recurrent, lambda _: sequences(), vectorises=False),
}
STRATEGIES = {
    "loop": Strategy(),
    "small blocks": Strategy(block=5),
    "channels last": Strategy(memory_format="channels_last", block=7),
    "vmap": Strategy("vmap", points=3),
    "vmap of all, small blocks": Strategy("vmap", points=64, block=5),
    "measured": None,
}


def brute_force(model: nn.Module, data: Any, theta: Any, basis: Any) -> list[float]:
    """A loop over points on a copy of the model, in one full batch."""
    x, y = data
    loss = F.mse_loss if y.is_floating_point() else F.cross_entropy
    twin, losses = copy.deepcopy(model).eval(), []
    for a, b in COORDINATES:
        point = (theta + a * basis[0] + b * basis[1]).astype(theta.dtype)
        nn.utils.vector_to_parameters(torch.from_numpy(point), list(twin.parameters()))
        with torch.no_grad():
            losses.append(loss(twin(x).double(), y.double() if y.is_floating_point() else y))
    return [float(value) for value in losses]


def axes(objective: Objective) -> Any:
    rng = np.random.default_rng(0)
    return [0.5 * rng.standard_normal(objective.dim).astype(objective.dtype) for _ in range(2)]


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # vmap of attention, if forced
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-12)], ids=["f32", "f64"]
)
@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        (name, strategy)
        for name, case in CASES.items()
        for strategy in STRATEGIES
        if case.vectorises or not strategy.startswith("vmap")
    ],
)
def test_losses_are_brute_force(
    name: str, strategy: str, dtype: torch.dtype, tolerance: float
) -> None:
    case = CASES[name]
    model, data = seeded(case.model).to(dtype), case.data(dtype)
    objective = Objective(model, data)
    basis = axes(objective)
    plane = objective.subspace(None, basis, strategy=STRATEGIES[strategy])
    expected = brute_force(model, data, objective.theta, basis)
    assert_allclose(plane.losses(COORDINATES), expected, rtol=tolerance)
    assert plane.losses(COORDINATES[:0]).shape == (0,)


@pytest.mark.parametrize("strategy", ["loop", "vmap"])
def test_chunks_do_not_matter(strategy: str) -> None:
    """A point's value has the same bits in whatever company it is evaluated (by the loop)."""
    objective = Objective(mlp(), classes())
    plane = objective.subspace(None, axes(objective), strategy=STRATEGIES[strategy])
    whole = plane.losses(COORDINATES)
    for size in (1, 2, 3, 6):
        parts = [plane.losses(COORDINATES[i : i + size]) for i in range(0, 7, size)]
        if strategy == "loop":
            assert_array_equal(np.concatenate(parts), whole)
        else:
            assert_allclose(np.concatenate(parts), whole, rtol=1e-6)


def test_a_measured_strategy_is_kept() -> None:
    objective = Objective(mlp(), classes())
    plane = objective.subspace(None, axes(objective))
    assert plane.strategy == objective.strategy == objective.subspace(None, plane.basis).strategy
    assert Strategy.from_record(plane.strategy.record()) == plane.strategy
    again = objective.subspace(None, axes(objective), strategy=plane.strategy)
    assert_array_equal(again.losses(COORDINATES), plane.losses(COORDINATES))


def test_an_impossible_strategy_says_so_and_harms_nothing() -> None:
    objective = Objective(seeded(Recurrent), sequences())
    assert objective.strategy.kind == "loop"
    expected = objective.loss()
    plane = objective.subspace(None, axes(objective), strategy=STRATEGIES["vmap"])
    with pytest.raises(RuntimeError, match=r"[Bb]atching rule not implemented.*lstm"):
        plane.losses(COORDINATES)
    assert objective.loss() == expected


def test_a_model_that_needs_contiguous_activations() -> None:
    """view() after a convolution fails on channels-last images: the rival loses, nobody fails."""

    class View(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.head = nn.Linear(64, 3)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head(self.conv(x).view(len(x), -1))
            return found

    x, y = images()
    objective = Objective(seeded(View), (x.repeat(1, 3, 1, 1), y))
    rival = Strategy(memory_format="channels_last")
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        objective.subspace(None, axes(objective), strategy=rival).losses(COORDINATES)
    assert objective.strategy.memory_format == "contiguous"
    found = objective.subspace(None, axes(objective)).losses([[0.0, 0.0]])[0]
    assert found == pytest.approx(objective.loss(), rel=1e-6)


def test_gradients_along_the_basis() -> None:
    objective = Objective(mlp().double(), classes(dtype=torch.float64), weight_decay=0.3)
    theta, basis = objective.theta + 0.1, axes(objective)
    plane = objective.subspace(theta, basis)
    losses, slopes = plane.gradients(COORDINATES)
    assert_allclose(losses, plane.losses(COORDINATES), rtol=1e-12)
    assert slopes.shape == (7, 2)
    for j, step in enumerate(1e-6 * np.eye(2)):
        difference = plane.losses(COORDINATES + step) - plane.losses(COORDINATES - step)
        assert_allclose(slopes[:, j], difference / 2e-6, rtol=1e-6, atol=1e-9)
    here = objective.gradient(theta + COORDINATES[0] @ basis)
    assert_allclose(slopes[0], [here @ axis for axis in basis], rtol=1e-10)


@pytest.mark.parametrize("strategy", ["loop", "vmap"])
def test_weight_decay(strategy: str) -> None:
    plain, decayed = (
        Objective(mlp().double(), classes(dtype=torch.float64), weight_decay=decay)
        for decay in (0.0, 0.4)
    )
    basis = axes(plain)
    thetas = plain.theta + COORDINATES @ basis
    found = [
        objective.subspace(None, basis, strategy=STRATEGIES[strategy]).losses(COORDINATES)
        for objective in (plain, decayed)
    ]
    assert_allclose(found[1] - found[0], 0.2 * (thetas**2).sum(1), rtol=1e-9)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_any_number_of_axes(count: int) -> None:
    objective = Objective(mlp().double(), classes(dtype=torch.float64))
    rng = np.random.default_rng(1)
    basis = 0.3 * rng.standard_normal((count, objective.dim))
    coordinates = rng.standard_normal((4, count))
    expected = objective.losses(objective.theta + coordinates @ basis)
    for strategy in ("loop", "vmap"):
        plane = objective.subspace(None, list(basis), strategy=STRATEGIES[strategy])
        assert plane.dim == count
        assert_allclose(plane.losses(coordinates), expected, rtol=1e-11)


def test_non_finite_losses_are_data() -> None:
    """Far out everything overflows, and the neighbours do not notice."""
    objective = Objective(mlp(nn.ReLU), classes())
    huge = np.full(objective.dim, 1e30, dtype=np.float32)
    for strategy in ("loop", "vmap"):
        plane = objective.subspace(None, [huge], strategy=STRATEGIES[strategy])
        found = plane.losses([[0.0], [1.0], [0.0]])
        assert np.isfinite(found).tolist() == [True, False, True]
        assert found[0] == found[2]
    assert found[0] == pytest.approx(objective.loss(), rel=1e-6)


def test_borrowed_vectors_are_not_written_to() -> None:
    objective = Objective(mlp(), cut(classes(), (3, 17)))
    origin, basis = objective.theta, axes(objective)
    copies = [vector.copy() for vector in (origin, *basis)]
    for vector in (origin, *basis):
        vector.flags.writeable = False
    for strategy in STRATEGIES.values():
        objective.subspace(origin, basis, strategy=strategy).evaluate(COORDINATES)
    objective.subspace(origin, basis).gradients(COORDINATES)
    assert_array_equal(copies, [origin, *basis])


def test_vectors_may_be_tensors_lists_or_of_another_dtype() -> None:
    objective = Objective(mlp(), classes())
    basis = axes(objective)
    expected = objective.subspace(None, basis, strategy=Strategy()).losses(COORDINATES)
    for form in (
        [torch.from_numpy(v).requires_grad_() for v in basis],
        [v.astype(np.float64) for v in basis],
        [list(map(float, v)) for v in basis],
        [np.repeat(v, 2)[::2] for v in basis],
    ):
        plane = objective.subspace(list(objective.theta), form, strategy=Strategy())
        assert_allclose(plane.losses(COORDINATES.tolist()), expected, rtol=1e-6)


def test_refused() -> None:
    objective = Objective(mlp(), classes())
    good = axes(objective)
    with pytest.raises(ValueError, match="basis is empty"):
        objective.subspace(None, [])
    with pytest.raises(ValueError, match=r"basis vector 1 has shape \(74,\), expected \(75,\)"):
        objective.subspace(None, [good[0], good[1][:-1]])
    with pytest.raises(ValueError, match=r"theta has shape \(76,\), expected \(75,\)"):
        objective.subspace(np.zeros(76), good)
    plane = objective.subspace(None, good, strategy=Strategy())
    for coordinates in ([0.0, 1.0], [[0.0]], [[[0.0, 1.0]]]):
        with pytest.raises(ValueError, match=r"expected \(points, 2\)"):
            plane.losses(coordinates)

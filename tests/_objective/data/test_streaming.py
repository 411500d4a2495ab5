"""Data that exceed the memory budget: read anew in every pass, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from models import ConvNet, DropoutNet, classes, cut, images, mlp, seeded
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from landscape import Objective, batch_loss

SIZES = (6, 3, 11)


class Noisy(Dataset[Any]):
    """Random augmentation from every stream there is."""

    def __init__(self) -> None:
        self.x, self.y = classes()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        noise = torch.randn(5) + float(np.random.standard_normal())  # noqa: NPY002
        return self.x[index] + noise, self.y[index]


def kept_and_streamed(model: nn.Module, data: Any, loss: Any = None, **options: Any) -> Any:
    kept = Objective(model, data, loss, **options)
    streamed = Objective(model, data, loss, memory_budget=1, **options)
    assert any("streamed" in note for note in streamed.notes)
    assert not any("streamed" in note for note in kept.notes)
    return kept, streamed


def around(objective: Objective, points: int = 3) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(0).standard_normal((points, objective.dim))
    return np.asarray(objective.theta + 0.1 * noise, dtype=objective.dtype)


def test_everything_is_the_same() -> None:
    model = mlp().double()
    kept, streamed = kept_and_streamed(model, cut(classes(dtype=torch.float64), SIZES))
    points = around(kept)
    assert_allclose(streamed.losses(points), kept.losses(points), rtol=1e-12)
    assert_allclose(streamed.sample_losses(points), kept.sample_losses(points), rtol=1e-12)
    for found, expected in (
        (streamed.gradients(points), kept.gradients(points)),
        (streamed.gradients_on(points, [2, 0, 1]), kept.gradients_on(points, [2, 0, 1])),
    ):
        assert_allclose(found[0], expected[0], rtol=1e-12)
        assert_allclose(found[1], expected[1], rtol=1e-10, atol=1e-14)
    vector = points[0]
    assert_allclose(streamed.hessian_product(vector), kept.hessian_product(vector), rtol=1e-9)
    basis = [points[1], points[2]]
    coordinates = [[0.1, 0.2], [0.0, -0.3]]
    found, expected = (
        o.subspace(None, basis, metrics=["accuracy"]).evaluate(coordinates)
        for o in (streamed, kept)
    )
    assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("policy", ["frozen", "batch", "recalibrated"])
def test_batch_norm(policy: Any) -> None:
    model = seeded(ConvNet).double()
    data = cut(images(dtype=torch.float64), (5, 7))
    kept, streamed = kept_and_streamed(model, data, batch_norm=policy)
    points = around(kept)
    assert_allclose(streamed.losses(points), kept.losses(points), rtol=1e-12)


class NoisyNet(nn.Module):
    """Noise that no flag switches off, as a variational autoencoder has it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x + torch.randn_like(x))
        return found


class Stateful(nn.Module):
    """A state that a batch hands on to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.register_buffer("seen", torch.zeros(()))
        self.seen: Tensor
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x) * (1 + self.seen / 10)
        if self.last is not None:
            found = found + self.last
        self.seen += 1
        self.last = found.detach().mean(0)
        return found


@pytest.mark.parametrize(
    ("make", "options"),
    [(DropoutNet, {"dropout": "seeded"}), (NoisyNet, {}), (Stateful, {})],
)
def test_random_numbers_and_states_are_those_of_kept_data(
    make: Callable[[], nn.Module], options: Any
) -> None:
    """L must not depend on the memory budget, nor on how many points a call has."""
    loss = batch_loss(lambda model, batch: nn.functional.cross_entropy(model(batch[0]), batch[1]))
    options = {**options, "check": "off"}  # no derivative goes through a detached state
    kept, streamed = kept_and_streamed(seeded(make), cut(classes(), SIZES), loss, **options)
    points = around(kept)
    expected = [kept.loss(point) for point in points]
    for objective in (kept, streamed):
        assert_allclose(objective.losses(points), expected, rtol=1e-6)
        assert_allclose(objective.losses(points[::-1]), expected[::-1], rtol=1e-6)
        assert_allclose(objective.gradients(points)[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DataLoader(TensorDataset(*classes()), batch_size=6, shuffle=True),
        lambda: DataLoader(Noisy(), batch_size=6, shuffle=True),
        Noisy,
    ],
    ids=["shuffled", "augmented", "dataset"],
)
def test_shuffling_and_augmentation_repeat(make: Callable[[], Any]) -> None:
    kept, streamed = kept_and_streamed(mlp(), make())
    assert streamed.loss() == streamed.loss() == pytest.approx(kept.loss(), rel=1e-6)
    here = kept.theta[None]
    assert_allclose(streamed.sample_losses(here), kept.sample_losses(here), rtol=1e-6)
    assert_array_equal(streamed.gradient(), streamed.gradient())


class Restless:
    """A source whose later passes are not its first."""

    def __init__(self, change: str) -> None:
        self.batches = cut(classes(), SIZES)
        self.change = change
        self.passes = 0

    def __iter__(self) -> Iterator[Any]:
        self.passes += 1
        if self.passes == 1:
            return iter(self.batches)
        x, y = self.batches[1]
        changed = {
            "value": [self.batches[0], (x + 1e-7, y), self.batches[2]],
            "target": [self.batches[0], (x, (y + 1) % 3), self.batches[2]],
            "order": [self.batches[1], self.batches[0], self.batches[2]],
            "fewer": self.batches[:1],
            "more": [*self.batches, self.batches[0]],
        }
        return iter(changed[self.change])


@pytest.mark.parametrize(
    ("change", "batch"), [("value", 2), ("target", 2), ("order", 1), ("fewer", 2), ("more", 4)]
)
def test_passes_that_differ_are_refused(change: str, batch: int) -> None:
    with pytest.raises(RuntimeError, match=rf"first at batch {batch}\).*memory_budget"):
        Objective(mlp(), Restless(change), memory_budget=1).loss()
    Objective(mlp(), Restless(change)).loss()  # read once, so it does not matter


def test_what_is_kept_counts_against_the_budget() -> None:
    x, y = classes()
    nbytes = x.nbytes + y.nbytes
    for budget, streams in ((nbytes, False), (nbytes - 1, True)):
        notes = Objective(mlp(), cut((x, y), SIZES), memory_budget=budget).notes
        assert any(f"({nbytes:,} bytes)" in note for note in notes) is streams


def test_streamed_batches_cannot_be_cut_or_picked() -> None:
    data = TensorDataset(*classes()), DataLoader(TensorDataset(*classes()), batch_size=4)
    Objective(mlp(), data[0], memory_budget=1, batch_size=4)  # lies in memory already
    with pytest.raises(
        ValueError, match=r"batch_size=4 needs data that can be cut.*pass a DataLoader"
    ):
        Objective(mlp(), Noisy(), memory_budget=1, batch_size=4)
    with pytest.raises(ValueError, match="samples="):
        Objective(mlp(), data[1], memory_budget=1, samples=4)

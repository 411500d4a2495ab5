"""Every form of data gives the same L, and the notes say what was left out."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import classes, cut, images, mlp, regression, seeded, sequences
from torch import Tensor, nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    TensorDataset,
)

from landscape import Objective, batch_loss

X, Y = classes()
Named = namedtuple("Named", ["inputs", "targets"])


class Rows(Dataset[Any]):
    """Samples one by one, targets as Python numbers."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> Any:
        return X[index], int(Y[index])


class Stream(IterableDataset[Any]):
    """Samples one by one, without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(zip(X, Y, strict=True))


class Again:
    """A re-iterable of batches that is nothing else."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def loader(**options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(X, Y), **options)


FORMS: dict[str, Callable[[], Any]] = {
    "tensors": lambda: (X, Y),
    "list": lambda: [X, Y],
    "arrays": lambda: (X.numpy(), Y.numpy()),
    "float64 array": lambda: (X.double().numpy(), Y.numpy()),
    "int32 targets": lambda: (X, Y.int()),
    "read-only array": lambda: (np.broadcast_to(X.numpy(), X.shape), Y.numpy()),
    "TensorDataset": lambda: TensorDataset(X, Y),
    "Dataset": Rows,
    "IterableDataset": Stream,
    "DataLoader": lambda: loader(batch_size=6),
    "shuffling": lambda: loader(batch_size=6, shuffle=True),
    "own generator": lambda: loader(
        batch_size=7, shuffle=True, generator=torch.Generator().manual_seed(5)
    ),
    "loader of a stream": lambda: DataLoader(Stream(), batch_size=3),
    "list of ragged batches": lambda: cut((X, Y), (5, 1, 14)),
    "list of two batches": lambda: cut((X, Y), (5, 15)),
    "tuple of batches": lambda: tuple(cut((X, Y), (5, 15))),
    "one batch": lambda: [(X, Y)],
    "re-iterable": lambda: Again([(x.numpy(), y.numpy()) for x, y in cut((X, Y), (8, 12))]),
    "named tuples": lambda: [Named(*batch) for batch in cut((X, Y), (8, 12))],
    "mapping": lambda: [{"input": x, "labels": y} for x, y in cut((X, Y), (8, 12))],
    "whole mapping": lambda: {"input": X, "labels": Y},
    "inputs as a mapping": lambda: ({"input": X}, Y),
}


class Net(nn.Module):
    """Takes its input by name, and labels that it does not need."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, input: Tensor, labels: Tensor | None = None) -> Tensor:  # noqa: A002
        found: Tensor = self.net(input)
        return found


@pytest.mark.parametrize("form", FORMS)
def test_forms_agree(form: str) -> None:
    model = Net()
    with torch.no_grad():
        expected = F.cross_entropy(model(X), Y).item()
    objective = Objective(model, FORMS[form]())
    assert objective.samples == len(X)
    assert objective.loss() == pytest.approx(expected, rel=1e-6)


def test_several_inputs() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            found: Tensor = self.net(left + 2 * right)
            return found

    model, other = Sum(), seeded(lambda: torch.randn_like(X), 7)
    with torch.no_grad():
        expected = F.cross_entropy(model(X, other), Y).item()
    for data in (
        ((X, other), Y),
        TensorDataset(X, other, Y),
        [(X[:3], other[:3], Y[:3]), (X[3:], other[3:], Y[3:])],
        [((X[:3], other[:3]), Y[:3]), ((X[3:], other[3:]), Y[3:])],
    ):
        assert Objective(model, data).loss() == pytest.approx(expected, rel=1e-6)


@dataclass
class Graph:
    """As PyTorch Geometric's batches: no tensor tree, a number of graphs, a way to a device."""

    x: Tensor
    y: Tensor
    moves: int = 0

    @property
    def num_graphs(self) -> int:
        return len(self.y)

    def to(self, device: torch.device) -> Graph:
        return Graph(self.x.to(device), self.y.to(device), self.moves + 1)


def test_opaque_batches_with_a_batch_loss() -> None:
    def loss(model: nn.Module, batch: Graph) -> Tensor:
        assert batch.moves == 1
        return F.cross_entropy(model(batch.x), batch.y)

    model, batches = mlp(), [Graph(x, y) for x, y in cut((X, Y), (3, 17))]
    with torch.no_grad():
        expected = F.cross_entropy(model(X), Y).item()
    objective = Objective(model, batches, batch_loss(loss))
    assert objective.samples == 20
    assert objective.loss() == pytest.approx(expected, rel=1e-6)


def test_ragged_lengths_are_kept_apart() -> None:
    """Sentences of different lengths cannot be joined, and are evaluated as they came."""

    def loss(model: nn.Module, tokens: Tensor) -> Tensor:
        found: Tensor = model(tokens).square().mean()
        return found

    model = seeded(lambda: nn.Embedding(7, 3))
    batches = [sequences(4)[0], sequences(2)[0][:, :2], sequences(5)[0][:, :3]]
    with torch.no_grad():
        values = [loss(model, tokens).item() * len(tokens) for tokens in batches]
    objective = Objective(model, batches, batch_loss(loss))
    assert objective.samples == 11
    assert objective.loss() == pytest.approx(sum(values) / 11, rel=1e-6)


@pytest.mark.parametrize("through", ["loader", "batch sampler"])
def test_dropped_samples_are_left_out_and_counted(through: str) -> None:
    data = TensorDataset(X, Y)
    last = (
        DataLoader(data, batch_size=6, drop_last=True)
        if through == "loader"
        else DataLoader(data, batch_sampler=BatchSampler(range(20), 6, drop_last=True))
    )
    model = mlp()
    with torch.no_grad():
        expected = F.cross_entropy(model(X[:18]), Y[:18]).item()
    objective = Objective(model, last)
    assert objective.samples == 18
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    assert any("drops 2 of 20 samples" in note for note in objective.notes)


def test_nothing_is_said_to_be_dropped_when_nothing_is() -> None:
    objective = Objective(mlp(), loader(batch_size=5, drop_last=True))
    assert not any("drop" in note for note in objective.notes)


def test_random_augmentation_is_frozen_and_said_so() -> None:
    class Noisy(Rows):
        def __getitem__(self, index: int) -> Any:
            return X[index] + torch.randn(5), int(Y[index])

    objective = Objective(mlp(), Noisy())
    assert objective.loss() == objective.loss()
    assert any("augmentation is frozen" in note for note in objective.notes)


@pytest.mark.parametrize("sampler", ["shuffle", "sampler", "batch_sampler"])
@pytest.mark.parametrize("budget", [1 << 20, 1])
def test_the_users_generator_stands_still(sampler: str, budget: int) -> None:
    mine = torch.Generator().manual_seed(11)
    order = RandomSampler(range(20), generator=mine)
    kinds: dict[str, dict[str, Any]] = {
        "shuffle": {"shuffle": True, "generator": mine, "batch_size": 6},
        "sampler": {"sampler": order, "batch_size": 6},
        "batch_sampler": {"batch_sampler": BatchSampler(order, 6, drop_last=False)},
    }
    before = mine.get_state()
    global_before = torch.get_rng_state()
    objective = Objective(mlp(), loader(**kinds[sampler]), memory_budget=budget)
    assert objective.loss() == objective.loss()
    assert torch.equal(before, mine.get_state())
    assert torch.equal(global_before, torch.get_rng_state())


def test_tensors_of_float_targets_and_images_are_kept_as_they_are() -> None:
    x, y = regression()
    model = mlp(outputs=2)
    with torch.no_grad():
        expected = F.mse_loss(model(x), y).item()
    assert Objective(model, (x, y.double().numpy())).loss() == pytest.approx(expected, rel=1e-6)
    pixels, labels = images()
    whole = nn.Sequential(nn.Flatten(), seeded(lambda: nn.Linear(36, 3)))
    with torch.no_grad():
        expected = F.cross_entropy(whole(pixels), labels).item()
    assert Objective(whole, (pixels, labels)).loss() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("form", ["tensors", "loader", "streamed"])
def test_a_model_that_writes_into_its_inputs(form: str) -> None:
    """The data stay as they are, between two evaluations and for the user."""

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x: Tensor) -> Tensor:
            x.mul_(0.5)
            found: Tensor = self.net(x)
            return found

    x, model = X.clone(), InPlace()
    with torch.no_grad():
        expected = F.cross_entropy(model.net(x / 2), Y).item()
    data: Any = (x, Y) if form == "tensors" else cut((x, Y), (6, 14))
    objective = Objective(model, data, memory_budget=1 if form == "streamed" else 1 << 20)
    assert torch.equal(x, X)
    for _ in range(2):
        assert objective.losses(np.stack([objective.theta] * 3)) == pytest.approx(
            expected, rel=1e-6
        )
        assert objective.gradients(objective.theta[None])[0] == pytest.approx(expected, rel=1e-6)
    assert torch.equal(x, X)

"""Samples are counted from what a batch's parts agree on, or `weight=` is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from hypothesis import assume, given, settings
from models import classes, cut, mlp, seeded
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from landscape import Objective, batch_loss
from landscape._objective.data.counting import describe_parts

FEATURES = 3


class Reader(nn.Module):
    """One linear layer on the mean of each sample's rows, whatever form the samples have."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = seeded(lambda: nn.Linear(FEATURES, 2)).double()

    def forward(self, *parts: Any, labels: Any = None, **columns: Any) -> Tensor:
        rows = self.read(*parts, *columns.values())
        found: Tensor = self.layer(rows)
        return found

    @staticmethod
    def read(*parts: Any) -> Tensor:
        raise NotImplementedError


class Rows(Reader):
    @staticmethod
    def read(*parts: Any) -> Tensor:
        found: Tensor = sum(parts[1:], start=parts[0])
        return found


class TimeFirst(Reader):
    @staticmethod
    def read(*parts: Any) -> Tensor:
        found: Tensor = parts[0].mean(0)
        return found


class Padded(Reader):
    """Rows (n, longest, features), and their lengths."""

    @staticmethod
    def read(*parts: Any) -> Tensor:
        rows, lengths = parts
        return torch.stack([row[:k].mean(0) for row, k in zip(rows, lengths.tolist(), strict=True)])


class Lists(Reader):
    @staticmethod
    def read(*parts: Any) -> Tensor:
        return torch.stack([rows.mean(0) for rows in parts[0]])


class Packed(Reader):
    @staticmethod
    def read(*parts: Any) -> Tensor:
        assert isinstance(parts[0], PackedSequence)
        rows, lengths = pad_packed_sequence(parts[0], batch_first=True)
        found: Tensor = rows.sum(1) / lengths[:, None]
        return found


class Offsets(Reader):
    """All rows in one tensor, and where each sample begins."""

    @staticmethod
    def read(*parts: Any) -> Tensor:
        rows, offsets = parts
        pieces = torch.tensor_split(rows, offsets[1:].cpu())
        return torch.stack([piece.mean(0) for piece in pieces])


def pad(lists: list[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(lists, batch_first=True)


def starts(lists: list[Tensor]) -> Tensor:
    lengths = [len(rows) for rows in lists]
    return torch.tensor([sum(lengths[:i]) for i in range(len(lengths))])


Make = Callable[[list[Tensor], Tensor], Any]

STRUCTURES: dict[str, tuple[type[Reader], Make, bool]] = {
    # the model, a batch of it from lists of rows, and whether all parts agree on the samples
    "pairs": (Rows, lambda lists, y: (torch.stack([r.mean(0) for r in lists]), y), True),
    "three parts": (
        Rows,
        lambda lists, y: (*(torch.stack([r[i] for r in lists]) for i in (0, -1)), y),
        True,
    ),
    "nested inputs": (
        Rows,
        lambda lists, y: [tuple(torch.stack([r[i] for r in lists]) for i in (0, -1)), y],
        True,
    ),
    "columns": (
        Rows,
        lambda lists, y: {"x": torch.stack([r[0] for r in lists]), "labels": y},
        True,
    ),
    "time first": (
        TimeFirst,
        lambda lists, y: (pad(lists).transpose(0, 1).contiguous(), y),
        False,
    ),
    "padded": (
        Padded,
        lambda lists, y: (pad(lists), torch.tensor([len(r) for r in lists]), y),
        True,
    ),
    "a list": (Lists, lambda lists, y: (lists, y), True),
    "a tuple": (Lists, lambda lists, y: (tuple(lists), y), True),
    "columns of lists": (Lists, lambda lists, y: {"rows": lists, "labels": y}, True),
    "packed": (Packed, lambda lists, y: (pack_sequence(lists, enforce_sorted=False), y), True),
    "offsets": (Offsets, lambda lists, y: (torch.cat(lists), starts(lists), y), False),
}


def spread(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss that nobody knows, whose batch means are not the mean of all."""
    return (outputs.max() - outputs.mean()).exp() + F.cross_entropy(outputs, targets)


def targets_of(batch: Any) -> Tensor:
    targets: Tensor = batch["labels"] if isinstance(batch, dict) else batch[-1]
    return targets


def run(model: nn.Module, batch: Any) -> Tensor:
    """The model on a batch, called by hand."""
    if isinstance(batch, dict):
        found = model(**batch)
    elif isinstance(model, Rows) and isinstance(batch[0], tuple):
        found = model(*batch[0])
    else:
        found = model(*batch[:-1])
    return found  # type: ignore[no-any-return]


def by_batch(model: nn.Module, batch: Any) -> Tensor:
    return spread(run(model, batch), targets_of(batch))


def draw(seed: int, sizes: list[int], lengths: list[int]) -> list[tuple[list[Tensor], Tensor]]:
    random = torch.Generator().manual_seed(seed)
    found = []
    for size in sizes:
        chosen = [lengths[(i * 7 + size) % len(lengths)] for i in range(size)]
        lists = [torch.randn(k, FEATURES, generator=random).double() for k in chosen]
        found.append((lists, torch.randint(2, (size,), generator=random)))
    return found


@settings(max_examples=150, deadline=None)
@given(
    structure=st.sampled_from(sorted(STRUCTURES)),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    kind=st.sampled_from(["inferred", "outputs", "batch", "weighted", "streamed"]),
    seed=st.integers(0, 99),
)
def test_the_loss_is_the_naive_mean_or_a_weight_is_asked_for(
    structure: str, sizes: list[int], lengths: list[int], kind: str, seed: int
) -> None:
    make_model, make, agrees = STRUCTURES[structure]
    model = make_model()
    parts = draw(seed, sizes, lengths)
    batches = [make(lists, y) for lists, y in parts]
    loss: Any = None if kind == "inferred" else spread
    options: dict[str, Any] = {}
    if kind in ("batch", "weighted"):
        loss = batch_loss(by_batch)
    if kind == "weighted":
        options["weight"] = lambda batch: len(targets_of(batch))
    if kind == "streamed":
        options["memory_budget"] = 1
    if make_model is Lists:  # n lists of n rows: the shapes do not tell which n is the samples'
        assume(any({len(r) for r in lists} != {len(lists)} for lists, _ in parts))
    values = [
        (F.cross_entropy if loss is None else spread)(run(model, b), targets_of(b)).item()
        for b in batches
    ]
    expected = np.average(values, weights=sizes)
    try:
        objective = Objective(model, batches, loss, **options)
    except ValueError as error:
        if "weight=" in str(error) and kind == "batch" and not agrees:
            return
        raise
    assert objective.loss() == pytest.approx(expected, rel=1e-12)
    assert np.isfinite(objective.gradient()).all()
    if kind != "batch" or agrees:
        assert objective.samples == sum(sizes)


@pytest.mark.parametrize("structure", sorted(STRUCTURES))
def test_a_single_batch_whole_and_in_a_list_are_the_same(structure: str) -> None:
    make_model, make, _ = STRUCTURES[structure]
    ((lists, y),) = draw(0, [5], [4, 2, 3])
    model, batch = make_model(), make(lists, y)
    expected = F.cross_entropy(run(model, batch), y).item()
    for data in (batch, [batch]):
        objective = Objective(model, data)
        assert objective.loss() == pytest.approx(expected, rel=1e-12)
        assert objective.samples == 5


def test_samples_can_be_picked_from_lists() -> None:
    """A list with one entry for each sample is cut between its entries."""
    parts = draw(1, [5, 3, 4], [4, 2, 3])
    model = Lists()
    lists, y = [r for rows, _ in parts for r in rows], torch.cat([y for _, y in parts])
    picked = [0, 7, 11, 3]
    objective = Objective(model, parts, samples=picked)
    expected = F.cross_entropy(model([lists[i] for i in picked]), y[picked]).item()
    assert objective.loss() == pytest.approx(expected, rel=1e-12)
    split = Objective(model, (lists, y), spread, batch_size=5)
    assert (split.samples, split.batches) == (12, 3)


def test_images_with_as_many_channels_as_there_are_of_them_are_not_cut() -> None:
    """Three images of three channels: neither axis may be taken for the other."""

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = seeded(lambda: nn.Conv2d(3, 4, 3))

        def forward(self, pictures: list[Tensor]) -> Tensor:
            return torch.stack([self.net(p[None]).mean((0, 2, 3)) for p in pictures])

    model, y = Mean(), torch.tensor([0, 1, 3, 2])
    pictures = seeded(lambda: [torch.rand(3, 8, 8) for _ in range(4)])
    expected = F.cross_entropy(model(pictures), y).item()
    batches = [(pictures[:3], y[:3]), (pictures[3:], y[3:])]
    assert Objective(model, batches).loss() == pytest.approx(expected, rel=1e-6)
    alone = Objective(model, (pictures[:3], y[:3]))
    assert alone.loss() == pytest.approx(
        F.cross_entropy(model(pictures[:3]), y[:3]).item(), rel=1e-6
    )


def test_time_first_targets_too() -> None:
    """(T, N) targets of an unknown loss say T, and whether it is a mean over them is unknown."""
    model = seeded(lambda: nn.Linear(3, 2)).double()

    def flat(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    batches = seeded(
        lambda: [(torch.randn(9, n, 3).double(), torch.randint(2, (9, n))) for n in (8, 8, 2)]
    )
    with pytest.raises(ValueError, match=r"shape \(9, 8\) and those of batch 2 \(9, 2\).*weight="):
        Objective(model, batches, flat)
    with pytest.raises(ValueError, match=r"axis 1 of the batches seems to count.*8, 8, 2.*weight="):
        Objective(model, batches, batch_loss(lambda net, b: flat(net(b[0]), b[1])))
    expected = flat(
        model(torch.cat([x for x, _ in batches], 1)), torch.cat([y for _, y in batches], 1)
    ).item()
    found = Objective(model, batches, flat, weight=lambda batch: batch[1].numel())
    assert found.loss() == pytest.approx(expected, rel=1e-12)


def test_outputs_that_do_not_fit_the_targets() -> None:
    """A model whose outputs are twice its samples, as of two views."""
    model = mlp()

    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.net(torch.cat([x, -x]))
            return found

    def contrast(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets.repeat(2))

    batches = cut(classes(), (9, 4, 7))
    with pytest.raises(ValueError, match=r"outputs \(shape .*\) of 9 samples say 18.*weight="):
        Objective(Views(), batches, contrast)
    found = Objective(Views(), batches, contrast, weight=lambda batch: len(batch[1]))
    values = [contrast(Views()(x), y).item() for x, y in batches]
    assert found.loss() == pytest.approx(np.average(values, weights=(9, 4, 7)), rel=1e-6)


def test_what_parts_say() -> None:
    x, y = torch.zeros(9, 8, 3), torch.zeros(8)
    for content, agreed, size in (
        ((x, y), None, 8),
        ((y, y), 8, 8),
        ([[x] * 8, y], 8, 8),
        ({"a": y, "b": [1] * 8}, 8, 8),
        (["one", "two", "three"], 3, 3),
        ((torch.zeros(30), torch.zeros(4), torch.zeros(4)), None, 4),
        ((x, torch.tensor(1.0)), 9, 9),
        ([{"image": torch.zeros(3, 2, 2), "boxes": torch.zeros(1, 4)}] * 5, 5, 5),
    ):
        parts = describe_parts(content)
        assert (parts.agreed, parts.size) == (agreed, size)
    said = str(describe_parts((x, y)))
    assert said == "inputs (shape (9, 8, 3)) 9, targets (shape (8,)) 8"


def test_an_object_that_says_nothing_needs_a_weight() -> None:
    class Opaque:
        __slots__ = ("x",)

        def __init__(self, x: Tensor) -> None:
            self.x = x

    loss = batch_loss(lambda model, batch: model(batch.x).square().mean())
    x, _ = classes()
    batches = [Opaque(x[:15]), Opaque(x[15:])]
    with pytest.raises(ValueError, match=r"no part says it; pass weight=f"):
        Objective(mlp(), batches, loss)
    model = mlp()
    found = Objective(model, batches, loss, weight=lambda batch: len(batch.x))
    assert found.loss() == pytest.approx(model(x).square().mean().item(), rel=1e-6)

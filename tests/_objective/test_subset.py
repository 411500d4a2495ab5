"""Random subsets of the samples, and the standard errors of their losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import classes, cut, mlp
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from landscape import Objective
from landscape._objective import Strategy

X, Y = classes(40)


def all_losses(model: nn.Module, x: torch.Tensor = X, y: torch.Tensor = Y) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        return F.cross_entropy(model(x).double(), y, reduction="none").numpy()


@pytest.mark.parametrize("data", [(X, Y), DataLoader(TensorDataset(X, Y), batch_size=7)])
def test_a_count_is_a_seeded_subset_without_repetition(data: Any) -> None:
    model, subsets = mlp(), []
    everything = all_losses(model)
    for seed in (0, 0, 1):
        objective = Objective(model, data, samples=12, seed=seed)
        assert (objective.samples, objective.policy["population"]) == (12, 40)
        assert "12 of 40 samples are used" in objective.notes
        found = objective.sample_losses(objective.theta[None])[0]
        distance = abs(everything[:, None] - found)
        rows = distance.argmin(axis=0)
        assert distance.min(axis=0).max() < 1e-6
        assert len(set(rows)) == 12
        assert objective.loss() == pytest.approx(everything[rows].mean(), rel=1e-6)
        subsets.append(tuple(sorted(rows)))
    assert subsets[0] == subsets[1] != subsets[2]


@pytest.mark.parametrize("samples", [[3, 5, 8], np.array([39, 0]), (7,), range(4)])
def test_indices_are_taken_as_they_are(samples: Any) -> None:
    model, rows = mlp(), list(samples)
    objective = Objective(model, (X, Y), samples=samples)
    expected = all_losses(model)[rows]
    found = objective.sample_losses(objective.theta[None])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert objective.loss() == pytest.approx(expected.mean(), rel=1e-6)
    with pytest.raises(ValueError, match="random subset"):
        objective.standard_error()


def test_standard_error_is_the_textbook_one() -> None:
    objective = Objective(mlp(), (X, Y), samples=12)
    found = objective.sample_losses(objective.theta[None])[0]
    expected = np.sqrt((1 - 12 / 40) * found.var(ddof=1) / 12)
    assert objective.standard_error() == pytest.approx(expected, rel=1e-6)
    plane = objective.subspace(None, [np.ones(objective.dim)])
    assert plane.columns == ("loss", "standard_error")
    values = plane.evaluate([[0.0], [0.1]])
    elsewhere = objective.standard_error(objective.theta + np.float32(0.1))
    np.testing.assert_allclose(values[:, 1], [expected, elsewhere], rtol=1e-5)


def test_standard_error_of_all_is_zero_and_of_one_unknown() -> None:
    assert Objective(mlp(), (X, Y), samples=40).standard_error() == 0
    assert np.isnan(Objective(mlp(), (X, Y), samples=1).standard_error())


def test_weight_decay_has_no_spread() -> None:
    plain, decayed = (
        Objective(mlp(), (X, Y), samples=12, weight_decay=decay) for decay in (0.0, 5.0)
    )
    assert decayed.loss() > plain.loss() + 1
    assert decayed.standard_error() == pytest.approx(plain.standard_error(), rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_intervals_cover(weighted: bool) -> None:
    """L of all samples lies within 1.96 standard errors for about 95 in 100 subsets."""
    population, count, repetitions = 600, 150, 400
    x, y = classes(population)
    loss = nn.CrossEntropyLoss(torch.tensor([0.2, 1.0, 3.0]) if weighted else None)
    model = mlp()
    truth = Objective(model, (x, y), loss).loss()
    covered = 0
    for seed in range(repetitions):
        objective = Objective(model, (x, y), loss, samples=count, seed=seed)
        here = objective.subspace(None, [np.zeros(objective.dim)], strategy=Strategy())
        found, error = here.evaluate([[0.0]])[0]
        covered += abs(found - truth) < 1.96 * error
    assert 0.92 < covered / repetitions < 0.98


def test_standard_error_needs_samples_that_can_be_told_apart() -> None:
    opaque = Objective(mlp(), (X, Y), nn.MultiMarginLoss(), samples=12)
    for objective in (opaque, Objective(mlp(), (X, Y))):
        with pytest.raises(ValueError, match="recognised loss; pass samples= a count"):
            objective.standard_error()
        assert objective.column_names() == ("loss",)


def test_a_count_may_be_a_numpy_integer() -> None:
    counts: tuple[Any, ...] = (np.int64(12), 12)
    found, expected = (Objective(mlp(), (X, Y), samples=count) for count in counts)
    assert found.loss() == expected.loss()
    assert found.standard_error() == expected.standard_error()


@pytest.mark.parametrize(
    "samples",
    [0, -1, 41, True, [], [40], [-1], [[0, 1]], [0.5, 1.0], "all", np.arange(40) < 5],
    ids=repr,
)
def test_refused(samples: Any) -> None:
    with pytest.raises(ValueError, match=r"samples.*between"):
        Objective(mlp(), (X, Y), samples=samples)


def test_ragged_batches_cannot_be_picked_from() -> None:
    ragged = [(x, y, torch.ones(len(y), 1 + len(y))) for x, y in cut((X, Y), (4, 36))]
    with pytest.raises(ValueError, match="picked one by one"):
        Objective(mlp(), ragged, lambda outputs, targets: outputs.mean(), samples=4)

"""Instability analysis: errors counted naively, the verdict, the parent, invalid input."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from models import classes, regression, seeded
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from path_models import DATA, two
from torch import nn
from untouched import untouched

import landscape

TEST = classes(300, seed=9, dtype=torch.float64)
pytestmark = pytest.mark.filterwarnings("ignore:the barrier:UserWarning")


def errors(model: nn.Module, data: tuple[torch.Tensor, torch.Tensor]) -> NDArray[np.float64]:
    with torch.no_grad():
        wrong: NDArray[np.float64] = (model(data[0]).argmax(1) != data[1]).double().numpy()
    return wrong


def test_the_error_barrier_is_counted_by_hand() -> None:
    a, b = two()
    with untouched(a), untouched(b):
        found = landscape.instability(a, b, DATA, test=TEST)
    positions = found.path.positions
    for value, error, data in (
        (found.train, found.train_error, DATA),
        (found.test, found.test_error, TEST),
    ):
        rows = []
        for position in positions:
            model = copy.deepcopy(a)
            with torch.no_grad():
                for p, x, y in zip(model.parameters(), a.parameters(), b.parameters(), strict=True):
                    p.copy_((1 - position) * x + position * y)
            rows.append(errors(model, data))
        table = np.array(rows)
        means = table.mean(axis=1)
        ends = (means[0] + means[-1]) / 2
        assert value == pytest.approx(means.max() - ends)
        each = table[int(means.argmax())] - (table[0] + table[-1]) / 2
        assert error == pytest.approx(each.std(ddof=1) / np.sqrt(len(each)))
    assert found.stable == (found.test is not None and found.test < 0.02)
    assert "unstable: an error barrier" in repr(landscape.instability(a, b, DATA))


def test_children_that_never_parted_are_stable() -> None:
    a, _ = two()
    near = copy.deepcopy(a)
    with torch.no_grad():
        near.get_parameter("0.bias").add_(1e-6)
    found = landscape.instability(a, near, DATA, parent=two()[1])
    assert found.stable
    assert found.train == 0
    assert found.cosine == pytest.approx(1.0)
    assert found.from_parent is not None
    assert_allclose(found.from_parent[0], found.from_parent[1], rtol=1e-4)


def test_a_file_holds_every_bit(tmp_path: Path) -> None:
    found = landscape.instability(*two(), DATA, test=TEST, points=5)
    found.save(tmp_path / "instability.npz")
    again = landscape.load(tmp_path / "instability.npz")
    assert isinstance(again, landscape.Instability)
    assert again.equals(found)
    assert repr(again) == repr(found)


def test_without_classes_there_are_no_errors() -> None:
    a, b = seeded(lambda: nn.Linear(5, 2)), seeded(lambda: nn.Linear(5, 2), 1)
    with pytest.raises(ValueError, match="has no classes"):
        landscape.instability(a, b, regression())

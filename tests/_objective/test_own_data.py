"""The Objective's own data: inputs, targets, and some of the samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from models import LanguageModel, classes, cut, images, mlp, sequences
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from landscape import Objective


def test_inputs_and_targets_are_those_of_the_data() -> None:
    inputs, targets = data = classes(20)
    for given in (data, cut(data, [8, 8, 4]), DataLoader(TensorDataset(*data), 6)):
        objective = Objective(mlp(), given)
        assert_array_equal(objective.inputs(), inputs)
        assert_array_equal(objective.targets(), targets)
    tokens, _ = sequences()
    objective = Objective(LanguageModel(), (tokens, tokens), lambda o, _: o.mean())
    with pytest.raises(ValueError, match="not one tensor of real numbers"):
        objective.inputs()


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_some_samples_are_the_function_of_those_alone(engine: str) -> None:
    inputs, targets = data = classes(30)
    rows = [4, 29, 0, 7]
    whole = Objective(mlp(), data, engine=engine, weight_decay=0.1)  # type: ignore[arg-type]
    some = whole.with_samples(rows)
    alone = Objective(mlp(), (inputs[rows], targets[rows]), engine=engine, weight_decay=0.1)  # type: ignore[arg-type]
    assert some.samples == 4
    assert_allclose(some.loss(), alone.loss(), rtol=1e-12)
    point = whole.theta[None] * 1.1
    for found, expected in zip(some.gradients(point), alone.gradients(point), strict=True):
        assert_allclose(found, expected, rtol=1e-6)
    assert_array_equal(some.targets(), targets[rows])
    assert some.policy["data"] != whole.policy["data"]
    assert whole.samples == 30


def test_weighted_classes_keep_their_denominator() -> None:
    inputs, targets = classes(30)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]))
    rows = np.arange(10, 20)
    some = Objective(mlp(), (inputs, targets), loss).with_samples(rows)
    expected = loss(mlp()(inputs[10:20]), targets[10:20])
    assert_allclose(some.loss(), expected.item(), rtol=1e-6)


def test_batches_that_cannot_be_joined_have_no_samples_to_take() -> None:
    convolution = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)
    )
    small, large = images(4), images(3, seed=2)
    ragged = [small, (torch.cat([large[0]] * 2, 2), large[1])]
    objective = Objective(convolution, ragged)
    assert not objective.is_resident
    with pytest.raises(ValueError, match="kept in memory as one set"):
        objective.with_samples([0])
    with pytest.raises(ValueError, match="samples differ in shape"):
        objective.inputs()
    with pytest.raises(ValueError, match="got 0 rows"):
        Objective(mlp(), classes()).with_samples([])

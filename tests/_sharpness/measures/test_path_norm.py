"""Path norms against an enumeration of all paths, dense matrices, and under rescaling."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from models import classes, mlp, seeded
from numpy.testing import assert_allclose
from sharpness_networks import chain, dense, make_context, pictures
from torch import nn

import landscape
from landscape._align import rescale_units
from landscape._sharpness.context import Context
from landscape._sharpness.definition import NotApplicable
from landscape._sharpness.measures import PathNorm
from landscape._sharpness.structure import read_structure


def compute(context: Context, order: float = 2.0) -> float:
    outcome = PathNorm(order).compute(context)
    assert outcome.value is not None
    return outcome.value


@pytest.mark.parametrize("order", [1.0, 2.0, 3.5])
def test_a_path_norm_is_the_sum_over_all_paths(order: float) -> None:
    model = seeded(
        lambda: nn.Sequential(
            nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 2)
        )
    ).double()
    layers = [(m.weight.tolist(), m.bias.tolist()) for m in model if isinstance(m, nn.Linear)]
    total = 0.0
    for start in range(len(layers)):  # paths from the inputs, or from the biases of a later layer
        widths = [len(bias) for _, bias in layers[start:]]
        for units in itertools.product(*map(range, widths)):
            rest = math.prod(
                layers[start + index][0][to][source]
                for index, (source, to) in enumerate(itertools.pairwise(units), start=1)
            )
            firsts = [layers[start][1][units[0]]]
            if start == 0:
                firsts += layers[0][0][units[0]]
            total += sum(abs(first * rest) ** order for first in firsts)
    inputs, targets = classes(4)
    context = make_context(model, (inputs[:, :3].double(), targets % 2))
    assert_allclose(compute(context, order), total ** (1 / order), rtol=1e-12)


def test_convolutions_and_batch_norms_are_their_dense_matrices() -> None:
    context = make_context(chain(groups=2).eval(), pictures(4, classes=3))
    structure = read_structure(context).fold_batch_norms()
    value = np.ones(16)
    for step in structure.steps:
        if step.layer is not None:
            bias = step.layer.expand_bias().reshape(-1).numpy()
            value = np.square(dense(step.layer.apply, step.layer.input_shape)) @ value + bias**2
        elif step.pooling is not None:
            pool = dense(lambda x: nn.functional.avg_pool2d(x, 2), (4, 4, 4))
            value = np.square(pool) @ value
    assert_allclose(compute(context), math.sqrt(value.sum()), rtol=1e-12)


def test_rescaled_units_have_the_same_path_norm() -> None:
    model = chain().eval()
    data = pictures(8)
    objective = landscape.Objective(model, data)
    expected = compute(make_context(model, data))
    for copied in rescale_units(objective, [0, 1]):
        pairs = zip(model.parameters(), copied.parameters(), strict=True)
        assert not all(torch.equal(*pair) for pair in pairs)
        found = compute(make_context(copied, data))
        assert_allclose(found, expected, rtol=1e-6)


def test_any_positive_factor_leaves_the_path_norm() -> None:
    model = seeded(lambda: mlp(nn.ReLU)).double()
    inputs, targets = classes(4)
    data = inputs.double(), targets
    twin = copy.deepcopy(model)
    factors = torch.logspace(-2, 2, 8, dtype=torch.float64)
    first, _, last = twin
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        first.weight.mul_(factors[:, None])
        first.bias.mul_(factors)
        last.weight.div_(factors)
    values = [compute(make_context(m, data)) for m in (model, twin)]
    assert_allclose(values[1], values[0], rtol=1e-12)


def test_other_activations_have_no_path_norm() -> None:
    with pytest.raises(NotApplicable, match="tanh is not positively homogeneous"):
        PathNorm().require(make_context(mlp(), classes(4)))
    with pytest.raises(ValueError, match=r"order=0\.5"):
        PathNorm(0.5)

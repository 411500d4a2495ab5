"""Surfaces by the native network, against PyTorch's, on small benchmark networks."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
import pytest
import torch
from export_models import shaken
from native_models import DOUBLE, ENGINES, drawn, narrow_resnet, normalised_cnn
from numpy.testing import assert_allclose
from torch import Tensor, nn

import landscape
from landscape import Objective

Case = tuple[nn.Module, tuple[Tensor, Tensor]]


def labelled(shape: tuple[int, ...], samples: int, classes: int, seed: int = 1) -> Any:
    return drawn((samples, *shape), seed), torch.arange(samples) * 7 % classes


def digits() -> Case:
    model = nn.Sequential(
        nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 10)
    )
    return shaken(model), labelled((64,), 150, 10)


def tiny() -> Case:
    model = nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    return shaken(model), (drawn((101, 2), 1), drawn((101, 1), 2))


def tall() -> Case:
    """A first layer much longer than its outputs, as of images that are read as vectors."""
    model = nn.Sequential(nn.Linear(300, 7), nn.ReLU(), nn.Linear(7, 4))
    return shaken(model), labelled((300,), 70, 4)


def short() -> Case:
    """A first layer that is shorter than its outputs: products are cheaper than their sums."""
    model = nn.Sequential(nn.Linear(1, 24), nn.Softplus(), nn.Linear(24, 2))
    return shaken(model), labelled((1,), 70, 2)


def two_layers_fed_by_data() -> Case:
    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(40, 6), nn.Linear(40, 6)
            self.head = nn.Linear(12, 3)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head(torch.cat([torch.tanh(self.a(x)), self.b(x).relu()], 1))
            return found

    return shaken(Wide()), labelled((40,), 50, 3)


def convolution() -> Case:
    return normalised_cnn(), labelled((1, 8, 8), 45, 5)


def residual() -> Case:
    return narrow_resnet(), labelled((3, 8, 8), 20, 5)


def linear() -> Case:
    """Nothing but a layer that is fed by data."""
    return shaken(nn.Linear(20, 3)), labelled((20,), 33, 3)


CASES = [digits, tiny, tall, short, two_layers_fed_by_data, convolution, residual, linear]


def surface(
    case: Case, engine: Literal["native", "torch"], dtype: torch.dtype = DOUBLE, **options: Any
) -> landscape.Surface:
    model, data = case
    options = {"points": (7, 6), "span": 0.4, "seed": 2, **options}
    return landscape.surface(model, data, engine=engine, dtype=dtype, **options)


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_losses_on_a_plane(make: Any) -> None:
    case = make()
    expected, found = surface(case, "torch"), surface(case, "native")
    assert (expected.run.engine, found.run.engine) == ("torch", "native")
    assert found.run.strategy["kind"] == "native"
    assert_allclose(found.losses, expected.losses, rtol=1e-10)
    assert np.ptp(expected.losses) > 1e-3
    model, data = case
    single = copy.deepcopy(model).float()  # the same numbers, seen from both dtypes
    expected = surface((copy.deepcopy(single).double(), data), "torch")
    found = surface((single, data), "native", torch.float32)
    assert_allclose(found.losses, expected.losses, rtol=1e-5)


@pytest.mark.parametrize("make", [digits, convolution], ids=lambda make: make.__name__)
@pytest.mark.parametrize(
    "options",
    [
        {"metrics": ["accuracy", "error"]},
        {"samples": 25},
        {"samples": [3, 1, 30, 4]},
        {"samples": 25, "metrics": "accuracy"},
        {"weight_decay": 0.3},
        {"normalize": None, "span": 0.05},
        {"one_dimensional": "include"},
        {"loss": nn.CrossEntropyLoss(label_smoothing=0.1)},
    ],
    ids=str,
)
def test_options(make: Any, options: dict[str, Any]) -> None:
    case = make()
    ours, theirs = surface(case, "native", **options), surface(case, "torch", **options)
    assert_allclose(ours.losses, theirs.losses, rtol=1e-10)
    assert ours.metrics.keys() == theirs.metrics.keys()
    for name, values in ours.metrics.items():
        assert_allclose(values, theirs.metrics[name], rtol=1e-14)
        assert np.ptp(values) > 0
    assert (ours.standard_error is None) == (theirs.standard_error is None)
    if ours.standard_error is not None and theirs.standard_error is not None:
        assert_allclose(ours.standard_error, theirs.standard_error, rtol=1e-9)


def test_test_data() -> None:
    case = convolution()
    test = labelled((1, 8, 8), 19, 5, seed=5)
    ours, theirs = (
        surface(case, engine, test=test, metrics="error") for engine in ("native", "torch")
    )
    assert ours.test is not None
    assert theirs.test is not None
    assert ours.test.run.engine == "native"
    assert_allclose(ours.test.losses, theirs.test.losses, rtol=1e-10)
    assert_allclose(ours.test.metrics["error"], theirs.test.metrics["error"], rtol=1e-14)
    assert abs(ours.test.losses - ours.losses).min() > 0


@pytest.mark.parametrize(
    "parameters", ["9", "0", ["0.weight", "9.bias"], ["1", "5"], "*.bias"], ids=str
)
def test_parts_of_the_parameters(parameters: Any) -> None:
    """The rest is held: in the head alone, before and between what varies."""
    case = convolution()
    ours, theirs = (
        surface(case, engine, parameters=parameters, one_dimensional="include")
        for engine in ENGINES
    )
    assert_allclose(ours.losses, theirs.losses, rtol=1e-10)
    assert np.ptp(ours.losses) > 1e-6


@pytest.mark.parametrize("make", [digits, convolution, residual], ids=lambda make: make.__name__)
def test_lines(make: Any) -> None:
    model, data = make()
    other = shaken(copy.deepcopy(model), seed=8)
    choices: list[dict[str, Any]] = [{"to": other, "batch_norm": "frozen"}, {"span": 0.3}]
    for options in choices:
        ours, theirs = (
            landscape.line(model, data, engine=engine, points=9, **options) for engine in ENGINES
        )
        assert ours.run.engine == "native"
        assert_allclose(ours.losses, theirs.losses, rtol=1e-10)


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("dim", [1, 3])
def test_subspaces_of_other_dimensions(make: Any, dim: int) -> None:
    model, data = make()
    ours, theirs = (Objective(model, data, engine=engine) for engine in ENGINES)
    generator = np.random.default_rng(dim)
    basis = 0.1 * generator.standard_normal((dim, ours.dim))
    coords = generator.standard_normal((5, dim))
    found = ours.subspace(None, list(basis))
    expected = theirs.subspace(None, list(basis))
    assert_allclose(found.losses(coords), expected.losses(coords), rtol=1e-10)
    assert_allclose(
        found.sample_losses(coords), expected.sample_losses(coords), rtol=1e-9, atol=1e-12
    )
    for one, two in zip(found.gradients(coords[:2]), expected.gradients(coords[:2]), strict=True):
        assert_allclose(one, two, rtol=1e-9)
    assert_allclose(ours.losses(ours.theta + coords @ basis), found.losses(coords), rtol=1e-12)


def test_every_subspace_reads_its_vectors_anew() -> None:
    """A plane is kept for the calls of one run, and for no other vectors in the same memory."""
    model, data = digits()
    ours, theirs = (Objective(model, data, engine=engine) for engine in ENGINES)
    basis = [0.1 * np.random.default_rng(0).standard_normal(ours.dim)]
    for _ in range(3):
        plane, expected = ours.subspace(None, basis), theirs.subspace(None, basis)
        assert_allclose(plane.losses([[1.0]]), expected.losses([[1.0]]), rtol=1e-10)
        basis[0] *= 2
    with torch.no_grad():
        next(model.parameters()).mul_(2)
    plane, expected = ours.subspace(None, basis), theirs.subspace(None, basis)
    assert_allclose(plane.losses([[0.5]]), expected.losses([[0.5]]), rtol=1e-10)

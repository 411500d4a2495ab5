"""Bounds of networks: spectral and VC, from the model to the number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, regression, seeded
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from sharpness_networks import Residual, chain, dense, make_context, pictures
from sklearn.datasets import load_digits
from torch import nn

import landscape
from landscape._sharpness.bounds.spectral import bound_error_by_margins
from landscape._sharpness.bounds.vc import UnitLayer, bound_vc_dimension
from landscape._sharpness.measures import SpectralNormBound, VCBound
from landscape._sharpness.measures.vc_bound import list_unit_layers
from landscape._sharpness.structure import read_structure


def measure(model: nn.Module, data: Any, name: Any, **options: Any) -> landscape.Measure:
    result = landscape.sharpness(model, data, measures=[name], progress="off", **options)
    return next(iter(result.values()))


def test_the_spectral_bound_is_that_of_dense_matrices() -> None:
    model, initial = (chain(groups=2).double().eval() for _ in range(2))
    with torch.no_grad():
        for parameter in initial.parameters():
            parameter.add_(0.3)
    inputs, targets = pictures(40, classes=3)
    data = inputs.double(), targets
    found = measure(model, data, "spectral_norm_bound", initial=initial)
    matrices = [augmented(model, "model"), augmented(initial, "new")]
    norms = [np.linalg.norm(m, 2) for m in matrices[0]]
    differences = [a - b for a, b in zip(*matrices, strict=True)]
    distances = [np.linalg.norm(m, axis=1).sum() for m in differences]
    rows = np.hstack([data[0].flatten(1).numpy(), np.ones((40, 1))])
    scores = model(data[0]).detach().numpy()
    right = scores[np.arange(40), data[1].numpy()]
    scores[np.arange(40), data[1].numpy()] = -np.inf
    margins = right - scores.max(1)
    expected = bound_error_by_margins(
        margins,
        [float(x) for x in norms],
        [float(x) for x in distances],
        [1.0, 1.0, 1.0],
        input_norm=float(np.linalg.norm(rows)),
        width=65,
        delta=0.05,
    )
    assert_allclose(float(found), expected.value, rtol=1e-8)
    assert found.details["vacuous"]
    assert found.details["n"] == 40
    assert found.details["reference"] == "initial"
    layers: Any = found.details["layers"]
    assert_allclose([row["spectral"] for row in layers.values()], norms, rtol=1e-9)
    assert_allclose([row["distance"] for row in layers.values()], distances, rtol=1e-9)


def augmented(model: nn.Sequential, statistics: str) -> list[NDArray[np.float64]]:
    """Each layer's dense matrix with a column of biases and the constant's row."""
    first, norm, _, _, second, _, _, last = model
    assert isinstance(norm, nn.BatchNorm2d)
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    if statistics == "new":
        mean, variance = torch.zeros_like(mean), torch.ones_like(variance)
    scale = (norm.weight / torch.sqrt(variance + norm.eps)).detach()
    shift = norm.bias.detach() - mean * scale
    shapes = [(1, 4, 4), (4, 2, 2), (4,)]
    found = []
    for index, (layer, shape) in enumerate(zip((first, second, last), shapes, strict=True)):
        zero = layer(torch.zeros((1, *shape), dtype=torch.float64)).detach()
        matrix = dense(layer, shape) - zero.reshape(-1, 1).numpy()
        bias = zero.reshape(-1).numpy()
        if index == 0:
            wide = scale.repeat_interleave(16).numpy()
            matrix = wide[:, None] * matrix
            bias = wide * bias + shift.repeat_interleave(16).numpy()
        rows = np.hstack([matrix, bias[:, None]])
        if index < 2:
            rows = np.vstack([rows, np.eye(1, rows.shape[1], rows.shape[1] - 1)])
        found.append(rows)
    return found


def test_the_distance_from_the_own_initialisation_is_zero() -> None:
    model = mlp(nn.ReLU)
    found = measure(model, classes(30), "spectral_norm_bound", initial=model)
    assert found.details["complexity"] == 0
    zero = measure(model, classes(30), "spectral_norm_bound")
    assert zero.details["reference"] == "zero"
    assert float(zero) > float(found)


@pytest.mark.parametrize("name", ["spectral_norm_bound", "vc_bound"])
def test_bounds_need_classes_and_a_structure(name: str) -> None:
    assert "the loss MSE has no classes" in measure(mlp(nn.ReLU, 2), regression(), name).status
    model = seeded(Residual).eval()
    found = measure(model, pictures(8), name)
    assert ("no chain" in found.status) == (name == "spectral_norm_bound")


def test_the_vc_bound_is_vacuous_on_digits_and_grows_with_the_width() -> None:
    digits = load_digits()
    data = torch.tensor(digits.data / 16).float(), torch.tensor(digits.target)
    values = []
    for width in (4, 16, 64):
        model = seeded(
            lambda w=width: nn.Sequential(nn.Linear(64, w), nn.ReLU(), nn.Linear(w, 10))  # type: ignore[misc]
        )
        found = measure(model, data, "vc_bound", check="off")
        layers = [UnitLayer(width, 65 * width, 1), UnitLayer(9, 10 * (width + 1))]
        assert found.details["vc_dimension"] == bound_vc_dimension(layers)
        assert found.details["vacuous"]
        values.append(float(found) - float(found.details["empirical_error"]))  # type: ignore[arg-type]
    assert 1 < values[0] < values[1] < values[2]


def test_layers_of_units_count_batch_norms_maxima_and_sums() -> None:
    model = seeded(Residual).eval()
    structure = read_structure(make_context(model, pictures(4)))
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    layers = list_unit_layers(structure, sizes, 2)
    assert layers == (
        UnitLayer(48, 30),  # first
        UnitLayer(48, 6, 1),  # norm, relu
        UnitLayer(48, 81),  # second
        UnitLayer(48, 6, 1),  # own, leaky_relu
        UnitLayer(54, 0, 1),  # maxima of 4: two pairs
        UnitLayer(27, 0, 1),  # and one
        UnitLayer(1, 50),  # head: one comparison
    )


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 5)
        self.last = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(self.inner(self.inner(x).relu()).relu())
        return found


def test_tied_parameters_count_once() -> None:
    inputs, targets = classes()
    found = measure(Tied(), (inputs, targets % 2), "vc_bound")
    assert found.details["parameters"] == 42
    assert found.details["layers"] == 3
    layers = [UnitLayer(5, 30, 1), UnitLayer(5, 0, 1), UnitLayer(1, 12)]
    assert found.details["vc_dimension"] == bound_vc_dimension(layers)


def test_smooth_activations_have_no_vc_bound_here() -> None:
    assert "tanh is not piecewise linear" in measure(mlp(), classes(), "vc_bound").status


@pytest.mark.parametrize("definition", [SpectralNormBound, VCBound])
def test_delta_is_a_probability(definition: Any) -> None:
    with pytest.raises(ValueError, match="delta=0"):
        definition(delta=0)

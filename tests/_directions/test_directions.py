"""Directions: their definitions, against plain NumPy on every kind of weight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import save_file
from torch import nn

import landscape
from landscape import _core
from landscape._directions import LineBetween, RandomDirections, UserDirections
from landscape._parameters import ParameterLayout


class Zoo(nn.Module):
    """One of each kind of weight; never run."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3)
        self.conv = nn.Conv2d(2, 4, 3)
        self.grouped = nn.Conv2d(4, 6, 3, groups=2)
        self.transposed = nn.ConvTranspose2d(4, 6, 3, groups=2)
        self.norm = nn.BatchNorm2d(4)
        self.embedding = nn.Embedding(7, 3)
        self.attention = nn.MultiheadAttention(8, 2)
        self.tied = nn.Linear(3, 7, bias=False)
        self.tied.weight = self.embedding.weight
        with torch.no_grad():
            self.linear.weight[1] = 0  # a dead filter


def random_axes(model: nn.Module, normalize: Any, one_dimensional: Any = "zero") -> Any:
    layout = ParameterLayout.of(model)
    theta = layout.flatten(model)
    axes = RandomDirections(2, 3, normalize, one_dimensional).axes(theta, layout)
    return axes, {name: t.numpy() for name, t in layout.unflatten(axes.basis[0]).items()}


def filters_of(name: str, tensor: np.ndarray) -> list[np.ndarray]:
    """The filters of a weight of the zoo, by their definition."""
    if name == "transposed.weight":  # groups of 2 inputs, 3 outputs each in dimension 1
        return [tensor[group * 2 : group * 2 + 2, f] for group in range(2) for f in range(3)]
    if name == "attention.in_proj_weight":  # q, k, v of 2 heads, 4 rows each
        return list(tensor.reshape(6, 4, 8))
    return list(tensor)


def test_filter_normalisation_by_its_definition() -> None:
    torch.manual_seed(0)
    model = Zoo()
    _, direction = random_axes(model, "filter")
    for name, parameter in model.named_parameters():
        theta = parameter.detach().numpy()
        if theta.ndim == 1:
            assert_array_equal(direction[name], 0)
            continue
        pieces = zip(filters_of(name, direction[name]), filters_of(name, theta), strict=True)
        for moved, still in pieces:
            assert_allclose(np.linalg.norm(moved), np.linalg.norm(still), rtol=1e-5)
    assert_array_equal(direction["linear.weight"][1], 0)
    assert_array_equal(direction["tied.weight"], direction["embedding.weight"])


@pytest.mark.parametrize(("normalize", "unit"), [("layer", "tensor"), ("model", "all")])
def test_layer_and_model_normalisation(normalize: str, unit: str) -> None:
    torch.manual_seed(0)
    model = Zoo()
    _, direction = random_axes(model, normalize)
    weights = {n: p.detach().numpy() for n, p in model.named_parameters() if p.ndim > 1}
    norms = {name: np.linalg.norm(weight) for name, weight in weights.items()}
    moved = {name: np.linalg.norm(direction[name]) for name in weights}
    if unit == "tensor":
        for name in weights:
            assert_allclose(moved[name], norms[name], rtol=1e-5)
    else:
        assert_allclose(
            np.linalg.norm(list(moved.values())), np.linalg.norm(list(norms.values())), rtol=1e-5
        )
        assert abs(moved["linear.weight"] / norms["linear.weight"] - 1) > 0.05


def test_one_dimensional_tensors_can_be_included_as_one_filter_each() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    _, direction = random_axes(model, "filter", "include")
    for name in ("0.bias", "1.weight"):
        theta = dict(model.named_parameters())[name].detach().numpy()
        assert_allclose(np.linalg.norm(direction[name]), np.linalg.norm(theta), rtol=1e-5)
        # one factor for the tensor, never one per element
        assert np.ptp(np.abs(direction[name]) / np.abs(theta).max()) > 1e-3


def test_unnormalised_directions_are_the_gaussians_themselves() -> None:
    model = nn.Linear(300, 4)
    axes, _ = random_axes(model, None)
    expected = _core.gaussian(1204, seed=3, stream=0, dtype="float32")
    assert_array_equal(axes.basis[0], expected)
    assert abs(axes.recipe.cosine) < 1e-6
    assert axes.recipe.one_dimensional == "include"


def test_pairs_are_orthogonalised_before_they_are_normalised_and_the_cosine_is_reported() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 2)).double()
    axes, _ = random_axes(model, "filter")
    moving = np.concatenate([np.full(p.numel(), p.ndim > 1) for p in model.parameters()])
    u, v = (
        _core.gaussian(moving.size, seed=3, stream=stream, dtype="float64") * moving
        for stream in (0, 1)
    )
    v -= (u @ v) / (u @ u) * u
    for used, drawn in zip(axes.basis, (u, v), strict=True):
        start = 0
        for parameter in model.parameters():
            theta = parameter.detach().numpy()
            piece = drawn[start : start + theta.size].reshape(theta.shape)
            expected = np.zeros_like(theta)
            if theta.ndim == 2:
                norms = [np.linalg.norm(w, axis=1, keepdims=True) for w in (theta, piece)]
                expected = piece * norms[0] / norms[1]
            found = used[start : start + theta.size].reshape(theta.shape)
            assert_allclose(found, expected, rtol=1e-12)
            start += theta.size
    first, second = axes.basis
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert_allclose(axes.recipe.cosine, cosine, rtol=1e-10)
    assert abs(cosine) > 1e-4  # normalising has tilted them: that is why it is reported


def test_the_plane_through_three_models_holds_all_three() -> None:
    torch.manual_seed(0)
    a, b, c = (nn.Linear(6, 5) for _ in range(3))
    layout = ParameterLayout.of(a)
    theta_a, theta_b, theta_c = (layout.flatten(m) for m in (a, b, c))
    axes = landscape.plane(b, c.state_dict()).axes(theta_a, layout)
    u, v = axes.basis
    for name, theta in (("model", theta_a), ("B", theta_b), ("C", theta_c)):
        x, y = axes.recipe.markers[name]
        assert_allclose(theta_a + x * u + y * v, theta, atol=1e-6)
    assert axes.recipe.markers["B"] == (1.0, 0.0)
    assert abs(axes.recipe.cosine or 0) < 1e-6
    assert_allclose(axes.recipe.norms[0], axes.recipe.norms[1], rtol=1e-6)
    (a0, a1), (b0, b1) = axes.span
    assert all(a0 < x < a1 and b0 < y < b1 for x, y in axes.recipe.markers.values())


def test_models_on_a_line_span_no_plane() -> None:
    a, b = nn.Linear(6, 5), nn.Linear(6, 5)
    layout = ParameterLayout.of(a)
    theta, other = layout.flatten(a), layout.flatten(b)
    with pytest.raises(ValueError, match="lie on a line"):
        landscape.plane(b, 2 * other - theta).axes(theta, layout)
    with pytest.raises(ValueError, match="distance zero"):
        landscape.plane(a, b).axes(theta, layout)
    with pytest.raises(ValueError, match="distance zero"):
        LineBetween(a).axes(theta, layout)


def test_principal_components_against_a_singular_value_decomposition() -> None:
    generator = np.random.default_rng(0)
    layout = ParameterLayout.of(nn.Linear(10, 4).double())
    theta = generator.standard_normal(44)
    checkpoints = [theta + generator.standard_normal(44) * (9 - i) for i in range(9)]
    axes = landscape.pca(checkpoints).axes(theta, layout)
    matrix = np.array(checkpoints)
    _, singular, rows = np.linalg.svd(matrix - matrix.mean(axis=0), full_matrices=False)
    for axis, row in zip(axes.basis, rows, strict=False):
        assert_allclose(abs(axis @ row), 1, atol=1e-10)
    shares = singular**2 / np.sum(singular**2)
    assert axes.recipe.explained_variance is not None
    assert axes.recipe.trajectory is not None
    assert_allclose(axes.recipe.explained_variance, shares[:2], rtol=1e-10)
    assert_allclose(axes.recipe.trajectory, (matrix - theta) @ np.array(axes.basis).T, atol=1e-10)
    assert axes.recipe.trajectory.shape == (9, 2)


def test_degenerate_checkpoints_are_refused() -> None:
    layout = ParameterLayout.of(nn.Linear(3, 2))
    theta, step = np.zeros(8, np.float32), np.ones(8, np.float32)
    with pytest.raises(ValueError, match="lie on a line"):
        landscape.pca([theta, step, 3 * step]).axes(theta, layout)
    with pytest.raises(ValueError, match="at least 3"):
        landscape.pca([theta, step])


def test_user_directions_are_used_as_they_are() -> None:
    model = nn.Linear(3, 2)
    layout = ParameterLayout.of(model)
    theta = layout.flatten(model)
    u = np.arange(8, dtype=np.float64)
    state = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    axes = UserDirections((u, state)).axes(theta, layout)
    assert_array_equal(axes.basis[0], u.astype(np.float32))
    assert_array_equal(axes.basis[1], [1, 1, 1, 1, 1, 1, 0, 0])
    assert axes.recipe.normalize is None


def test_equal_seeds_give_equal_directions_and_fingerprints() -> None:
    torch.manual_seed(0)
    model = nn.Linear(9, 4)
    first, _ = random_axes(model, "filter")
    second, _ = random_axes(model, "filter")
    assert_array_equal(first.basis[0], second.basis[0])
    assert first.recipe.fingerprint == second.recipe.fingerprint
    with torch.no_grad():
        model.weight[0, 0] += 1
    moved, _ = random_axes(model, "filter")
    assert moved.recipe.fingerprint != first.recipe.fingerprint


def test_safetensors_lend_weights(tmp_path: Any) -> None:
    a, b = nn.Linear(4, 3), nn.Linear(4, 3)
    save_file(b.state_dict(), tmp_path / "b.safetensors")
    layout = ParameterLayout.of(a)
    axes = LineBetween(tmp_path / "b.safetensors").axes(layout.flatten(a), layout)
    assert_allclose(axes.basis[0], layout.flatten(b) - layout.flatten(a))
    with pytest.raises(ValueError, match=r"not a \.safetensors file"):
        LineBetween(tmp_path / "b.pt").axes(layout.flatten(a), layout)

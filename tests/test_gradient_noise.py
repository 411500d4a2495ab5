"""Gradient noise: against the gradients of single samples, on both engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, seeded
from numpy.testing import assert_allclose
from torch import nn

import landscape

LEVEL = 0.999


def case() -> tuple[nn.Module, Any]:
    inputs, targets = classes(40)
    return seeded(mlp, 1).double(), (inputs.double(), targets)


def single_gradients(model: nn.Module, data: Any) -> Any:
    inputs, targets = data
    leaves = list(model.parameters())
    rows = []
    for one, target in zip(inputs, targets, strict=True):
        loss = nn.functional.cross_entropy(model(one[None]), target[None])
        rows.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, leaves)]))
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_numbers_are_those_of_single_gradients(engine: Any) -> None:
    model, data = case()
    found = landscape.gradient_noise(
        model, data, batch=8, relative_error=0.03, level=LEVEL, engine=engine
    )
    rows = single_gradients(model, data)
    mean = rows.mean(axis=0)
    covariance = (rows - mean).T @ (rows - mean) / len(rows)
    dense = landscape.hessian(model, data).dense()
    variance, weighted = np.trace(covariance), np.trace(dense @ covariance)
    square, along = mean @ mean, mean @ dense @ mean
    exact = {
        "variance": variance,
        "noise_scale": variance / square,
        "curvature_noise_scale": weighted / along,
        "noise_curvature": weighted / variance,
        "batch_variance": variance / 8 * 32 / 39,
        "signal_to_noise": square / (variance / 8 * 32 / 39),
    }
    for name, truth in exact.items():
        value, low, high = getattr(found, name)
        assert low <= value <= high
        assert low - 0.02 * abs(truth) <= truth <= high + 0.02 * abs(truth), name
    assert_allclose(found.gradient_norm, np.sqrt(square), rtol=1e-9)
    assert_allclose(found.gradient_curvature, along / square, rtol=1e-9)
    cosine = along / np.sqrt(square) / np.linalg.norm(dense @ mean)
    assert_allclose(found.alignment, cosine, rtol=1e-9)


def test_the_variance_is_that_of_drawn_batches() -> None:
    model, data = case()
    found = landscape.gradient_noise(model, data, batch=10, relative_error=0.02)
    rows, random = single_gradients(model, data), np.random.default_rng(0)
    means = [rows[random.permutation(40)[:10]].mean(axis=0) for _ in range(4000)]
    spread = np.square(np.array(means) - rows.mean(axis=0)).sum(axis=1).mean()
    assert_allclose(found.batch_variance[0], spread, rtol=0.08)
    whole = landscape.gradient_noise(model, data, batch=40, relative_error=0.1)
    assert whole.batch_variance.tolist() == [0, 0, 0]
    assert whole.signal_to_noise[0] == np.inf


def test_samples_that_agree_make_no_noise() -> None:
    model = seeded(mlp, 1)
    inputs, targets = classes(1)
    for count in (1, 8):
        data = inputs.expand(count, -1).clone(), targets.expand(count).clone()
        found = landscape.gradient_noise(model, data)
        assert abs(found.variance[0]) < 1e-6 * found.gradient_norm**2


def test_it_is_saved_printed_and_checked(tmp_path: Path) -> None:
    model, data = case()
    found = landscape.gradient_noise(model, data, relative_error=0.2)
    found.save(tmp_path / "noise.npz")
    assert found.equals(landscape.load(tmp_path / "noise.npz"))
    assert all(len(line) <= 100 for line in repr(found).splitlines())
    with pytest.raises(ValueError, match="batch=41, expected 1 to 40"):
        landscape.gradient_noise(model, data, batch=41)

"""Shares of the gradient along top eigenvectors: against dense matrices, within their bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp, seeded
from torch import nn

import landscape


@pytest.mark.parametrize("engine", ["torch", "native"])
@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-8])
def test_shares_are_those_of_dense_eigenvectors(engine: Any, tolerance: float) -> None:
    inputs, targets = classes(40)
    model = seeded(mlp, 1).double()
    hessian = landscape.hessian(model, (inputs.double(), targets), engine=engine)
    found = hessian.gradient_energy(6, tolerance, progress="off")
    _, vectors = np.linalg.eigh(hessian.dense())
    slope = hessian.gradient()
    along = (vectors[:, ::-1].T @ slope) ** 2 / (slope @ slope)
    exact = np.cumsum(along)[:6]
    assert (np.abs(found.shares - exact) <= found.bounds + 1e-12).all()
    assert (np.diff(found.shares) >= 0).all()
    assert found.gradient_norm == pytest.approx(np.linalg.norm(slope))
    if tolerance == 1e-8:
        assert found.bounds.max() < 1e-3


def test_all_eigenvectors_hold_the_whole_gradient() -> None:
    model, data = (
        nn.Linear(3, 1).double(),
        (torch.randn(20, 3).double(), torch.randn(20, 1).double()),
    )
    found = landscape.hessian(model, data).gradient_energy(4)
    assert found.shares[-1] == pytest.approx(1.0)
    assert found.bounds[-1] == 0


def test_blocks_take_their_own_part_of_the_gradient() -> None:
    inputs, targets = classes(40)
    model = seeded(mlp, 1).double()
    whole = landscape.hessian(model, (inputs.double(), targets))
    block = whole.blocks()["0"]
    named = dict(model.named_parameters())
    loss = nn.functional.cross_entropy(model(inputs.double()), targets)
    slopes = torch.autograd.grad(loss, [named[name] for name in block.names])
    wanted = torch.cat([slope.reshape(-1) for slope in slopes]).numpy()
    np.testing.assert_allclose(block.gradient(), wanted, atol=1e-12)


def test_a_gradient_of_zero_is_refused() -> None:
    model = nn.Linear(2, 1).double()
    data = torch.zeros(4, 2).double(), model.bias.detach().expand(4, 1).clone()
    with pytest.raises(ValueError, match=r"gradient's norm is 0.0.*exactly critical"):
        landscape.hessian(model, data, nn.MSELoss()).gradient_energy(1)


def test_too_few_products_are_said_so() -> None:
    hessian = landscape.hessian(seeded(mlp, 1), classes(40))
    with pytest.raises(ValueError, match=r"of the 6 pairs that 5 shares need.*raise max_products"):
        hessian.gradient_energy(5, max_products=3)


def test_it_is_saved_and_printed(tmp_path: Path) -> None:
    inputs, targets = classes(40)
    found = landscape.hessian(seeded(mlp, 1), (inputs, targets)).gradient_energy(3)
    found.save(tmp_path / "energy.npz")
    assert found.equals(landscape.load(tmp_path / "energy.npz"))
    lines = repr(found).splitlines()
    assert lines[0].startswith("GradientEnergy in the top 3 of 75")
    assert all(len(line) <= 100 for line in lines)

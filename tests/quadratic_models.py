"""Models whose loss is a given quadratic, rescaled ReLU networks, and one measure of a model."""

from __future__ import annotations

import copy
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.testing import assert_allclose
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

import landscape
from landscape.measures import Definition

__all__ = ["assert_close", "blobs", "measure", "quadratic", "relu_mlp", "rescaled", "rotation"]

Data = tuple[Tensor, Tensor]


def rotation(dim: int, seed: int = 0) -> NDArray[np.float64]:
    """A random orthogonal matrix."""
    q: NDArray[np.float64] = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]
    return q


def quadratic(
    values: ArrayLike, theta: ArrayLike | None = None, basis: NDArray[np.float64] | None = None
) -> tuple[nn.Module, Data]:
    """A linear model under MSE with L = theta' H theta / 2 and H = Q diag(values) Q'.

    The Gauss-Newton matrix and the Fisher matrix are H too. There are d samples.
    """
    eigenvalues = np.asarray(values, np.float64)
    dim = len(eigenvalues)
    q = np.eye(dim) if basis is None else basis
    inputs = np.sqrt(dim * eigenvalues / 2)[:, None] * q.T
    model = nn.Linear(dim, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(np.zeros(dim) if theta is None else np.array(theta)))
    return model, (torch.from_numpy(inputs), torch.zeros(dim, 1, dtype=torch.float64))


def blobs(samples: int = 60, features: int = 5, seed: int = 0) -> Data:
    """Three classes of points."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(samples, features, generator=draw, dtype=torch.float64)
    return inputs, (inputs[:, 0] > 0).long() + (inputs[:, 1] > 0.3).long()


def relu_mlp(*, bias: bool = True, seed: int = 0) -> nn.Sequential:
    """5 features, two hidden layers of ReLU, 3 classes; a few steps of training."""
    return copy.deepcopy(_train_mlp(bias, seed))


@cache
def _train_mlp(bias: bool, seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Linear(5, 7, bias=bias),
            nn.ReLU(),
            nn.Linear(7, 6, bias=bias),
            nn.ReLU(),
            nn.Linear(6, 3, bias=bias),
        ).double()
    inputs, targets = blobs()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(40):
        optimizer.zero_grad()
        loss: Tensor = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.zero_grad()
    return model


def rescaled(model: nn.Sequential, factor: float = 10.0, seed: int = 1) -> nn.Sequential:
    """The same function: every hidden unit's input scaled by its own factor, its output back."""
    twin = copy.deepcopy(model)
    draw = torch.Generator().manual_seed(seed)
    layers = [module for module in twin if isinstance(module, nn.Linear)]
    with torch.no_grad():
        for before, after in pairwise(layers):
            exponents = 2 * torch.rand(before.out_features, generator=draw, dtype=torch.float64)
            scale = factor**exponents
            before.weight.mul_(scale[:, None])
            if before.bias is not None:
                before.bias.mul_(scale)
            after.weight.div_(scale)
    return twin


def measure(
    definition: Definition | str, model: Any, data: Any = None, **options: Any
) -> landscape.Measure:
    """One measure of a model, by PyTorch unless `engine` says otherwise: an export takes longer."""
    if isinstance(model, nn.Module):
        options.setdefault("engine", "torch")
    found = landscape.sharpness(model, data, measures=[definition], progress="off", **options)
    return next(iter(found.values()))


def assert_close(found: Any, truth: Any, rtol: float = 1e-7, name: str = "") -> None:
    """Equal numbers or arrays within a relative tolerance; None is unequal to all."""
    assert found is not None, name
    assert_allclose(found, truth, rtol=rtol, atol=0, err_msg=name)

"""Trained models on data that are large enough to choose from, and planes through them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from models import seeded
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

import landscape

Name = Literal["digits", "cnn", "mixture"]
Engine = Literal["auto", "torch", "native"]

LOW, HIGH = (-1.0, -1.0), (1.0, 1.0)


@dataclass(frozen=True)
class Case:
    """A trained model, its data, and two directions of filter-like size."""

    model: nn.Module
    data: tuple[torch.Tensor, torch.Tensor]
    basis: list[NDArray[Any]]

    def objective(self, engine: Engine = "native", **options: Any) -> landscape.Objective:
        return landscape.Objective(self.model, self.data, engine=engine, **options)

    def truth(self, points: int = 13) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates of a grid and the losses there, on all data."""
        axis = np.linspace(-0.97, 0.99, points)
        coordinates = np.array([(a, b) for b in axis for a in axis])
        return coordinates, self.objective().subspace(None, self.basis).losses(coordinates)


@cache
def case(name: Name) -> Case:
    """The case of this name, trained once."""
    return seeded(lambda: _make(name))


def _make(name: Name) -> Case:
    if name == "mixture":
        data = _mixture(5000)
        model = nn.Sequential(nn.Linear(12, 24), nn.Tanh(), nn.Linear(24, 6))
    else:
        digits = load_digits()
        inputs = torch.tensor(digits.data / 16, dtype=torch.float32)
        data = inputs, torch.tensor(digits.target)
        model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        if name == "cnn":
            data = inputs.view(-1, 1, 8, 8), data[1]
            model = nn.Sequential(
                nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 10)
            )
    _train(model, *data)
    objective = landscape.Objective(model, data, engine="torch", check="off")
    rows = np.random.default_rng(0).standard_normal((2, objective.dim))
    scale = 0.7 * np.linalg.norm(objective.theta) / np.linalg.norm(rows, axis=1, keepdims=True)
    return Case(model, data, list((rows * scale).astype(np.float32)))


def _mixture(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping Gaussian classes."""
    targets = torch.randint(6, (samples,))
    return 1.2 * torch.randn(6, 12)[targets] + torch.randn(samples, 12), targets


def _train(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> None:
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(12):
        order = torch.randperm(len(inputs))
        for rows in torch.split(order, 64):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs[rows]), targets[rows])
            torch.autograd.backward(loss)
            optimizer.step()

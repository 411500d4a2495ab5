"""Flat against sharp: Keskar's experiment on digits, and minima of equal loss."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from quadratic_models import quadratic
from sklearn.datasets import load_digits
from torch import Tensor, nn

import landscape
from landscape.measures import (
    AverageCase,
    BasinVolume,
    Definition,
    Keskar,
    LocalEntropy,
    NoiseRise,
    PACBayesSigma,
    WorstCase,
)

SEEDS = 5
ANNEALING = (0.3, 0.1, 0.1, 0.03, 0.03, 0.01, 0.01, 0.003)
"""Of the step size, one epoch each: until the noise of mini-batches has no share in the point."""


def digits() -> tuple[Tensor, Tensor]:
    inputs, targets = load_digits(return_X_y=True)
    return torch.tensor(inputs[:1000] / 16, dtype=torch.float32), torch.tensor(targets[:1000])


def network(seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def compute_loss(model: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    loss: Tensor = nn.functional.cross_entropy(model(data[0]), data[1])
    return loss


def step(model: nn.Module, data: tuple[Tensor, Tensor], rate: float) -> None:
    parameters: list[Tensor] = list(model.parameters())
    gradients = torch.autograd.grad(compute_loss(model, data), parameters)
    with torch.no_grad():
        torch._foreach_add_(parameters, gradients, alpha=-rate)


def train_on_batches_of_5(seed: int, data: tuple[Tensor, Tensor]) -> nn.Module:
    model, draw = network(seed), torch.Generator().manual_seed(seed)

    def epoch(rate: float) -> None:
        order = torch.randperm(len(data[0]), generator=draw)
        for rows in torch.tensor_split(order, len(order) // 5):
            step(model, (data[0][rows], data[1][rows]), rate)

    while compute_loss(model, data).item() > 0.02:
        epoch(0.2)
    for factor in ANNEALING:
        epoch(0.2 * factor)
    return model


def train_on_all(seed: int, data: tuple[Tensor, Tensor], loss: float) -> nn.Module:
    model = network(seed)
    while compute_loss(model, data).item() > loss:
        step(model, data, 0.5)
    return model


def test_small_batches_end_at_flatter_minima_of_the_same_loss() -> None:
    """The order of Keskar et al. (2017), table 3, over five seeds with its interval."""
    data = digits()
    ratios = []
    for seed in range(SEEDS):
        small = train_on_batches_of_5(seed, data)
        large = train_on_all(seed, data, compute_loss(small, data).item())
        pair = [
            landscape.sharpness(
                model, data, measures=[Keskar(), "max_eigenvalue"], engine="torch", check="off"
            )
            for model in (small, large)
        ]
        assert pair[0].loss < 0.02
        assert pair[1].loss == pytest.approx(pair[0].loss, rel=0.01)
        ratios.append([math.log(float(pair[1][n]) / float(pair[0][n])) for n in pair[0]])
    mean, error = np.mean(ratios, axis=0), np.std(ratios, axis=0, ddof=1) / SEEDS**0.5
    student = 2.776  # 95% with four degrees of freedom
    assert (mean - student * error > 0).all(), (mean, error)  # measured: factors of 1.7 and 2.3


def test_of_two_minima_of_equal_loss_the_sharper_is_found_by_every_measure() -> None:
    values = np.linspace(0.5, 2.0, 8)
    grows: list[str | Definition] = [
        *("max_eigenvalue", "trace", "trace_per_parameter", "frobenius", "log_determinant"),
        *("effective_dimension", Keskar(0.01, steps=50), WorstCase(0.1, scaling="plain", steps=50)),
        *(AverageCase(0.1, "plain"), NoiseRise(0.1), PACBayesSigma(0.1)),
    ]
    falls: list[str | Definition] = [LocalEntropy(), BasinVolume()]
    flat, sharp = (
        landscape.sharpness(*quadratic(c * values), measures=(*grows, *falls), engine="torch")
        for c in (1.0, 100.0)
    )
    assert flat.loss == sharp.loss == 0
    for name in flat:
        is_sharper = float(sharp[name]) > float(flat[name])
        assert is_sharper == (name not in ("local_entropy", "basin_volume")), name
    # the gap under a posterior of fixed variance is linear in the curvature
    assert float(sharp["noise_rise"]) == pytest.approx(100 * float(flat["noise_rise"]), rel=0.1)

"""The same model and data under another loss, or under strategies that another run recorded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from quadratic_models import blobs, relu_mlp
from torch import Tensor, nn
from untouched import untouched

import landscape


def test_another_loss_is_that_of_an_objective_made_with_it() -> None:
    model, data = relu_mlp(), blobs()
    objective = landscape.Objective(model, data, engine="native")
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.2)
    with untouched(model):
        other = objective.with_loss(smoothed)
    expected = landscape.Objective(model, data, smoothed, engine="native")
    theta = objective.theta
    assert other.loss() == expected.loss() != objective.loss()
    assert np.array_equal(other.gradient(), expected.gradient())
    assert other.policy == expected.policy
    assert objective.loss() == landscape.Objective(model, data, engine="native").loss()
    assert other.losses(np.stack([theta, 2 * theta]))[1] == expected.loss(2 * theta)


def test_another_loss_is_checked_against_the_users_program() -> None:
    model, data = relu_mlp(), blobs()
    parameters = list(model.parameters())  # captured: they do not follow the point

    def penalised(outputs: Tensor, targets: Tensor) -> Tensor:
        penalty = torch.stack([p.square().sum() for p in parameters]).sum()
        return nn.functional.cross_entropy(outputs, targets) + penalty

    objective = landscape.Objective(model, data)
    with pytest.raises(ValueError, match="captured"):
        objective.with_loss(penalised)


def test_recorded_strategies_are_taken_without_a_measurement() -> None:
    objective = landscape.Objective(relu_mlp(), blobs())
    plain = objective.plain_strategy
    other = objective.with_strategies(plain, plain)
    assert other.strategy == other.derivative_engine.strategy == plain
    assert other.loss() == objective.loss()
    native = landscape.Objective(relu_mlp(), blobs(), engine="native")
    assert native.allows(native.strategy)
    assert not native.allows(plain)
    with pytest.raises(ValueError, match="engine='torch'"):
        native.with_strategies(plain, plain)
    opaque = native.with_loss(lambda outputs, targets: (outputs.sum(1) - targets).square().mean())
    assert (
        not landscape.Objective(relu_mlp(), blobs())
        .with_loss(lambda outputs, targets: torch.log1p((outputs.sum(1) - targets).square()).mean())
        .allows(native.strategy)
    )
    assert not opaque.allows(plain)

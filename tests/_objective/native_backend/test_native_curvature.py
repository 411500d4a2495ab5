"""Gauss-Newton and Fisher products of the native network, against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape

WEIGHT = 7.0


def case() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A small classifier in float64 with more samples than a panel has lanes."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    return model, torch.randn(11, 3, dtype=torch.float64), torch.randint(0, 3, (11,))


def product(kind: str, vectors: np.ndarray) -> np.ndarray:
    """The core's product at the model's own parameters."""
    model, inputs, targets = case()
    objective = landscape.Objective(model, (inputs, targets), engine="native")
    curvature = objective._backends.native.curvature(
        objective.theta, kind, weight=WEIGHT, policy="frozen", memory=1 << 20
    )
    found: np.ndarray = curvature.apply(vectors)
    return found


def jacobian(model: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """J, shape (samples, outputs, d)."""
    outputs, leaves = model(inputs), list(model.parameters())
    rows = [
        torch.cat(
            [part.flatten() for part in torch.autograd.grad(number, leaves, retain_graph=True)]
        )
        for number in outputs.flatten()
    ]
    return torch.stack(rows).reshape(*outputs.shape, -1)


def outputs_curvature(kind: str) -> torch.Tensor:
    """The matrix of each sample's outputs, shape (samples, outputs, outputs)."""
    model, inputs, targets = case()
    logits = model(inputs).detach()
    matrices = []
    for z, target in zip(logits, targets, strict=True):
        slope = z.softmax(0) - nn.functional.one_hot(target, 3)
        if kind == "empirical_fisher":
            matrices.append(torch.outer(slope, slope))
        elif kind == "fisher":  # the expectation over the model's own labels
            slopes = z.softmax(0) - torch.eye(3, dtype=torch.float64)
            matrices.append(torch.einsum("y,yi,yj->ij", z.softmax(0), slopes, slopes))
        else:
            matrices.append(torch.diag(z.softmax(0)) - torch.outer(z.softmax(0), z.softmax(0)))
    return torch.stack(matrices)


@pytest.mark.parametrize("kind", ["gauss_newton", "fisher", "empirical_fisher"])
def test_products_are_those_of_the_full_matrix(kind: str) -> None:
    model, inputs, _ = case()
    j = jacobian(model, inputs)
    matrix = torch.einsum("nip,nij,njq->pq", j, outputs_curvature(kind), j).numpy() / WEIGHT
    vectors = np.random.default_rng(0).normal(size=(3, j.shape[2]))
    np.testing.assert_allclose(product(kind, vectors), vectors @ matrix, rtol=1e-10, atol=1e-12)


def test_softmax_cross_entropy_has_one_matrix_for_both() -> None:
    vectors = np.random.default_rng(1).normal(size=(2, 31))
    gauss_newton, fisher = (product(kind, vectors) for kind in ("gauss_newton", "fisher"))
    np.testing.assert_allclose(gauss_newton, fisher, rtol=1e-10, atol=1e-13)


def test_a_loss_without_a_likelihood_has_no_fisher_matrix() -> None:
    model = nn.Linear(2, 1).double()
    inputs, targets = torch.randn(5, 2).double(), torch.randn(5, 1).double()
    objective = landscape.Objective(model, (inputs, targets), nn.L1Loss(), engine="native")
    with pytest.raises(ValueError, match="likelihood"):
        objective._backends.native.curvature(
            objective.theta, "fisher", weight=1.0, policy="frozen", memory=0
        )

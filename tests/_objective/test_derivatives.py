"""Gradients and Hessian products, against autograd and a dense Hessian of plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import (
    ConvNet,
    LanguageModel,
    Recurrent,
    SelfAttention,
    TiedAutoencoder,
    Transformer,
    classes,
    images,
    mlp,
    regression,
    seeded,
    sequences,
)
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev
from torch.nn.attention import SDPBackend, sdpa_kernel

from landscape import Objective

DOUBLE = torch.float64


@dataclass(frozen=True)
class Case:
    """A model and data, and an explicit loss where none is inferred."""

    model: Callable[[], nn.Module]
    data: Callable[[], Any]
    loss: Any = None


def doubles(make: Callable[..., Any]) -> Callable[[], Any]:
    return lambda: make(dtype=DOUBLE)


def gelu_net() -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 3), nn.RMSNorm(3)
    )


def grouped_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), nn.Linear(64, 3)
    )


def tokens() -> Any:
    found, _ = sequences()
    return found, torch.roll(found, 1, 1)


def next_tokens() -> nn.Module:
    class Channels(LanguageModel):
        def forward(self, found: Tensor) -> Tensor:
            return super().forward(found).transpose(1, 2)

    return Channels()


def l1_data() -> Any:
    x, y = regression(dtype=DOUBLE)
    return x, y + 5  # no sample sits at the kink


CASES = {
    "mlp": Case(mlp, doubles(classes)),
    "weighted": Case(
        mlp,
        doubles(classes),
        nn.CrossEntropyLoss(torch.tensor([0.2, 1.0, 3.0], dtype=DOUBLE), label_smoothing=0.1),
    ),
    "softplus": Case(lambda: mlp(nn.Softplus, 2), doubles(regression), nn.HuberLoss(delta=0.5)),
    "mse": Case(lambda: mlp(outputs=2), doubles(regression)),
    "frozen batch norm": Case(ConvNet, doubles(images)),
    "batch statistics": Case(lambda: ConvNet(track=False), doubles(images)),
    "LayerNorm and GELU": Case(gelu_net, doubles(classes)),
    "GroupNorm": Case(grouped_net, doubles(images)),
    "MultiheadAttention": Case(Transformer, sequences),
    "scaled dot product": Case(SelfAttention, sequences),
    "tied autoencoder": Case(TiedAutoencoder, lambda: (classes(dtype=DOUBLE)[0],) * 2),
    "tied embedding": Case(next_tokens, tokens),
    "LSTM": Case(Recurrent, sequences),
    "GRU": Case(lambda: Recurrent(nn.GRU), sequences),
    "opaque": Case(mlp, doubles(classes), lambda out, y: F.cross_entropy(out, y).exp()),
    "linear under L1": Case(lambda: nn.Linear(5, 2), l1_data, nn.L1Loss()),
}


def plain_loss(case: Case, model: nn.Module, data: Any) -> Callable[[Sequence[Tensor]], Tensor]:
    """L as a function of the parameters, in one full-batch call."""
    x, y = data
    loss = case.loss or (F.mse_loss if y.is_floating_point() else F.cross_entropy)
    names = [name for name, _ in model.named_parameters()]

    def evaluate(parameters: Sequence[Tensor]) -> Tensor:
        named = dict(zip(names, parameters, strict=True))
        found: Tensor = loss(functional_call(model, named, (x,), tie_weights=True), y)
        return found

    return evaluate


def dense(function: Callable[[Sequence[Tensor]], Tensor], model: nn.Module) -> Any:
    """Gradient and Hessian by torch.func, of all parameters as one vector.

    Not by torch.func.hessian, jacfwd(jacrev(f)), which is wrong through LayerNorm: its matrix is
    not even symmetric, and finite differences of the gradient agree with this one.
    """
    pieces = [p.detach() for p in model.parameters()]
    sizes = [piece.numel() for piece in pieces]

    def of_flat(flat: Tensor) -> Tensor:
        cut = torch.split_with_sizes(flat, sizes)
        parts = [f.view_as(p) for f, p in zip(cut, pieces, strict=True)]
        return function(parts)

    theta = torch.cat([piece.reshape(-1) for piece in pieces])
    with sdpa_kernel(SDPBackend.MATH):
        slope = grad(of_flat)
        direction = torch.from_numpy(np.random.default_rng(0).standard_normal(len(theta)))
        step = 1e-5 * direction
        difference = (slope(theta + step) - slope(theta - step)).detach() / 2e-5
        curvature = jacrev(slope)(theta).detach()
    scale = float(abs(difference).max())
    assert_allclose(curvature @ direction, difference, rtol=1e-5, atol=1e-6 * scale)
    return slope(theta).detach().numpy(), curvature.numpy()


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def test_against_a_dense_hessian(case: Case) -> None:
    model, data = seeded(case.model).double().eval(), case.data()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        slope, curvature = dense(plain_loss(case, model, data), model)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    objective = Objective(model, data, case.loss)
    assert_allclose(objective.gradient(), slope, rtol=1e-8, atol=1e-11)
    assert abs(slope).max() > 1e-4
    basis = np.eye(objective.dim)
    found = objective.hessian_product(basis)
    assert_allclose(found, curvature, rtol=1e-7, atol=1e-9)
    assert_allclose(found, found.T, rtol=1e-7, atol=1e-9)

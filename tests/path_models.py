"""Two trained models with a barrier between them, trained once and copied."""

from __future__ import annotations

import copy
from functools import cache

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import classes, mlp, seeded
from torch import nn

__all__ = ["DATA", "two"]

DATA = classes(60, dtype=torch.float64)


def two() -> tuple[nn.Module, nn.Module]:
    """Two small tanh networks in float64, trained from different weights on the same data."""
    a, b = _trained()
    return copy.deepcopy(a), copy.deepcopy(b)


@cache
def _trained() -> tuple[nn.Module, nn.Module]:
    return _descended(0), _descended(3)


def _descended(seed: int) -> nn.Module:
    model = mlp().double()
    seeded(lambda: model.apply(_anew), seed)
    descent = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(400):
        descent.zero_grad()
        loss = F.cross_entropy(model(DATA[0]), DATA[1])
        loss.backward()  # type: ignore[no-untyped-call]
        descent.step()
    model.zero_grad()
    return model


def _anew(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        module.reset_parameters()

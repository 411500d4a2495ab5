"""Networks for the tests of structures and norms, and their layers as dense matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from models import seeded
from numpy.typing import NDArray
from torch import Tensor, nn

import landscape
from landscape._sharpness.context import Context
from landscape._sharpness.inputs import Inputs

__all__ = ["Residual", "chain", "dense", "make_context", "pictures", "randomise"]


class Residual(nn.Module):
    """Every operation that path norms understand, with branches, batch norms and in-place ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding="same")
        self.norm = nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.own = nn.BatchNorm2d(3)
        self.head = nn.Linear(2 * 12, 2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        x = F.leaky_relu(self.own(x + self.second(x)), 0.1)
        x = F.dropout(F.max_pool2d(x, 2, stride=1), 0.5, self.training)
        x = F.pad(x, (0, 1, 1, 0))
        parts = [F.adaptive_avg_pool2d(0.5 * x, 2), F.avg_pool2d(x, 2)]
        found: Tensor = self.head(torch.cat(parts, 1).flatten(1))
        return found


def chain(groups: int = 1) -> nn.Sequential:
    """Convolutions, batch norm, an average and a linear layer, in a row."""
    return seeded(
        lambda: randomise(
            nn.Sequential(
                nn.Conv2d(1, 4, 3, stride=1, padding=1),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Conv2d(4, 4, 2, groups=groups, bias=False),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(4, 3),
            )
        )
    )


def randomise(model: nn.Sequential) -> nn.Sequential:
    """Random statistics, scales and shifts of batch norms."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2.0)
    return model


def pictures(samples: int = 30, size: int = 4, classes: int = 2) -> tuple[Tensor, Tensor]:
    """Images of one channel and classes."""
    return seeded(
        lambda: (torch.randn(samples, 1, size, size), torch.randint(classes, (samples,))), 1
    )


def make_context(model: nn.Module, data: tuple[Tensor, Tensor], **inputs: object) -> Context:
    """The context of a model, evaluated by PyTorch."""
    objective = landscape.Objective(model, data)
    strategy = objective.plain_strategy
    return Context(objective, (strategy, strategy), Inputs(**inputs))  # type: ignore[arg-type]


def dense(function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The matrix of a linear function of one sample, from unit vectors."""
    size = int(np.prod(shape))
    units = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    with torch.no_grad():
        columns = [function(unit[None]).reshape(-1).numpy() for unit in units]
    return np.stack(columns, axis=1)

"""The native engine beside PyTorch on the same model, data and loss, at any point."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
import torch
from export_models import Calls, OptionA, shaken
from numpy.typing import NDArray
from torch import Tensor, nn

from landscape import Objective

__all__ = [
    "DOUBLE",
    "ENGINES",
    "compared",
    "data_for",
    "difference",
    "drawn",
    "fed",
    "narrow_resnet",
    "normalised_cnn",
    "off_centre",
    "values",
]

Array = NDArray[Any]
DOUBLE = torch.float64
ENGINES: tuple[Literal["native"], Literal["torch"]] = ("native", "torch")
LOSS, GRADIENT, PRODUCT = 1e-10, 1e-10, 1e-9


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def fed(module: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """A layer behind a layer with parameters, so that derivatives pass through it to others."""
    first = {1: nn.Linear, 2: nn.Conv1d, 3: nn.Conv2d}[len(shape)]
    size = (shape[0], shape[0]) if len(shape) == 1 else (shape[0], shape[0], 1)
    return shaken(nn.Sequential(first(*size), copy.deepcopy(module))).eval()


def data_for(model: nn.Module, shape: tuple[int, ...], samples: int = 21) -> tuple[Tensor, Tensor]:
    """Inputs, and real numbers of the outputs' shape."""
    inputs = drawn((samples, *shape), 1)
    with torch.no_grad():
        outputs: Tensor = model(inputs.clone())
    return inputs, drawn(tuple(outputs.shape), 2)


def off_centre(objective: Objective, size: float = 0.2, seed: int = 0) -> Array:
    generator = np.random.default_rng(seed)
    return objective.theta + size * generator.standard_normal(objective.dim).astype(objective.dtype)


def values(objective: Objective, theta: Array) -> dict[str, Array]:
    """The loss, its gradient and its Hessian's products with two vectors."""
    vectors = np.random.default_rng(1).standard_normal((2, objective.dim))
    loss, gradient = objective.gradients(theta[None])
    return {
        "loss": objective.losses(theta[None]),
        "loss beside the gradient": loss,
        "gradient": gradient[0],
        "product": objective.hessian_at(theta)(vectors),
    }


def difference(found: Array, expected: Array) -> float:
    """The relative error of a whole vector; exact agreement of zeros is none."""
    distance = float(np.linalg.norm(np.asarray(found, float) - np.asarray(expected, float)))
    return distance / float(np.linalg.norm(expected)) if distance else 0.0


def compared(model: nn.Module, data: Any, loss: Any = None, **options: Any) -> None:
    """Assert that the engines agree, in float64 and in float32, away from the model's own theta."""
    made: dict[tuple[str, torch.dtype], Objective] = {
        (engine, dtype): Objective(model, data, loss, engine=engine, dtype=dtype, **options)
        for engine in ENGINES
        for dtype in (DOUBLE, torch.float32)
    }
    theta = off_centre(made["torch", torch.float32])  # numbers that both dtypes have
    exact = values(made["torch", DOUBLE], theta.astype(np.float64))
    double = values(made["native", DOUBLE], theta.astype(np.float64))
    single = values(made["native", torch.float32], theta)
    own = values(made["torch", torch.float32], theta)
    for name, expected in exact.items():
        error = difference(double[name], expected)
        assert error <= (PRODUCT if name == "product" else LOSS), (name, error)
        error, allowed = difference(single[name], expected), difference(own[name], expected)
        assert error <= max(1e-5, 2 * allowed), (name, error, allowed)


def normalised_cnn() -> nn.Module:
    """The digits CNN of the benchmarks with fewer channels, for 8 x 8 images."""
    return shaken(
        nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 7, 3, padding=1),
            nn.BatchNorm2d(7),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(7, 5),
        )
    ).eval()


def narrow_resnet() -> nn.Module:
    """A stage of each kind of a CIFAR ResNet with option A, for 8 x 8 images."""
    return shaken(
        Calls(
            lambda m, x: m.linear(m.blocks(torch.relu(m.norm(m.conv(x)))).mean((2, 3))),
            conv=nn.Conv2d(3, 4, 3, 1, 1, bias=False),
            norm=nn.BatchNorm2d(4),
            blocks=nn.Sequential(OptionA(4, 4, 1), OptionA(4, 8, 2), OptionA(8, 12, 2)),
            linear=nn.Linear(12, 5),
        )
    ).eval()

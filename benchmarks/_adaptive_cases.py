"""Trained networks whose surfaces are smooth, sharp, flat or chaotic, for `adaptive.py`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from _cases import cifar_resnet20, digits
from torch import Tensor, nn

import landscape

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Problem:
    """A trained network with its data, and options of the surface."""

    model: nn.Module
    data: tuple[Tensor, Tensor]
    loss: nn.Module
    options: dict[str, Any] = field(default_factory=dict)


def _train(
    model: nn.Module, data: tuple[Tensor, Tensor], loss: Loss, steps: int, seed: int
) -> nn.Module:
    inputs, targets = data
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(inputs), (128,), generator=generator)
        optimizer.zero_grad()
        loss(model(inputs[rows]), targets[rows]).backward()
        optimizer.step()
    return model.eval()


def _mlp(widths: list[int], activation: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def _flat_digits() -> tuple[Tensor, Tensor]:
    images, targets = digits()
    return images.flatten(1), targets


def digits_tanh(seed: int) -> Problem:
    """64-64-64-10 with tanh."""
    torch.manual_seed(seed)
    data, loss = _flat_digits(), nn.CrossEntropyLoss()
    model = _train(_mlp([64, 64, 64, 10], nn.Tanh), data, loss, 600, seed)
    return Problem(model, data, loss)


def digits_overfit(seed: int) -> Problem:
    """64-128-128-10 with ReLU, 500 samples fitted to a loss of 1e-4."""
    torch.manual_seed(seed)
    inputs, targets = _flat_digits()
    data, loss = (inputs[:500], targets[:500]), nn.CrossEntropyLoss()
    model = _train(_mlp([64, 128, 128, 10], nn.ReLU), data, loss, 3000, seed)
    return Problem(model, data, loss)


def digits_cnn(seed: int) -> Problem:
    """Two blocks of convolution, batch norm, ReLU and pooling."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 16), (16, 32)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    data, loss = digits(), nn.CrossEntropyLoss()
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 10))
    return Problem(_train(model, data, loss, 300, seed), data, loss)


def deep(layers: int, steps: int) -> Callable[[int], Problem]:
    """A ReLU network of 32 units a layer without skip connections."""

    def make(seed: int) -> Problem:
        torch.manual_seed(seed)
        data, loss = _flat_digits(), nn.CrossEntropyLoss()
        model = _mlp([64, *[32] * (layers - 1), 10], nn.ReLU)
        for module in model:
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        return Problem(_train(model, data, loss, steps, seed), data, loss)

    return make


def three_minima(seed: int) -> Problem:
    """The plane through three separately trained networks."""
    data, loss = _flat_digits(), nn.CrossEntropyLoss()
    models = []
    for index in range(3):
        torch.manual_seed(100 * seed + index)
        models.append(_train(_mlp([64, 32, 10], nn.ReLU), data, loss, 800, index))
    plane = landscape.plane(models[1], models[2])
    return Problem(models[0], data, loss, {"directions": plane})


def regression(seed: int) -> Problem:
    """4-64-64-1 with tanh on 512 points of a smooth function, squared error."""
    torch.manual_seed(seed)
    inputs = torch.rand(512, 4) * 2 - 1
    targets = torch.sin(3 * inputs[:, :1]) * inputs[:, 1:2] + inputs[:, 2:3] ** 2
    data, loss = (inputs, targets), nn.MSELoss()
    return Problem(_train(_mlp([4, 64, 64, 1], nn.Tanh), data, loss, 2000, seed), data, loss)


SMALL: dict[str, Callable[[int], Problem]] = {
    "digits tanh": digits_tanh,
    "digits overfit": digits_overfit,
    "digits CNN": digits_cnn,
    "12 layers": deep(12, 1500),
    "28 layers": deep(28, 2500),
    "three minima": three_minima,
    "regression": regression,
}


def resnet20(file: Path) -> Problem:
    """ResNet-20 on 1,000 photographs, briefly trained."""
    case = cifar_resnet20(file, 1000)
    model = _train(case.model, case.data, F.cross_entropy, 60, 0)
    return Problem(model, case.data, nn.CrossEntropyLoss())


def large_mlp(file: Path) -> Problem:
    """3072-256-128-10 with ReLU on 10,000 photographs and their mirror images."""
    torch.manual_seed(0)
    with np.load(file) as archive:
        pixels = torch.from_numpy(archive["train_images"][:10_000])
        labels = torch.from_numpy(archive["train_labels"][:10_000]).long()
    images = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    inputs = torch.cat([images, images.flip(3)]).flatten(1).contiguous()
    data = inputs, labels.repeat(2)
    model = _train(_mlp([3072, 256, 128, 10], nn.ReLU), data, F.cross_entropy, 1500, 0)
    return Problem(model, data, nn.CrossEntropyLoss())

"""Benchmark networks and data: real digits, real photographs, and a tiny network.

Depends on PyTorch and scikit-learn. Speed does not depend on what weights say, so they are as
initialised; batch statistics come from one pass over the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from sklearn.datasets import load_digits
from torch import Tensor, nn

STEPS = 150
"""Of training: the spectrum of a network that was not trained is another one."""


@dataclass(frozen=True)
class Case:
    """A network and data in memory, with the loss that a hand-written loop computes on them."""

    name: str
    model: nn.Module
    inputs: Tensor
    targets: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    """The mean over samples, in float64 from the outputs onward, as landscape computes it."""
    points: int
    """Along each axis of the grid: a run takes about half a second, or what four points take."""

    @property
    def parameters(self) -> int:
        """How many there are."""
        return sum(p.numel() for p in self.model.parameters())

    @property
    def data(self) -> tuple[Tensor, Tensor]:
        """What landscape takes."""
        return self.inputs, self.targets


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy in float64."""
    return F.cross_entropy(outputs.double(), targets)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean squared error in float64."""
    return F.mse_loss(outputs.double(), targets.double())


def tiny() -> Case:
    """2-32-32-1 with tanh on 256 points of a smooth function."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    inputs = torch.rand(256, 2) * 2 - 1
    targets = torch.sin(3 * inputs[:, :1]) * inputs[:, 1:]
    return Case("tiny 2-32-32-1", model, inputs, targets, squared_error, points=51)


def digits_mlp() -> Case:
    """64-64-64-10 with tanh on all digits."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10)
    )
    inputs, targets = digits()
    return Case("digits MLP", model, inputs.flatten(1), targets, cross_entropy, points=15)


def digits_cnn() -> Case:
    """Two blocks of convolution, batch normalisation, ReLU and pooling, then a linear layer."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 16), (16, 32)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 10))
    images, targets = digits()
    model = with_statistics(model, images)
    return Case("digits CNN", model, images, targets, cross_entropy, points=8)


def cifar_resnet20(file: Path | None, images: int = 1000) -> Case:
    """ResNet-20 (He et al. 2016, section 4.2, option A) on real photographs.

    Args:
        file: An .npz with `train_images`, uint8 (n, 32, 32, 3), and `train_labels`; None for noise.
        images: How many of them, from the beginning.
    """
    torch.manual_seed(0)
    inputs, labels = _photographs(file, images)
    stages = [_Block(16, 16) for _ in range(3)]
    stages += [_Block(16, 32), _Block(32, 32), _Block(32, 32)]
    stages += [_Block(32, 64), _Block(64, 64), _Block(64, 64)]
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        *stages,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
    model = with_statistics(model, inputs)
    return Case("CIFAR ResNet-20", model, inputs, labels, cross_entropy, points=2)


def mobile_net(file: Path | None, images: int = 250) -> Case:
    """Depthwise separable convolutions (Howard et al. 2017) on photographs; see above."""
    torch.manual_seed(0)
    inputs, labels = _photographs(file, images)
    layers = _convolution(3, 32)
    for narrow, wide, stride in ((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2)):
        layers += _convolution(narrow, narrow, stride, groups=narrow)
        layers += _convolution(narrow, wide, size=1)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10)]
    model = with_statistics(nn.Sequential(*layers), inputs)
    return Case("mobile net", model, inputs, labels, cross_entropy, points=4)


def wide_mlp() -> Case:
    """64-2048-2048-10 with ReLU on 500 digits: weights that no cache of one core holds."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 10)
    )
    inputs, targets = digits()
    return Case("wide MLP", model, inputs[:500].flatten(1), targets[:500], cross_entropy, points=4)


def _convolution(
    inputs: int, outputs: int, stride: int = 1, *, groups: int = 1, size: int = 3
) -> list[nn.Module]:
    convolution = nn.Conv2d(
        inputs, outputs, size, stride, padding=size // 2, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def _photographs(file: Path | None, images: int) -> tuple[Tensor, Tensor]:
    """Images (n, 3, 32, 32) between -1 and 1, and classes; noise where there is no file."""
    if file is None:
        return torch.rand(images, 3, 32, 32) * 2 - 1, torch.arange(images) % 10
    with np.load(file) as archive:
        pixels = torch.from_numpy(archive["train_images"][:images])
        labels = torch.from_numpy(archive["train_labels"][:images]).long()
    return pixels.permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1, labels


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.widen = outputs - inputs
        stride = 2 if self.widen else 1
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.widen:  # option A: every second pixel, new channels zero
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.widen // 2, self.widen // 2))
        return F.relu(y + x)


def with_statistics(model: nn.Module, inputs: Tensor) -> nn.Module:
    """Set the running statistics from one pass over the data."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # a plain mean over what has passed
    model.train()
    with torch.no_grad():
        for block in inputs.split(500):
            model(block)
    return model.eval()


def digits() -> tuple[Tensor, Tensor]:
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    return images, torch.tensor(digits.target)


def trained(case: Case) -> Case:
    """A few steps of descent on all data, batch statistics as they were."""
    case.model.eval()
    optimiser = torch.optim.Adam(case.model.parameters(), lr=3e-3)
    steps = STEPS if len(case.inputs) * case.parameters < 10**8 else STEPS // 10
    for _ in range(steps):
        optimiser.zero_grad()
        case.loss(case.model(case.inputs), case.targets).backward()
        optimiser.step()
    case.model.zero_grad()
    return case

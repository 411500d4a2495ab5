"""Channels are where the operation has them: repair and activation matching against plain loops."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from align_models import shuffle
from models import seeded
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from untouched import untouched

import landscape

SAMPLES = 24
Make = Callable[[], nn.Module]


class Head(nn.Module):
    """The mean of each channel over all positions, then a linear layer."""

    def __init__(self, channels: int, *, last: bool) -> None:
        super().__init__()
        self.linear, self.last = nn.Linear(channels, 3), last

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(list(range(1, x.ndim - 1)) if self.last else list(range(2, x.ndim)))
        found: Tensor = self.linear(pooled)
        return found


def net(layer: Make, channels: int, *, last: bool = False) -> Make:
    return lambda: nn.Sequential(layer(), nn.Tanh(), Head(channels, last=last))


def inputs(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(SAMPLES, *shape, generator=generator, dtype=torch.float64)


def legacy_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, that it is deprecated
        made: nn.Module = nn.utils.weight_norm(nn.Conv1d(2, 6, 3))
        return made


KINDS: dict[str, tuple[Make, Tensor, int, int]] = {
    # network, inputs, the axis of channels, which axis of the weight it is
    "conv1d": (net(lambda: nn.Conv1d(2, 6, 3, padding=1), 6), inputs(2, 6), 1, 0),
    "conv1d, 8": (net(lambda: nn.Conv1d(2, 8, 3, padding=1), 8), inputs(2, 6), 1, 0),
    "conv1d, no bias": (net(lambda: nn.Conv1d(2, 6, 3, bias=False), 6), inputs(2, 9), 1, 0),
    "conv1d, groups": (net(lambda: nn.Conv1d(4, 6, 3, groups=2), 6), inputs(4, 9), 1, 0),
    "conv2d": (net(lambda: nn.Conv2d(2, 5, 3, padding=1), 5), inputs(2, 5, 5), 1, 0),
    "conv3d": (net(lambda: nn.Conv3d(1, 4, 2), 4), inputs(1, 4, 4, 4), 1, 0),
    "transposed 1-D": (net(lambda: nn.ConvTranspose1d(3, 5, 2), 5), inputs(3, 5), 1, 1),
    "transposed 2-D": (
        net(lambda: nn.ConvTranspose2d(3, 5, 2, bias=False), 5),
        inputs(3, 4, 4),
        1,
        1,
    ),
    "transposed 3-D": (net(lambda: nn.ConvTranspose3d(2, 4, 2), 4), inputs(2, 2, 2, 2), 1, 1),
    "linear on (N, T, C)": (net(lambda: nn.Linear(3, 5), 5, last=True), inputs(5, 3), -1, 0),
    "linear on (N, H, W, C)": (net(lambda: nn.Linear(3, 4), 4, last=True), inputs(4, 4, 3), -1, 0),
    "weight norm": (
        net(lambda: parametrizations.weight_norm(nn.Conv1d(2, 6, 3)), 6),
        *(inputs(2, 6), 1, 0),
    ),
    "legacy weight norm": (net(legacy_weight_norm, 6), inputs(2, 6), 1, 0),
}
GROUPED = {
    "transposed, groups": (
        net(lambda: nn.ConvTranspose1d(4, 6, 2, groups=2), 6),
        *(inputs(4, 5), 1, 0),
    ),
}


def two(make: Make) -> tuple[nn.Module, nn.Module]:
    a, b = (seeded(make, seed).double().eval() for seed in (1, 2))
    return a, b


def channel_statistics(model: Any, x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every channel, one after the other."""
    with torch.no_grad():
        values = model[0](x)
    channels = [values.select(axis, index) for index in range(values.shape[axis])]
    return (
        torch.stack([c.mean() for c in channels]),
        torch.stack([c.std(correction=0) for c in channels]),
    )


@pytest.mark.parametrize("kind", [*KINDS, *GROUPED])
def test_repair_restores_the_statistics_of_every_channel(kind: str) -> None:
    make, x, axis, _ = {**KINDS, **GROUPED}[kind]
    a, b = two(make)
    data = (x, torch.arange(SAMPLES) % 3)
    with untouched(a), untouched(b):
        made = landscape.repair(a, b, data, position=0.25)
    ends = [channel_statistics(model, x, axis) for model in (a, b)]
    for own, first, second in zip(channel_statistics(made, x, axis), *ends, strict=True):
        assert_allclose(own, 0.75 * first + 0.25 * second, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "conv1d, groups"])
@pytest.mark.parametrize("method", ["activations", "weights"])
def test_permuted_channels_are_matched_back(kind: str, method: Any) -> None:
    make, x, axis, _ = KINDS[kind]
    model, _ = two(make)
    data = (x, torch.arange(SAMPLES) % 3)
    other, order = shuffle(model, data)
    assert not torch.equal(model[0](x), other[0](x))  # type: ignore[index]
    found = landscape.align(model, other, data, method=method)
    assert found.distances[1] == pytest.approx(0, abs=1e-12)
    (permutation,) = found.permutations.values()
    assert (order[permutation] == np.arange(len(permutation))).all()
    means, expected = (channel_statistics(m, x, axis)[0] for m in (found.model, model))
    assert_allclose(means, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", ["conv1d", "transposed 2-D", "linear on (N, H, W, C)"])
def test_activations_are_matched_by_their_correlations(kind: str) -> None:
    """The naive twin: correlations of each pair of channels in a loop, the best assignment."""
    make, x, axis, _ = KINDS[kind]
    a, b = two(make)
    data = (x, torch.arange(SAMPLES) % 3)
    found = landscape.align(a, b, data, method="activations")
    with torch.no_grad():
        outputs = [model[0](x).movedim(axis, 0) for model in (a, b)]  # type: ignore[index]
    count = len(outputs[0])
    table = np.array(
        [
            [
                np.corrcoef(outputs[0][i].flatten(), outputs[1][j].flatten())[0, 1]
                for j in range(count)
            ]
            for i in range(count)
        ]
    )
    (permutation,) = found.permutations.values()
    best = max(table[np.arange(count), list(order)].sum() for order in permutations(range(count)))
    assert table[np.arange(count), permutation].sum() == pytest.approx(best)


class Mixed(nn.Module):
    """Layers of all sorts, most of which cannot be corrected by their own weight and bias."""

    def __init__(self) -> None:
        super().__init__()
        self.free = nn.Linear(4, 4)
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.two.weight = self.one.weight
        self.orthogonal = parametrizations.orthogonal(nn.Linear(4, 4))
        self.used = nn.Linear(4, 4)
        self.raw = nn.Parameter(torch.randn(4, 4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.free, self.one, self.two, self.orthogonal):
            x = torch.tanh(layer(x))
        x = torch.tanh(nn.functional.linear(x, self.used.weight, self.used.bias))
        found: Tensor = self.head(torch.tanh(x @ self.raw))
        return found


def test_layers_that_cannot_be_corrected_are_named() -> None:
    a, b = two(Mixed)
    b.orthogonal.parametrizations.weight[0].base.copy_(  # type: ignore
        a.orthogonal.parametrizations.weight[0].base  # type: ignore
    )
    data = (inputs(4), torch.arange(SAMPLES) % 3)
    with pytest.warns(UserWarning, match="repair leaves these layers as they are") as caught:
        landscape.repair(a, b, data)
    text = str(caught[0].message)
    for part in (
        *("one (two shares its parameters)", "two (one shares its parameters)"),
        *("orthogonal (its weight is computed", "used.weight (its linear is computed by"),
        "raw (its matmul is computed by no linear layer or convolution)",
    ):
        assert part in text
    assert "free" not in text
    assert "head" not in text

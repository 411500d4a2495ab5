"""Baselines of paths: a hand-written elastic band and Bezier curve.

Depends on PyTorch. Both descend on all data (or on mini-batches, for a network with batch norm,
whose statistics are then those of the batch), by gradient descent with momentum.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from _cases import Case
from torch import Tensor, nn

Cycles = Sequence[tuple[int, float]]

MOMENTUM = 0.9
PIVOTS, BETWEEN, SHARE = 3, 9, 0.2
"""Inner pivots at the beginning; points evaluated between two; the rise above the line, as
a share of the range of losses, from which on another one is added."""


class Function:
    """L and its gradient at flat vectors, by a model whose parameters are views of one."""

    def __init__(self, case: Case, batch: int | None) -> None:
        self.case, self.batch = case, batch
        self.model = copy.deepcopy(case.model)
        self.norms = [m for m in self.model.modules() if isinstance(m, nn.BatchNorm2d)]
        self.here = torch.cat([p.detach().reshape(-1) for p in self.model.parameters()])
        start = 0
        for parameter in self.model.parameters():
            stop = start + parameter.numel()
            parameter.data = self.here[start:stop].view_as(parameter)
            start = stop
        self.batches = self._endless()

    def _endless(self) -> Iterator[Tensor | slice]:
        count = len(self.case.targets)
        while True:
            if self.batch is None:
                yield slice(None)
            else:
                whole = torch.randperm(count).split(self.batch)
                yield from (part for part in whole if len(part) > self.batch // 2)

    def gradient(self, theta: Tensor) -> tuple[float, Tensor]:
        """Of one batch, under its own statistics."""
        self.here.copy_(theta)
        self.model.train(bool(self.norms))
        rows = next(self.batches)
        loss = self.case.loss(self.model(self.case.inputs[rows]), self.case.targets[rows])
        slopes = torch.autograd.grad(loss, list(self.model.parameters()))
        return loss.item(), torch.cat([slope.reshape(-1) for slope in slopes])

    @torch.no_grad()
    def loss(self, theta: Tensor) -> float:
        """Of all data, under statistics that are re-estimated on them."""
        self.here.copy_(theta)
        if self.norms:
            for norm in self.norms:
                norm.reset_running_stats()
                norm.momentum = None
            self.model.train()
            self.model(self.case.inputs)
        self.model.eval()
        return self.case.loss(self.model(self.case.inputs), self.case.targets).item()


def band(function: Function, ends: tuple[Tensor, Tensor], cycles: Cycles) -> Tensor:
    """AutoNEB: improved tangents, equal distances, pivots inserted after every cycle but the last.

    Returns the pivots, shape (pivots, d).
    """
    pivots = segment(*ends, PIVOTS + 2)
    for cycle, (steps, rate) in enumerate(cycles):
        if cycle:
            pivots = inserted(function, pivots)
        speed = torch.zeros_like(pivots)
        energies = [function.loss(pivot) for pivot in pivots]
        for _ in range(steps):
            for i in range(1, len(pivots) - 1):
                energies[i], slope = function.gradient(pivots[i])
                along = tangent(pivots, energies, i)
                speed[i] = MOMENTUM * speed[i] - (slope - (slope @ along) * along)
            pivots = spread(pivots + rate * speed)
    return pivots


def curve(
    function: Function, ends: tuple[Tensor, Tensor], cycles: Cycles, at: int
) -> tuple[Tensor, Tensor]:
    """A Bezier curve of degree 2, one uniform point a step.

    Returns points of the curve, shape (at, d), and its control point.
    """
    first, last = ends
    control, speed = (first + last) / 2, torch.zeros_like(first)
    for steps, rate in cycles:
        for _ in range(steps):
            t = torch.rand(()).item()
            here = (1 - t) ** 2 * first + 2 * t * (1 - t) * control + t**2 * last
            speed = MOMENTUM * speed - 2 * t * (1 - t) * function.gradient(here)[1]
            control = control + rate * speed
    t = torch.linspace(0, 1, at)[:, None]
    return (1 - t) ** 2 * first + 2 * t * (1 - t) * control + t**2 * last, control


def segment(first: Tensor, last: Tensor, count: int) -> Tensor:
    """Points at equal distances."""
    share = torch.linspace(0, 1, count)[:, None]
    return (1 - share) * first + share * last


def tangent(pivots: Tensor, energies: Sequence[float], i: int) -> Tensor:
    """Henkelman and Jonsson (2000)."""
    up, down = pivots[i + 1] - pivots[i], pivots[i] - pivots[i - 1]
    before, here, after = energies[i - 1 : i + 2]
    if after > here > before:
        found = up
    elif after < here < before:
        found = down
    else:
        rise, fall = abs(after - here), abs(here - before)
        most, least = max(rise, fall), min(rise, fall)
        found = up * most + down * least if after > before else up * least + down * most
    return found / found.norm()


def spread(pivots: Tensor) -> Tensor:
    """The same number of points, at equal distances along the chain."""
    lengths = (pivots[1:] - pivots[:-1]).norm(dim=1)
    total = torch.cat([torch.zeros(1), lengths.cumsum(0)])
    wanted = torch.linspace(0, total[-1].item(), len(pivots))[1:-1]
    index = (torch.searchsorted(total, wanted) - 1).clamp(0, len(lengths) - 1)
    share = ((wanted - total[index]) / lengths[index])[:, None]
    inner = (1 - share) * pivots[index] + share * pivots[index + 1]
    return torch.cat([pivots[:1], inner, pivots[-1:]])


def inserted(function: Function, pivots: Tensor) -> Tensor:
    """With a pivot more wherever the loss rises above the line between two."""
    found: list[tuple[float, int, float]] = []
    energies = [function.loss(pivot) for pivot in pivots]
    seen = list(energies)
    for i in range(len(pivots) - 1):
        shares = [k / (BETWEEN + 1) for k in range(1, BETWEEN + 1)]
        losses = [function.loss((1 - s) * pivots[i] + s * pivots[i + 1]) for s in shares]
        rises = [
            loss - (1 - s) * energies[i] - s * energies[i + 1]
            for loss, s in zip(losses, shares, strict=True)
        ]
        seen += losses
        top = max(range(BETWEEN), key=rises.__getitem__)
        found.append((rises[top], i, shares[top]))
    limit = SHARE * (max(seen) - min(seen))
    rows = []
    for rise, i, share in found:
        rows.append(pivots[i])
        if rise > limit:
            rows.append((1 - share) * pivots[i] + share * pivots[i + 1])
    return torch.stack([*rows, pivots[-1]])

"""Baselines of surfaces: hand-written PyTorch loops.

Depends on PyTorch. Data stay in memory, gradients are off, nothing is allocated for a point, and
the loss is the same float64 mean over samples that landscape computes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from _cases import Case
from _measure import SLOW, quickest
from torch import Tensor
from torch.func import functional_call, vmap

Points = Sequence[tuple[float, float]]
VMAP_NUMBERS = 2**23  # of input, over all points and samples that go through vmap at once


class Loop:
    """One point after another, its parameters written in place into the model's own memory."""

    def __init__(
        self, case: Case, u: Tensor, v: Tensor, *, block: int = 0, channels_last: bool = False
    ) -> None:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        images = case.inputs.ndim == 4
        inputs = case.inputs.contiguous(memory_format=layout) if images else case.inputs
        size = block or len(inputs)
        self.name = f"block {size}, {'channels last' if channels_last else 'contiguous'}"
        self.batches = list(zip(inputs.split(size), case.targets.split(size), strict=True))
        self.shares = [len(targets) / len(inputs) for _, targets in self.batches]
        self.loss, self.u, self.v = case.loss, u, v
        self.model = copy.deepcopy(case.model).eval()
        self.theta = flat(case)
        self.here = self.theta.clone()
        start = 0
        for parameter in self.model.parameters():
            stop = start + parameter.numel()
            parameter.data = self.here[start:stop].view_as(parameter)
            start = stop

    @torch.inference_mode()
    def __call__(self, points: Points) -> Tensor:
        """The losses at (alpha, beta)."""
        losses = torch.zeros(len(points), dtype=torch.float64)
        for index, (alpha, beta) in enumerate(points):
            torch.add(self.theta, self.u, alpha=alpha, out=self.here)
            self.here.add_(self.v, alpha=beta)
            if len(self.batches) == 1:
                inputs, targets = self.batches[0]
                losses[index] = self.loss(self.model(inputs), targets)
            else:
                for (inputs, targets), share in zip(self.batches, self.shares, strict=True):
                    losses[index] += share * self.loss(self.model(inputs), targets)
        return losses


class VmapLoop:
    """Several points at once through `torch.vmap`."""

    def __init__(self, case: Case, u: Tensor, v: Tensor, *, points: int, block: int = 0) -> None:
        size = block or len(case.inputs)
        self.name = f"{points} points at once, block {size}"
        self.case, self.basis, self.points = case, torch.stack([u, v]), points
        self.batches = list(zip(case.inputs.split(size), case.targets.split(size), strict=True))
        self.theta = flat(case)
        named = dict(case.model.named_parameters())
        self.names, self.shapes = list(named), [p.shape for p in named.values()]
        self.sizes = [p.numel() for p in named.values()]
        self.batched = vmap(self._loss, in_dims=(0, None, None))

    def _loss(self, theta: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        pieces = theta.split(self.sizes)
        parameters = {
            name: piece.view(shape)
            for name, piece, shape in zip(self.names, pieces, self.shapes, strict=True)
        }
        outputs = functional_call(self.case.model, parameters, (inputs,))
        return self.case.loss(outputs, targets) * (len(inputs) / len(self.case.inputs))

    @torch.inference_mode()
    def __call__(self, points: Points) -> Tensor:
        """The losses at (alpha, beta)."""
        coordinates = torch.tensor(points, dtype=self.theta.dtype)
        stacks = (
            torch.addmm(self.theta, some, self.basis) for some in coordinates.split(self.points)
        )
        return torch.cat([sum(self.batched(stack, *b) for b in self.batches) for stack in stacks])


def tuned(case: Case, u: Tensor, v: Tensor) -> Loop:
    """The fastest loop over a few block sizes and memory layouts: what patience would find."""
    layouts = (False, True) if case.inputs.ndim == 4 else (False,)
    blocks = [0, *(size for size in (64, 128, 256, 512, 1024) if size < len(case.inputs))]
    loops = [Loop(case, u, v, block=b, channels_last=c) for b, c in product(blocks, layouts)]
    return min(loops, key=lambda loop: quickest(lambda: loop([(0.1, -0.1)])))


def tuned_vmap(case: Case, u: Tensor, v: Tensor) -> VmapLoop:
    """The faster of 8 and 64 points at once, in blocks of samples that keep memory in bounds."""
    grid = [(index / 64, -0.1) for index in range(64)]
    features = case.inputs[0].numel()
    few, many = (
        VmapLoop(case, u, v, points=n, block=min(VMAP_NUMBERS // (n * features), len(case.inputs)))
        for n in (8, 64)
    )
    seconds = quickest(lambda: few(grid[:8])) / 8
    if seconds > SLOW / 8:
        return few
    return few if seconds < quickest(lambda: many(grid)) / 64 else many


def like(case: Case, u: Tensor, v: Tensor, strategy: Mapping[str, Any]) -> Loop | VmapLoop:
    """By hand what landscape does under a strategy."""
    if strategy["kind"] == "vmap":
        return VmapLoop(case, u, v, points=strategy["points"])
    layout = strategy["memory_format"] == "channels_last"
    return Loop(case, u, v, block=strategy["block"] or 0, channels_last=layout)


def flat(case: Case) -> Tensor:
    """The parameters as one vector."""
    return torch.cat([p.detach().flatten() for p in case.model.parameters()])

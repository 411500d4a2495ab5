"""Baselines of losses on a plane: optimised hand-written PyTorch.

Depends on PyTorch. `_loops.py` has the plain loop and the one through `torch.vmap`. Here are the
loop that knows that the first layer is linear in the coordinates, compiled variants, and the
choice of the best block of samples, memory layout and stack of points by trial.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import product
from typing import TypeVar

import numpy as np
import torch
from _cases import Case
from _loops import Loop, Points, VmapLoop, flat
from _native_measure import Program, fastest
from torch import Tensor, nn

BLOCKS = (64, 128, 256, 512, 1024, 2048)
STACKS = (4, 16, 64)
STACK_NUMBERS = (2**23, 2**20, 2**18)  # of input, over all points and samples of a stack
TRIAL: Points = [(0.1, -0.1), (0.2, 0.3), (-0.3, 0.2), (0.4, 0.1)]


class PlaneLoop:
    """X (W0 + a U + b V) = X W0 + a X U + b X V: the first layer's products are made once.

    They are made here, before the clock runs. Blocks of samples are the outer loop, so that the
    products of a block stay in the cache from point to point.
    """

    def __init__(
        self, case: Case, u: Tensor, v: Tensor, *, block: int = 0, channels_last: bool = False
    ) -> None:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        model = copy.deepcopy(case.model).eval()
        assert isinstance(model, nn.Sequential)
        first, self.rest = model[0], model[1:]
        inputs = case.inputs
        if inputs.ndim == 4:
            inputs = inputs.contiguous(memory_format=layout)
        size = block or len(inputs)
        self.name = f"block {size}, {'channels last' if channels_last else 'contiguous'}"
        self.loss = case.loss
        self.targets = torch.split(case.targets, size)
        self.shares = [len(targets) / len(inputs) for targets in self.targets]
        vectors = (flat(case), u, v)
        self.blocks = [products(first, vectors, rows) for rows in torch.split(inputs, size)]
        start = sum(p.numel() for p in first.parameters())
        self.theta, self.u, self.v = (vector[start:].clone() for vector in vectors)
        self.here = self.theta.clone()
        lend(self.rest, self.here)

    @torch.inference_mode()
    def __call__(self, points: Points) -> Tensor:
        """The losses at (alpha, beta)."""
        losses = torch.zeros(len(points), dtype=torch.float64)
        for (fixed, along_u, along_v), targets, share in zip(
            self.blocks, self.targets, self.shares, strict=True
        ):
            sums = torch.empty_like(fixed)
            for index, (alpha, beta) in enumerate(points):
                torch.add(self.theta, self.u, alpha=alpha, out=self.here)
                self.here.add_(self.v, alpha=beta)
                torch.add(fixed, along_u, alpha=alpha, out=sums)
                sums.add_(along_v, alpha=beta)
                losses[index] += share * self.loss(self.rest(sums), targets)
        return losses


@torch.inference_mode()
def products(first: nn.Module, vectors: Sequence[Tensor], inputs: Tensor) -> list[Tensor]:
    """The first layer's outputs, bias included, with its part of each vector as its weights."""
    outputs = []
    for vector in vectors:
        start = 0
        for parameter in first.parameters():
            stop = start + parameter.numel()
            parameter.copy_(vector[start:stop].view_as(parameter))
            start = stop
        outputs.append(first(inputs))
    return outputs


def lend(model: nn.Module, here: Tensor) -> None:
    """Let a model's parameters be views of one flat vector."""
    start = 0
    for parameter in model.parameters():
        stop = start + parameter.numel()
        parameter.data = here[start:stop].view_as(parameter)
        start = stop


Looping = TypeVar("Looping", Loop, PlaneLoop)


def rivals(
    case: Case, u: Tensor, v: Tensor, skip: Sequence[str], patience: float
) -> Iterator[Program]:
    """Every baseline, tuned just before it is handed out.

    Args:
        case: The network.
        u: One direction, (d,).
        v: The other one.
        skip: Baselines to leave out.
        patience: Seconds for the trials of one baseline.
    """
    images = case.inputs.ndim == 4
    both = (False, True) if images else (False,)
    blocks = [0, *(size for size in BLOCKS if size < len(case.inputs))]

    def makers_of(kind: type[Looping], layouts: Sequence[bool]) -> list[Callable[[], Looping]]:
        return [
            partial(kind, case, u, v, block=block, channels_last=last)
            for block, last in product(blocks, layouts)
        ]

    stacked = cache(partial(_vmap, case, u, v, patience))
    makers: dict[str, Callable[[], Program]] = {
        "loop": lambda: _looped(makers_of(Loop, (False,)), TRIAL[:1], patience),
        "plane trick": lambda: _looped(makers_of(PlaneLoop, both), TRIAL, patience),
        "channels last": lambda: _looped(makers_of(Loop, (True,)), TRIAL[:1], patience),
        "compiled loop": lambda: _compiled(partial(Loop, case, u, v), case, patience),
        "compiled plane trick": lambda: _compiled(partial(PlaneLoop, case, u, v), case, patience),
        "vmap": lambda: _stacked(stacked()),
        "compiled vmap": lambda: _compiled_vmap(case, u, v, stacked(), patience),
    }
    if not images:
        del makers["channels last"]
    for name, make in makers.items():
        if name in skip:
            continue
        try:
            made = make()
        except Exception as error:  # a compiler may raise whatever it likes
            print(f"  without {name}: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
            continue
        yield Program(name, made.run, made.step, made.detail)


def _looped(makers: Sequence[Callable[[], Looping]], trial: Points, patience: float) -> Program:
    """A loop in its best block of samples and memory layout."""
    loop = fastest(makers, lambda loop: loop(trial), patience)
    return Program("", loop, detail=loop.name)


def _compiled(make: Callable[..., Looping], case: Case, patience: float) -> Program:
    """A loop whose network is compiled, for all samples or blocks of 256."""

    def compiled(block: int) -> Looping:
        loop = make(block=block)
        name = "model" if isinstance(loop, Loop) else "rest"
        setattr(loop, name, torch.compile(getattr(loop, name), dynamic=False))
        return loop

    makers = [partial(compiled, block) for block in (0, 256) if block < len(case.inputs)]
    return _looped(makers, TRIAL, patience)


def _vmap(case: Case, u: Tensor, v: Tensor, patience: float) -> VmapLoop:
    """The best stack of points, and of blocks of samples that bound what a stack takes."""
    features, samples = case.inputs[0].numel(), len(case.inputs)
    shapes = {
        (stack, min(samples, max(64, numbers // (stack * features))))
        for numbers, stack in product(STACK_NUMBERS, STACKS)
    }
    makers: list[Callable[[], VmapLoop]] = [
        partial(VmapLoop, case, u, v, points=stack, block=block) for stack, block in sorted(shapes)
    ]
    trial = _spread(max(STACKS))
    return fastest(makers, lambda loop: loop(trial), patience)


def _compiled_vmap(case: Case, u: Tensor, v: Tensor, best: VmapLoop, patience: float) -> Program:
    """Vmap compiled, in the shape that is best uncompiled and in one of 16 points."""
    block = best.batches[0][1].shape[0]
    small = min(len(case.inputs), max(64, STACK_NUMBERS[1] // (16 * case.inputs[0].numel())))

    def compiled(stack: int, block: int) -> VmapLoop:
        loop = VmapLoop(case, u, v, points=stack, block=block)
        loop.batched = torch.compile(loop.batched, dynamic=False)
        return loop

    shapes = dict.fromkeys([(best.points, block), (16, small)])
    makers = [lambda shape=shape: compiled(*shape) for shape in shapes]
    trial = _spread(max(STACKS))
    return _stacked(fastest(makers, lambda loop: loop(trial), patience))


def _stacked(loop: VmapLoop) -> Program:
    return Program("", loop, step=loop.points, detail=loop.name)


def _spread(count: int) -> list[tuple[float, float]]:
    return [(float(x), -0.1) for x in np.linspace(-1, 1, count)]

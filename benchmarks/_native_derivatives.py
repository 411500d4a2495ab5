"""Baselines of Hessian products and gradients: hand-written PyTorch.

Depends on PyTorch. The Hessian is that of the mean loss at the model's own parameters; everything
that does not depend on the vectors is made beforehand where a person could keep it.
"""

from __future__ import annotations

import copy
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from _cases import Case
from _loops import flat
from _native_cases import BATCH
from _native_loops import lend
from _native_measure import Program, fastest
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp

BLOCKS = (0, 1024, 256)

Loss = Callable[[Tensor], Tensor]


class Products(ABC):
    """H v for one vector after another, as a sum over blocks of samples."""

    def __init__(self, case: Case, block: int) -> None:
        size = block or len(case.inputs)
        self.name = f"block {size}"
        self.case, self.total = case, len(case.inputs)
        self.model = copy.deepcopy(case.model).eval()
        self.parameters = list(self.model.parameters())
        self.batches = list(
            zip(torch.split(case.inputs, size), torch.split(case.targets, size), strict=True)
        )

    def pieces(self, vectors: Tensor) -> list[Tensor]:
        """Cut (..., d) as the parameters are, without a copy."""
        sizes = [p.numel() for p in self.parameters]
        cut = torch.split(vectors, sizes, dim=-1)
        return [
            c.view(*vectors.shape[:-1], *p.shape) for c, p in zip(cut, self.parameters, strict=True)
        ]

    def graphs(self) -> Iterator[tuple[Tensor, ...]]:
        """The gradient of each block, with the graph that made it."""
        for inputs, targets in self.batches:
            share = len(inputs) / self.total
            loss = share * self.case.loss(self.model(inputs), targets)
            yield torch.autograd.grad(loss, self.parameters, create_graph=True)

    def __call__(self, vectors: Tensor) -> Tensor:
        """Every row's product, (k, d)."""
        return torch.stack([self.product(vector) for vector in vectors])

    @abstractmethod
    def product(self, vector: Tensor) -> Tensor:
        """One product, (d,)."""


class Retained(Products):
    """The gradient's graph is made once and kept; a product goes back through it."""

    def __init__(self, case: Case, block: int) -> None:
        super().__init__(case, block)
        self.kept = list(self.graphs())

    def product(self, vector: Tensor) -> Tensor:
        pieces, result = self.pieces(vector), torch.zeros_like(vector)
        for gradients in self.kept:
            found = torch.autograd.grad(gradients, self.parameters, pieces, retain_graph=True)
            result += torch.cat([piece.flatten() for piece in found])
        return result


class RetainedBatched(Retained):
    """All vectors of a block go back through the kept graph at once, by vmap."""

    def __call__(self, vectors: Tensor) -> Tensor:
        pieces, result = self.pieces(vectors), torch.zeros_like(vectors)
        for gradients in self.kept:
            found = torch.autograd.grad(
                gradients, self.parameters, pieces, retain_graph=True, is_grads_batched=True
            )
            result += torch.cat([piece.flatten(1) for piece in found], dim=1)
        return result


class Rebuilt(Products):
    """The gradient's graph is made anew for every product."""

    def product(self, vector: Tensor) -> Tensor:
        pieces, result = self.pieces(vector), torch.zeros_like(vector)
        for gradients in self.graphs():
            found = torch.autograd.grad(gradients, self.parameters, pieces)
            result += torch.cat([piece.flatten() for piece in found])
        return result


class ForwardOverReverse(Products):
    """The forward derivative of the gradient, by `torch.func`."""

    def product(self, vector: Tensor) -> Tensor:
        names = [name for name, _ in self.model.named_parameters()]
        here = {n: p.detach() for n, p in zip(names, self.parameters, strict=True)}
        along = dict(zip(names, self.pieces(vector), strict=True))
        result = torch.zeros_like(vector)
        for inputs, targets in self.batches:
            share = len(inputs) / self.total

            def loss(
                values: dict[str, Tensor],
                inputs: Tensor = inputs,
                targets: Tensor = targets,
                share: float = share,
            ) -> Tensor:
                return share * self.case.loss(
                    functional_call(self.model, values, (inputs,)), targets
                )

            found = jvp(grad(loss), (here,), (along,))[1]
            result += torch.cat([found[name].flatten() for name in names])
        return result


def products(case: Case, vectors: int, skip: Sequence[str], patience: float) -> Iterator[Program]:
    """Every way to a Hessian product, each in its best block of samples.

    Args:
        case: The network.
        vectors: How many are asked for at once.
        skip: Baselines to leave out.
        patience: Seconds for the trials of one baseline.
    """
    kinds: dict[str, type[Products]] = {
        "retained graph": Retained,
        "retained graph, vmap": RetainedBatched,
        "rebuilt": Rebuilt,
        "forward over reverse": ForwardOverReverse,
    }
    trial = torch.randn(vectors, case.parameters)
    for name, kind in kinds.items():
        if name in skip or (kind is RetainedBatched and vectors == 1):
            continue
        makers = [
            lambda kind=kind, block=block: kind(case, block)
            for block in BLOCKS
            if block < len(case.inputs)
        ]
        best: Products = fastest(makers, lambda made: made(trial), patience)

        def run(rows: Tensor, best: Products = best) -> Tensor:
            return torch.cat([best(some) for some in torch.split(rows, vectors)])

        yield Program(name, run, vectors, best.name)


class Gradients:
    """Autograd on one batch after another, the parameters written in place."""

    def __init__(self, case: Case, layout: torch.memory_format) -> None:
        self.case = case
        self.model: nn.Module = copy.deepcopy(case.model).eval()
        self.theta = flat(case)
        self.here = self.theta.clone()
        lend(self.model, self.here)
        self.parameters = list(self.model.parameters())
        inputs = case.inputs.contiguous(memory_format=layout)
        self.batches = list(
            zip(torch.split(inputs, BATCH), torch.split(case.targets, BATCH), strict=True)
        )

    def __call__(self, batches: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Losses (k,) and gradients (k, d) of the batches of these numbers."""
        losses = torch.empty(len(batches))
        gradients = torch.empty(len(batches), len(self.theta))
        for row, batch in enumerate(batches):
            with torch.no_grad():
                self.here.copy_(self.theta)
            inputs, targets = self.batches[batch]
            loss = self.case.loss(self.model(inputs), targets)
            found = torch.autograd.grad(loss, self.parameters)
            torch.cat([piece.flatten() for piece in found], out=gradients[row])
            losses[row] = loss.detach()
        return losses, gradients


def gradients(case: Case, skip: Sequence[str]) -> Iterator[Program]:
    """Autograd in both memory layouts, and with the network compiled."""
    layouts = {"autograd": torch.contiguous_format, "channels last": torch.channels_last}
    for name, layout in layouts.items():
        if name not in skip:
            yield Program(name, Gradients(case, layout))
    if "compiled autograd" in skip:
        return
    compiled = Gradients(case, torch.contiguous_format)
    # what torch.compile returns is a module as well, but its type says a function
    compiled.model = cast("nn.Module", torch.compile(compiled.model, dynamic=False))
    try:
        compiled([0])
    except Exception as error:  # a compiler may raise whatever it likes
        print(f"  without compiled autograd: {str(error).splitlines()[0]}", file=sys.stderr)
    else:
        yield Program("compiled autograd", compiled)

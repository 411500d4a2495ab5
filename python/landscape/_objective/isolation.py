"""Isolating an evaluation from the rest of the program: the global random generators.

PyTorch's layers draw from generators that all threads share, and cannot be given another. So models
that draw, and loaders, which may, seed them and put them back; one thread at a time does (it claims
``RANDOM``), and models that do not draw never touch them. A thread of the user's that draws from
the same generators meanwhile sees the seeded ones: give such a thread generators of its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape._interrupts import DeferredInterrupt
from landscape._turns import RANDOM, take_turn

__all__ = [
    "isolate_random_state",
    "iterate_seeded",
    "read_random_state",
    "seed_generators",
]


@dataclass(frozen=True)
class _RandomState:
    """The state of every global random generator: Python's, NumPy's, PyTorch's."""

    python: Any
    numpy: Any
    torch: Tensor
    cuda: tuple[Tensor, ...]

    @classmethod
    def read(cls) -> _RandomState:
        cuda = torch.cuda.get_rng_state_all() if _cuda_is_used() else ()
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), tuple(cuda))  # noqa: NPY002

    def restore(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(list(self.cuda))


def read_random_state() -> tuple[Any, ...]:
    """The state of every global generator, in a form that can be compared."""
    state = _RandomState.read()
    by_torch = [tensor.numpy().tobytes() for tensor in (state.torch, *state.cuda)]
    return (state.python, repr(state.numpy), *by_torch)


def seed_generators(seed: int) -> None:
    """Seed every global generator."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - datasets draw from it
    torch.default_generator.manual_seed(seed)
    if _cuda_is_used():
        torch.cuda.manual_seed_all(seed)


def _cuda_is_used() -> bool:
    """Whether CUDA has generators; reading one where there is none would start the driver."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


@contextmanager
def isolate_random_state(seed: int) -> Iterator[None]:
    """Seed every global generator inside the block and restore all of them after it.

    The caller has claimed ``RANDOM``.
    """
    before = _RandomState.read()
    try:
        seed_generators(seed)
        yield
    finally:
        before.restore()


def iterate_seeded(source: Iterable[Any], seed: int) -> Iterator[Any]:
    """Iterate over a loader under random state of its own, which is suspended between items.

    Every pass repeats the same shuffling and (without worker processes) the same augmentation,
    whatever the consumer draws in between, and the user's generators are unchanged.
    """
    with DeferredInterrupt() as interrupts:
        turn = take_turn(objects=(source,), check=interrupts.check)
    try:
        yield from _iterate_alone(source, seed)
    finally:
        turn.end()


def _iterate_alone(source: Iterable[Any], seed: int) -> Iterator[Any]:
    generators = _find_generators(source)
    own = [generator.get_state() for generator in generators]
    try:
        with _random_turn(), isolate_random_state(seed):
            items = iter(source)
            inside = _RandomState.read()
        while True:
            with _random_turn():
                outside = _RandomState.read()
                try:
                    inside.restore()
                    item = next(items)
                except StopIteration:
                    return
                finally:
                    inside = _RandomState.read()
                    outside.restore()
            yield item
    finally:
        for generator, state in zip(generators, own, strict=True):
            generator.set_state(state)


@contextmanager
def _random_turn() -> Iterator[None]:
    """The global generators for this thread alone, and Ctrl-C deferred to the end."""
    with DeferredInterrupt() as interrupts:
        turn = take_turn(alone=(RANDOM,), check=interrupts.check)
        try:
            yield
        finally:
            turn.end()


def _find_generators(source: Any) -> list[torch.Generator]:
    """The generators that were passed to a loader or to its samplers."""
    batch_sampler = getattr(source, "batch_sampler", None)
    samplers = (getattr(source, "sampler", None), getattr(batch_sampler, "sampler", None))
    generators = (getattr(owner, "generator", None) for owner in (source, batch_sampler, *samplers))
    return [generator for generator in generators if isinstance(generator, torch.Generator)]

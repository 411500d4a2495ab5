"""Random numbers drawn here leave no trace in the program's own streams.

Depends on PyTorch and NumPy alone.
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

from landscape._objective.interruption import Deferral

__all__ = ["isolated_randomness", "seed_streams", "seeded_pass", "stream_positions"]


@dataclass(frozen=True)
class _Streams:
    """Where every global stream stands: Python's, NumPy's, PyTorch's."""

    python: Any
    numpy: Any
    torch: Tensor
    cuda: tuple[Tensor, ...]

    @classmethod
    def now(cls) -> _Streams:
        cuda = torch.cuda.get_rng_state_all() if _cuda_is_used() else ()
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), tuple(cuda))  # noqa: NPY002

    def resume(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(list(self.cuda))


def stream_positions() -> tuple[Any, ...]:
    """Where every global stream stands, to be compared with where it stands later."""
    now = _Streams.now()
    drawn = [state.numpy().tobytes() for state in (now.torch, *now.cuda)]
    return (now.python, repr(now.numpy), *drawn)


def seed_streams(seed: int) -> None:
    """Seed every global stream."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - datasets draw from it
    torch.default_generator.manual_seed(seed)
    if _cuda_is_used():
        torch.cuda.manual_seed_all(seed)


def _cuda_is_used() -> bool:
    """Whether CUDA streams exist; asking for one where none does would start the driver."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


@contextmanager
def isolated_randomness(seed: int) -> Iterator[None]:
    """Seed every global stream inside the block and put all of them back after it."""
    before = _Streams.now()
    try:
        seed_streams(seed)
        yield
    finally:
        before.resume()


def seeded_pass(source: Iterable[Any], seed: int) -> Iterator[Any]:
    """Iterate over a loader with streams of its own, which stand still between its items.

    Every pass repeats the same shuffling and (without worker processes) the same augmentation,
    whatever the consumer draws in between, and the user's streams stand where they stood.
    """
    generators = _generators(source)
    own = [generator.get_state() for generator in generators]
    with Deferral(), isolated_randomness(seed):
        items = iter(source)
        inside = _Streams.now()
    try:
        while True:
            with Deferral():
                outside = _Streams.now()
                try:
                    inside.resume()
                    item = next(items)
                except StopIteration:
                    return
                finally:
                    inside = _Streams.now()
                    outside.resume()
            yield item
    finally:
        for generator, state in zip(generators, own, strict=True):
            generator.set_state(state)


def _generators(source: Any) -> list[torch.Generator]:
    """The generators that a loader was given, by itself or in its samplers."""
    batch_sampler = getattr(source, "batch_sampler", None)
    samplers = (getattr(source, "sampler", None), getattr(batch_sampler, "sampler", None))
    found = (getattr(owner, "generator", None) for owner in (source, batch_sampler, *samplers))
    return [generator for generator in found if isinstance(generator, torch.Generator)]

"""Isolation of an evaluation from the program around it: global random state, and Ctrl-C."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "DeferredInterrupt",
    "isolate_random_state",
    "iterate_seeded",
    "read_random_state",
    "seed_generators",
]


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


def read_random_state() -> tuple[Any, ...]:
    """Where every global stream stands, to be compared with where it stands later."""
    now = _Streams.now()
    drawn = [state.numpy().tobytes() for state in (now.torch, *now.cuda)]
    return (now.python, repr(now.numpy), *drawn)


def seed_generators(seed: int) -> None:
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
def isolate_random_state(seed: int) -> Iterator[None]:
    """Seed every global stream inside the block and put all of them back after it."""
    before = _Streams.now()
    try:
        seed_generators(seed)
        yield
    finally:
        before.resume()


def iterate_seeded(source: Iterable[Any], seed: int) -> Iterator[Any]:
    """Iterate over a loader with streams of its own, which stand still between its items.

    Every pass repeats the same shuffling and (without worker processes) the same augmentation,
    whatever the consumer draws in between, and the user's streams stand where they stood.
    """
    generators = _generators(source)
    own = [generator.get_state() for generator in generators]
    with DeferredInterrupt(), isolate_random_state(seed):
        items = iter(source)
        inside = _Streams.now()
    try:
        while True:
            with DeferredInterrupt():
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


class DeferredInterrupt:
    """A block in which SIGINT waits for :meth:`check`, or for the end of the block."""

    def __init__(self) -> None:
        self._handler: Any = None
        self._pending = False

    def __enter__(self) -> Self:
        handler = signal.getsignal(signal.SIGINT)
        # only the main thread receives signals; an ignored one stays ignored
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._handler = handler
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self.check()

    def check(self) -> None:
        """Let an interrupt happen here if one has come: the user's handler runs now."""
        if self._pending:
            self._pending = False
            self._handler(signal.SIGINT, None)

    def _note(self, *_: object) -> None:
        self._pending = True

"""Whose turn it is: threads that use the same model, or what the process has only once.

A model that is being evaluated holds other tensors than its owner's, so that one thread may use it
at a time. A thread claims a module with all its submodules (a module inside two models belongs to
both) and waits where another thread has one of them; models without a common module never wait for
each other. The same holds for the few things that PyTorch has once in a process, which are claimed
by name. All that a call needs is claimed together, and a thread that would wait for ever is
refused.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from landscape._interrupts import DeferredInterrupt

__all__ = [
    "RANDOM",
    "TRACING",
    "Swap",
    "Turn",
    "held",
    "registered",
    "suspended",
    "take_turn",
    "undisturbed",
]

RANDOM = "the global random generators"
"""Python's, NumPy's and PyTorch's, while they are seeded for a model that draws from them."""
TRACING = "the tracer"
"""``torch.export``, which announces itself to models through a flag of the whole process."""

_POLL = 0.05  # seconds between two looks at a pending Ctrl-C
_CONDITION = threading.Condition()
_HELD: list[Turn] = []
_WAITING: list[Turn] = []
_SWAPS: list[Swap] = []
_LOST: list[Turn] = []
_FORKED = False


class Swap(Protocol):
    """A model in which other tensors are swapped in."""

    modules: frozenset[int]
    """The ids of its modules."""

    def suspend(self) -> Callable[[], None]:
        """Give the model back as its owner left it; returns the function that goes on."""


@dataclass(eq=False)
class Turn:
    """What one thread uses, alone or with others."""

    alone: frozenset[int | str]
    shared: frozenset[int | str] = frozenset()
    objects: tuple[object, ...] = ()
    """What the ids belong to, kept so that they are not used again."""
    thread: int = field(default_factory=threading.get_ident)

    def excludes(self, other: Turn) -> bool:
        """Whether the two cannot be held at a time."""
        return self.thread != other.thread and not (
            self.alone.isdisjoint(other.alone)
            and self.alone.isdisjoint(other.shared)
            and self.shared.isdisjoint(other.alone)
        )

    def end(self) -> None:
        """Give back what is used; may be called from any thread, and twice."""
        with _CONDITION:
            if self in _HELD:
                _HELD.remove(self)
                _CONDITION.notify_all()


def take_turn(
    modules: Iterable[nn.Module] = (),
    *,
    alone: Iterable[str] = (),
    shared: Iterable[str] = (),
    objects: Iterable[object] = (),
    check: Callable[[], None] | None = None,
) -> Turn:
    """Wait until nobody else uses these, and claim them; a thread may claim what it has already.

    Args:
        modules: With all their submodules, listed; for this thread alone.
        alone: Names of what the process has once, for this thread alone.
        shared: Such names, to be shared with others that share them.
        objects: Other objects, for this thread alone.
        check: Called while waiting; it may raise.

    Returns:
        The turn, which :meth:`Turn.end` ends.

    Raises:
        RuntimeError: Two threads would wait for each other, or the process was forked while another
            thread used one of them, or with threads of PyTorch's that did not survive.
    """
    kept = (*modules, *objects)
    turn = Turn(frozenset([*map(id, kept), *alone]), frozenset(shared), kept)
    _refuse_after_fork(turn)
    with _CONDITION:
        if _blockers(turn):
            _WAITING.append(turn)
            try:
                while _blockers(turn):
                    if _waits_for(turn, turn.thread):
                        raise RuntimeError(_DEADLOCK)
                    _CONDITION.wait(_POLL)
                    if check is not None:
                        check()
            finally:
                _WAITING.remove(turn)
        _HELD.append(turn)
    return turn


_DEADLOCK = (
    "two threads wait for each other's models: each evaluates a model whose metric or loss "
    "evaluates the model of the other. Give each thread a copy of its own (copy.deepcopy), or "
    "evaluate in one thread"
)


def _blockers(turn: Turn) -> list[Turn]:
    """The turns that this one has to wait for: those in use, and those that waited before.

    Who holds something already does not queue, since those in the queue may wait for it.
    """
    blockers = [held for held in _HELD if turn.excludes(held)]
    if not any(held.thread == turn.thread for held in _HELD):
        for waiting in _WAITING:
            if waiting is turn:
                break
            if turn.excludes(waiting):
                blockers.append(waiting)
    return blockers


def _waits_for(turn: Turn, thread: int) -> bool:
    """Whether a turn waits, directly or through others, for what a thread holds."""
    seen: set[int] = set()
    stack = [turn]
    while stack:
        for blocker in _blockers(stack.pop()):
            if blocker.thread == thread:
                return True
            if blocker.thread not in seen:
                seen.add(blocker.thread)
                stack += [waiting for waiting in _WAITING if waiting.thread == blocker.thread]
    return False


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """The model as its owner left it, for this thread alone.

    Where this thread is evaluating it, as when a metric asks for a loss, the evaluation is
    suspended until the block ends. Ctrl-C is deferred to the end of the block.
    """
    modules = list(model.modules())
    with DeferredInterrupt() as interrupts:
        turn = take_turn(modules, check=interrupts.check)
        try:
            with suspended(turn.alone):
                yield
        finally:
            turn.end()


@contextmanager
def held(model: nn.Module) -> Iterator[None]:
    """The model for this thread alone, over several evaluations. Ctrl-C is not deferred."""
    with DeferredInterrupt() as interrupts:
        turn = take_turn(model.modules(), check=interrupts.check)
        try:
            with interrupts.passed_on():
                yield
        finally:
            turn.end()


@contextmanager
def suspended(modules: frozenset[Any]) -> Iterator[None]:
    """Suspend this thread's evaluations of models that have one of these modules."""
    swaps = [swap for swap in _SWAPS if not modules.isdisjoint(swap.modules)]
    for swap in swaps:
        _SWAPS.remove(swap)
    continuations = [swap.suspend() for swap in reversed(swaps)]
    try:
        yield
    finally:
        for resume in reversed(continuations):
            resume()
        _SWAPS.extend(swaps)


@contextmanager
def registered(swap: Swap) -> Iterator[None]:
    """Let a model's evaluation be suspended inside the block."""
    _SWAPS.append(swap)
    try:
        yield
    finally:
        _SWAPS.remove(swap)


def _refuse_after_fork(turn: Turn) -> None:
    if not _FORKED:
        return
    if torch.get_num_threads() > 1:
        raise RuntimeError(
            "this process was forked, and PyTorch's threads do not survive a fork: a call could "
            "wait for them for ever. Start processes by multiprocessing.get_context('spawn'), or "
            "call torch.set_num_threads(1) in the forked process first"
        )
    for lost in _LOST:
        if not turn.alone.isdisjoint(lost.alone):
            raise RuntimeError(
                "this process was forked while another thread was evaluating the model, which is "
                "left with the tensors of that evaluation. Start processes by "
                "multiprocessing.get_context('spawn'), or fork between evaluations"
            )


def _after_fork() -> None:
    """Only the thread that forked goes on: what others held is lost with them."""
    global _CONDITION, _FORKED
    _CONDITION, _FORKED = threading.Condition(), True
    own = threading.get_ident()
    _LOST.extend(turn for turn in _HELD if turn.thread != own and turn.objects)
    _HELD[:] = [turn for turn in _HELD if turn.thread == own]
    _WAITING.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

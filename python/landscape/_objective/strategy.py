"""Strategies: how points are evaluated, and the choice between them by timing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

__all__ = ["Strategy", "choose_chunk", "choose_strategy", "measure_seconds"]

_GAIN = 0.95  # a rival must be faster by this factor: clocks of busy machines are noisy
_GIVE_UP = 1.5  # slower than this at its first try, a candidate is not tried again
_SECONDS_PER_CALL = 0.25  # of the driver: long enough to amortise, short for Ctrl-C
_LARGEST_CALL = 4096
_MAX_COUNT = 2**31
_TRIAL_SECONDS, _TRIAL_POINTS = 1.0, 20  # a choice takes at most the longer of these


@dataclass(frozen=True)
class Strategy:
    """How points are evaluated; it decides the last bits of a loss and is therefore recorded."""

    kind: Literal["loop", "vmap", "native"] = "loop"
    """PyTorch point by point, PyTorch several points at once, or the native network."""
    points: int = 1
    """Points evaluated at once (vmap)."""
    block: int | None = None
    """Samples evaluated at once; None for all, or for the batches as they are."""
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    chunk: int = 1
    """Points per call of the driver."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Strategy:
        """Read a strategy back from a run record."""
        strategy = cls(**{name: record[name] for name in cls.__dataclass_fields__})
        strategy._validate()
        return strategy

    def _validate(self) -> None:
        for name, known in (
            ("kind", ("loop", "vmap", "native")),
            ("memory_format", ("contiguous", "channels_last")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"{name!r} is {getattr(self, name)!r}, expected one of {known}")
        for name in ("points", "block", "chunk"):
            value = getattr(self, name)
            allowed = name == "block" and value is None
            if not allowed and (type(value) is not int or not 1 <= value <= _MAX_COUNT):
                raise ValueError(f"{name!r} is {value!r}, expected a whole number from 1 up")

    def record(self) -> dict[str, Any]:
        """The strategy as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Choices:
    """The candidate strategies for a model and its data."""

    blocks: tuple[int | None, ...]
    """Block sizes from the largest down."""
    channels_last: bool
    """Whether the channels-last memory format applies."""
    stacks: tuple[int, ...]
    """Numbers of points to evaluate at once under vmap."""


def choose_strategy(
    seconds_per_point: Callable[[Strategy, float], float], choices: Choices
) -> Strategy:
    """Choose the fastest strategy.

    Args:
        seconds_per_point: Times a strategy: the seconds that one point takes on all data, as the
            minimum of several runs; gives up early above the seconds in its second argument.
            Infinite where the model does not allow the strategy.
        choices: The candidates.

    Returns:
        The winner, with the driver's chunk set from its speed.
    """
    start = time.perf_counter()
    best = Strategy(block=choices.blocks[0])
    seconds = seconds_per_point(best, float("inf"))
    end = start + max(_TRIAL_SECONDS, _TRIAL_POINTS * seconds)
    for rivals, patience in _list_rounds(choices):
        misses = 0
        for change in rivals:
            rival = replace(best, **change)
            rival_seconds = seconds_per_point(rival, _GIVE_UP * seconds)
            if rival_seconds < _GAIN * seconds:
                best, seconds, misses = rival, rival_seconds, 0
            elif seconds < float("inf"):  # nothing is a failure while nothing has fitted
                misses += 1
            if misses > patience or time.perf_counter() > end:  # larger blocks or stacks are slower
                break
    return replace(best, chunk=choose_chunk(best, seconds))


def _list_rounds(choices: Choices) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """The changes to try in each round, and the failures in a row that end it."""
    yield [{"block": block} for block in choices.blocks[1:]], 1
    yield [{"memory_format": "channels_last"}] if choices.channels_last else [], 0
    yield [{"kind": "vmap", "points": points} for points in choices.stacks], 1


def choose_chunk(strategy: Strategy, seconds: float) -> int:
    """Points per call of the driver, for a strategy that takes so many seconds per point."""
    points = min(max(int(_SECONDS_PER_CALL / max(seconds, 1e-9)), 1), _LARGEST_CALL)
    return max(points // strategy.points, 1) * strategy.points


def measure_seconds(
    run: Callable[[], object], limit: float, *, min_runs: int = 3, budget: float = 0.2
) -> float:
    """The minimum seconds of a few runs; the first one warms up and may end the trial."""
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    if first > 2 * limit:
        return first
    best, count, spent = float("inf"), 0, 0.0
    while count < min_runs or (spent < budget / 10 and count < 50):
        start = time.perf_counter()
        run()
        seconds = time.perf_counter() - start
        best, count, spent = min(best, seconds), count + 1, spent + seconds
        if seconds > limit or spent > budget:
            break
    return best

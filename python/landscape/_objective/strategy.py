"""Strategies: how points are evaluated, and the choice between them by timing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal

from landscape._objective.trials import Run, Seconds, Trials

__all__ = ["Choices", "Strategy", "choose_chunk", "choose_strategy"]

_LEAD = 1.1  # a rival must be faster by this factor: clocks of busy machines are noisy
_SECONDS_PER_CALL = 0.25  # of the driver: long enough to amortise, short for Ctrl-C
_LARGEST_CALL = 4096
_MAX_COUNT = 2**31


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
    evaluate: Callable[[Strategy], bool], choices: Choices, trials: Trials, share: float = 1.0
) -> tuple[Strategy, bool]:
    """Choose the strategy that a run is evaluated by: the plain loop unless a rival is faster.

    Args:
        evaluate: Evaluates a strategy's points on a sample of the data; returns False where the
            model does not allow the strategy.
        choices: The candidates.
        trials: Times them, and knows what may be spent.
        share: The sample's share of the data.

    Returns:
        The winner, with the driver's chunk set from its speed, and whether all candidates were
        tried, as far as they promised anything.

    Raises:
        ValueError: Not even the smallest block can be evaluated.
    """
    if not trials.admits(share):
        return Strategy(block=choices.blocks[0]), False

    def make_run(strategy: Strategy) -> Run:
        return Run(partial(_evaluate_or_raise, evaluate, strategy), share * strategy.points)

    best, seconds = _find_fitting_block(make_run, choices, trials)
    complete = True
    for rivals, patience in _list_rounds(choices, best.block):
        misses = 0
        for change in rivals:
            rival = replace(best, **change)
            runs = make_run(rival), make_run(best)
            if not trials.affords_duel(*runs, seconds):
                complete = False  # and larger stacks cost more
                break
            rival_seconds = _duel(trials, *runs, seconds)
            if rival_seconds is not None:
                best, seconds, misses = rival, rival_seconds, 0
            else:
                misses += 1
            if misses > patience:  # still smaller blocks, still larger stacks are slower
                break
    return replace(best, chunk=choose_chunk(best, seconds.wall)), complete


def _find_fitting_block(
    make_run: Callable[[Strategy], Run], choices: Choices, trials: Trials
) -> tuple[Strategy, Seconds]:
    """The plain loop in the largest block that fits the memory, and its first evaluation."""
    for block in choices.blocks:
        strategy = Strategy(block=block)
        with suppress(_NotAllowedError):
            return strategy, trials.estimate(make_run(strategy))
    raise ValueError("no block of samples can be evaluated")


def _duel(trials: Trials, rival: Run, prior: Run, seconds: Seconds) -> Seconds | None:
    with suppress(_NotAllowedError):
        return trials.duel(rival, prior, seconds, _LEAD)
    return None


class _NotAllowedError(Exception):
    """The model does not allow a strategy."""


def _evaluate_or_raise(evaluate: Callable[[Strategy], bool], strategy: Strategy) -> None:
    if not evaluate(strategy):
        raise _NotAllowedError


def _list_rounds(choices: Choices, block: int | None) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """The changes to try in each round, and the failures in a row that end it."""
    smaller = choices.blocks[choices.blocks.index(block) + 1 :]
    yield [{"block": block} for block in smaller], 1
    yield [{"memory_format": "channels_last"}] if choices.channels_last else [], 0
    yield [{"kind": "vmap", "points": points} for points in choices.stacks], 1


def choose_chunk(strategy: Strategy, seconds: float) -> int:
    """Points per call of the driver, for a strategy that takes so many seconds per point."""
    points = min(max(int(_SECONDS_PER_CALL / max(seconds, 1e-9)), 1), _LARGEST_CALL)
    return max(points // strategy.points, 1) * strategy.points

"""Trials: timed evaluations by which strategies are compared, and what they may cost.

The first evaluation says how long the whole run will take, and all trials together may take a tenth
of that. A strategy is left for a rival on the minima of interleaved runs: in processor time, which
other programs on the machine hardly change, and not against wall time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Run", "Seconds", "Trials"]

_SHARE = 0.1  # of the run, that all trials may take
_FIRST = 3.0  # a first call may take this many times the seconds of later ones
_GIVE_UP = 1.5  # a rival that takes this many times the other's seconds is not tried again
_ROUNDS = 5
_FINE = 1e-4  # seconds: a coarser clock of processor time says nothing of short runs


@dataclass(frozen=True)
class Seconds:
    """The time of one point on all data."""

    wall: float
    process: float
    """Of all threads."""

    def least(self, other: Seconds) -> Seconds:
        """The minima of two measurements."""
        return Seconds(min(self.wall, other.wall), min(self.process, other.process))


@dataclass(frozen=True)
class Run:
    """Something to be timed."""

    call: Callable[[], object]
    points: float = 1.0
    """How many points on all data it evaluates."""


class Trials:
    """A clock for one choice, and what is left to spend.

    Args:
        points: The number of points that the run evaluates.
        on_cpu: Whether processor time tells evaluations apart.
        wall: The clock of wall time.
        process: The clock of processor time.
    """

    def __init__(
        self,
        points: float,
        *,
        on_cpu: bool = True,
        wall: Callable[[], float] | None = None,
        process: Callable[[], float] | None = None,
    ) -> None:
        self.points = points
        self._wall = wall or time.perf_counter
        fine = time.get_clock_info("process_time").resolution <= _FINE
        self._process = process or (time.process_time if on_cpu and fine else self._wall)
        self.spent = 0.0
        """Seconds of all trials so far."""
        self._limit = 0.0

    def admits(self, points: float) -> bool:
        """Whether the evaluation of so many points costs no more than all trials may."""
        return points <= _SHARE * self.points

    def estimate(self, run: Run) -> Seconds:
        """Time the first evaluation, from which the seconds of the whole run follow.

        It is repeated where that costs little, for a first call warms up.
        """
        seconds = self.time(run)
        self._set_limit(seconds)
        if self.affords(run.points * seconds.wall):
            seconds = seconds.least(self.time(run))
            self._set_limit(seconds)
        return seconds

    def _set_limit(self, seconds: Seconds) -> None:
        self._limit = _SHARE * self.points * seconds.wall

    def affords(self, seconds: float) -> bool:
        """Whether further trials of so many seconds stay within a tenth of the run."""
        return self.spent + seconds <= self._limit

    def affords_duel(self, rival: Run, prior: Run, seconds: Seconds) -> bool:
        """Whether the two can be compared, if the rival is no slower than one that is given up."""
        return self.affords(((_FIRST + _GIVE_UP) * rival.points + prior.points) * seconds.wall)

    def time(self, run: Run) -> Seconds:
        """Time one call."""
        wall, process = self._wall(), self._process()
        run.call()
        process, wall = self._process() - process, self._wall() - wall
        self.spent += wall
        return Seconds(wall / run.points, process / run.points)

    def duel(self, rival: Run, prior: Run, seconds: Seconds, lead: float) -> Seconds | None:
        """Compare a rival with the present strategy.

        Args:
            rival: Evaluates by the rival; it is called for the first time.
            prior: Evaluates by the present strategy.
            seconds: The present strategy's.
            lead: How many times faster the rival has to be.

        Returns:
            The rival's seconds if it wins; else None.
        """
        if self.time(rival).wall > _FIRST * seconds.wall:
            return None
        fastest = Seconds(float("inf"), float("inf"))
        for _ in range(_ROUNDS):
            fastest = fastest.least(self.time(rival))
            if fastest.process > _GIVE_UP * seconds.process:
                return None
            seconds = seconds.least(self.time(prior))
            again = rival.points * fastest.wall + prior.points * seconds.wall
            if not self.affords(again):
                break
        wins = lead * fastest.process <= seconds.process and fastest.wall < seconds.wall
        return fastest if wins else None

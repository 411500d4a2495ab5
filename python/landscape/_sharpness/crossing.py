"""Where functions of a radius first exceed a level: by doubling, then by interpolation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Crossings", "find_crossings"]

_MAX_ROUNDS = 200
_NARROW = 0.1  # share of a logarithmic bracket that an interpolated point keeps off its ends
_SHRINK = 0.6  # of the bracket in two rounds; otherwise it is halved, which makes it a quarter

Evaluate = Callable[["NDArray[np.int64]", "NDArray[np.float64]"], "NDArray[np.float64]"]


@dataclass(frozen=True)
class Crossings:
    """The radius at which each function reaches the level.

    Args:
        radii: Shape (m,); infinite where the function stays below the level up to the largest
            radius, and 0 where it is above at the smallest.
        exponents: The slopes d log f / d log r at the radii, shape (m,); NaN where unknown.
        log_errors: By how much the logarithm of a radius may be off, shape (m,).
        rounds: How many times all functions were evaluated at most.
    """

    radii: NDArray[np.float64]
    exponents: NDArray[np.float64]
    log_errors: NDArray[np.float64]
    rounds: int

    @property
    def is_found(self) -> NDArray[np.bool_]:
        """Whether the level is crossed between the smallest and the largest radius, shape (m,)."""
        found: NDArray[np.bool_] = np.isfinite(self.radii) & (self.radii > 0)
        return found


def find_crossings(
    evaluate: Evaluate,
    count: int,
    level: float,
    start: float,
    *,
    tolerance: float = 1e-2,
    largest: float = np.inf,
    smallest: float = 0.0,
) -> Crossings:
    r"""Where each of several functions, 0 at radius 0, first exceeds a level.

    A radius is doubled while the function is below the level and halved while it is above. In the
    bracket, f is taken for a power of r, so that a quadratic is solved at once; a value that is not
    finite is above any level. A function that crosses the level twice between two doublings is not
    seen to do so.

    Args:
        evaluate: Indices of functions, shape (k,), and a radius for each, shape (k,), to values.
        count: The number m of functions.
        level: Above 0.
        start: The first radius.
        tolerance: Of a value relative to the level, or of a bracket relative to its radius.
        largest: No radius above it is tried.
        smallest: No radius below it is tried.

    Returns:
        The radii.
    """
    state = _Brackets(count, level, start, tolerance=tolerance, largest=largest, smallest=smallest)
    rounds = 0
    while (active := state.active).any() and rounds < _MAX_ROUNDS:
        indices = np.flatnonzero(active)
        radii = state.propose(indices)
        state.update(indices, radii, np.asarray(evaluate(indices, radii), np.float64))
        rounds += 1
    return state.finish(rounds)


class _Brackets:
    """The bracket of every function: low, where it is at most the level, and high, where above."""

    def __init__(
        self,
        count: int,
        level: float,
        start: float,
        *,
        tolerance: float,
        largest: float,
        smallest: float,
    ) -> None:
        self._level, self._tolerance = level, tolerance
        self._largest, self._smallest = largest, smallest
        self._next = np.full(count, min(max(start, smallest), largest))
        self._low, self._high = np.zeros(count), np.full(count, np.inf)
        self._f_low, self._f_high = np.zeros(count), np.full(count, np.nan)
        self._accepted = np.full(count, np.nan)
        self._residual = np.full(count, np.nan)
        self._is_open = np.ones(count, bool)
        self._widths: list[NDArray[np.float64]] = []

    @property
    def active(self) -> NDArray[np.bool_]:
        """Which functions are evaluated again."""
        return self._is_open

    def propose(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """The next radius of each function."""
        radii = self._next[indices].copy()
        low, high = self._low[indices], self._high[indices]
        is_bracketed = (low > 0) & np.isfinite(high)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.log(self._level / self._f_low[indices]) / np.log(
                self._f_high[indices] / self._f_low[indices]
            )
        share = np.where(np.isfinite(share), share, 0.5)
        share = np.clip(share, _NARROW, 1 - _NARROW)
        if len(self._widths) >= 2:  # a one-sided approach: halve
            with np.errstate(divide="ignore", invalid="ignore"):
                width = np.log(high / low)
                is_slow = width > _SHRINK * self._widths[-2][indices]
            share = np.where(is_slow, 0.5, share)
        with np.errstate(invalid="ignore"):
            inside = low * np.power(
                np.where(is_bracketed, high / np.maximum(low, 1e-300), 1), share
            )
        return np.where(is_bracketed, inside, radii)

    def update(
        self, indices: NDArray[np.int64], radii: NDArray[np.float64], values: NDArray[np.float64]
    ) -> None:
        """Take new values in."""
        is_below = values <= self._level  # NaN is above
        below, above = indices[is_below], indices[~is_below]
        self._low[below], self._f_low[below] = radii[is_below], values[is_below]
        self._high[above], self._f_high[above] = radii[~is_below], values[~is_below]
        residual = values / self._level - 1
        is_accepted = np.abs(residual) <= self._tolerance
        self._accepted[indices[is_accepted]] = radii[is_accepted]
        self._residual[indices[is_accepted]] = residual[is_accepted]
        self._is_open[indices[is_accepted]] = False
        up = below[np.isinf(self._high[below])]
        self._is_open[up[self._low[up] >= self._largest]] = False
        self._next[up] = np.minimum(2 * self._low[up], self._largest)
        down = above[self._low[above] == 0]
        self._is_open[down[self._high[down] <= self._smallest]] = False
        self._next[down] = np.maximum(self._high[down] / 2, self._smallest)
        with np.errstate(divide="ignore", invalid="ignore"):
            width = np.log(self._high / self._low)
        self._is_open &= ~(width <= self._tolerance)
        self._widths.append(width)

    def finish(self, rounds: int) -> Crossings:
        """The radius inside every bracket."""
        with np.errstate(divide="ignore", invalid="ignore"):
            width = np.log(self._high / self._low)
            exponents = np.log(self._f_high / self._f_low) / width
            share = np.log(self._level / self._f_low) / np.log(self._f_high / self._f_low)
            share = np.where(np.isfinite(share), share, 0.5)
            inside = self._low * np.exp(share * width)
            log_errors = np.where(
                np.isfinite(self._accepted),
                np.abs(self._residual) / np.where(exponents > 0, exponents, 1.0),
                width,
            )
        exponents[~np.isfinite(exponents) | (exponents <= 0)] = np.nan
        radii = np.where(np.isfinite(self._accepted), self._accepted, inside)
        is_lost = ~np.isfinite(self._accepted)
        radii[is_lost & np.isinf(self._high)] = np.inf
        radii[is_lost & (self._low == 0)] = 0.0
        return Crossings(radii, exponents, log_errors, rounds)

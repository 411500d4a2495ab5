"""Pilot points: where they lie, and every sample's loss at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, product
from typing import TYPE_CHECKING

import numpy as np

from landscape import _core
from landscape._calibration.availability import SubsetUnavailable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from landscape._objective import Subspace

__all__ = ["PilotTable", "iter_pilots"]

_INTERVALS = {1: 256, 2: 32}
_NUMBERS_AT_ONCE = 1 << 23


def iter_pilots(low: ArrayLike, high: ArrayLike, first: ArrayLike = ()) -> Iterator[list[float]]:
    r"""Yield points of a box, each as far from the earlier ones as a simple rule allows.

    After the given ones come the origin, the corners, the middles of the edges, without which the
    edges would be extrapolated, and the additive recurrence
    :math:`x_k = (1/2 + k / g, 1/2 + k / g^2) \bmod 1`, :math:`g^3 = g + 1`, moved to the nearest
    node of a grid of 32 intervals (256 on a line), where nested grids can use them.

    Args:
        low: The lower ends, shape (1,) or (2,).
        high: The upper ends.
        first: Points to begin with, shape (k, dim).

    Reference:
        Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences" (2018).
    """
    lower, upper = np.asarray(low, np.float64), np.asarray(high, np.float64)
    dim = len(lower)
    seen: set[tuple[float, ...]] = set()
    for point in _list_candidates(lower, upper, np.asarray(first, np.float64).reshape(-1, dim)):
        if tuple(point) not in seen:
            seen.add(tuple(point))
            yield point


def _list_candidates(
    low: NDArray[np.float64], high: NDArray[np.float64], first: NDArray[np.float64]
) -> Iterator[list[float]]:
    dim, intervals = len(low), _INTERVALS[len(low)]
    axes = [_core.axis(a, b, intervals + 1) for a, b in zip(low, high, strict=True)]
    yield from first.tolist()
    if np.all((low <= 0) & (high >= 0)):
        yield [0.0] * dim
    frame = [(float(axis[0]), float(axis[-1]), float(axis[intervals // 2])) for axis in axes]
    yield from map(list, product(*(ends for *ends, _ in frame)))
    yield from map(list, product(*frame))
    root = {1: 1.6180339887498949, 2: 1.3247179572447460}[dim]  # g^(dim + 1) = g + 1
    steps = [root ** -(axis + 1) for axis in range(dim)]
    for index in range(1, 100 * intervals**dim):
        nodes = [round((0.5 + index * step) % 1 * intervals) for step in steps]
        yield [float(axis[node]) for axis, node in zip(axes, nodes, strict=True)]


class PilotTable:
    """Every sample's loss at the pilots that were evaluated so far.

    The losses are kept in single precision, whose rounding is far below any tolerance; means are
    taken before.
    """

    def __init__(self, subspace: Subspace, points: Iterator[list[float]], samples: int) -> None:
        self.subspace = subspace
        self.samples = samples
        self.coordinates = np.empty((0, subspace.dim))
        self.losses = np.empty(0)
        """L at each pilot, shape (K,)."""
        self.rows: list[NDArray[np.float32]] = []
        """The samples' losses at the pilots where all of them are finite."""
        self.means = np.empty(0)
        """The means of these rows: L without its weight decay."""
        self.is_finite = np.empty(0, bool)
        self.shares = np.zeros(samples)
        """Each sample's share of the losses, summed over the pilots."""
        self._points = points

    def grow(self, size: int, tick: Callable[[int], object]) -> None:
        """Evaluate pilots on all data until there are so many.

        Args:
            size: Their number.
            tick: Called with the number of pilots from time to time.

        Raises:
            SubsetUnavailable: The losses do not fit into memory, or there are no more nodes.
        """
        what = f"{size} pilots' losses of {self.samples} samples"
        try:
            _core.require_memory(what, [size, self.samples], 4)
        except MemoryError as reason:
            raise self.refuse(f"{reason}.") from None
        at_once = max(1, min(self.subspace.strategy.chunk, _NUMBERS_AT_ONCE // self.samples))
        while len(self.losses) < size:
            count = min(at_once, size - len(self.losses))
            points = list(islice(self._points, count))
            if not points:
                raise self.refuse(f"there are no more than {len(self.losses)} pilots in the span.")
            self._add(np.array(points))
            tick(len(self.losses))

    def refuse(self, reason: str) -> SubsetUnavailable:
        """The answer that the pilots are of no use, with what they have cost."""
        return SubsetUnavailable(reason, self.coordinates, self.losses)

    def _add(self, points: NDArray[np.float64]) -> None:
        losses = self.subspace.sample_losses(points)
        means = losses.mean(axis=1)
        with np.errstate(over="ignore"):
            single = losses.astype(np.float32)
        for row, full, mean in zip(single, losses, means, strict=True):
            finite = bool(np.isfinite(row).all())
            self.is_finite = np.append(self.is_finite, finite)
            if finite:
                self.rows.append(row.copy())
                self.means = np.append(self.means, mean)
                total = np.abs(full).sum()
                self.shares += np.abs(full) / total if total > 0 else 1 / self.samples
        self.coordinates = np.concatenate([self.coordinates, points])
        self.losses = np.append(self.losses, means + self.subspace.penalties(points))

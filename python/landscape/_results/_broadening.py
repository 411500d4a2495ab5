"""From quadratures to a smooth density, to its cumulative form, and to where its bulk ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PER_WIDTH = 4  # grid points
_POINTS = 512, 8192  # the fewest, the most
_FINEST = 1e-3  # of the range: a narrower kernel is narrower than a pixel
_REACH = 4.0  # widths beyond the outermost nodes
_FADED = 0.1  # of the peak of a single eigenvalue

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quadratures:
    """Nodes and weights of every probe's quadrature, ascending."""

    nodes: tuple[Floats, ...]
    weights: tuple[Floats, ...]

    @property
    def ends(self) -> tuple[float, float]:
        """The outermost nodes."""
        return min(float(n[0]) for n in self.nodes), max(float(n[-1]) for n in self.nodes)

    @property
    def resolution(self) -> float:
        """The distance between neighbouring nodes, by weight: what quadratures can tell apart.

        0 where there is one node alone.
        """
        low, high = self.ends
        if high <= low:
            return 0.0
        spacings = [
            float(weights @ np.gradient(nodes)) if len(nodes) > 1 else 0.0
            for nodes, weights in zip(self.nodes, self.weights, strict=True)
        ]
        return max(float(np.mean(spacings)), _FINEST * (high - low))

    @property
    def kernel(self) -> float:
        """A width that shows what they tell apart."""
        return self.resolution or _FINEST * (abs(self.ends[0]) or 1.0)

    @property
    def narrowest(self) -> float:
        """The narrowest kernel that a grid of no more than so many points resolves."""
        low, high = self.ends
        return (high - low) / (_POINTS[1] / _PER_WIDTH - 2 * _REACH)

    def grid(self, width: float) -> Floats:
        """Points that resolve a kernel of this width, over all nodes."""
        low, high = (
            end + side * _REACH * width for end, side in zip(self.ends, (-1, 1), strict=True)
        )
        wanted = math.ceil(_PER_WIDTH * (high - low) / width)
        return np.linspace(low, high, min(max(wanted, _POINTS[0]), _POINTS[1]))

    def broadened(self, grid: Floats, width: float) -> Floats:
        """Every probe's density under a Gaussian kernel, (probes, points)."""
        scale = 1 / (width * math.sqrt(2 * math.pi))
        rows = np.empty((len(self.nodes), len(grid)))
        for row, nodes, weights in zip(rows, self.nodes, self.weights, strict=True):
            kernel = np.exp(-0.5 * ((grid[None] - nodes[:, None]) / width) ** 2)
            row[:] = scale * weights @ kernel
        return rows

    def below(self, points: Floats) -> Floats:
        """Every probe's weight at or below each point, (probes, points): no kernel."""
        rows = np.empty((len(self.nodes), len(points)))
        for row, nodes, weights in zip(rows, self.nodes, self.weights, strict=True):
            sums = np.concatenate([[0.0], np.cumsum(weights)])
            row[:] = sums[np.searchsorted(nodes, points, side="right")]
        return rows

    def around(self, points: Floats, exact: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """What lies at or below each point at least and at most, (probes, points) each.

        A node stands for the eigenvalues around it, of which a cut leaves half on either side: by
        the inequalities of Chebyshev, Markov and Stieltjes the share is wrong by no more than the
        weights next to the cut, and by half of them where eigenvalues lie evenly. Quadratures that
        are exact are not widened.
        """
        low, high = self.below(points), self.below(points)
        rows = zip(low, high, self.nodes, self.weights, exact, strict=True)
        for less, more, nodes, weights, known in rows:
            if known:
                continue
            place = np.searchsorted(nodes, points, side="right")
            padded = np.concatenate([[0.0], weights, [0.0]])
            finite = np.isfinite(points)
            less[finite] -= padded[place][finite] / 2
            more[finite] += padded[place + 1][finite] / 2
        return low, high

    def within(self, low: float, high: float, exact: NDArray[np.bool_]) -> Floats:
        """Every probe's weight from low to high, both included: itself, least and most, (3, m)."""
        ends = np.array([np.nextafter(low, -np.inf), high])
        found = self.below(ends)
        least, most = self.around(ends, exact)
        return np.stack(
            [
                found[:, 1] - found[:, 0],
                np.maximum(least[:, 1] - most[:, 0], 0),
                np.minimum(most[:, 1] - least[:, 0], 1),
            ]
        )


def bulk(
    grid: Floats, density: Floats, cumulative: Floats, dim: int, width: float
) -> tuple[float, float]:
    """Where the density, from its median outward, fades to a tenth of one eigenvalue's peak."""
    faded = density < _FADED / (dim * width * math.sqrt(2 * math.pi))
    centre = int(np.argmax(cumulative >= 0.5))
    below, above = np.flatnonzero(faded[:centre]), np.flatnonzero(faded[centre:])
    low = grid[below[-1]] if len(below) else grid[0]
    high = grid[centre + above[0]] if len(above) else grid[-1]
    return float(low), float(high)

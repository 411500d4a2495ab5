"""Spectral density: Lanczos quadratures, kernel density and bootstrap intervals."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from landscape._results.base import Result
from landscape._results.frozen import freeze_array
from landscape._results.provenance import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_RESAMPLES = 1000
_COLUMNS = 512  # at a time: 4 MB of resampled means


def bootstrap_interval(rows: NDArray[np.float64], level: float, seed: int) -> NDArray[np.float64]:
    """Pointwise intervals of the mean of independent rows.

    Args:
        rows: (m, n) one row for each independent observation.
        level: probability that an interval contains the expected mean, as m grows.
        seed: of the resampling.

    Returns:
        (n, 2) quantiles of the means of resampled rows.

    Reference:
        Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 13.3.
    """
    count = len(rows)
    draw = np.random.default_rng(seed)
    shares = draw.multinomial(count, np.full(count, 1 / count), _RESAMPLES) / count
    ends = (1 - level) / 2, (1 + level) / 2
    parts = [
        np.quantile(shares @ rows[:, start : start + _COLUMNS], ends, axis=0)
        for start in range(0, rows.shape[1], _COLUMNS)
    ]
    return np.concatenate(parts, axis=1).T


_POINTS_PER_WIDTH = 4
_MIN_POINTS, _MAX_POINTS = 512, 8192
_MIN_RESOLUTION = 1e-3  # of the range: a narrower kernel is narrower than a pixel
_MARGIN = 4.0  # kernel widths beyond the outermost nodes
_BULK_EDGE = 0.1  # of the peak of a single eigenvalue

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
        """The mean distance between neighbouring nodes, by weight.

        0 where there is one node alone.
        """
        low, high = self.ends
        if high <= low:
            return 0.0
        spacings = [
            float(weights @ np.gradient(nodes)) if len(nodes) > 1 else 0.0
            for nodes, weights in zip(self.nodes, self.weights, strict=True)
        ]
        return max(float(np.mean(spacings)), _MIN_RESOLUTION * (high - low))

    @property
    def kernel(self) -> float:
        """A default kernel width, that of the resolution."""
        return self.resolution or _MIN_RESOLUTION * (abs(self.ends[0]) or 1.0)

    @property
    def narrowest(self) -> float:
        """The narrowest kernel that a grid of the maximum size resolves."""
        low, high = self.ends
        return (high - low) / (_MAX_POINTS / _POINTS_PER_WIDTH - 2 * _MARGIN)

    def grid(self, width: float) -> Floats:
        """Points that resolve a kernel of this width, over all nodes."""
        low, high = (
            end + side * _MARGIN * width for end, side in zip(self.ends, (-1, 1), strict=True)
        )
        count = math.ceil(_POINTS_PER_WIDTH * (high - low) / width)
        return np.linspace(low, high, min(max(count, _MIN_POINTS), _MAX_POINTS))

    def kernel_density(self, grid: Floats, width: float) -> Floats:
        """Every probe's density under a Gaussian kernel, (probes, points)."""
        scale = 1 / (width * math.sqrt(2 * math.pi))
        rows = np.empty((len(self.nodes), len(grid)))
        for row, nodes, weights in zip(rows, self.nodes, self.weights, strict=True):
            kernel = np.exp(-0.5 * ((grid[None] - nodes[:, None]) / width) ** 2)
            row[:] = scale * weights @ kernel
        return rows

    def cumulative(self, points: Floats) -> Floats:
        """Every probe's weight at or below each point, (probes, points): no kernel."""
        rows = np.empty((len(self.nodes), len(points)))
        for row, nodes, weights in zip(rows, self.nodes, self.weights, strict=True):
            sums = np.concatenate([[0.0], np.cumsum(weights)])
            row[:] = sums[np.searchsorted(nodes, points, side="right")]
        return rows

    def cumulative_bounds(self, points: Floats, exact: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Lower and upper bounds on `cumulative`, (probes, points) each.

        A node represents the eigenvalues around it, half of them on either side of a cut at it: by
        the inequalities of Chebyshev, Markov and Stieltjes the share is wrong by no more than the
        weights next to the cut, and by half of them where eigenvalues lie evenly. Quadratures that
        are exact are not widened.
        """
        low, high = self.cumulative(points), self.cumulative(points)
        rows = zip(low, high, self.nodes, self.weights, exact, strict=True)
        for lower, upper, nodes, weights, is_exact in rows:
            if is_exact:
                continue
            index = np.searchsorted(nodes, points, side="right")
            padded = np.concatenate([[0.0], weights, [0.0]])
            finite = np.isfinite(points)
            lower[finite] -= padded[index][finite] / 2
            upper[finite] += padded[index + 1][finite] / 2
        return low, high

    def weight_between(self, low: float, high: float, exact: NDArray[np.bool_]) -> Floats:
        """Every probe's weight in [low, high] with its lower and upper bound, (3, m)."""
        ends = np.array([np.nextafter(low, -np.inf), high])
        weights = self.cumulative(ends)
        least, most = self.cumulative_bounds(ends, exact)
        return np.stack(
            [
                weights[:, 1] - weights[:, 0],
                np.maximum(least[:, 1] - most[:, 0], 0),
                np.minimum(most[:, 1] - least[:, 0], 1),
            ]
        )


def find_bulk(
    grid: Floats, density: Floats, cumulative: Floats, dim: int, width: float
) -> tuple[float, float]:
    """Where the density, from its median outward, falls to a tenth of one eigenvalue's peak."""
    faded = density < _BULK_EDGE / (dim * width * math.sqrt(2 * math.pi))
    centre = int(np.argmax(cumulative >= 0.5))
    below, above = np.flatnonzero(faded[:centre]), np.flatnonzero(faded[centre:])
    low = grid[below[-1]] if len(below) else grid[0]
    high = grid[centre + above[0]] if len(above) else grid[-1]
    return float(low), float(high)


@dataclass(frozen=True, eq=False, repr=False)
class Density(Result):
    r"""The density of eigenvalues of a symmetric (d, d) matrix, from m random unit vectors.

    Every vector yields a Gauss quadrature, whose mean over vectors estimates the density:

    .. math:: \phi(t) = \frac{1}{d} \sum_i \delta(t - \lambda_i)
        \approx \frac{1}{m} \sum_j \sum_i w_{ji} \, \delta(t - \theta_{ji})

    The density is smoothed with a Gaussian kernel, the cumulative form is not.

    Args:
        nodes: (n,) the theta of all vectors, ascending for each.
        weights: (n,) the w, which sum to 1 for each vector.
        counts: (m,) the number of nodes of each vector.
        dim: d.
        width: standard deviation of the Gaussian kernel, in units of eigenvalues.
        level: probability of every interval.
        steps: products of each vector, at most.
        products: Hessian products computed.
        status: how the run ended, as a sentence.
        run: how the numbers were computed; its evaluations are products.

    Raises:
        ValueError: shapes that do not fit together, or a width that is not positive.

    Reference:
        Lin, Saad and Yang, "Approximating Spectral Densities of Large Matrices", SIAM Review 58
        (2016); Ghorbani, Krishnan and Xiao (2019), algorithm 1.

    Example:
        >>> density = landscape.hessian(model, data).density(probes=4, steps=10)
        >>> density.density.shape == density.grid.shape, density.interval.shape[1]
        (True, 2)
    """

    kind: ClassVar[str] = "density"
    arrays: ClassVar[tuple[str, ...]] = ("nodes", "weights", "counts")
    min_probes: ClassVar[int] = 100
    """Probes from which on bootstrap intervals have their nominal coverage."""

    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]
    counts: NDArray[np.int64]
    _: KW_ONLY
    dim: int
    width: float
    level: float
    steps: int
    products: int
    status: str
    run: Run

    def __post_init__(self) -> None:
        counts = np.array(self.counts, np.int64)
        if counts.ndim != 1 or len(counts) < 2 or counts.sum() != np.size(self.nodes):
            raise ValueError(
                f"counts={counts.tolist()} for {np.size(self.nodes)} nodes; expected how many of "
                "them each of at least two vectors has"
            )
        if not self.width > 0:
            raise ValueError(f"width={self.width}, expected a positive number")
        counts.setflags(write=False)
        object.__setattr__(self, "counts", counts)
        for name in ("nodes", "weights"):
            values = freeze_array(getattr(self, name), name, (int(counts.sum()),))
            object.__setattr__(self, name, values)
        narrowest = self._quadratures.narrowest
        if self.width < narrowest:
            raise ValueError(
                f"width={self.width:.3g}, expected at least {narrowest:.3g} for nodes over "
                f"{self._quadratures.ends}: no grid would resolve a narrower kernel"
            )

    @property
    def probes(self) -> int:
        """The number m of random vectors."""
        return len(self.counts)

    @cached_property
    def grid(self) -> NDArray[np.float64]:
        """(points,) eigenvalues at which densities are computed, ascending and evenly spaced."""
        return self._freeze(self._quadratures.grid(self.width))

    @cached_property
    def density(self) -> NDArray[np.float64]:
        """(points,) under the Gaussian kernel, per unit of eigenvalue; its integral is 1."""
        return self._freeze(self._rows.mean(axis=0))

    @cached_property
    def interval(self) -> NDArray[np.float64]:
        """(points, 2) where the equally broadened density lies, point by point."""
        return self._freeze(bootstrap_interval(self._rows, self.level, self.run.seed))

    @cached_property
    def cumulative(self) -> NDArray[np.float64]:
        """(points,) the share of eigenvalues at or below each point of the grid; no kernel."""
        return self._freeze(self._quadratures.cumulative(self.grid).mean(axis=0))

    @cached_property
    def cumulative_interval(self) -> NDArray[np.float64]:
        """(points, 2) where that share lies, point by point; see :meth:`share`."""
        low, high = self._quadratures.cumulative_bounds(self.grid, self._exact)
        ends = [bootstrap_interval(rows, self.level, self.run.seed) for rows in (low, high)]
        return self._freeze(np.stack([ends[0][:, 0], ends[1][:, 1]], axis=1).clip(0, 1))

    @cached_property
    def bulk(self) -> tuple[float, float]:
        """Where the bulk ends.

        The density, from its median outward, has fallen there to a tenth of the peak of one
        eigenvalue: eigenvalues beyond are outliers.
        """
        return find_bulk(self.grid, self.density, self.cumulative, self.dim, self.width)

    @cached_property
    def outliers(self) -> NDArray[np.float64]:
        """(2, 3) eigenvalues below the bulk, and above: estimated number, ends of its interval.

        Reference:
            Papyan, "The Full Spectrum of Deepnet Hessians at Scale" (2018): as many as classes
            often stand out above.
        """
        low, high = self.bulk
        beyond = (-np.inf, np.nextafter(low, -np.inf)), (np.nextafter(high, np.inf), np.inf)
        return self._freeze(np.array([np.multiply(self.dim, self.share(*ends)) for ends in beyond]))

    def share(self, low: float, high: float) -> tuple[float, float, float]:
        """The share of eigenvalues from low to high, both included, and the ends of its interval.

        The interval has the spread over probes, and half the weight of the nodes next to each end,
        which represent eigenvalues on both sides of it: more steps make that smaller.

        Example:
            >>> density = landscape.hessian(model, data).density(probes=4, steps=10)
            >>> density.share(-float("inf"), float("inf"))[0]
            1.0
        """
        weights, least, most = self._quadratures.weight_between(low, high, self._exact)
        seed = self.run.seed
        ends = [bootstrap_interval(rows[:, None], self.level, seed)[0] for rows in (least, most)]
        return float(weights.mean()), float(ends[0][0]), float(ends[1][1])

    @property
    def _exact(self) -> NDArray[np.bool_]:
        """(m,) whether a vector's quadrature is exact: its Krylov space was spanned."""
        exact: NDArray[np.bool_] = (self.counts < self.steps) | (self.counts == self.dim)
        return exact

    def with_width(self, width: float) -> Self:
        """The same quadratures under a kernel of another width; no product is computed.

        Raises:
            ValueError: the width is not positive.
        """
        record, arrays = self.pack()
        return self.unpack({**record, "width": float(width)}, arrays)

    @property
    def resolution(self) -> float:
        """The distance between neighbouring nodes, by weight; 0 where there is one node alone."""
        return self._quadratures.resolution

    @property
    def kernel(self) -> float:
        """The default kernel width, that of the resolution."""
        return self._quadratures.kernel

    @property
    def trusted(self) -> bool:
        """Whether there are enough probes for intervals of nominal coverage."""
        return self.probes >= self.min_probes

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """The density on a logarithmic axis: `landscape.plot.density`.

        Args:
            ax: Where to draw; None creates a figure (`.figure` of the returned Axes).
            options: Those of `landscape.plot.density`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.density(self, ax, **options)

    @cached_property
    def _quadratures(self) -> Quadratures:
        cuts = np.cumsum(self.counts)[:-1]
        return Quadratures(tuple(np.split(self.nodes, cuts)), tuple(np.split(self.weights, cuts)))

    @cached_property
    def _rows(self) -> NDArray[np.float64]:
        return self._quadratures.kernel_density(self.grid, self.width)

    @staticmethod
    def _freeze(array: NDArray[np.float64]) -> NDArray[np.float64]:
        array.setflags(write=False)
        return array

    def __repr__(self) -> str:
        ends = f"{self.nodes.min():.6g} .. {self.nodes.max():.6g}"
        lines = [self._title(f"Density of {self.dim} eigenvalues, {ends}, kernel {self.width:.2g}")]
        low, high = self.bulk
        lines.append(f"bulk      {low:.6g} .. {high:.6g}")
        for side, (count, least, most) in zip(("below", "above"), self.outliers, strict=True):
            lines.append(f"{side:<10}{count:.3g} eigenvalues ({least:.3g} .. {most:.3g})")
        lines += self._describe_run(f"{self.products}, {self.probes} probes of {self.steps} steps")
        return "\n".join(lines)

"""Density: how eigenvalues are distributed, with pointwise intervals."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from landscape._results._bootstrap import bootstrap
from landscape._results._broadening import Quadratures, bulk
from landscape._results._flat import Flat
from landscape._results._values import frozen_array
from landscape._results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Density(Flat):
    r"""The density of eigenvalues of a symmetric (d, d) matrix, from m random unit vectors.

    Every vector brings nodes and weights, whose mean over vectors is the density's in expectation:

    .. math:: \phi(t) = \frac{1}{d} \sum_i \delta(t - \lambda_i)
        \approx \frac{1}{m} \sum_j \sum_i w_{ji} \, \delta(t - \theta_{ji})

    It is shown under a Gaussian kernel, and cumulatively without one.

    Args:
        nodes: (n,) the theta of all vectors, ascending for each.
        weights: (n,) the w, which sum to 1 for each vector.
        counts: (m,) how many nodes each vector has.
        dim: d.
        width: standard deviation of the Gaussian kernel, in units of eigenvalues.
        level: probability of every interval.
        steps: products of each vector, at most.
        products: multiplications by H that it took.
        status: how the run ended, as a sentence.
        run: how the numbers were made; its evaluations are products.
        figure: set by the `plot_*` calls alone; takes no part in equality or saving.

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
    enough: ClassVar[int] = 100
    """Probes from which on bootstrap intervals hold."""

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
    figure: Any = field(default=None, repr=False, compare=False)

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
            given = frozen_array(getattr(self, name), name, (int(counts.sum()),))
            object.__setattr__(self, name, given)
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
        """(points,) eigenvalues at which densities are given, ascending and evenly spaced."""
        return self._frozen(self._quadratures.grid(self.width))

    @cached_property
    def density(self) -> NDArray[np.float64]:
        """(points,) under the Gaussian kernel, per unit of eigenvalue; its integral is 1."""
        return self._frozen(self._rows.mean(axis=0))

    @cached_property
    def interval(self) -> NDArray[np.float64]:
        """(points, 2) where the equally broadened density lies, point by point."""
        return self._frozen(bootstrap(self._rows, self.level, self.run.seed))

    @cached_property
    def cumulative(self) -> NDArray[np.float64]:
        """(points,) the share of eigenvalues at or below each point of the grid; no kernel."""
        return self._frozen(self._quadratures.below(self.grid).mean(axis=0))

    @cached_property
    def cumulative_interval(self) -> NDArray[np.float64]:
        """(points, 2) where that share lies, point by point; see :meth:`share`."""
        low, high = self._quadratures.around(self.grid, self._exact)
        ends = [bootstrap(rows, self.level, self.run.seed) for rows in (low, high)]
        return self._frozen(np.stack([ends[0][:, 0], ends[1][:, 1]], axis=1).clip(0, 1))

    @cached_property
    def bulk(self) -> tuple[float, float]:
        """Where the bulk ends.

        From the median outward, the density has then faded to a tenth of the peak that one
        eigenvalue makes: whatever lies beyond is separate from the bulk.
        """
        return bulk(self.grid, self.density, self.cumulative, self.dim, self.width)

    @cached_property
    def outliers(self) -> NDArray[np.float64]:
        """(2, 3) eigenvalues below the bulk, and above: estimated number, ends of its interval.

        Reference:
            Papyan, "The Full Spectrum of Deepnet Hessians at Scale" (2018): as many as classes
            often stand out above.
        """
        low, high = self.bulk
        beyond = (-np.inf, np.nextafter(low, -np.inf)), (np.nextafter(high, np.inf), np.inf)
        return self._frozen(np.array([np.multiply(self.dim, self.share(*ends)) for ends in beyond]))

    def share(self, low: float, high: float) -> tuple[float, float, float]:
        """The share of eigenvalues from low to high, both included, and the ends of its interval.

        The interval has the spread over probes, and half the weight of the nodes next to each end,
        which stand for eigenvalues on both sides of it: more steps make that smaller.

        Example:
            >>> density = landscape.hessian(model, data).density(probes=4, steps=10)
            >>> density.share(-float("inf"), float("inf"))[0]
            1.0
        """
        found, least, most = self._quadratures.within(low, high, self._exact)
        seed = self.run.seed
        ends = [bootstrap(rows[:, None], self.level, seed)[0] for rows in (least, most)]
        return float(found.mean()), float(ends[0][0]), float(ends[1][1])

    @property
    def _exact(self) -> NDArray[np.bool_]:
        """(m,) whether a vector's quadrature is exact: its Krylov space was spanned."""
        exact: NDArray[np.bool_] = (self.counts < self.steps) | (self.counts == self.dim)
        return exact

    def broadened(self, width: float) -> Self:
        """The same quadratures under a kernel of another width: nothing is computed anew.

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
        """A width that shows what the nodes tell apart."""
        return self._quadratures.kernel

    @property
    def trusted(self) -> bool:
        """Whether there are probes enough for the intervals to hold."""
        return self.probes >= self.enough

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """The density on a logarithmic axis: `landscape.plot.density`.

        Args:
            ax: where to draw; None makes a figure of its own (`.figure` of what is returned).
            options: those of `landscape.plot.density`.

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
        return self._quadratures.broadened(self.grid, self.width)

    @staticmethod
    def _frozen(array: NDArray[np.float64]) -> NDArray[np.float64]:
        array.setflags(write=False)
        return array

    def __repr__(self) -> str:
        ends = f"{self.nodes.min():.6g} .. {self.nodes.max():.6g}"
        lines = [f"Density of {self.dim} eigenvalues, {ends}, kernel {self.width:.2g}"]
        low, high = self.bulk
        lines.append(f"bulk      {low:.6g} .. {high:.6g}")
        for side, (count, least, most) in zip(("below", "above"), self.outliers, strict=True):
            lines.append(f"{side:<10}{count:.3g} eigenvalues ({least:.3g} .. {most:.3g})")
        lines += self._made(f"{self.products}, {self.probes} probes of {self.steps} steps")
        return "\n".join(lines)

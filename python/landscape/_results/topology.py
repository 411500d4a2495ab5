"""Topology: minima, saddles and maxima of a surface with their persistence, and its merge tree."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landscape import _core
from landscape._results.base import Result
from landscape._results.frozen import finite_range, freeze_array, freeze_axis
from landscape._results.provenance import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = 10


@dataclass(frozen=True, eq=False, repr=False)
class Topology(Result):
    r"""Minima, saddles and maxima of a surface; `surface.topology()` computes it.

    The sublevel set :math:`\{L \le t\}` grows with t. Its components are born at local minima, and
    where two meet, at a saddle, the one of the higher minimum dies (the elder rule); its
    *persistence* is the height of the saddle above the minimum, which noise of half that size
    cannot have made. Its loops close at saddles and are filled at local maxima. The order in which
    components meet is the *merge tree*; the *barrier* between two minima is the height at which
    they are first connected: the highest loss on the path between them whose highest loss is
    lowest.

    The grid is a cubical complex with the losses on its vertices; an edge or a square has the
    highest loss of its vertices, so that sublevel sets are connected along the axes and loops are
    filled along the diagonals too. An infinite loss is the highest; NaN is outside the picture.
    Minima on the edge of the picture are those of the picture, and may not be of the loss.

    Monotone changes of the loss (its logarithm) change heights alone.

    Args:
        alpha: (na,) coordinates along the first direction.
        beta: (nb,) coordinates along the second.
        losses: (nb, na).
        minima: (k, 3) indices, by ascending loss: the minimum's vertex in the flat grid, the
            saddle's where it dies (-1 where it never does), and which minimum it joins (-1).
        maxima: (m, 2) indices, by descending loss: the maximum's vertex, and the saddle's where the
            loop around it closes. Maxima on the edge have none.
        basins: (nb, na) the minimum to whose component each vertex is added first; -1 for NaN.
        barriers: (k, k) heights at which minima are connected; their own losses on the diagonal.
        min_persistence: minima and maxima of no more persistence are left out.
        run: how the losses were computed.

    Raises:
        ValueError: Shapes that do not fit together.

    Reference:
        Edelsbrunner and Harer, "Computational Topology" (2010), chapter VII; Carr, Snoeyink and
        Axen, "Computing Contour Trees in All Dimensions" (2003), for merge trees; Becker and
        Karplus, "The Topology of Multidimensional Potential Energy Surfaces" (1997), for barriers
        between minima.

    Example:
        >>> topology = surface.topology()
        >>> topology.births.shape == topology.deaths.shape == (len(topology),)
        True
    """

    kind: ClassVar[str] = "topology"
    arrays: ClassVar[tuple[str, ...]] = (
        *("alpha", "beta", "losses"),
        *("minima", "maxima", "basins", "barriers"),
    )

    alpha: NDArray[np.float64]
    beta: NDArray[np.float64]
    losses: NDArray[np.float64]
    _: KW_ONLY
    minima: NDArray[np.int64]
    maxima: NDArray[np.int64]
    basins: NDArray[np.int64]
    barriers: NDArray[np.float64]
    min_persistence: float
    run: Run

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            object.__setattr__(self, name, freeze_axis(getattr(self, name), name))
        shape, count = (len(self.beta), len(self.alpha)), len(self.minima)
        for name, expected in (("losses", shape), ("barriers", (count, count))):
            object.__setattr__(self, name, freeze_array(getattr(self, name), name, expected))
        for name, expected in (
            ("minima", (count, 3)),
            ("maxima", (len(self.maxima), 2)),
            ("basins", shape),
        ):
            size = count if name == "basins" else self.losses.size
            object.__setattr__(
                self, name, _freeze_indices(getattr(self, name), name, expected, size)
            )

    @classmethod
    def compute(
        cls,
        axes: tuple[NDArray[np.float64], NDArray[np.float64]],
        losses: NDArray[np.float64],
        min_persistence: float,
        run: Run,
    ) -> Self:
        """The topology of losses on a grid; see `surface.topology`."""
        minima, maxima, basins, barriers = _core.topology(losses, min_persistence)
        return cls(
            *axes,
            losses,
            minima=minima,
            maxima=maxima,
            basins=basins,
            barriers=barriers,
            min_persistence=min_persistence,
            run=run,
        )

    def simplify(self, min_persistence: float) -> Self:
        """The same without minima and maxima of no more than this persistence."""
        axes = (self.alpha, self.beta)
        return self.compute(axes, self.losses, min_persistence, self.run)

    def __len__(self) -> int:
        return len(self.minima)

    @property
    def births(self) -> NDArray[np.float64]:
        """(k,) losses of the minima, ascending."""
        return self.losses.ravel()[self.minima[:, 0]]

    @property
    def deaths(self) -> NDArray[np.float64]:
        """(k,) losses of the saddles where they join a lower one; infinite where they never do."""
        return np.where(self.minima[:, 1] < 0, np.inf, self.losses.ravel()[self.minima[:, 1]])

    @property
    def persistence(self) -> NDArray[np.float64]:
        """(k,) heights of the saddles above the minima."""
        return self.deaths - self.births

    @property
    def points(self) -> NDArray[np.float64]:
        """(k, 2) coordinates of the minima."""
        return self._coordinates(self.minima[:, 0])

    @property
    def saddles(self) -> NDArray[np.float64]:
        """(k, 2) coordinates of the saddles where they join a lower one; NaN where they do not."""
        return self._coordinates(self.minima[:, 1])

    @property
    def maximum_points(self) -> NDArray[np.float64]:
        """(m, 2) coordinates of the maxima."""
        return self._coordinates(self.maxima[:, 0])

    @property
    def loops(self) -> NDArray[np.float64]:
        """(m, 2) losses where a loop closes around each maximum, and of the maximum itself."""
        pairs: NDArray[np.float64] = self.losses.ravel()[self.maxima[:, ::-1]]
        return pairs

    @property
    def is_on_edge(self) -> NDArray[np.bool_]:
        """(k,) whether a minimum lies on the edge of the picture."""
        rows, columns = np.divmod(self.minima[:, 0], len(self.alpha))
        nb, na = self.losses.shape
        edge: NDArray[np.bool_] = (
            (rows == 0) | (rows == nb - 1) | (columns == 0) | (columns == na - 1)
        )
        return edge

    def areas(self, levels: ArrayLike) -> NDArray[np.float64]:
        """The area of each minimum's basin below each level, as a share of the picture's area.

        A basin below a level is the connected part of the sublevel set that holds the minimum;
        minima that are connected below it share one.

        Args:
            levels: (n,) or a number.

        Returns:
            Shape (n, k), or (k,) for a number; 0 where the minimum lies above the level.
        """
        rows = np.atleast_1d(np.asarray(levels, np.float64))
        vertices = np.ascontiguousarray(self.minima[:, 0])
        found = _core.component_areas(self.losses, (self.alpha, self.beta), vertices, rows)
        shares = found / (np.ptp(self.alpha) * np.ptp(self.beta))
        return shares if np.ndim(levels) else shares[0]

    def _coordinates(self, vertices: NDArray[np.int64]) -> NDArray[np.float64]:
        rows, columns = np.divmod(vertices, len(self.alpha))
        points = np.column_stack([self.alpha[columns], self.beta[rows]])
        points[vertices < 0] = np.nan
        return points

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Births and deaths: `landscape.plot.persistence_diagram`.

        Args:
            ax: Where to draw; None creates a figure (`.figure` of the returned Axes).
            options: Those of `landscape.plot.persistence_diagram`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.persistence_diagram(self, ax, **options)

    def __repr__(self) -> str:
        size, edge = f"{len(self.alpha)} x {len(self.beta)}", self.is_on_edge
        low, high = finite_range(self.losses)
        found = f"{_count(len(self), 'minim')} and {_count(len(self.maxima), 'maxim')} inside"
        above = f"of a persistence above {self.min_persistence:.3g}"
        lines = [
            self._title(f"Topology {size}"),
            f"{found}, {above}; losses {low:.4g} .. {high:.4g}",
        ]
        rows = zip(self.births, self.deaths, self.points, self.minima[:, 2], edge, strict=True)
        for index, (birth, death, (x, y), parent, on_edge) in enumerate(rows):
            if index == _SHOWN:
                lines.append(f"  ... and {len(self) - _SHOWN} more minima")
                break
            end = f"joins {parent} at {death:.5g}" if parent >= 0 else "stays"
            place = " on the edge" if on_edge else ""
            lines.append(f"  minimum {index:<3}{birth:11.5g}  {end} ({x:.3g}, {y:.3g}){place}")
        for index, ((birth, death), (x, y)) in enumerate(
            zip(self.loops, self.maximum_points, strict=True)
        ):
            if index == _SHOWN:
                lines.append(f"  ... and {len(self.maxima) - _SHOWN} more maxima")
                break
            lines.append(f"  maximum {index:<3}{death:11.5g}  above {birth:.5g} ({x:.3g}, {y:.3g})")
        return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'um' if number == 1 else 'a'}"


def _freeze_indices(value: Any, name: str, shape: tuple[int, ...], size: int) -> NDArray[np.int64]:
    """A read-only copy of indices, -1 for none."""
    array = np.array(value, order="C", copy=True)
    if array.shape != shape or array.dtype.kind != "i":
        raise ValueError(
            f"{name} is {array.dtype} of shape {array.shape}; expected whole numbers of {shape}"
        )
    if array.size and not (array.min() >= -1 and array.max() < size):
        raise ValueError(f"{name} has indices outside -1 to {size - 1}")
    indices = array.astype(np.int64)
    indices.setflags(write=False)
    return indices

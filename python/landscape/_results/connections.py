"""Connections: the saddles between several minima, and the tree of the lowest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from landscape._results.base import Result
from landscape._results.frozen import freeze_array
from landscape._results.paths import Path, pack_paths, unpack_paths
from landscape._results.provenance import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Connections(Result):
    """Saddles between every two of several minima, and their minimum spanning tree.

    Args:
        losses: (n,) L at the minima.
        saddles: (n, n) the highest loss on the lowest path known between two minima: that of a
            search where there was one, else that of the straight line, which is an upper bound; the
            loss of the minimum itself on the diagonal.
        tree: (n - 1, 2) edges (i, j) of the minimum spanning tree, lowest saddle first.
        edges: (m, 2) the pairs between which a path was searched, in order.
        paths: (m,) the paths of the searches.
        method: of the searches.
        status: how many pairs were searched, as a sentence.
        run: how the numbers were computed; its evaluations are passes over the data.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> method = landscape.AutoNEB(cycles=[(5, 0.02)])
        >>> result = landscape.connect_all(checkpoints, data, method=method, points=11)
        >>> result.saddles.shape, len(result.tree)
        ((4, 4), 3)
    """

    kind: ClassVar[str] = "connections"
    arrays: ClassVar[tuple[str, ...]] = ("losses", "saddles", "tree", "edges")

    losses: NDArray[np.float64]
    saddles: NDArray[np.float64]
    tree: NDArray[np.int64]
    edges: NDArray[np.int64]
    _: KW_ONLY
    paths: tuple[Path, ...]
    method: str
    status: str
    run: Run

    def __post_init__(self) -> None:
        count = np.size(self.losses)
        object.__setattr__(self, "losses", freeze_array(self.losses, "losses", (count,)))
        object.__setattr__(self, "saddles", freeze_array(self.saddles, "saddles", (count, count)))
        object.__setattr__(self, "paths", tuple(self.paths))
        for name, rows in (("tree", count - 1), ("edges", len(self.paths))):
            pairs = np.array(getattr(self, name), np.int64).reshape(-1, 2)
            if len(pairs) != rows:
                raise ValueError(f"{name} has {len(pairs)} rows; expected {rows}")
            pairs.setflags(write=False)
            object.__setattr__(self, name, pairs)

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def heights(self) -> NDArray[np.float64]:
        """(n, n) minimax losses: the highest loss on the path along the tree."""
        heights = np.diag(self.losses)
        members = [{i} for i in range(len(self))]
        for i, j in self.tree:
            one, other = members[i], members[j]
            for a in one:
                for b in other:
                    heights[a, b] = heights[b, a] = self.saddles[i, j]
            one |= other
            for member in other:
                members[member] = one
        return heights

    def barrier(self, i: int, j: int) -> float:
        """The height between two minima above the higher of them."""
        return float(self.heights[i, j] - max(self.losses[i], self.losses[j]))

    def path(self, i: int, j: int) -> Path | None:
        """The path between two minima, from the lower index to the higher; None if not searched."""
        pair = tuple(sorted((i, j)))
        matches = [k for k, edge in enumerate(self.edges.tolist()) if tuple(edge) == pair]
        return self.paths[matches[0]] if matches else None

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """The disconnectivity graph: `landscape.plot.connections`.

        Args:
            ax: Where to draw; None creates a figure (`.figure` of the returned Axes).
            options: Those of `landscape.plot.connections`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.connections(self, ax, **options)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The JSON record and the arrays; those of path i have names with "path_i."."""
        record, arrays = super().pack()
        record["paths"], members = pack_paths(self.paths)
        return record, {**arrays, **members}

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the connections from what :meth:`pack` returned."""
        paths = tuple(unpack_paths(record["paths"], arrays))
        return super().unpack({**record, "paths": paths}, arrays)

    def __repr__(self) -> str:
        lines = [self._title(f"Connections of {len(self)} minima by {self.method}")]
        for i, j in self.tree:
            searched = "" if self.path(i, j) is not None else " (straight line)"
            barrier = self.saddles[i, j] - max(self.losses[i], self.losses[j])
            lines.append(
                f"  {i} - {j}: saddle {self.saddles[i, j]:.6g}, barrier {barrier:.6g}{searched}"
            )
        lines += self._describe_run(str(self.run.evaluations), "passes")
        return "\n".join(lines)

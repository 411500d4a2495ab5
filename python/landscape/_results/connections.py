"""Connections: the saddles between several minima, and the tree of the lowest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from landscape._results._flat import Flat
from landscape._results._values import frozen_array
from landscape._results.path import Path, packed, unpacked
from landscape._results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Connections(Flat):
    """Saddles between every two of several minima, and their minimum spanning tree.

    Args:
        losses: (n,) L at the minima.
        saddles: (n, n) the highest loss on the lowest path known between two minima: that of a
            search where there was one, else that of the straight way, which is an upper bound; the
            loss of the minimum itself on the diagonal.
        tree: (n - 1, 2) edges (i, j) of the minimum spanning tree, lowest saddle first.
        edges: (m, 2) the pairs between which a path was searched, in this order.
        paths: (m,) what the searches found.
        method: of the searches.
        status: how many were made, as a sentence.
        run: how the numbers were made; its evaluations are passes over the data.
        figure: set by the `plot_*` calls alone; takes no part in equality or saving.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> found = landscape.connect_all(checkpoints, data, schedule=[(5, 0.02)], points=11)
        >>> found.saddles.shape, len(found.tree)
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
    figure: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        count = np.size(self.losses)
        object.__setattr__(self, "losses", frozen_array(self.losses, "losses", (count,)))
        object.__setattr__(self, "saddles", frozen_array(self.saddles, "saddles", (count, count)))
        object.__setattr__(self, "paths", tuple(self.paths))
        for name, rows in (("tree", count - 1), ("edges", len(self.paths))):
            found = np.array(getattr(self, name), np.int64).reshape(-1, 2)
            if len(found) != rows:
                raise ValueError(f"{name} has {len(found)} rows; expected {rows}")
            found.setflags(write=False)
            object.__setattr__(self, name, found)

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def heights(self) -> NDArray[np.float64]:
        """(n, n) the lowest possible highest loss on a way through other minima: along the tree."""
        found = np.diag(self.losses)
        members = [{i} for i in range(len(self))]
        for i, j in self.tree:
            one, other = members[i], members[j]
            for a in one:
                for b in other:
                    found[a, b] = found[b, a] = self.saddles[i, j]
            one |= other
            for member in other:
                members[member] = one
        return found

    def barrier(self, i: int, j: int) -> float:
        """The height between two minima above the higher of them."""
        return float(self.heights[i, j] - max(self.losses[i], self.losses[j]))

    def path(self, i: int, j: int) -> Path | None:
        """The path that was found between two minima, from the lower number to the higher."""
        wanted = tuple(sorted((i, j)))
        places = [k for k, edge in enumerate(self.edges.tolist()) if tuple(edge) == wanted]
        return self.paths[places[0]] if places else None

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """The disconnectivity graph: `landscape.plot.connections`.

        Args:
            ax: where to draw; None makes a figure of its own (`.figure` of what is returned).
            options: those of `landscape.plot.connections`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.connections(self, ax, **options)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The record and the arrays, from which the connections can be made again."""
        record, arrays = Flat.pack(self)
        record["paths"], members = packed(self.paths)
        return record, {**arrays, **members}

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The connections that `pack` took apart."""
        paths = tuple(unpacked(record["paths"], arrays))
        return super().unpack({**record, "paths": paths}, arrays)

    def __repr__(self) -> str:
        lines = [f"Connections of {len(self)} minima by {self.method}"]
        for i, j in self.tree:
            searched = "" if self.path(i, j) is not None else " (straight way)"
            barrier = self.saddles[i, j] - max(self.losses[i], self.losses[j])
            lines.append(
                f"  {i} - {j}: saddle {self.saddles[i, j]:.6g}, barrier {barrier:.6g}{searched}"
            )
        lines += self._made(str(self.run.evaluations), "passes")
        return "\n".join(lines)

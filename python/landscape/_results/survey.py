"""CriticalPoints: index against loss over many critical points."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results._flat import Flat
from landscape._results._values import frozen_array
from landscape._results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = 20


@dataclass(frozen=True, eq=False, repr=False)
class CriticalPoints(Flat):
    """Points without slope that searches from many starts have found.

    Args:
        points: (n, d) the parameters.
        losses: (n,) L there.
        gradient_norms: (n,) norms of its gradient.
        fractions: (n, 3) the share of negative eigenvalues, and the ends of its interval.
        natures: (n,) "minimum", "maximum", "saddle" or "degenerate".
        endings: (n,) how each search ended: "converged", "flat", "stalled" or "max_steps".
        tolerance: norm of the gradient of a critical point.
        level: probability of the intervals; they have no width where all eigenvalues are known.
        products: Hessian products that it took.
        status: how many searches have converged, as a sentence.
        run: how the numbers were made; its evaluations are points at which L was evaluated.
        figure: set by the `plot_*` calls alone; takes no part in equality or saving.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> found = landscape.critical_points(model, data, starts=2, max_steps=2, dtype="float64")
        >>> found.losses.shape, found.fractions.shape
        ((2,), (2, 3))
    """

    kind: ClassVar[str] = "critical_points"
    arrays: ClassVar[tuple[str, ...]] = ("points", "losses", "gradient_norms", "fractions")

    points: NDArray[Any]
    losses: NDArray[np.float64]
    gradient_norms: NDArray[np.float64]
    fractions: NDArray[np.float64]
    _: KW_ONLY
    natures: tuple[str, ...]
    endings: tuple[str, ...]
    tolerance: float
    level: float
    products: int
    status: str
    run: Run
    figure: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        count = np.size(self.losses)
        points = np.array(self.points)
        if points.ndim != 2 or len(points) != count:
            raise ValueError(f"points has shape {points.shape}; expected ({count}, d)")
        points.setflags(write=False)
        object.__setattr__(self, "points", points)
        shapes = {"losses": (count,), "gradient_norms": (count,), "fractions": (count, 3)}
        for name, shape in shapes.items():
            object.__setattr__(self, name, frozen_array(getattr(self, name), name, shape))
        for name in ("natures", "endings"):
            given = tuple(getattr(self, name))
            if len(given) != count:
                raise ValueError(f"{name} has {len(given)} entries; expected {count}")
            object.__setattr__(self, name, given)

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(n,) whether the gradient's norm is within the tolerance."""
        return self.gradient_norms <= self.tolerance

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Index against loss: `landscape.plot.critical_points`.

        Args:
            ax: where to draw; None makes a figure of its own (`.figure` of what is returned).
            options: those of `landscape.plot.critical_points`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.critical_points(self, ax, **options)

    def _row(self, row: int) -> str:
        share, norm = 100 * self.fractions[row, 0], self.gradient_norms[row]
        return (
            f"  loss {self.losses[row]:12.6g}   {share:6.2f}% negative   {self.natures[row]:<10} "
            f"gradient {norm:8.2g}   {self.endings[row]}"
        )

    def __repr__(self) -> str:
        lines = [f"CriticalPoints, {int(self.converged.sum())} of {len(self)} converged"]
        order = np.argsort(self.losses)
        lines += [self._row(row) for row in order[:_SHOWN]]
        if len(self) > _SHOWN:
            lines.append(f"  ... and {len(self) - _SHOWN} more")
        lines += self._made(str(self.products))
        return "\n".join(lines)

"""Walk: points of a connected set of low loss, one step after the other."""

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


@dataclass(frozen=True, eq=False, repr=False)
class Walk(Flat):
    """A walk from a minimum along directions in which the loss does not curve.

    Args:
        points: (steps + 1, d) the parameters, the start first.
        losses: (steps + 1,) L there: none exceeds the first by more than the tolerance.
        distances: (steps + 1,) from the start.
        lengths: (steps + 1,) of the steps; that of the start is 0.
        curvatures: (steps + 1,) v'Hv along the unit direction of each step, where it began, as its
            Krylov space saw it; 0 for the start.
        scales: (steps + 1,) the largest absolute eigenvalue that was seen up to there.
        ending: "reached", "stalled", "max_steps" or "interrupted".
        tolerance: by how much the loss may exceed that of the start.
        products: Hessian products that it took.
        status: how it ended, as a sentence.
        run: how the numbers were made; its evaluations are points at which L was evaluated.
        figure: set by the `plot_*` calls alone; takes no part in equality or saving.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> walk = landscape.walk(model, data, distance=0.1, tolerance=1.0)
        >>> bool((walk.losses <= walk.losses[0] + walk.tolerance).all())
        True
    """

    kind: ClassVar[str] = "walk"
    arrays: ClassVar[tuple[str, ...]] = (
        *("points", "losses", "distances", "lengths", "curvatures", "scales"),
    )

    points: NDArray[Any]
    losses: NDArray[np.float64]
    distances: NDArray[np.float64]
    lengths: NDArray[np.float64]
    curvatures: NDArray[np.float64]
    scales: NDArray[np.float64]
    _: KW_ONLY
    ending: str
    tolerance: float
    products: int
    status: str
    run: Run
    figure: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        count = np.size(self.losses)
        points = self.points if isinstance(self.points, np.memmap) else np.array(self.points)
        if points.ndim != 2 or len(points) != count:
            raise ValueError(f"points has shape {points.shape}; expected ({count}, d)")
        points.setflags(write=False)
        object.__setattr__(self, "points", points)
        for name in self.arrays[1:]:
            object.__setattr__(self, name, frozen_array(getattr(self, name), name, (count,)))

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.losses) - 1

    @property
    def rise(self) -> float:
        """By how much the highest loss exceeds that of the start."""
        return float(self.losses.max() - self.losses[0])

    @property
    def length(self) -> float:
        """Of all steps together."""
        return float(self.lengths.sum())

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Losses against the distance from the start: `landscape.plot.walk`.

        Args:
            ax: where to draw; None makes a figure of its own (`.figure` of what is returned).
            options: those of `landscape.plot.walk`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.walk(self, ax, **options)

    def __repr__(self) -> str:
        where = f"{self.distances[-1]:.5g} from the start after {self.length:.5g}"
        lines = [f"Walk, {self.steps} steps: {where}"]
        lines.append(
            f"loss      {self.losses[0]:.6g}, at most {self.rise:.3g} more on the way (tolerance "
            f"{self.tolerance:.3g})"
        )
        if self.steps:
            lines.append(
                f"curvature {np.abs(self.curvatures[1:]).max():.3g} along the steps at most, of "
                f"{self.scales.max():.5g}"
            )
        lines += self._made(f"{self.products}, {self.run.evaluations} losses")
        return "\n".join(lines)

"""Line: the loss along a straight line through parameter space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results._sampled import Sampled
from landscape._results.directions import Recipe
from landscape._results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Line(Sampled):
    """The loss along a line: losses[i] = L(theta + positions[i] u).

    Args:
        positions: (n,) coordinates along u, increasing; `recipe.labels` says what a unit step is.
        losses: (n,) NaN and infinities are kept as they came.
        metrics: name -> (n,) further quantities at the same points.
        standard_error: (n,) of the losses, where the data are a random subset.
        test: the line of the test data on the same points.
        error: (n,) of interpolation, where the line was computed to a tolerance.
        recipe: how the direction was made.
        run: how the numbers were made.
        figure: set by the `plot_*` calls alone; takes no part in equality or saving.

    Raises:
        ValueError: shapes that do not fit together; positions that do not increase.
    """

    kind: ClassVar[str] = "line"
    axis_names: ClassVar[tuple[str, ...]] = ("positions",)

    positions: NDArray[np.float64]
    losses: NDArray[np.float64]
    _: KW_ONLY
    metrics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    standard_error: NDArray[np.float64] | None = None
    test: Line | None = None
    error: NDArray[np.float64] | None = None
    recipe: Recipe
    run: Run
    figure: Any = field(default=None, repr=False, compare=False)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """The loss on the training and the test data: `landscape.plot.line`.

        Args:
            ax: where to draw; None makes a figure of its own (`.figure` of what is returned).
            options: those of `landscape.plot.line`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.line(self, ax, **options)

"""Surface: the loss on a plane through parameter space."""

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
class Surface(Sampled):
    """The loss on a plane: losses[j, i] = L(theta + alpha[i] u + beta[j] v).

    Args:
        alpha: (na,) coordinates along u, increasing; `recipe.labels` says what a unit step is.
        beta: (nb,) coordinates along v, increasing.
        losses: (nb, na) a row for each beta; NaN and infinities are kept as they came.
        metrics: name -> (nb, na) further quantities at the same points.
        standard_error: (nb, na) of the losses, where the data are a random subset.
        test: the surface of the test data on the same plane.
        error: (nb, na) of interpolation, where the surface was computed to a tolerance.
        recipe: how the directions were made.
        run: how the numbers were made.
        figure: set by the `plot_*` calls alone; takes no part in equality or saving.

    Raises:
        ValueError: shapes that do not fit together; axes that do not increase.
    """

    kind: ClassVar[str] = "surface"
    axis_names: ClassVar[tuple[str, ...]] = ("alpha", "beta")

    alpha: NDArray[np.float64]
    beta: NDArray[np.float64]
    losses: NDArray[np.float64]
    _: KW_ONLY
    metrics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    standard_error: NDArray[np.float64] | None = None
    test: Surface | None = None
    error: NDArray[np.float64] | None = None
    recipe: Recipe
    run: Run
    figure: Any = field(default=None, repr=False, compare=False)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Filled contours with the minimum marked: `landscape.plot.filled_contour`.

        Args:
            ax: where to draw; None makes a figure of its own (`.figure` of what is returned).
            options: those of `landscape.plot.filled_contour`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.filled_contour(self, ax, **options)

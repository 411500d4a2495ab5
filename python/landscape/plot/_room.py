"""Room: where on the axes a label fits, so that labels hide neither each other nor the marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landscape.plot._figure import root_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


class Box(NamedTuple):
    """A rectangle on the axes, in points."""

    left: float
    low: float
    right: float
    top: float


class Room:
    """The boxes taken on some axes. Lengths are in points, measured from the lower left corner.

    The layout may still change the size of the axes a little; labels keep their distance.
    """

    def __init__(self, ax: Axes) -> None:
        ax.apply_aspect()
        self._ax = ax
        self._taken: list[Box] = []
        figure = root_figure(ax)
        points = 72.0 / (100.0 if figure is None else figure.dpi)
        self.width, self.height = ax.bbox.width * points, ax.bbox.height * points

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) data coordinates -> (n, 2) points on the axes."""
        fractions = self._ax.transAxes.inverted().transform(self._ax.transData.transform(points))
        return np.asarray(fractions * (self.width, self.height))

    def take(self, box: Box) -> None:
        """Let nothing else be put there."""
        self._taken.append(box)

    def crowding(self, box: Box) -> float:
        """How badly a box fits: the shares of it outside the axes and over what is taken."""
        all_of_it = (box.right - box.left) * (box.top - box.low)
        outside = all_of_it - _shared(box, Box(0.0, 0.0, self.width, self.height))
        return (outside + sum(_shared(box, other) for other in self._taken)) / all_of_it

    def clearance(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distance of (n, 2) places on the axes from the edges and from all that is taken."""
        x, y = places.T
        distance: NDArray[np.float64] = np.minimum.reduce([x, self.width - x, y, self.height - y])
        for box in self._taken:
            dx = np.maximum.reduce([box.left - x, x - box.right, np.zeros_like(x)])
            dy = np.maximum.reduce([box.low - y, y - box.top, np.zeros_like(y)])
            distance = np.minimum(distance, np.hypot(dx, dy))
        return distance


def _shared(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.top, b.top) - max(a.low, b.low)
    return max(width, 0.0) * max(height, 0.0)

"""Label placement: positions where labels overlap neither each other nor marks nor edges."""

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


class LabelPlacement:
    """The occupied boxes of some axes. Lengths are in points, from the lower left corner.

    The layout may still change the size of the axes a little; labels keep their distance.
    """

    def __init__(self, ax: Axes) -> None:
        ax.apply_aspect()
        self._ax = ax
        self._occupied: list[Box] = []
        figure = root_figure(ax)
        points = 72.0 / (100.0 if figure is None else figure.dpi)
        self.width, self.height = ax.bbox.width * points, ax.bbox.height * points

    def to_points(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) data coordinates -> (n, 2) points on the axes."""
        fractions = self._ax.transAxes.inverted().transform(
            self._ax.transData.transform(coordinates)
        )
        return np.asarray(fractions * (self.width, self.height))

    def reserve(self, box: Box) -> None:
        """Mark a box as occupied."""
        self._occupied.append(box)

    def overlap(self, box: Box) -> float:
        """The shares of a box outside the axes and over occupied boxes, added up."""
        area = (box.right - box.left) * (box.top - box.low)
        outside = area - _intersection_area(box, Box(0.0, 0.0, self.width, self.height))
        return (outside + sum(_intersection_area(box, other) for other in self._occupied)) / area

    def clearance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distance of (n, 2) points from the edges and from all occupied boxes."""
        x, y = points.T
        distance: NDArray[np.float64] = np.minimum.reduce([x, self.width - x, y, self.height - y])
        for box in self._occupied:
            dx = np.maximum.reduce([box.left - x, x - box.right, np.zeros_like(x)])
            dy = np.maximum.reduce([box.low - y, y - box.top, np.zeros_like(y)])
            distance = np.minimum(distance, np.hypot(dx, dy))
        return distance


def _intersection_area(a: Box, b: Box) -> float:
    """The area that two boxes share."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.top, b.top) - max(a.low, b.low)
    return max(width, 0.0) * max(height, 0.0)

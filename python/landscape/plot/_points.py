"""Named points of a plane and its minimum, marked and labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landscape.plot._figure import INK, SMALL
from landscape.plot._levels import decimal, letters
from landscape.plot._room import Box, Room

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from landscape._results import Surface
    from landscape.plot._scale import Scale

PLATE = {"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": "none", "alpha": 0.78}
_RADIUS, _GAP, _CLOSE = 5.0, 7.0, 40.0  # points
_WIDTH = 0.56  # of a letter, over its size
_SIDES = ((1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1))


class Point(NamedTuple):
    """A place on the plane with its name; a star marks the minimum, a dot the others."""

    x: float
    y: float
    text: str
    star: bool = False


def points_of(
    surface: Surface, values: NDArray[np.float64], scale: Scale, *others: Point
) -> list[Point]:
    """The named points inside the picture, then the minimum; one point where they coincide."""
    (left, right), (low, top) = surface.alpha[[0, -1]], surface.beta[[0, -1]]
    markers = [Point(x, y, name) for name, (x, y) in surface.recipe.markers.items()]
    named = [p for p in (*markers, *others) if left <= p.x <= right and low <= p.y <= top]
    x, y, least = surface.minimum
    is_loss = values is surface.losses
    if not np.isfinite(least) or (is_loss and scale.kind == "constant"):
        return named  # no point is the minimum, or every one
    text = f"min {scale.reading(least)}" if is_loss else f"min loss {decimal(least)}"
    near = 1e-9 * max(right - left, top - low)
    same = [point for point in named if abs(point.x - x) <= near and abs(point.y - y) <= near]
    names = ", ".join([*(point.text for point in same), text])
    return [*(point for point in named if point not in same), Point(x, y, names, star=True)]


def draw_points(ax: Axes, room: Room, points: list[Point]) -> None:
    """A mark for each point, with its name where it hides neither an edge nor a neighbour."""
    if not points:
        return
    places = room.at(np.array([point[:2] for point in points]))
    for x, y in places:
        room.take(Box(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS))
    for point, place in zip(points, places, strict=True):
        ax.scatter(
            point.x,
            point.y,
            c="white",
            edgecolors="black",
            linewidths=0.7,
            zorder=7 if point.star else 6,
            clip_on=False,
            marker="*" if point.star else "o",
            s=120.0 if point.star else 24.0,
        )
        name(ax, room, point, place, places)


def name(
    ax: Axes,
    room: Room,
    point: Point,
    place: NDArray[np.float64],
    others: NDArray[np.float64],
) -> None:
    """The name at the side of its point where it hides least and no close neighbour stands."""
    width = _WIDTH * SMALL * letters(point.text)
    away = place - others
    away = np.sum(away[np.hypot(*away.T) < _CLOSE], axis=0)

    def cost(side: tuple[int, int]) -> float:
        return room.crowding(_box(place, width, side)) - 0.02 * float(np.dot(np.sign(away), side))

    side = min(_SIDES, key=cost)
    room.take(_box(place, width, side))
    ax.annotate(
        point.text,
        (point.x, point.y),
        xytext=(_GAP * side[0], 0.75 * _GAP * side[1]),
        textcoords="offset points",
        ha={-1: "right", 0: "center", 1: "left"}[side[0]],
        va="bottom" if side[1] > 0 else "top",
        fontsize=SMALL,
        color=INK,
        bbox=PLATE,
        zorder=8,
    )


def _box(place: NDArray[np.float64], width: float, side: tuple[int, int]) -> Box:
    """The room that a name takes on one side of its point."""
    x, y = place
    left = x + {-1: -_GAP - width, 0: -width / 2, 1: _GAP}[side[0]]
    low = y + (0.75 * _GAP if side[1] > 0 else -0.75 * _GAP - SMALL)
    return Box(left, low, left + width, low + SMALL)

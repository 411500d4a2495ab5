"""Named points of a plane and its minimum, marked and labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from landscape.plot._figure import INK, SMALL
from landscape.plot._label_placement import Box, LabelPlacement
from landscape.plot._levels import count_letters, decimal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from landscape._results import Surface
    from landscape.plot._scale import Scale

LABEL_BACKGROUND = {
    "boxstyle": "round,pad=0.18",
    "facecolor": "white",
    "edgecolor": "none",
    "alpha": 0.78,
}
_RADIUS, _GAP, _CLOSE = 5.0, 7.0, 40.0  # points
_COINCIDENT = 0.01  # of the picture: less than the size of a mark
_WIDTH = 0.56  # of a letter, over its size
_SIDES = ((1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1))


class Marker(NamedTuple):
    """A point of the plane with its name; a star marks the minimum, a dot the others."""

    x: float
    y: float
    text: str
    star: bool = False


def collect_markers(
    surface: Surface, values: NDArray[np.float64], scale: Scale, *others: Marker
) -> list[Marker]:
    """The named points inside the picture and the minimum, coincident ones joined."""
    (left, right), (low, top) = surface.alpha[[0, -1]], surface.beta[[0, -1]]
    markers = [Marker(x, y, name) for name, (x, y) in surface.recipe.markers.items()]
    named = [p for p in (*markers, *others) if left <= p.x <= right and low <= p.y <= top]
    x, y, least = surface.minimum
    is_loss = values is surface.losses
    if np.isfinite(least) and not (is_loss and scale.kind == "constant"):
        text = f"min {scale.reading(least)}" if is_loss else f"min loss {decimal(least)}"
        named.append(Marker(x, y, text, star=True))
    return _join_coincident(named, _COINCIDENT * (right - left), _COINCIDENT * (top - low))


def _join_coincident(markers: list[Marker], width: float, height: float) -> list[Marker]:
    """One marker with all names where several coincide; the minimum keeps its exact position."""
    joined: list[Marker] = []
    for marker in markers:
        for index, other in enumerate(joined):
            if abs(marker.x - other.x) <= width and abs(marker.y - other.y) <= height:
                base = marker if marker.star else other
                joined[index] = base._replace(text=f"{other.text}, {marker.text}")
                break
        else:
            joined.append(marker)
    return sorted(joined, key=lambda marker: marker.star)  # the star is drawn last


def draw_markers(ax: Axes, placement: LabelPlacement, markers: list[Marker]) -> None:
    """Draw a mark for each point, and its name where it overlaps neither edges nor neighbours."""
    if not markers:
        return
    positions = placement.to_points(np.array([marker[:2] for marker in markers]))
    for x, y in positions:
        placement.reserve(Box(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS))
    for marker, position in zip(markers, positions, strict=True):
        ax.scatter(
            marker.x,
            marker.y,
            c="white",
            edgecolors="black",
            linewidths=0.7,
            zorder=7 if marker.star else 6,
            clip_on=False,
            marker="*" if marker.star else "o",
            s=120.0 if marker.star else 24.0,
        )
        draw_label(ax, placement, marker, position, positions)


def draw_label(
    ax: Axes,
    placement: LabelPlacement,
    marker: Marker,
    position: NDArray[np.float64],
    others: NDArray[np.float64],
) -> None:
    """Draw the name on the side of its mark with the least overlap."""
    width = _WIDTH * SMALL * count_letters(marker.text)
    away = position - others
    away = np.sum(away[np.hypot(*away.T) < _CLOSE], axis=0)

    def cost(side: tuple[int, int]) -> float:
        return placement.overlap(_box(position, width, side)) - 0.02 * float(
            np.dot(np.sign(away), side)
        )

    side = min(_SIDES, key=cost)
    placement.reserve(_box(position, width, side))
    ax.annotate(
        marker.text,
        (marker.x, marker.y),
        xytext=(_GAP * side[0], 0.75 * _GAP * side[1]),
        textcoords="offset points",
        ha={-1: "right", 0: "center", 1: "left"}[side[0]],
        va="bottom" if side[1] > 0 else "top",
        fontsize=SMALL,
        color=INK,
        bbox=LABEL_BACKGROUND,
        zorder=8,
    )


def _box(position: NDArray[np.float64], width: float, side: tuple[int, int]) -> Box:
    """The box of a name on one side of its mark."""
    x, y = position
    left = x + {-1: -_GAP - width, 0: -width / 2, 1: _GAP}[side[0]]
    low = y + (0.75 * _GAP if side[1] > 0 else -0.75 * _GAP - SMALL)
    return Box(left, low, left + width, low + SMALL)

"""Bands and lines of equal value on a plane, the round ones labelled."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.path import Path

from landscape.plot import _scale
from landscape.plot._figure import COLOURS, FRAME, INK, LABEL, SMALL, axis_label, dress
from landscape.plot._hatch import hatch
from landscape.plot._levels import letters
from landscape.plot._room import Box, Room

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet
    from numpy.typing import NDArray

    from landscape._results import Surface
    from landscape.plot._scale import Scale

_LABEL = 0.9 * SMALL
_ROOM = 12.0  # points that a level's label keeps from everything else
_PIECES = 12  # a line in more pieces is noise, and stays without a label


def frame(ax: Axes, surface: Surface) -> Room:
    """Limits, labels, and equal distances on the page for equal distances between parameters.

    Returns:
        The room on the axes, all of it free.
    """
    dress(ax)
    ax.set_xlim(surface.alpha[0], surface.alpha[-1])
    ax.set_ylim(surface.beta[0], surface.beta[-1])
    ratio = shape(surface)
    ax.set_aspect("auto" if ratio is None else ratio * _extent(surface)[0] / _extent(surface)[1])
    room = Room(ax)
    ax.set_xlabel(axis_label(surface.recipe, 0, room.width), fontsize=LABEL, color=INK)
    ax.set_ylabel(axis_label(surface.recipe, 1, room.height), fontsize=LABEL, color=INK)
    return room


def shape(surface: Surface) -> float | None:
    """Height over width of the plane, measured in parameter space with ||u|| and ||v||.

    None where that says nothing or is a strip of more than three to one: such a plane fills its
    axes instead.
    """
    (u, v), (width, height) = surface.recipe.norms, _extent(surface)
    ratio = (v * height) / (u * width) if u > 0 else 0.0
    return ratio if 1 / 3 <= ratio <= 3 else None


def bands(
    ax: Axes, surface: Surface, values: NDArray[np.float64], scale: Scale, **options: Any
) -> QuadContourSet | None:
    """Bands of colour between the levels, what is not finite hatched; None if nothing is finite."""
    hatch(ax, surface.alpha, surface.beta, values)
    if not drawable(values):
        return None
    return ax.contourf(
        surface.alpha,
        surface.beta,
        _scale.drawn(values),
        levels=scale.levels,
        norm=scale.norm,
        extend=scale.extend,
        **{"cmap": COLOURS, "zorder": 1.0, **options},
    )


def lines(
    ax: Axes, surface: Surface, values: NDArray[np.float64], scale: Scale, **options: Any
) -> QuadContourSet | None:
    """A line at each level that the values cross; None where they cross none."""
    if not drawable(values):
        return None
    drawn = _scale.drawn(values)
    crossed = scale.levels[(scale.levels > drawn.min()) & (scale.levels < drawn.max())]
    if crossed.size == 0:
        return None
    style = {"zorder": 2.0, "linestyles": "solid", **options}
    if "colors" not in style:
        # A norm of its own: contours announce a change of theirs, which resets colour bars.
        style = {"cmap": COLOURS, "norm": deepcopy(scale.norm), **style}
    return ax.contour(surface.alpha, surface.beta, drawn, levels=crossed, **style)


def label(ax: Axes, room: Room, drawn: QuadContourSet | None, scale: Scale, *inks: str) -> None:
    """One label on each line that carries a tick, where there is room for it.

    Args:
        ax: the axes.
        room: what is taken already.
        drawn: the lines.
        scale: names the levels.
        inks: one colour for all, or one for labels on dark ground and one on light.
    """
    if drawn is None:
        return
    places: list[tuple[float, float]] = []
    for level, path in zip(drawn.levels, drawn.get_paths(), strict=True):
        pieces = np.count_nonzero(path.codes == Path.MOVETO) if len(path) else 0
        if level not in scale.ticks or not 1 <= pieces <= _PIECES:
            continue
        half = 0.3 * _LABEL * letters(scale.text(level))
        place = _roomiest(room, path, half)
        if place is not None:
            data, (x, y) = place
            room.take(Box(x - half, y - _LABEL / 2, x + half, y + _LABEL / 2))
            places.append(data)
    if places:
        colours = [inks[-1] if scale.height(level) > 0.5 else inks[0] for level in drawn.levels]
        ax.clabel(drawn, manual=places, fmt=scale.text, fontsize=_LABEL, colors=colours)


def colour_bar(ax: Axes, coloured: QuadContourSet | None, scale: Scale, name: str) -> None:
    """The levels as a bar as tall as the axes; none where nothing was coloured."""
    figure = ax.get_figure()
    if coloured is None or figure is None:
        return
    bar = figure.colorbar(coloured, cax=ax.inset_axes((1.035, 0.0, 0.042, 1.0)))
    bar.set_ticks(list(scale.ticks), labels=[scale.text(tick) for tick in scale.ticks])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL, length=3, width=0.6, color=FRAME, labelcolor=INK)
    bar.set_label(name, fontsize=LABEL, color=INK)
    bar.outline.set_linewidth(0.6)
    bar.outline.set_edgecolor(FRAME)


def drawable(values: NDArray[np.float64]) -> bool:
    """Whether there is anything to draw."""
    return bool(np.isfinite(values).any())


def _extent(surface: Surface) -> tuple[float, float]:
    return float(np.ptp(surface.alpha)), float(np.ptp(surface.beta))


def _roomiest(
    room: Room, path: Path, half: float
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Where a line is most nearly level, among its vertices that are clear of edges and labels.

    As data coordinates and as points on the axes; None where it is clear nowhere.
    """
    vertices = np.asarray(path.vertices)[path.codes != Path.CLOSEPOLY]
    places = room.at(vertices)
    from_ends = np.min([np.hypot(*(places - end).T) for end in room.at(_ends(path))], axis=0)
    clear = np.minimum(np.minimum(room.clearance(places), from_ends) - half, _ROOM)
    if clear.max() < _ROOM / 4:
        return None
    along = np.gradient(places, axis=0) if len(places) > 1 else np.ones_like(places)
    steepness = np.abs(along[:, 1]) / (np.hypot(*along.T) + 1e-12)
    best = int(np.argmin(np.where(clear == clear.max(), steepness, np.inf)))
    (x, y), (a, b) = vertices[best], places[best]
    return (float(x), float(y)), (float(a), float(b))


def _ends(path: Path) -> NDArray[np.float64]:
    """Where the pieces of a line begin and end: at the edges, or where values are not finite."""
    starts = np.flatnonzero(path.codes == Path.MOVETO)
    ends = np.concatenate([starts, [*(starts[1:] - 1), -1]])
    return np.asarray(np.asarray(path.vertices)[ends])

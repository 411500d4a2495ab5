"""The topology of a surface: persistence diagram, merge tree and topological profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection

from landscape.plot import _scale
from landscape.plot._figure import (
    BLUE,
    COLOURS,
    FRAME,
    INK,
    LABEL,
    SMALL,
    VERMILION,
    new_axes,
    new_figure,
    style_axes,
)
from landscape.plot._line import scale_vertical_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from landscape._results import Topology
    from landscape.plot._scale import Scale

_NAMED = 12  # minima that carry their number
_LEVELS = 240  # of a profile: more than its height in pixels shows
_GAP = 0.02  # of the picture's area, between parts that are never connected


def persistence_diagram(
    topology: Topology, ax: Axes | None = None, *, scale: str = "auto", **options: Any
) -> Axes:
    """Each minimum and maximum by the losses between which it lives.

    Circles are minima: below is the loss at the minimum, at the left that of the saddle where its
    basin joins a lower one. Triangles are maxima: below the saddle where a loop around it closes,
    at the left its own loss. The distance from the diagonal is the persistence: what noise makes
    lies next to it. On the dashed line above are basins that join none, and maxima that are not
    finite.

    Args:
        topology: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        scale: of both axes; "auto", "linear", "log" or "symlog".
        options: for `matplotlib.axes.Axes.plot`, such as `ms`; they hold for all marks.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: as for `landscape.plot.filled_contour`, of `scale`.

    Example:
        >>> landscape.plot.persistence_diagram(surface.topology()).figure.savefig("diagram.png")
    """
    if ax is None:
        ax = new_axes(new_figure(4.4, 4.0), 0.75, 0.6, 3.1, 3.1)
    style_axes(ax)
    pairs = np.vstack([np.column_stack([topology.births, topology.deaths]), topology.loops])
    chosen = _scale.choose(_merging_losses(topology), scale)
    scale_vertical_axis(ax, chosen)
    _scale_horizontal_axis(ax, chosen)
    low, high = float(chosen.levels[0]), float(chosen.levels[-1])
    top = _beyond(chosen, low, high, 0.07)
    limits = _beyond(chosen, low, high, -0.04), _beyond(chosen, low, high, 0.13)
    ax.set_xlim(limits[0], high)
    ax.set_ylim(*limits)
    ends = [limits[0], high]
    ax.plot(ends, ends, color=FRAME, lw=0.8)
    ax.fill_between(ends, ends, limits[0], color=FRAME, alpha=0.06, lw=0)
    if np.isinf(pairs[:, 1]).any():
        ax.axhline(top, color=FRAME, lw=0.8, ls=(0, (4, 3)))
        ax.annotate(
            "never", (1.01, top), xycoords=("axes fraction", "data"), fontsize=SMALL, color=INK,
            va="center",
        )  # fmt: skip
    style = {"ls": "none", "ms": 5, "mec": "white", "mew": 0.5, "zorder": 3.0, **options}
    parts = (
        ("minima", BLUE, "o", pairs[: len(topology)]),
        ("maxima", VERMILION, "^", pairs[len(topology) :]),
    )
    for name, colour, marker, rows in parts:
        if len(rows):
            heights = np.where(np.isinf(rows[:, 1]), top, rows[:, 1])
            label = f"{len(rows)} {name}" if len(rows) > 1 else f"1 {name[:-1]}um"
            drawn = {"color": colour, "marker": marker, "label": label, **style}
            ax.plot(np.clip(rows[:, 0], limits[0], None), heights, **drawn)
    ax.set_xlabel("loss where it begins", fontsize=LABEL, color=INK)
    ax.set_ylabel("loss where it ends", fontsize=LABEL, color=INK)
    if len(pairs):
        ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK, loc="lower right")
    return ax


def merge_tree(
    topology: Topology, ax: Axes | None = None, *, scale: str = "auto", **options: Any
) -> Axes:
    """The merge tree of the sublevel sets: which basins meet at which loss.

    A vertical line is a basin, from its minimum up to the saddle where it joins a lower one, which
    a horizontal line shows; heights are losses, the order along the axis has no meaning. It is the
    disconnectivity graph of the minima with exact heights.

    Args:
        topology: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        scale: of the losses; as for `persistence_diagram`.
        options: for the lines: those of `matplotlib.axes.Axes.plot`, such as `lw`.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: as for `persistence_diagram`; or there are no minima.

    Reference:
        Becker and Karplus, "The Topology of Multidimensional Potential Energy Surfaces" (1997).

    Example:
        >>> landscape.plot.merge_tree(surface.topology()).figure.savefig("tree.png")
    """
    _require_minima(topology)
    if ax is None:
        width = float(np.clip((0.62 if len(topology) <= _NAMED else 0.2) * len(topology), 2.6, 7.4))
        ax = new_axes(new_figure(width + 1.1, 3.9), 0.75, 0.55, width, 3.0)
    style_axes(ax)
    chosen = _scale.choose(_merging_losses(topology, loops=False), scale)
    scale_vertical_axis(ax, chosen)
    low = float(chosen.levels[0])
    high = _beyond(chosen, low, float(chosen.levels[-1]), 0.05)
    places = {leaf: place for place, leaf in enumerate(_list_leaves(topology))}
    style = {"color": BLUE, "lw": 1.5, "solid_capstyle": "projecting", **options}
    births, deaths = topology.births, topology.deaths
    for index, parent in enumerate(topology.minima[:, 2]):
        x, top = places[index], min(float(deaths[index]), high)
        ax.plot([x, x], [max(births[index], low), top], **style)
        if parent >= 0:
            ax.plot([places[parent], x], [top, top], **style)
        ax.plot(x, max(births[index], low), "o", ms=4, color=BLUE, mec="white", mew=0.5, zorder=3)
        if len(topology) <= _NAMED:
            text = f"{index}: {chosen.reading(float(births[index]))}"
            ax.annotate(
                text, (x, max(births[index], low)), xytext=(0, -5), textcoords="offset points",
                ha="center", va="top", fontsize=SMALL, color=INK,
            )  # fmt: skip
    ax.set_ylim(_beyond(chosen, low, high, -0.09), high)
    ax.set_xlim(-0.7, len(topology) - 0.3)
    ax.set_xticks([])
    ax.set_xlabel(_count(topology), fontsize=LABEL, color=INK)
    ax.set_ylabel("loss", fontsize=LABEL, color=INK)
    return ax


def topological_profile(
    topology: Topology,
    ax: Axes | None = None,
    *,
    scale: str = "auto",
    top: float | None = None,
    **options: Any,
) -> Axes:
    """The surface as a profile of its basins: at every loss each is as wide as its area below it.

    Basins stand side by side where they are separate, and merge at the loss of the saddle between
    them; widths are shares of the picture's area, heights losses in the colours of a contour
    plot, and the order along the axis has no meaning. A wide flat basin and a narrow deep one are
    told apart without a viewpoint that hides either.

    Args:
        topology: what to draw; `surface.topology(persistence=...)` leaves out what is noise.
        ax: where; None makes a figure of its own, outside pyplot.
        scale: of the losses; as for `persistence_diagram`.
        top: the highest loss that is drawn; None draws all.
        options: for `matplotlib.collections.PolyCollection`, such as `cmap`.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: as for `persistence_diagram`; or no minimum lies below the top.

    Reference:
        Oesterling, Heine, Weber and Scheuermann, "Visualizing nD Point Clouds as Topological
        Landscape Profiles to Guide Local Data Analysis" (2013).

    Example:
        >>> landscape.plot.topological_profile(surface.topology()).figure.savefig("profile.png")
    """
    _require_minima(topology)
    if ax is None:
        ax = new_axes(new_figure(5.6, 3.6), 0.75, 0.55, 4.6, 2.8)
    style_axes(ax)
    drawn = topology.losses if top is None else np.minimum(topology.losses, top)
    chosen = _scale.choose(drawn, scale)
    highest = float(drawn[np.isfinite(drawn)].max())
    scale_vertical_axis(ax, chosen)
    strips, heights, ends = [], [], 0.0
    outlines: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]] = []
    marks: list[tuple[int, float, float]] = []
    for root in _list_roots(topology, highest):
        whole = _Arc.build(topology, chosen, root, highest)
        for arc, centre in whole.place(ends + whole.width / 2):
            left, right = centre - arc.widths / 2, centre + arc.widths / 2
            outlines.append((arc.levels, left, right))
            for k in range(len(arc.levels) - 1):
                y0, y1 = arc.levels[k], arc.levels[k + 1]
                corners = [(left[k], y0), (right[k], y0), (right[k + 1], y1), (left[k + 1], y1)]
                strips.append(corners)
                heights.append((y0 + y1) / 2)
            if arc.is_leaf:
                marks.append((arc.leaf, centre, float(arc.levels[0])))
        ends += whole.width + _GAP
    style = {"cmap": COLOURS, "norm": chosen.norm, "edgecolors": "face", "linewidths": 0.4}
    ax.add_collection(PolyCollection(strips, array=np.array(heights), **{**style, **options}))
    for levels, left, right in outlines:
        for side in (left, right):
            ax.plot(side, levels, color=FRAME, lw=0.5)
    low, high = float(chosen.levels[0]), float(chosen.levels[-1])
    _mark_minima(ax, topology, marks)
    ax.set_ylim(_beyond(chosen, low, high, -0.1), high)
    ax.set_xlim(-0.02, max(ends - _GAP, 1e-9) + 0.02)
    ax.set_xlabel("area below the loss (share of the picture)", fontsize=LABEL, color=INK)
    ax.set_ylabel("loss", fontsize=LABEL, color=INK)
    ax.set_title(_count(topology), fontsize=SMALL, color=INK)
    return ax


@dataclass(frozen=True)
class _Arc:
    """A connected part between two events, its width at every level, and the parts it splits into.

    Events are the birth of its lowest minimum, and mergers with basins of higher ones.
    """

    leaf: int
    levels: NDArray[np.float64]
    widths: NDArray[np.float64]
    below: tuple[_Arc, ...]

    @property
    def is_leaf(self) -> bool:
        return not self.below

    @property
    def width(self) -> float:
        """The widest, which is the space that it takes."""
        return float(self.widths.max())

    @classmethod
    def build(cls, topology: Topology, scale: Scale, leaf: int, highest: float) -> _Arc:
        """The arc at the top of a minimum's branch, with all that it splits into below."""
        births, deaths = topology.births, topology.deaths
        joined = (topology.minima[:, 2] == leaf) & (deaths <= highest)
        children = [int(child) for child in np.flatnonzero(joined)]
        children.sort(key=lambda child: (deaths[child], child))
        top = min(float(deaths[leaf]), highest)
        lowest = max(float(births[leaf]), float(scale.levels[0]))
        events = [lowest, *(float(deaths[child]) for child in children), top]
        arc: _Arc | None = None
        for index in range(len(events) - 1):
            below: tuple[_Arc, ...] = ()
            if arc is not None:
                below = (arc, cls.build(topology, scale, children[index - 1], highest))
            is_last = index == len(events) - 2 and deaths[leaf] > highest
            levels, shown = _spread_levels(scale, events[index], events[index + 1], is_last=is_last)
            arc = cls(leaf, levels, topology.areas(shown)[:, leaf], below)
        return arc if arc is not None else cls(leaf, np.array(events[:1]), np.zeros(1), ())

    def place(self, centre: float) -> Iterator[tuple[_Arc, float]]:
        """All arcs with the middle of each; what it splits into stands side by side."""
        waiting = [(self, centre)]
        while waiting:  # a branch may have more arcs than calls may be nested
            arc, middle = waiting.pop()
            yield arc, middle
            left = middle - sum(part.width for part in arc.below) / 2
            for part in arc.below:
                waiting.append((part, left + part.width / 2))
                left += part.width


def _spread_levels(
    scale: Scale, low: float, high: float, *, is_last: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Levels between two events, even on the scale; the last just below the merger there.

    Returns:
        Where they are drawn, and where the areas are measured.
    """
    bottom, top = scale.height([low, high])
    count = max(2, int(np.ceil(_LEVELS * float(top - bottom))))
    heights = np.linspace(bottom, top, count)
    inner = np.asarray(scale.norm.inverse(heights[1:-1]), np.float64)
    levels = np.concatenate([[low], np.clip(inner, low, high), [high]])
    measured = levels.copy()
    if not is_last:
        measured[-1] = max(low, np.nextafter(high, -np.inf))
    return levels, measured


def _list_roots(topology: Topology, highest: float) -> list[int]:
    """The lowest minima of the parts that are separate up to a loss.

    Raises:
        ValueError: No minimum lies below it.
    """
    roots = np.flatnonzero((topology.deaths > highest) & (topology.births <= highest))
    if not len(roots):
        raise ValueError(
            f"top={highest:.4g} lies below all minima, of which the lowest is "
            f"{topology.births.min():.4g}; pass a higher one"
        )
    return [int(root) for root in roots]


def _merging_losses(topology: Topology, *, loops: bool = True) -> NDArray[np.float64]:
    """The losses at minima, saddles and maxima: the range of a diagram or tree.

    With the highest loss where a single minimum would be all.
    """
    values = np.concatenate([topology.births, topology.deaths])
    if loops:
        values = np.concatenate([values, topology.loops.ravel()])
    is_spread = np.isfinite(values).sum() > 1
    return values if is_spread else topology.losses.ravel()


def _list_leaves(topology: Topology) -> list[int]:
    """Minima in an order in which no two lines of the tree cross."""
    children: dict[int, list[int]] = {}
    for index, parent in enumerate(topology.minima[:, 2]):
        children.setdefault(int(parent), []).append(index)
    order: list[int] = []
    waiting = sorted(children.get(-1, []), reverse=True)
    deaths = topology.deaths
    while waiting:
        leaf = waiting.pop()
        order.append(leaf)
        # the first to join stands next to it
        waiting += sorted(children.get(leaf, []), key=lambda c: (deaths[c], c), reverse=True)
    return order


def _mark_minima(ax: Axes, topology: Topology, marks: list[tuple[int, float, float]]) -> None:
    if len(topology) > _NAMED:
        return
    for leaf, x, y in marks:
        ax.annotate(
            str(leaf), (x, y), xytext=(0, -3), textcoords="offset points", ha="center", va="top",
            fontsize=SMALL, color=INK,
        )  # fmt: skip


def _scale_horizontal_axis(ax: Axes, scale: Scale) -> None:
    if scale.kind == "log":
        ax.set_xscale("log")
    elif scale.kind == "symlog":
        ax.set_xscale("symlog", linthresh=scale.threshold)
    if scale.kind in ("log", "symlog"):
        ax.set_xticks(list(scale.ticks), labels=[scale.text(tick) for tick in scale.ticks])
        ax.xaxis.minorticks_off()


def _beyond(scale: Scale, low: float, high: float, share: float) -> float:
    """A value beyond the top of the scale by this share of it, or below its bottom if negative."""
    if scale.kind == "log":
        reach: float = (high / low) ** abs(share)
        return high * reach if share > 0 else low / reach
    if scale.kind == "symlog":
        above: float = high * 10.0 ** (4 * share)
        return above if share > 0 else low + share * scale.threshold * 2
    return high + share * (high - low) if share > 0 else low + share * (high - low)


def _count(topology: Topology) -> str:
    text = f"{len(topology)} minima" if len(topology) != 1 else "one minimum"
    if topology.min_persistence:
        text += f" of a persistence above {topology.min_persistence:.3g}"
    return text


def _require_minima(topology: Topology) -> None:
    if not len(topology):
        raise ValueError("the topology has no minimum, since no loss is finite; there is no tree")

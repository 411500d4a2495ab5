"""Connections as a disconnectivity graph: minima at their losses, joined at their saddles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import NullLocator

from landscape.plot import _scale
from landscape.plot._figure import BLUE, FRAME, INK, LABEL, SMALL, new_axes, new_figure, style_axes
from landscape.plot._line import scale_vertical_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape._results import Connections


def connections(
    connections: Connections, ax: Axes | None = None, *, scale: str = "auto", **options: Any
) -> Axes:
    """The disconnectivity graph of several minima.

    Every minimum is the foot of a vertical line at its loss; lines meet at the saddle over which
    their minima are connected, so that what lies below one bar can be reached without going higher.

    Args:
        connections: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        scale: of the losses; as for `landscape.plot.line`.
        options: for `matplotlib.axes.Axes.plot`, such as `lw`.

    Returns:
        The Axes drawn on.

    Example:
        >>> method = landscape.AutoNEB(cycles=[(5, 0.02)])
        >>> result = landscape.connect_all(checkpoints, data, method=method, points=11)
        >>> landscape.plot.connections(result).figure.savefig("connections.pdf")
    """
    if ax is None:
        ax = new_axes(new_figure(5.0, 3.6), 0.75, 0.55, 4.0, 2.7)
    style_axes(ax)
    style = {"color": INK, "lw": 1.2, "solid_capstyle": "round", **options}
    order, merges = _order_merges(connections)
    positions = {member: float(index) for index, member in enumerate(order)}
    feet = {frozenset([i]): (positions[i], connections.losses[i]) for i in positions}
    for one, other, height in merges:
        (x, low), (y, down) = feet.pop(one), feet.pop(other)
        ax.plot([x, x, y, y], [low, height, height, down], **style)
        feet[one | other] = ((x + y) / 2, height)
    minima = [positions[i] for i in range(len(connections))]
    ax.plot(minima, connections.losses, "o", ms=5, color=BLUE, zorder=3)
    for i, x in positions.items():
        ax.annotate(
            str(i),
            (x, connections.losses[i]),
            xytext=(0, -6),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=SMALL,
            color=FRAME,
        )
    heights = np.array([height for _, _, height in merges])
    numbers = np.concatenate([connections.losses, heights])
    scale_vertical_axis(ax, _scale.choose(numbers, scale))
    ax.margins(x=0.12, y=0.14)
    ax.xaxis.set_major_locator(NullLocator())
    ax.set_ylabel("loss", fontsize=LABEL, color=INK)
    title = f"{len(connections)} minima, {connections.method}"
    ax.set_title(title, fontsize=SMALL, color=INK)
    return ax


Merge = tuple[frozenset[int], frozenset[int], float]


def _order_merges(connections: Connections) -> tuple[list[int], list[Merge]]:
    """The minima from left to right, so that no lines cross, and the merges with their heights."""
    parts = {i: (frozenset([i]), [i]) for i in range(len(connections))}
    merges: list[Merge] = []
    order = [0]
    for i, j in connections.tree.tolist():
        (one, left), (other, right) = parts[i], parts[j]
        merges.append((one, other, float(connections.saddles[i, j])))
        order = left + right
        for member in order:
            parts[member] = (one | other, order)
    return order, merges

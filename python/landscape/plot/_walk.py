"""A walk: losses against the distance from the start, within the tolerance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plot import _scale
from landscape.plot._figure import BLUE, FRAME, INK, LABEL, SMALL, new_axes, new_figure, style_axes
from landscape.plot._line import scale_vertical_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape._results import Walk


def walk(walk: Walk, ax: Axes | None = None, *, scale: str = "auto", **options: Any) -> Axes:
    """Losses of a walk's points against their distance from the start.

    The shaded band reaches from the loss of the start to the tolerance above it.

    Args:
        walk: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        scale: of the losses; as for `landscape.plot.line`.
        options: for `matplotlib.axes.Axes.plot`, such as `lw`.

    Returns:
        The Axes drawn on.

    Example:
        >>> result = landscape.walk(model, data, distance=0.1, tolerance=1.0)
        >>> landscape.plot.walk(result).figure.savefig("walk.pdf")
    """
    if ax is None:
        ax = new_axes(new_figure(5.6, 3.4), 0.75, 0.55, 4.6, 2.5)
    style_axes(ax)
    first = float(walk.losses[0])
    ax.axhspan(first, first + walk.tolerance, color=BLUE, alpha=0.1, lw=0, label="tolerance")
    style = {"color": BLUE, "lw": 1.4, "marker": "o", "ms": 3, **options}
    ax.plot(walk.distances, walk.losses, **style)
    ax.axhline(first, color=FRAME, lw=0.7, ls=(0, (4, 3)))
    scale_vertical_axis(ax, _scale.choose(np.append(walk.losses, first + walk.tolerance), scale))
    ax.set_xlabel("distance from the start", fontsize=LABEL, color=INK)
    ax.set_ylabel("loss", fontsize=LABEL, color=INK)
    title = f"{walk.steps} steps, {walk.ending}"
    ax.set_title(title, fontsize=SMALL, color=INK)
    ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK)
    return ax

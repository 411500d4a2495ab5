"""Critical points: the share of negative curvature against the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plot._figure import (
    BLUE,
    FRAME,
    INK,
    LABEL,
    SMALL,
    VERMILION,
    new_axes,
    new_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape._results import CriticalPoints

COLOURS = {"minimum": BLUE, "degenerate": "#56B4E9", "saddle": VERMILION, "maximum": "#CC79A7"}
"""Of Okabe and Ito, which colour-blind eyes tell apart."""
MARKS = {"minimum": "o", "degenerate": "D", "saddle": "s", "maximum": "^"}


def critical_points(points: CriticalPoints, ax: Axes | None = None, **options: Any) -> Axes:
    """Index against loss: one mark a point, with whiskers where the index is an estimate.

    Marks are hollow where the gradient's norm is above the tolerance, so that the point is not
    critical.

    Args:
        points: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        options: for `matplotlib.axes.Axes.scatter`, such as `s`.

    Returns:
        The Axes drawn on.

    Example:
        >>> result = landscape.critical_points(model, data, starts=2, max_steps=2, dtype="float64")
        >>> landscape.plot.critical_points(result).figure.savefig("critical_points.pdf")
    """
    if ax is None:
        ax = new_axes(new_figure(5.6, 3.6), 0.7, 0.55, 4.6, 2.7)
    style_axes(ax)
    losses, shares = points.losses, 100 * points.fractions
    natures = np.array(points.natures)
    for nature, colour in COLOURS.items():
        for good, face in ((True, colour), (False, "none")):
            chosen = (natures == nature) & (points.converged == good)
            if chosen.any():
                style = {"s": 26, "marker": MARKS[nature], "linewidths": 1.0, "zorder": 3}
                label = nature if good else f"{nature}, not critical"
                ax.scatter(
                    losses[chosen],
                    shares[chosen, 0],
                    facecolors=face,
                    edgecolors=colour,
                    label=label,
                    **{**style, **options},
                )
    wide = shares[:, 2] > shares[:, 1]
    ax.vlines(losses[wide], shares[wide, 1], shares[wide, 2], color=FRAME, lw=0.8, zorder=2)
    ax.set_xlabel("loss", fontsize=LABEL, color=INK)
    ax.set_ylabel("negative eigenvalues, %", fontsize=LABEL, color=INK)
    critical = int(points.converged.sum())
    ax.set_title(f"{critical} of {len(points)} critical", fontsize=SMALL, color=INK)
    ax.legend(fontsize=SMALL, frameon=False)
    return ax

"""Hatching of the cells whose values are NaN or infinite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from landscape.plot._figure import SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Patch
    from numpy.typing import NDArray

STYLE: dict[str, Any] = {
    "hatch": "////",
    "facecolor": "0.93",
    "edgecolor": "0.55",
    "linewidth": 0.0,
}


def hatch_non_finite(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], values: NDArray[np.float64]
) -> None:
    """Hatch the cells that contours do not cover, and count their values in the legend."""
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    patch = PathPatch(
        non_finite_cells(x, y, bad), label=describe_non_finite(values), zorder=1.5, **STYLE
    )
    ax.add_patch(patch)
    add_legend_entry(ax, patch)


def add_legend_entry(ax: Axes, patch: Patch) -> None:
    """A legend entry above the axes, outside the data."""
    ax.legend(
        handles=[patch],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        fontsize=SMALL,
        frameon=False,
        borderpad=0.1,
        borderaxespad=0.3,
    )


def describe_non_finite(values: NDArray[np.float64]) -> str:
    """Count values that are NaN or infinite: "12 NaN, 3 infinite of 961 points"."""
    counts = {"NaN": int(np.isnan(values).sum()), "infinite": int(np.isinf(values).sum())}
    parts = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    return f"{parts} of {values.size} points"


def non_finite_cells(
    x: NDArray[np.float64], y: NDArray[np.float64], bad: NDArray[np.bool_]
) -> Path:
    """The cells with two or more bad corners, and the half of a cell at a single bad corner.

    That is the complement of what contours with masked corners cover. One path for all, every
    part in the same sense of rotation, so that neighbours leave no seam.
    """
    counts = bad[:-1, :-1].astype(int) + bad[:-1, 1:] + bad[1:, 1:] + bad[1:, :-1]
    rows, columns = counts.shape
    ring = [(0, 0), (1, 0), (1, 1), (0, 1)]  # the corners of a cell, counter-clockwise
    shapes = [(counts >= 2, ring)]
    for k, (dx, dy) in enumerate(ring):
        alone = (counts == 1) & bad[dy : dy + rows, dx : dx + columns]
        shapes.append((alone, [ring[k - 1], ring[k], ring[(k + 1) % 4]]))
    vertices, codes = [], []
    for chosen, corners in shapes:
        j, i = np.nonzero(chosen)
        outline = [np.stack([x[i + dx], y[j + dy]], axis=-1) for dx, dy in [*corners, corners[0]]]
        vertices.append(np.stack(outline, axis=1).reshape(-1, 2))
        code = [Path.MOVETO, *[Path.LINETO] * (len(corners) - 1), Path.CLOSEPOLY]
        codes.append(np.tile(np.array(code, dtype=np.uint8), len(i)))
    return Path(np.concatenate(vertices), np.concatenate(codes))

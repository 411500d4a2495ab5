"""Figures and axes without pyplot, shown by notebooks, and their common style."""

from __future__ import annotations

import io
import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]

from landscape._replace import replacement

if TYPE_CHECKING:
    from landscape._results import Recipe

DPI = 200
INK, FRAME = "0.15", "0.3"  # greys
WARNING = "#b3261e"  # of a text that must not be overlooked
LABEL, SMALL = 9.0, 8.0  # points
BLUE, VERMILION = "#0072B2", "#D55E00"
"""Of Okabe and Ito, which colour-blind eyes tell apart."""
DIVERGING = "RdBu"
"""Red where curvature is negative, blue where it is positive."""
COLOURS = "viridis"
"""Even steps of brightness: the same order for colour-blind eyes and in print without colour."""


class Picture(Figure):
    """A figure outside pyplot, which changes no global state and is freed with its last reference.

    It is saved with a tight bounding box, so that no label is cut off. A notebook
    shows what offers `_repr_png_`; for plain figures it relies on pyplot.
    """

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save as `matplotlib.figure.Figure.savefig` does, with bbox_inches="tight".

        A file is replaced in one step: an error or Ctrl-C leaves no half-written picture.
        """
        options = {"bbox_inches": "tight", "pad_inches": 0.06, **options}
        if not isinstance(fname, (str, os.PathLike)):
            super().savefig(fname, **options)
            return
        path = Path(fname)
        suffix = path.suffix.removeprefix(".")
        kind = options.pop("format", None) or suffix or rcParams["savefig.format"]
        picture = io.BytesIO()
        super().savefig(picture, format=kind, **options)
        with replacement(path if suffix else f"{path}.{kind}") as file:
            file.write(picture.getbuffer())

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        data = buffer.getvalue()
        width, height = struct.unpack(">II", data[16:24])  # of the PNG header
        return data, {"width": width * 100 // DPI, "height": height * 100 // DPI}


class NotebookAxes(Axes):
    """Axes that a notebook shows as their picture."""

    def _repr_png_(self) -> Any:
        return _png(self)


class NotebookAxes3D(Axes3D):  # type: ignore[misc]
    """The same in three dimensions."""

    def _repr_png_(self) -> Any:
        return _png(self)


def root_figure(ax: Axes) -> Figure | None:
    """The whole figure, also where the axes lie in a part of one."""
    figure = ax.figure
    return figure.figure if isinstance(figure, SubFigure) else figure


def _png(ax: Axes) -> Any:
    figure = root_figure(ax)
    return figure._repr_png_() if isinstance(figure, Picture) else None


def new_figure(width: float, height: float) -> Picture:
    """A new figure; sizes in inches."""
    return Picture(figsize=(width, height), dpi=DPI, facecolor="white")


def new_axes(figure: Figure, left: float, low: float, width: float, height: float) -> Axes:
    """Axes of this size at this position of a figure, in inches.

    Their size is final, other than a layout engine's, so that labels can be placed.
    """
    w, h = figure.get_size_inches()
    return figure.add_axes((left / w, low / h, width / w, height / h), axes_class=NotebookAxes)


def style_axes(ax: Axes) -> None:
    """Set thin frames, small ticks and grey colours."""
    ax.tick_params(labelsize=SMALL, length=3, width=0.6, color=FRAME, labelcolor=INK)
    for spine in ax.spines.values():
        spine.set_linewidth(0.6)
        spine.set_edgecolor(FRAME)


def axis_label(recipe: Recipe, index: int, length: float) -> str:
    """The label of an axis, with Greek letters as symbols, and the explained variance if known.

    Args:
        recipe: of the axes.
        index: which of them.
        length: of the axis, in points; a label that is longer breaks before its explanation.
    """
    label = re.sub(r"\b(alpha|beta|theta|lambda)\b", r"$\\\1$", recipe.labels[index])
    if recipe.explained_variance is not None and "%" not in label:
        label += f"\n{100 * recipe.explained_variance[index]:.3g}% of the variance"
    longest = max(len(part) for part in re.sub(r"\$.*?\$", "x", label).split("\n"))
    return label.replace(" (", "\n(", 1) if 0.52 * LABEL * longest > length else label

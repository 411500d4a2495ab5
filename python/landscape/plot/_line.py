"""A line: the loss on the training and the test data, metrics on a second axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, NullFormatter

from landscape.plot import _scale
from landscape.plot._contour import describe_values, select_values
from landscape.plot._figure import (
    BLUE,
    FRAME,
    INK,
    LABEL,
    SMALL,
    VERMILION,
    axis_label,
    new_axes,
    new_figure,
    style_axes,
)
from landscape.plot._hatch import STYLE, describe_non_finite
from landscape.plot._label_placement import LabelPlacement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from landscape._results import Line

_CONFIDENCE = 1.96  # standard errors on each side of a 95% interval
_DASHES = ((0, (4, 1.6)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))


def line(
    line: Line,
    ax: Axes | None = None,
    *,
    metrics: str | Sequence[str] = (),
    scale: str = "auto",
    **options: Any,
) -> Axes:
    """L(theta + t u) against t, on the training and, where there are any, the test data.

    Stretches around losses that are NaN or infinite are hatched and counted; named positions are
    dotted lines; losses of a random subset carry their 95% interval.

    Args:
        line: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        metrics: names of metrics to draw on a second axis, dashed, in the colours of their data.
        scale: of the losses: "auto" is logarithmic where they span a decade or more; or "linear",
            "log", "symlog".
        options: for `matplotlib.axes.Axes.plot`, such as `linewidth`; they hold for the losses.

    Returns:
        The Axes of the losses.

    Raises:
        ValueError: no such metric or scale, or a logarithmic scale of non-positive losses.

    Example:
        >>> line = landscape.line(model_a, data, to=model_b, metrics="accuracy")
        >>> ax = landscape.plot.line(line, metrics="accuracy")
        >>> ax.figure.savefig("line.pdf")
    """
    if isinstance(metrics, str):
        metrics = (metrics,)
    for name in metrics:
        select_values(line, name)
    sides = [("train", BLUE, line)]
    if line.test is not None:
        sides.append(("test", VERMILION, line.test))
    numbers = np.concatenate([side.losses for _, _, side in sides])
    chosen = _scale.choose(numbers, scale)
    if ax is None:
        ax = new_axes(new_figure(5.6, 3.6), 0.7, 0.55, 4.2, 2.7)
    style_axes(ax)
    handles: list[Artist] = []
    for name, colour, side in sides:
        handles += draw_curve(ax, side, side.losses, f"{name} loss", color=colour, **options)
    style_vertical_axis(ax, line, chosen)
    style_horizontal_axis(ax, line)
    handles += draw_metrics(ax, sides, metrics)
    handles += hatch_gaps(ax, line, numbers)
    if len(handles) > 1:
        add_legend(ax, handles)
    return ax


def draw_curve(
    ax: Axes, side: Line, values: NDArray[np.float64], label: str, **style: Any
) -> list[Artist]:
    """The curve, interrupted where it is not finite, with its 95% interval where it has one."""
    finite = np.where(np.isfinite(values), values, np.nan)
    style = {"linewidth": 1.6, "solid_capstyle": "round", "label": label, "zorder": 3, **style}
    drawn: list[Artist] = [*ax.plot(side.positions, finite, **style)]
    if values is side.losses and side.standard_error is not None:
        half = _CONFIDENCE * side.standard_error
        band = ax.fill_between(side.positions, finite - half, finite + half, zorder=2)
        band.set(facecolor=style["color"], alpha=0.18, linewidth=0, label="95% interval")
        drawn.append(band)
    return drawn


def add_legend(ax: Axes, handles: list[Artist]) -> None:
    """Add a legend above the axes, outside the data."""
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.05),
        ncols=3,
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
        borderpad=0.0,
        borderaxespad=0.0,
        handlelength=1.8,
    )


def style_vertical_axis(ax: Axes, line: Line, scale: _scale.Scale) -> None:
    """Scale and label the axis of the losses."""
    ax.set_ylabel(describe_values(line, "loss"), fontsize=LABEL, color=INK)
    scale_vertical_axis(ax, scale)


def scale_vertical_axis(ax: Axes, scale: _scale.Scale) -> None:
    """Scale the vertical axis, with round numbers and thin grid lines."""
    ax.grid(axis="y", color="0.9", linewidth=0.5)
    ax.set_axisbelow(True)
    if scale.kind == "log":
        ax.set_yscale("log")
    elif scale.kind == "symlog":
        ax.set_yscale("symlog", linthresh=scale.threshold)
    if scale.kind in ("log", "symlog"):
        ax.yaxis.set_major_locator(FixedLocator(list(scale.ticks)))
        ax.yaxis.set_major_formatter(lambda value, _: scale.text(value))
        ax.yaxis.set_minor_locator(FixedLocator(list(scale.levels)))
        ax.tick_params(axis="y", which="minor", length=1.8, width=0.5, color=FRAME)
        ax.yaxis.set_minor_formatter(NullFormatter())


def style_horizontal_axis(ax: Axes, line: Line) -> None:
    """Label the axis by its unit step, and mark the named points of the line."""
    ax.set_xlim(line.positions[0], line.positions[-1])
    ax.set_xlabel(axis_label(line.recipe, 0, LabelPlacement(ax).width), fontsize=LABEL, color=INK)
    for name, (position,) in line.recipe.markers.items():
        if line.positions[0] <= position <= line.positions[-1]:
            ax.axvline(position, color=FRAME, linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
            ax.annotate(
                name,
                (position, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=SMALL,
                color=INK,
            )


def draw_metrics(
    ax: Axes, sides: list[tuple[str, str, Line]], metrics: Sequence[str]
) -> list[Artist]:
    """Draw metrics in the colours of their data, dashed, on an axis to the right."""
    if not metrics:
        return []
    drawn: list[Artist] = []
    other = ax.twinx()
    style_axes(other)
    for k, name in enumerate(metrics):
        for data_set, colour, side in sides:
            if name in side.metrics:
                style = {"color": colour, "linewidth": 1.1, "linestyle": _DASHES[k % len(_DASHES)]}
                drawn += draw_curve(other, side, side.metrics[name], f"{data_set} {name}", **style)
    other.set_ylabel(", ".join(metrics), fontsize=LABEL, color=INK)
    return drawn


def hatch_gaps(ax: Axes, line: Line, numbers: NDArray[np.float64]) -> list[Artist]:
    """Hatch the stretches around losses that are NaN or infinite."""
    bad = ~np.isfinite(numbers.reshape(-1, len(line.positions))).all(axis=0)
    edges = np.concatenate(
        [
            line.positions[:1],
            (line.positions[1:] + line.positions[:-1]) / 2,
            line.positions[-1:],
        ]
    )
    changes = np.flatnonzero(np.diff(np.concatenate([[False], bad, [False]]).astype(int)))
    text = describe_non_finite(numbers)
    spans: list[Artist] = [
        ax.axvspan(edges[first], edges[last], zorder=0.5, label=text, **STYLE)
        for first, last in changes.reshape(-1, 2)
    ]
    return spans[:1]

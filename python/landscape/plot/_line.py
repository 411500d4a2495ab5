"""A line: the loss on the training and the test data, metrics on a second axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, NullFormatter

from landscape.plot import _scale
from landscape.plot._figure import (
    BLUE,
    FRAME,
    INK,
    LABEL,
    SMALL,
    VERMILION,
    axis_label,
    dress,
    panel,
    picture,
)
from landscape.plot._hatch import STYLE, count
from landscape.plot._plane import value_name, values_of
from landscape.plot._room import Room

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
        ValueError: no such metric or scale, or a logarithm asked for losses that are not positive.

    Example:
        >>> line = landscape.line(model_a, data, to=model_b, metrics="accuracy")
        >>> ax = landscape.plot.line(line, metrics="accuracy")
        >>> ax.figure.savefig("line.pdf")
    """
    if isinstance(metrics, str):
        metrics = (metrics,)
    for name in metrics:
        values_of(line, name)
    sides = [("train", BLUE, line)]
    if line.test is not None:
        sides.append(("test", VERMILION, line.test))
    numbers = np.concatenate([side.losses for _, _, side in sides])
    chosen = _scale.choose(numbers, scale)
    if ax is None:
        ax = panel(picture(5.6, 3.6), 0.7, 0.55, 4.2, 2.7)
    dress(ax)
    handles: list[Artist] = []
    for name, colour, side in sides:
        handles += curve(ax, side, side.losses, f"{name} loss", color=colour, **options)
    vertical(ax, line, chosen)
    horizontal(ax, line)
    handles += second_axis(ax, sides, metrics)
    handles += hatched(ax, line, numbers)
    if len(handles) > 1:
        legend(ax, handles)
    return ax


def curve(
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


def legend(ax: Axes, handles: list[Artist]) -> None:
    """A key above the axes, where it hides nothing."""
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


def vertical(ax: Axes, line: Line, scale: _scale.Scale) -> None:
    """The losses' own scale."""
    ax.set_ylabel(value_name(line, "loss"), fontsize=LABEL, color=INK)
    stretch(ax, scale)


def stretch(ax: Axes, scale: _scale.Scale) -> None:
    """A vertical axis with round numbers and quiet lines."""
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


def horizontal(ax: Axes, line: Line) -> None:
    """What a unit step is, and the named points along the line."""
    ax.set_xlim(line.positions[0], line.positions[-1])
    ax.set_xlabel(axis_label(line.recipe, 0, Room(ax).width), fontsize=LABEL, color=INK)
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


def second_axis(
    ax: Axes, sides: list[tuple[str, str, Line]], metrics: Sequence[str]
) -> list[Artist]:
    """Metrics in the colours of their data, dashed, on an axis to the right."""
    if not metrics:
        return []
    drawn: list[Artist] = []
    other = ax.twinx()
    dress(other)
    for k, name in enumerate(metrics):
        for whose, colour, side in sides:
            if name in side.metrics:
                style = {"color": colour, "linewidth": 1.1, "linestyle": _DASHES[k % len(_DASHES)]}
                drawn += curve(other, side, side.metrics[name], f"{whose} {name}", **style)
    other.set_ylabel(", ".join(metrics), fontsize=LABEL, color=INK)
    return drawn


def hatched(ax: Axes, line: Line, numbers: NDArray[np.float64]) -> list[Artist]:
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
    spans: list[Artist] = [
        ax.axvspan(edges[first], edges[last], zorder=0.5, label=count(numbers), **STYLE)
        for first, last in changes.reshape(-1, 2)
    ]
    return spans[:1]

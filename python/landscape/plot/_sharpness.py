"""Sharpness measures: a dot plot of one model, small multiples of several, profiles on one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

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
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from landscape._results import Comparison, Line, Measure, Sharpness

_ROW = 0.24  # inches of a measure's row
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_INVARIANT = ("exact", "measured")
_GREY = "0.55"
_COLUMNS = 3


def sharpness(sharpness: Sharpness, ax: Axes | None = None, **options: Any) -> Axes:
    """Every measure's magnitude with its interval, on a logarithmic axis.

    Blue measures survive a rescaling of units that leaves the function unchanged; vermilion ones
    do not, so that their values say something about the weights alone. Negative values are hollow.
    Measures without a value are named in grey, with the reason.

    Args:
        sharpness: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        options: for `matplotlib.axes.Axes.errorbar`, such as `markersize`.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: no measure has a value.

    Example:
        >>> result = landscape.sharpness(model, data, measures=["sam", "adaptive_sam"])
        >>> landscape.plot.sharpness(result).figure.savefig("sharpness.pdf")
    """
    shown = [m for m in sharpness.measures if m.value is not None]
    if not shown:
        raise ValueError("no measure has a value, so that there is nothing to draw")
    rows = list(sharpness.measures)
    if ax is None:
        height = _ROW * len(rows) + 0.2
        ax = new_axes(new_figure(7.2, height + 1.1), 2.0, 0.6, 3.6, height)
    style_axes(ax)
    ax.set_xscale("log")
    for row, measure in enumerate(rows):
        _draw_measure(ax, row, measure, options)
    ax.set_yticks(range(len(rows)), [m.name for m in rows])
    for label, measure in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_color(INK if measure.value is not None else _GREY)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(axis="x", color="0.92", lw=0.6)
    ax.set_axisbelow(True)
    ax.set_xlabel("magnitude, each in its own units", fontsize=LABEL, color=INK)
    title = f"loss {sharpness.loss:.4g}, {sharpness.run.evaluations} gradient-equivalents"
    if sharpness.is_minimum is False:
        title += "; no minimum"
    ax.set_title(title, fontsize=SMALL, color=INK, loc="left", pad=18)
    marks = [
        Line2D([], [], color=BLUE, marker="o", ls="", ms=4, label="invariant to rescaling"),
        Line2D([], [], color=VERMILION, marker="o", ls="", ms=4, label="not invariant"),
    ]
    ax.legend(
        handles=marks,
        fontsize=SMALL,
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=2,
        borderaxespad=0.1,
        handletextpad=0.2,
        columnspacing=1.0,
    )
    return ax


def _draw_measure(ax: Axes, row: int, measure: Measure, options: Mapping[str, Any]) -> None:
    at_the_right = ax.get_yaxis_transform()
    value = measure.value
    if value is None:
        reason = measure.status.removeprefix("not applicable: ")
        short = reason if len(reason) <= 48 else f"{reason[:45]}..."
        ax.text(0.02, row, short, transform=at_the_right, fontsize=SMALL, color=_GREY, va="center")
        return
    colour = BLUE if measure.rescaling in _INVARIANT else VERMILION
    error = "" if measure.standard_error is None else f" ± {measure.standard_error:.1g}"
    text = f"{value:.4g}{error}"
    ax.text(1.02, row, text, transform=at_the_right, fontsize=SMALL, color=INK, va="center")
    if value == 0 or not np.isfinite(value):
        return
    style: dict[str, Any] = {"markersize": 4.5, "elinewidth": 1.0, "capsize": 2.5, **options}
    face = colour if value > 0 else "white"
    ax.errorbar(
        [abs(value)],
        [row],
        xerr=_log_whiskers(measure),
        fmt="o",
        color=colour,
        markerfacecolor=face,
        **style,
    )


def _log_whiskers(measure: Measure) -> Any:
    """The lengths of the whiskers of a magnitude on a logarithmic axis, which ends above 0."""
    if measure.interval is None or measure.value is None or not np.isfinite(measure.interval).all():
        return None
    size = abs(measure.value)
    ends = sorted(sign * end for end in measure.interval for sign in [np.sign(measure.value)])
    low = max(ends[0], size / 100)
    return [[max(0.0, size - low)], [max(0.0, ends[1] - size)]]


def comparison(
    comparison: Comparison,
    axes: Sequence[Axes] | None = None,
    *,
    measures: Sequence[str] = (),
    **options: Any,
) -> tuple[Axes, ...]:
    """One panel for each measure, with a dot and an error bar for each model.

    Measures that a rescaling of units changes are marked as not invariant.

    Args:
        comparison: what to draw.
        axes: one for each measure; None makes a figure of its own, outside pyplot.
        measures: which; all that have a value for some model when empty.
        options: for `matplotlib.axes.Axes.errorbar`, such as `markersize`.

    Returns:
        One Axes for each measure.

    Raises:
        ValueError: there is nothing to draw, or another number of axes.
        KeyError: no such measure.

    Example:
        >>> comparison = landscape.compare({"a": model_a, "b": model_b}, data, measures=["sam"])
        >>> comparison.plot()[0].figure.savefig("comparison.pdf")
    """
    names = list(comparison)
    wanted = list(measures) or [
        name for name in comparison.measures if np.isfinite(comparison.values(name)).any()
    ]
    if not wanted:
        raise ValueError("no measure has a value, so that there is nothing to draw")
    if axes is not None and len(axes) != len(wanted):
        raise ValueError(f"{len(axes)} axes for {len(wanted)} measures; expected one each")
    panels = _make_panels(len(wanted), names) if axes is None else tuple(axes)
    style: dict[str, Any] = {"markersize": 4.5, "elinewidth": 1.0, "capsize": 2.5, **options}
    for panel, (ax, measure) in enumerate(zip(panels, wanted, strict=True)):
        style_axes(ax)
        is_invariant = True
        for row, (value, name) in enumerate(zip(comparison.values(measure), names, strict=True)):
            if not np.isfinite(value):
                continue
            found = comparison[name][measure]
            is_invariant &= found.rescaling in _INVARIANT
            error = None
            if found.interval is not None and np.isfinite(found.interval).all():
                low, high = found.interval
                error = [[max(0.0, value - low)], [max(0.0, high - value)]]
            ax.errorbar(
                [value], [row], xerr=error, fmt="o", color=_COLOURS[row % len(_COLOURS)], **style
            )
        is_first = axes is not None or panel % _COLUMNS == 0
        ax.set_yticks(range(len(names)), names if is_first else [""] * len(names))
        ax.set_ylim(len(names) - 0.4, -0.6)
        ax.margins(x=0.15)
        ax.locator_params(axis="x", nbins=4)
        ax.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
        ax.xaxis.get_offset_text().set_fontsize(SMALL - 1)
        ax.grid(axis="x", color="0.92", lw=0.6)
        ax.set_axisbelow(True)
        ax.set_title(measure, fontsize=SMALL, color=INK, loc="left")
        if not is_invariant:
            ax.set_title("not invariant", fontsize=SMALL - 1, color=_GREY, loc="right")
    return panels


def _make_panels(count: int, names: Sequence[str]) -> tuple[Axes, ...]:
    rows = -(-count // _COLUMNS)
    height = 0.21 * len(names) + 0.12
    left = 0.25 + 0.075 * min(24, max(map(len, names)))
    width, gap, step = 1.75, 0.3, height + 0.66
    columns = min(count, _COLUMNS)
    figure = new_figure(left + columns * (width + gap), rows * step + 0.1)
    top = rows * step + 0.1
    return tuple(
        new_axes(
            figure,
            left + (index % _COLUMNS) * (width + gap),
            top - (index // _COLUMNS + 1) * step + 0.34,
            width,
            height,
        )
        for index in range(count)
    )


def profiles(profiles: Mapping[str, Line], ax: Axes | None = None, **options: Any) -> Axes:
    """The loss along one direction through each of several models, on one axis.

    Solid lines are training data, dashed ones test data. With filter-normalised directions, equal
    positions are equal relative changes of the weights.

    Args:
        profiles: name -> line.
        ax: where; None makes a figure of its own, outside pyplot.
        options: for `matplotlib.axes.Axes.plot`, such as `linewidth`.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: there is nothing to draw.

    Example:
        >>> comparison = landscape.compare({"a": model_a, "b": model_b}, data, measures=["sam"])
        >>> landscape.plot.profiles(comparison.profiles).figure.savefig("profiles.pdf")
    """
    if not profiles:
        raise ValueError("no profiles to draw; ask for them with views=['profiles']")
    if ax is None:
        ax = new_axes(new_figure(5.6, 3.8), 0.75, 0.6, 4.4, 2.8)
    style_axes(ax)
    losses = []
    for index, (name, line) in enumerate(profiles.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        ax.plot(line.positions, line.losses, color=colour, label=name, **{"lw": 1.4, **options})
        losses.append(line.losses)
        if line.test is not None:
            ax.plot(line.test.positions, line.test.losses, color=colour, ls="--", lw=1.0)
            losses.append(line.test.losses)
    known = np.concatenate(losses)
    known = known[np.isfinite(known)]
    if known.size and known.min() > 0 and known.max() / known.min() > 10:
        ax.set_yscale("log")
    ax.axvline(0.0, color=FRAME, lw=0.8, ls=":")
    first = next(iter(profiles.values()))
    ax.set_xlabel(first.recipe.labels[0], fontsize=LABEL, color=INK)
    ax.set_ylabel("loss", fontsize=LABEL, color=INK)
    ax.legend(fontsize=SMALL, frameon=False)
    return ax

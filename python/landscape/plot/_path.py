"""A path: losses along its arc length, the chord between its ends, and its highest point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape.plot import _scale
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
from landscape.plot._line import scale_vertical_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from landscape._results import Path, Profile

_CONFIDENCE = 1.96  # standard errors on each side of a 95% interval
_DRAWN_POSITIONS = 201


def path(
    path: Path,
    ax: Axes | None = None,
    *,
    beside: Path | None = None,
    scale: str = "auto",
    **options: Any,
) -> Axes:
    """Losses along a path, on training and test data.

    A dashed chord joins the losses of the ends, above which the excess is counted; a mark is at
    the highest loss, ticks below at the inner points of the path.

    Args:
        path: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        beside: another path between the same models, such as the straight one, drawn thinly.
        scale: of the losses; as for `landscape.plot.line`.
        options: for `matplotlib.axes.Axes.plot`, such as `lw`.

    Returns:
        The Axes drawn on.

    Example:
        >>> straight = landscape.barrier(model, other, data)
        >>> method = landscape.AutoNEB(cycles=[(20, 0.02)])
        >>> band = landscape.connect(model, other, data, method=method)
        >>> landscape.plot.path(band, beside=straight).figure.savefig("path.pdf")
    """
    if ax is None:
        ax = new_axes(new_figure(5.6, 3.6), 0.75, 0.55, 4.6, 2.7)
    style_axes(ax)
    sides: list[tuple[str, str, Profile]] = [("train", BLUE, path.train)]
    if path.test is not None:
        sides.append(("test", VERMILION, path.test))
    losses = [part.losses for _, _, part in sides]
    if beside is not None:
        _draw_other(ax, beside)
        losses.append(beside.losses)
    for name, colour, part in sides:
        _draw_profile(ax, name, colour, part, options)
    _draw_pivots(ax, path)
    scale_vertical_axis(ax, _scale.choose(np.concatenate(losses), scale))
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel(f"share of the path's length, {path.length:.4g}", fontsize=LABEL, color=INK)
    ax.set_ylabel("loss", fontsize=LABEL, color=INK)
    ax.set_title(f"{path.method}: {_describe_barrier(path)}", fontsize=SMALL, color=INK)
    ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK)
    return ax


def _describe_barrier(path: Path) -> str:
    """Describe barrier and excess, as a title."""
    parts = ["no barrier above the ends" if path.barrier == 0 else f"barrier {path.barrier:.3g}"]
    if path.excess > 0 or path.barrier != 0:
        parts.append(f"excess {path.excess:.3g}")
    return ", ".join(parts)


def _draw_profile(ax: Axes, name: str, colour: str, part: Profile, options: dict[str, Any]) -> None:
    """Draw a profile with its chord, its highest point and its confidence band."""
    ax.plot(*_smooth(part), **{"color": colour, "lw": 1.6, "label": name, **options})
    ax.plot([0, 1], part.ends, color=colour, lw=0.8, ls=(0, (4, 3)), alpha=0.8)
    if part.standard_error is not None:
        half = _CONFIDENCE * part.standard_error
        ax.fill_between(
            part.positions, part.losses - half, part.losses + half, color=colour, alpha=0.15, lw=0
        )
    top = part.saddle
    ax.plot(part.positions[top], part.losses[top], "o", ms=4, color=colour, mec="white", mew=0.6)


def _smooth(part: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The cubic spline through the losses, within whose error the positions were chosen."""
    if not np.isfinite(part.losses).all():
        return part.positions, part.losses
    fine = np.union1d(part.positions, np.linspace(0.0, 1.0, _DRAWN_POSITIONS))
    values = _core.Interpolant([part.positions], part.losses, "cubic").on([fine])
    values[np.searchsorted(fine, part.positions)] = part.losses
    return fine, values


def _draw_other(ax: Axes, other: Path) -> None:
    ax.plot(*_smooth(other.train), color=FRAME, lw=0.9, label=other.method)


def _draw_pivots(ax: Axes, path: Path) -> None:
    """Draw ticks at the inner points of a polyline."""
    if path.curve == "polyline":
        positions = np.cumsum(path.geometry.segments)[:-1] / path.length
        ax.plot(
            positions,
            np.zeros_like(positions),
            "|",
            color=FRAME,
            ms=5,
            transform=ax.get_xaxis_transform(),
            clip_on=False,
        )

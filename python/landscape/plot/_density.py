"""A density of eigenvalues on a logarithmic axis, or its cumulative form."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

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
    from numpy.typing import NDArray

    from landscape._results import Density

_MARGIN = 0.02  # of the range, on both sides
_DEPTH = 0.1  # of one eigenvalue's peak: nothing below it is a feature


def density(
    density: Density,
    ax: Axes | None = None,
    *,
    show: Literal["density", "cumulative"] = "density",
    **options: Any,
) -> Axes:
    """The density under its Gaussian kernel, or the share of eigenvalues below, with intervals.

    The bulk is shaded, and the curve beyond it vermilion. A dotted line is the height of a single
    eigenvalue's peak. Cumulative shares lie over an axis that is logarithmic beyond the kernel's
    width on both sides of 0.

    Args:
        density: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        show: "density" (logarithmic) or "cumulative" (no kernel).
        options: for `matplotlib.axes.Axes.plot`, such as `linewidth`; they hold for the curve.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: `show` has another value.

    Example:
        >>> density = landscape.hessian(model, data).density(probes=4, steps=10)
        >>> landscape.plot.density(density).figure.savefig("density.pdf")
    """
    if show not in ("density", "cumulative"):
        raise ValueError(f"show={show!r}, expected 'density' or 'cumulative'")
    if ax is None:
        ax = new_axes(new_figure(5.6, 3.4), 0.7, 0.55, 4.6, 2.5)
    style_axes(ax)
    if show == "density":
        values, interval = density.density, density.interval
        _style_density_axis(ax, density)
    else:
        values, interval = density.cumulative, density.cumulative_interval
        ax.set_ylim(0, 1.02)
        ax.set_xscale("symlog", linthresh=density.width, linscale=2)
        ax.set_ylabel("share of eigenvalues below", fontsize=LABEL, color=INK)
    low, high = density.bulk
    ax.axvspan(low, high, color=FRAME, alpha=0.08, lw=0, label="bulk")
    inside = (density.grid >= low) & (density.grid <= high)
    for colour, where in ((BLUE, inside), (VERMILION, ~_shrink(inside))):
        curve = np.where(where, values, np.nan)
        ax.fill_between(
            density.grid,
            interval[:, 0],
            interval[:, 1],
            where=where,
            color=colour,
            alpha=0.25,
            lw=0,
        )
        ax.plot(density.grid, curve, **{"color": colour, "lw": 1.1, **options})
    first, last = float(density.grid[0]), float(density.grid[-1])
    ax.set_xlim(first - _MARGIN * (last - first), last + _MARGIN * (last - first))
    ax.set_xlabel("eigenvalue", fontsize=LABEL, color=INK)
    below, above = density.outliers[:, 0]
    title = f"{density.probes} probes of {density.steps} steps; beyond the bulk: {above:.3g} above"
    if below >= 0.5:
        title += f", {below:.3g} below"
    ax.set_title(title, fontsize=SMALL, color=INK)
    ax.legend(fontsize=SMALL, frameon=False)
    return ax


def _style_density_axis(ax: Axes, density: Density) -> None:
    single = 1 / (density.dim * density.width * math.sqrt(2 * math.pi))
    ax.set_yscale("log")
    ax.set_ylim(_DEPTH * single, 2 * float(density.density.max()))
    ax.axhline(single, color=FRAME, lw=0.8, ls=":", label="one eigenvalue")
    ax.set_ylabel("density", fontsize=LABEL, color=INK)


def _shrink(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop the first and the last point of the range, so that both curves meet."""
    return inside & np.roll(inside, 1) & np.roll(inside, -1)

"""The estimated error of an interpolated surface, and the points at which it was evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from landscape.plot._contour import (
    add_colour_bar,
    choose_scale,
    draw_bands,
    make_axes,
    set_up_axes,
)
from landscape.plot._figure import INK, SMALL
from landscape.plot._hatch import hatch_non_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from landscape._results import Surface

_LARGEST_DOT, _AREA = 9.0, 2500.0  # of a dot, and of all dots together, in square points


def error_map(
    surface: Surface,
    ax: Axes | None = None,
    *,
    scale: str = "auto",
    levels: int | Sequence[float] | None = None,
    **options: Any,
) -> Axes:
    """The estimated error of an interpolated surface, with a dot at every evaluated point.

    Args:
        surface: one that was computed with ``tolerance=``.
        ax: where; None makes a figure of its own, outside pyplot.
        scale: as for `filled_contour`.
        levels: as for `filled_contour`.
        options: for `matplotlib.axes.Axes.contourf`, such as `cmap`.

    Returns:
        The Axes.

    Raises:
        ValueError: the surface is a full grid, all of whose losses were evaluated; or as for
            `filled_contour`.

    Example:
        >>> surface = landscape.surface(model, data, tolerance=0.05)
        >>> landscape.plot.error_map(surface).figure.savefig("error.pdf")
    """
    if surface.error is None or surface.evaluated is None:
        raise ValueError(
            "this surface is a full grid, all of whose losses were evaluated: it has no "
            "interpolation error; compute one with tolerance=0.05"
        )
    numbers = surface.error.map
    chosen = choose_scale(numbers, "error", scale, levels)
    ax = make_axes(surface, ax)
    set_up_axes(ax, surface)
    hatch_non_finite(ax, surface.alpha, surface.beta, numbers)
    bands = draw_bands(ax, surface, numbers, chosen, **options)
    alpha, beta = surface.evaluated.coordinates.T
    area = min(_LARGEST_DOT, _AREA / len(alpha))
    ax.scatter(
        alpha, beta, s=area, color="white", edgecolors=INK, linewidths=0.4, zorder=5, clip_on=False
    )
    add_colour_bar(ax, bands, chosen, f"estimated error, relative to the {surface.error.scale}")
    ax.set_title(
        f"{len(alpha)} evaluations; 95% of the area within {surface.error.quantile95:.2g}",
        fontsize=SMALL,
        color=INK,
        loc="left",
    )
    return ax

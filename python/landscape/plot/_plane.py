"""A surface seen from above: contour lines, filled contours, the path of the training on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap

from landscape.plot import _contours, _scale
from landscape.plot._figure import COLOURS, INK, SMALL, panel, picture
from landscape.plot._hatch import hatch
from landscape.plot._points import PLATE, Point, draw_points, points_of
from landscape.plot._room import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet
    from numpy.typing import NDArray

    from landscape._results import Line, Surface
    from landscape.plot._room import Room
    from landscape.plot._scale import Scale


def filled_contour(
    surface: Surface,
    ax: Axes | None = None,
    *,
    values: str = "loss",
    scale: str = "auto",
    levels: int | Sequence[float] | None = None,
    **options: Any,
) -> Axes:
    """Bands of equal colour for {(alpha, beta): l_k <= L <= l_(k+1)}, with a colour bar.

    The minimum and the recipe's markers are named; points that are NaN or infinite are hatched and
    counted. Lengths on the page are lengths in parameter space (by the norms of the directions),
    unless that would make a strip of more than three to one.

    Args:
        surface: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        values: "loss" or the name of a metric.
        scale: "auto" is logarithmic where positive values span a decade or more, linear where they
            do not, and "symlog" (linear around zero) where values at or below zero go with values
            a hundred times larger, and for metrics linear; or one of "linear", "log", "symlog".
        levels: the boundaries of the bands, ascending, or about how many; None chooses round
            numbers. Where the highest one in a hundred values would take half of a logarithmic
            scale, they get the colour at its end and the colour bar an arrow.
        options: for `matplotlib.axes.Axes.contourf`, such as `cmap`.

    Returns:
        The Axes; `.figure.savefig(path)` saves them.

    Raises:
        ValueError: no such values or scale, levels that do not ascend, or a logarithm asked for
            values that are not all positive.

    Example:
        >>> ax = landscape.plot.filled_contour(landscape.load("surface.npz"))
        >>> ax.figure.savefig("surface.pdf")
    """
    numbers = values_of(surface, values)
    chosen = scale_of(numbers, values, scale, levels)
    ax = axes_for(surface, ax)
    bands = fill(ax, surface, numbers, chosen, **options)
    _contours.colour_bar(ax, bands, chosen, value_name(surface, values))
    return ax


def contour(
    surface: Surface,
    ax: Axes | None = None,
    *,
    values: str = "loss",
    scale: str = "auto",
    levels: int | Sequence[float] | None = None,
    **options: Any,
) -> Axes:
    """Lines {(alpha, beta): L = l_k}, the round levels labelled.

    Args:
        surface: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        values: "loss" or the name of a metric.
        scale: as for `filled_contour`.
        levels: the values of the lines, ascending, or about how many; None chooses round numbers.
        options: for `matplotlib.axes.Axes.contour`, such as `colors`, `cmap` or `linewidths`.

    Returns:
        The Axes.

    Raises:
        ValueError: as for `filled_contour`.

    Example:
        >>> landscape.plot.contour(surface, colors="black", levels=[0.1, 0.5, 1.0])
    """
    numbers = values_of(surface, values)
    chosen = scale_of(numbers, values, scale, levels)
    ax = axes_for(surface, ax, bar=0.0)
    room = _contours.frame(ax, surface)
    hatch(ax, surface.alpha, surface.beta, numbers)
    mark(ax, room, surface, numbers, chosen)
    dark = ListedColormap(colormaps[COLOURS](np.linspace(0.0, 0.85, 256)))  # no yellow on white
    style = {"cmap": dark} if "colors" not in options else {}
    drawn = _contours.lines(ax, surface, numbers, chosen, **{"linewidths": 0.9, **style, **options})
    _contours.label(ax, room, drawn, chosen, INK)
    return ax


def trajectory(
    surface: Surface,
    ax: Axes | None = None,
    *,
    values: str = "loss",
    scale: str = "auto",
    levels: int | Sequence[float] | None = None,
    **options: Any,
) -> Axes:
    """The path of the training, projected onto the plane of its principal components.

    Args:
        surface: with a trajectory, as `directions=landscape.pca(checkpoints)` makes it.
        ax: where; None makes a figure of its own, outside pyplot.
        values: "loss" or the name of a metric, for the filled contours under the path.
        scale: as for `filled_contour`.
        levels: as for `filled_contour`.
        options: for `matplotlib.axes.Axes.plot`, which draws the path.

    Returns:
        The Axes; their labels say how much of the variance each component explains.

    Raises:
        ValueError: the surface has no trajectory; or as for `filled_contour`.

    Example:
        >>> surface = landscape.surface(model, data, directions=landscape.pca(checkpoints))
        >>> landscape.plot.trajectory(surface)
    """
    if surface.recipe.trajectory is None:
        raise ValueError(
            "this surface has no trajectory; make it with directions=landscape.pca(checkpoints)"
        )
    numbers = values_of(surface, values)
    chosen = scale_of(numbers, values, scale, levels)
    ax = axes_for(surface, ax)
    bands = fill(ax, surface, numbers, chosen, path=options)
    _contours.colour_bar(ax, bands, chosen, value_name(surface, values))
    return ax


def fill(
    ax: Axes,
    surface: Surface,
    numbers: NDArray[np.float64],
    scale: Scale,
    *,
    path: dict[str, Any] | None = None,
    **options: Any,
) -> QuadContourSet | None:
    """Everything but the colour bar, which several surfaces may share.

    Args:
        ax: the axes.
        surface: their frame, marks and trajectory.
        numbers: the values to draw.
        scale: their colours and levels.
        path: the style of the trajectory; None leaves it out.
        options: for contourf.
    """
    room = _contours.frame(ax, surface)
    bands = _contours.bands(ax, surface, numbers, scale, **options)
    mark(ax, room, surface, numbers, scale, path=path)
    drawn = _contours.lines(ax, surface, numbers, scale, colors=[(1, 1, 1, 0.6)], linewidths=0.45)
    _contours.label(ax, room, drawn, scale, "white", INK)
    return bands


def mark(
    ax: Axes,
    room: Room,
    surface: Surface,
    numbers: NDArray[np.float64],
    scale: Scale,
    *,
    path: dict[str, Any] | None = None,
) -> None:
    """The named points, the minimum and, with a style for it, the trajectory."""
    ends: list[Point] = []
    steps = surface.recipe.trajectory
    if steps is not None and path is not None:
        draw_path(ax, steps, path)
        for x, y in room.at(steps):
            room.take(Box(x - 2, y - 2, x + 2, y + 2))
        (x0, y0), (x1, y1) = steps[0], steps[-1]
        ends = [Point(x0, y0, "start"), Point(x1, y1, "end")]
    draw_points(ax, room, points_of(surface, numbers, scale, *ends))
    if scale.kind == "constant":
        text = f"{scale.reading(float(scale.ticks[0]))} everywhere"
        ax.text(
            0.5, 0.03, text, transform=ax.transAxes, ha="center", va="bottom", fontsize=SMALL,
            color=INK, bbox=PLATE, zorder=8,
        )  # fmt: skip


def draw_path(ax: Axes, steps: NDArray[np.float64], style: dict[str, Any]) -> None:
    """A white line with a dark edge, which shows on every colour; a dot a checkpoint if few."""
    width = 1.3
    dots = {"marker": "o", "markersize": 3.0, "markeredgecolor": "black", "markeredgewidth": 0.4}
    ax.plot(*steps.T, color="black", linewidth=width + 1.2, solid_joinstyle="round", zorder=4.0)
    ax.plot(
        *steps.T,
        **{
            "color": "white",
            "linewidth": width,
            "solid_joinstyle": "round",
            "zorder": 4.1,
            "label": "trajectory",
            **(dots if len(steps) <= 80 else {}),
            **style,
        },
    )


def axes_for(surface: Surface, ax: Axes | None, bar: float = 0.8) -> Axes:
    """The caller's axes, or new ones in a picture of the plane's shape with room for a bar."""
    if ax is not None:
        return ax
    ratio = _contours.shape(surface) or 0.75
    width = 3.6 / max(1.0, ratio)
    height = width * ratio
    return panel(picture(width + 0.8 + bar, height + 0.85), 0.7, 0.55, width, height)


def values_of(result: Surface | Line, name: str) -> NDArray[np.float64]:
    """The losses, or the metric of that name.

    Raises:
        ValueError: there is no such metric.
    """
    if name == "loss":
        return result.losses
    if name not in result.metrics:
        known = ", ".join(map(repr, ("loss", *result.metrics)))
        raise ValueError(f"no values {name!r} in this {result.kind}; expected one of {known}")
    return result.metrics[name]


def value_name(result: Surface | Line, name: str) -> str:
    """The loss with its kind, as the run records it: "loss (cross-entropy)"."""
    kind = result.run.policy.get("loss")
    return f"loss ({kind})" if name == "loss" and isinstance(kind, str) and kind else name


def scale_of(
    numbers: NDArray[np.float64], values: str, scale: str, levels: int | Sequence[float] | None
) -> Scale:
    """The scale that the options ask for; of a metric, which is mostly a share, a linear one."""
    if values != "loss" and scale == "auto":
        scale = "linear"
    if levels is None:
        return _scale.choose(numbers, scale)
    if isinstance(levels, int):
        return _scale.choose(numbers, scale, levels)
    return _scale.given(numbers, levels, scale)

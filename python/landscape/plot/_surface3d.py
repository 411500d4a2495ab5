"""A surface in three dimensions, shaded, above its contours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]

from landscape.plot._contour import (
    choose_scale,
    describe_values,
    describe_warning,
    draw_lines,
    has_finite,
    plane_aspect,
    select_values,
)
from landscape.plot._figure import (
    COLOURS,
    FRAME,
    INK,
    LABEL,
    SMALL,
    WARNING,
    NotebookAxes3D,
    axis_label,
    new_figure,
)
from landscape.plot._hatch import STYLE, add_legend_entry, describe_non_finite, non_finite_cells
from landscape.plot._markers import LABEL_BACKGROUND, Marker, collect_markers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]
    from numpy.typing import NDArray

    from landscape._results import Surface
    from landscape.plot._scale import Scale

_ELEVATION, _AZIMUTH = 36.0, -58.0  # degrees
_TALL = 0.62  # of the box, over its longer side
_SIDE = 160.0  # points, about the length of an axis on the page
_FLOOR = -0.28  # in heights, which lie in [0, 1]
_MIN_CELLS, _MAX_CELLS = 80, 150  # along an axis: least for smooth shading, most for speed
_STEPS_BETWEEN = 8  # points of a trajectory between two checkpoints, which follow the surface
_LIFT = 0.01  # of a trajectory above the surface
_LIGHT = np.array([-0.45, -0.35, 0.82])  # towards the light: left, front, above


def surface_3d(
    surface: Surface,
    ax: Axes3D | None = None,
    *,
    values: str = "loss",
    scale: str = "auto",
    levels: int | Sequence[float] | None = None,
    **options: Any,
) -> Axes3D:
    """The graph of L over the plane, shaded, above its contours.

    On a logarithmic scale equal heights are equal factors. What is not finite is left open and
    hatched on the floor; values beyond the levels are drawn at the outermost level.

    Args:
        surface: what to draw.
        ax: axes in three dimensions; None makes a figure of its own, outside pyplot.
        values: "loss" or the name of a metric.
        scale: as for `filled_contour`.
        levels: as for `filled_contour`; their ends are the ends of the colours and heights.
        options: for `mpl_toolkits.mplot3d.axes3d.Axes3D.plot_surface`, and `cmap`.

    Returns:
        The Axes; `view_init(elev, azim)` turns them.

    Raises:
        TypeError: axes in two dimensions.
        ValueError: as for `filled_contour`.

    Example:
        >>> ax = landscape.plot.surface_3d(surface)
        >>> ax.view_init(elev=45, azim=-30)
        >>> ax.figure.savefig("surface.pdf")
    """
    numbers = select_values(surface, values)
    chosen = choose_scale(numbers, values, scale, levels)
    if ax is None:
        ax = new_figure(5.0, 4.2).add_axes((0.0, 0.0, 1.0, 1.0), axes_class=NotebookAxes3D)
    if ax.name != "3d":
        raise TypeError(
            f"ax is {type(ax).__name__}; expected axes in three dimensions, such as those of "
            'figure.add_subplot(projection="3d")'
        )
    draw_relief(ax, surface, numbers, chosen, describe_values(surface, values), **options)
    if not np.isfinite(numbers).all():
        add_legend_entry(ax, Patch(label=describe_non_finite(numbers), **STYLE))
    return ax


def draw_relief(
    ax: Axes3D,
    surface: Surface,
    numbers: NDArray[np.float64],
    scale: Scale,
    name: str,
    **options: Any,
) -> None:
    """Draw the surface above its contours; heights follow the scale, so decades are even steps."""
    ax.computed_zorder = False  # the drawing order is fixed: floor, surface, marks
    box = _box(surface)
    draw_floor(ax, surface, numbers, scale)
    if has_finite(numbers):
        x, y, heights = _refine_grid(surface, scale.height(numbers))
        colours = colormaps[options.pop("cmap", COLOURS)](_cell_means(heights))
        colours[..., :3] *= _shade(heights, box)[..., None]
        colours[~np.isfinite(_cell_means(heights))] = 0.0  # transparent
        style = {"linewidth": 0.25, "zorder": 2, **options}  # a line's width closes the seams
        _plot_cells(ax, x, y, heights, colours=colours.clip(0.0, 1.0), style=style)
    draw_markers_3d(ax, surface, numbers, scale)
    if warning := describe_warning(surface):
        ax.set_title(warning, fontsize=SMALL, color=WARNING, y=0.97)
    style_axes_3d(ax, surface, scale, name, box)


def _plot_cells(
    ax: Axes3D,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    heights: NDArray[np.float64],
    *,
    colours: NDArray[np.float64],
    style: dict[str, Any],
) -> None:
    """Draw the surface in these colours, one for each cell."""
    row, column = (-(-len(axis) // _MAX_CELLS) for axis in (y, x))
    style = {"rstride": row, "cstride": column, "shade": False, **style}
    if not np.isfinite(heights).all():  # matplotlib leaves cells out, and their colours with them
        padded = np.pad(colours, ((0, 1), (0, 1), (0, 0)))
        ax.plot_surface(*np.meshgrid(x, y), heights, facecolors=padded, **style)
        return
    cells = ax.plot_surface(*np.meshgrid(x, y), heights, color="none", **style)
    picked = colours[::row, ::column].reshape(-1, 4)
    cells.set_facecolors(picked)  # as one array, which matplotlib reads at once
    cells.set_edgecolors(picked)


def draw_floor(ax: Axes3D, surface: Surface, numbers: NDArray[np.float64], scale: Scale) -> None:
    """Draw the contours below the surface, and hatch non-finite values."""
    if has_finite(numbers):
        draw_lines(ax, surface, numbers, scale, linewidths=0.7, zdir="z", offset=_FLOOR, zorder=1.0)
    bad = ~np.isfinite(numbers)
    if bad.any():
        outlines = map(np.asarray, non_finite_cells(surface.alpha, surface.beta, bad).to_polygons())
        sides = [np.column_stack([p, np.full(len(p), _FLOOR)]) for p in outlines]
        ax.add_collection3d(Poly3DCollection(sides, zorder=1, **STYLE))


def draw_markers_3d(
    ax: Axes3D, surface: Surface, numbers: NDArray[np.float64], scale: Scale
) -> None:
    """Draw the named points and the minimum, each on a stem from the floor."""
    heights = scale.height(numbers)
    if surface.recipe.trajectory is not None:
        draw_trajectory_3d(ax, surface, heights)
    for point in _join_labels(surface, collect_markers(surface, numbers, scale)):
        z = float(_interpolate(surface, heights, np.array([[point.x, point.y]]))[0])
        ax.plot(*[[a, a] for a in point[:2]], [_FLOOR, z], color="white", linewidth=0.8, zorder=3)
        ax.scatter(
            point.x,
            point.y,
            z,
            c="white",
            edgecolors="black",
            linewidths=0.7,
            depthshade=False,
            marker="*" if point.star else "o",
            s=100 if point.star else 20,
            zorder=4,
        )
        if point.text:
            label = ax.text(point.x, point.y, z + 0.07, point.text, fontsize=SMALL, color=INK)
            label.set(bbox=LABEL_BACKGROUND, ha="left", va="bottom", zorder=5)


def draw_trajectory_3d(ax: Axes3D, surface: Surface, heights: NDArray[np.float64]) -> None:
    """Draw the trajectory on the surface, where it lies within the plane's range."""
    steps = surface.recipe.trajectory
    if steps is None:
        return
    ends = (
        steps[:-1, None]
        + np.linspace(0, 1, _STEPS_BETWEEN)[:, None] * np.diff(steps, axis=0)[:, None]
    )
    dense = np.concatenate([ends.reshape(-1, 2), steps[-1:]])
    z = _interpolate(surface, heights, dense) + _LIFT
    for colour, width in (("black", 2.5), ("white", 1.3)):
        ax.plot(*dense.T, z, color=colour, linewidth=width, zorder=3.5)


def _interpolate(
    surface: Surface, heights: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Bilinear heights at points (k, 2), as the surface is drawn; on the floor where it is open."""
    weights = []
    for axis, values in ((surface.alpha, points[:, 0]), (surface.beta, points[:, 1])):
        left = np.clip(np.searchsorted(axis, values, side="right") - 1, 0, len(axis) - 2)
        share = np.clip((values - axis[left]) / (axis[left + 1] - axis[left]), 0.0, 1.0)
        weights.append((left, share))
    (i, s), (j, t) = weights
    below = np.where(s == 0, heights[j, i], heights[j, i] * (1 - s) + heights[j, i + 1] * s)
    above = np.where(
        s == 0, heights[j + 1, i], heights[j + 1, i] * (1 - s) + heights[j + 1, i + 1] * s
    )
    mixed = np.where(t == 0, below, np.where(t == 1, above, below * (1 - t) + above * t))
    return np.nan_to_num(mixed, nan=_FLOOR)


def style_axes_3d(
    ax: Axes3D, surface: Surface, scale: Scale, name: str, box: tuple[float, float, float]
) -> None:
    """Labels, light walls, and a box of the plane's shape."""
    ax.set_xlim(surface.alpha[0], surface.alpha[-1])
    ax.set_ylim(surface.beta[0], surface.beta[-1])
    ax.set_zlim(_FLOOR, 1.0)
    ax.xaxis.set_major_locator(_ticks(box[0]))
    ax.yaxis.set_major_locator(_ticks(box[1]))
    ticks = [scale.text(tick) for tick in scale.ticks]
    ax.set_zticks(scale.height(scale.ticks), labels=ticks)
    labels = (*(axis_label(surface.recipe, index, _SIDE * box[index]) for index in (0, 1)), name)
    for axis, text in zip((ax.xaxis, ax.yaxis, ax.zaxis), labels, strict=True):
        axis.set_label_text(text, fontsize=LABEL, color=INK)
        axis.labelpad = 3.0 + 7.0 * text.count("\n")  # clear of the tick labels
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
        axis.line.set_color(FRAME)
        axis.line.set_linewidth(0.6)
        axis._axinfo["grid"].update(color="0.88", linewidth=0.5)  # matplotlib has no public setter
        axis._axinfo["tick"].update(inward_factor=0.0, outward_factor=0.15)
        axis.set_tick_params(labelsize=SMALL, labelcolor=INK, pad=0)
    longest = max((len(tick.strip("$")) for tick in ticks), default=1)
    ax.zaxis.set_tick_params(pad=1 + 0.8 * longest)
    ax.zaxis.labelpad = 2.0 + 1.8 * longest
    ax.view_init(elev=_ELEVATION, azim=_AZIMUTH)
    ax.set_box_aspect(box, zoom=0.95)


def _join_labels(surface: Surface, points: list[Marker]) -> list[Marker]:
    """The same points, those close to each other with one label for all of them."""
    width, height = np.ptp(surface.alpha), np.ptp(surface.beta)
    joined: list[Marker] = []
    for point in reversed(points):  # the minimum first
        for k, other in enumerate(joined):
            if abs(point.x - other.x) < 0.08 * width and abs(point.y - other.y) < 0.08 * height:
                joined[k] = other._replace(text=f"{point.text}, {other.text}")
                point = point._replace(text="")  # noqa: PLW2901
        joined.append(point)
    return joined


def _box(surface: Surface) -> tuple[float, float, float]:
    ratio = plane_aspect(surface) or 1.0
    longer = max(1.0, ratio)
    return 1.0 / longer, ratio / longer, _TALL


def _ticks(length: float) -> MaxNLocator:
    """A few ticks, none at the ends, where the labels of two axes would overlap."""
    return MaxNLocator(4 if length > 0.6 else 3, steps=[1, 2, 5, 10], prune="both")


def _refine_grid(
    surface: Surface, heights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Interpolate a coarse grid linearly, so that colours change evenly."""
    grids = []
    for axis, at in ((0, surface.beta), (1, surface.alpha)):
        parts = max(1, round(_MIN_CELLS / (len(at) - 1)))
        positions = np.linspace(0.0, len(at) - 1, parts * (len(at) - 1) + 1)
        left = np.minimum(positions.astype(int), len(at) - 2)
        share = positions - left
        grids.append(at[left] * (1 - share) + at[left + 1] * share)
        share = share[:, None] if axis == 0 else share
        first, second = heights.take(left, axis), heights.take(left + 1, axis)
        mixed = first * (1 - share) + second * share
        heights = np.where(share == 0, first, np.where(share == 1, second, mixed))  # 0 NaN is NaN
    return grids[1], grids[0], heights


def _cell_means(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each cell's corners."""
    return (heights[:-1, :-1] + heights[:-1, 1:] + heights[1:, :-1] + heights[1:, 1:]) / 4


def _shade(heights: NDArray[np.float64], box: tuple[float, float, float]) -> NDArray[np.float64]:
    """The brightness of each cell by Lambert's cosine law, damped so that colours stay readable."""
    rows, columns = heights.shape
    tall = heights * box[2] / (1 - _FLOOR)
    slope_x = np.diff(tall, axis=1) * (columns - 1) / box[0]
    slope_y = np.diff(tall, axis=0) * (rows - 1) / box[1]
    slope_x = (slope_x[:-1] + slope_x[1:]) / 2
    slope_y = (slope_y[:, :-1] + slope_y[:, 1:]) / 2
    x, y, z = _LIGHT / np.linalg.norm(_LIGHT)
    cosine: NDArray[np.float64] = (z - x * slope_x - y * slope_y) / np.sqrt(
        1 + slope_x**2 + slope_y**2
    )
    return 0.72 + 0.36 * np.clip(cosine, 0.0, 1.0)

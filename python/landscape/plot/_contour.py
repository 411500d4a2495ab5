"""Contour plots of a surface: lines, filled bands, colour bars and trajectories."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from matplotlib.path import Path

from landscape.plot import _scale
from landscape.plot._figure import (
    COLOURS,
    FRAME,
    INK,
    LABEL,
    SMALL,
    WARNING,
    axis_label,
    new_axes,
    new_figure,
    style_axes,
)
from landscape.plot._hatch import hatch_non_finite
from landscape.plot._label_placement import Box, LabelPlacement
from landscape.plot._levels import count_letters
from landscape.plot._markers import LABEL_BACKGROUND, Marker, collect_markers, draw_markers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet
    from numpy.typing import NDArray

    from landscape._results import Line, Surface
    from landscape.plot._scale import Scale

_LABEL = 0.9 * SMALL
_STRIP, _TRAJECTORY_STRIP = 3.0, 10.0  # longest planes whose axes have equal units
_CLEARANCE = 12.0  # points between the label of a level and everything else
_PIECES = 12  # a line in more pieces is noise and gets no label


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
        scale: "auto" is logarithmic where positive values span a decade or more (a minimum nine
            decades below the largest counts as zero), linear where they do not, and "symlog"
            (linear around zero) where values at or below zero go with values a hundred times
            larger, and for metrics linear; or one of "linear", "log", "symlog".
        levels: the boundaries of the bands, ascending, or about how many; None chooses round
            numbers. Where the highest one in a hundred values would take half of a logarithmic
            scale, they get the colour at its end and the colour bar an arrow.
        options: for `matplotlib.axes.Axes.contourf`, such as `cmap`.

    Returns:
        The Axes; `.figure.savefig(path)` saves them.

    Raises:
        ValueError: no such values or scale, levels that do not ascend, or a logarithmic scale for
            values that are not all positive.

    Example:
        >>> ax = landscape.plot.filled_contour(landscape.load("surface.npz"))
        >>> ax.figure.savefig("surface.pdf")
    """
    numbers = select_values(surface, values)
    chosen = choose_scale(numbers, values, scale, levels)
    ax = make_axes(surface, ax)
    bands = draw_filled_contour(ax, surface, numbers, chosen, path={}, **options)
    add_colour_bar(ax, bands, chosen, describe_values(surface, values))
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
    numbers = select_values(surface, values)
    chosen = choose_scale(numbers, values, scale, levels)
    ax = make_axes(surface, ax, bar=0.0)
    placement = set_up_axes(ax, surface)
    hatch_non_finite(ax, surface.alpha, surface.beta, numbers)
    draw_annotations(ax, placement, surface, numbers, chosen)
    dark = ListedColormap(colormaps[COLOURS](np.linspace(0.0, 0.85, 256)))  # no yellow on white
    style = {"cmap": dark} if "colors" not in options else {}
    drawn = draw_lines(ax, surface, numbers, chosen, **{"linewidths": 0.9, **style, **options})
    label_lines(ax, placement, drawn, chosen, INK)
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
    numbers = select_values(surface, values)
    chosen = choose_scale(numbers, values, scale, levels)
    ax = make_axes(surface, ax)
    bands = draw_filled_contour(ax, surface, numbers, chosen, path=options)
    add_colour_bar(ax, bands, chosen, describe_values(surface, values))
    return ax


def draw_filled_contour(
    ax: Axes,
    surface: Surface,
    numbers: NDArray[np.float64],
    scale: Scale,
    *,
    path: dict[str, Any] | None = None,
    **options: Any,
) -> QuadContourSet | None:
    """Draw everything but the colour bar, which several surfaces may share.

    Args:
        ax: the axes.
        surface: their frame, marks and trajectory.
        numbers: the values to draw.
        scale: their colours and levels.
        path: the style of the trajectory; None leaves it out.
        options: for contourf.
    """
    placement = set_up_axes(ax, surface)
    bands = draw_bands(ax, surface, numbers, scale, **options)
    draw_annotations(ax, placement, surface, numbers, scale, path=path)
    drawn = draw_lines(ax, surface, numbers, scale, colors=[(1, 1, 1, 0.6)], linewidths=0.45)
    label_lines(ax, placement, drawn, scale, "white", INK)
    return bands


def draw_annotations(
    ax: Axes,
    placement: LabelPlacement,
    surface: Surface,
    numbers: NDArray[np.float64],
    scale: Scale,
    *,
    path: dict[str, Any] | None = None,
) -> None:
    """Draw the named points, the minimum and, with a style for it, the trajectory."""
    ends: list[Marker] = []
    steps = surface.recipe.trajectory
    if steps is not None and path is not None:
        draw_trajectory(ax, steps, path)
        for x, y in placement.to_points(steps):
            placement.reserve(Box(x - 2, y - 2, x + 2, y + 2))
        (x0, y0), (x1, y1) = steps[0], steps[-1]
        ends = [Marker(x0, y0, "start"), Marker(x1, y1, "end")]
    draw_markers(ax, placement, collect_markers(surface, numbers, scale, *ends))
    if scale.kind == "constant":
        text = f"{scale.reading(float(scale.ticks[0]))} everywhere"
        ax.text(
            0.5, 0.03, text, transform=ax.transAxes, ha="center", va="bottom", fontsize=SMALL,
            color=INK, bbox=LABEL_BACKGROUND, zorder=8,
        )  # fmt: skip


def draw_trajectory(ax: Axes, steps: NDArray[np.float64], style: dict[str, Any]) -> None:
    """Draw a white line with a dark edge, visible on every colour; dots at few checkpoints."""
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


def make_axes(surface: Surface, ax: Axes | None, bar: float = 0.8) -> Axes:
    """The caller's axes, or new ones of the plane's aspect with space for a colour bar."""
    if ax is not None:
        return ax
    ratio = plane_aspect(surface) or 0.75
    width = 3.6 / max(1.0, ratio)
    height = width * ratio
    return new_axes(new_figure(width + 0.8 + bar, height + 0.85), 0.7, 0.55, width, height)


def select_values(result: Surface | Line, name: str) -> NDArray[np.float64]:
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


def describe_values(result: Surface | Line, name: str) -> str:
    """The name of the values, the loss with its kind: "loss (cross-entropy)"."""
    kind = result.run.policy.get("loss")
    has_name = isinstance(kind, str) and kind and "lambda" not in kind
    return f"loss ({kind})" if name == "loss" and has_name else name


def choose_scale(
    numbers: NDArray[np.float64], values: str, scale: str, levels: int | Sequence[float] | None
) -> Scale:
    """The requested scale; linear by default for a metric, which is mostly a fraction."""
    if values != "loss" and scale == "auto":
        scale = "linear"
    if levels is None:
        return _scale.choose(numbers, scale)
    if isinstance(levels, int):
        return _scale.choose(numbers, scale, levels)
    return _scale.from_levels(numbers, levels, scale)


def set_up_axes(ax: Axes, surface: Surface) -> LabelPlacement:
    """Set limits, labels, and an aspect of equal distances in parameter space.

    Returns:
        The label placement of the axes, nothing occupied yet.
    """
    style_axes(ax)
    ax.set_xlim(surface.alpha[0], surface.alpha[-1])
    ax.set_ylim(surface.beta[0], surface.beta[-1])
    ratio = plane_aspect(surface)
    ax.set_aspect("auto" if ratio is None else ratio * _extent(surface)[0] / _extent(surface)[1])
    placement = LabelPlacement(ax)
    ax.set_xlabel(axis_label(surface.recipe, 0, placement.width), fontsize=LABEL, color=INK)
    ax.set_ylabel(axis_label(surface.recipe, 1, placement.height), fontsize=LABEL, color=INK)
    if (warning := describe_warning(surface)) and not ax.get_title(loc="left"):
        ax.set_title(warning, fontsize=SMALL, color=WARNING, loc="left")
    return placement


def describe_warning(surface: Surface) -> str:
    """What must be known before the picture is believed; empty where there is nothing."""
    stale = any(note.startswith("stale batch norm") for note in surface.run.notes)
    return "stale batch-norm statistics: see the notes" if stale else ""


def plane_aspect(surface: Surface) -> float | None:
    """Height over width of the plane, measured in parameter space with ||u|| and ||v||.

    None where that says nothing or is a strip of more than three to one: such a plane fills its
    axes instead. A plane with a trajectory, whose angles matter, may be ten to one.
    """
    (u, v), (width, height) = surface.recipe.norms, _extent(surface)
    ratio = (v * height) / (u * width) if u > 0 else 0.0
    longest = _STRIP if surface.recipe.trajectory is None else _TRAJECTORY_STRIP
    return ratio if 1 / longest <= ratio <= longest else None


def draw_bands(
    ax: Axes, surface: Surface, values: NDArray[np.float64], scale: Scale, **options: Any
) -> QuadContourSet | None:
    """Draw bands between the levels and hatch non-finite values; None if no value is finite."""
    hatch_non_finite(ax, surface.alpha, surface.beta, values)
    if not has_finite(values):
        return None
    return ax.contourf(
        surface.alpha,
        surface.beta,
        _scale.mask_non_finite(values),
        levels=scale.levels,
        norm=scale.norm,
        extend=scale.extend,
        **{"cmap": COLOURS, "zorder": 1.0, **options},
    )


def draw_lines(
    ax: Axes, surface: Surface, values: NDArray[np.float64], scale: Scale, **options: Any
) -> QuadContourSet | None:
    """Draw a line at each level that the values cross; None where they cross none."""
    if not has_finite(values):
        return None
    drawn = _scale.mask_non_finite(values)
    crossed = scale.levels[(scale.levels > drawn.min()) & (scale.levels < drawn.max())]
    if crossed.size == 0:
        return None
    style = {"zorder": 2.0, "linestyles": "solid", **options}
    if "colors" not in style:
        # A copy: contours change their norm, which would reset colour bars that share it.
        style = {"cmap": COLOURS, "norm": deepcopy(scale.norm), **style}
    return ax.contour(surface.alpha, surface.beta, drawn, levels=crossed, **style)


def label_lines(
    ax: Axes, placement: LabelPlacement, drawn: QuadContourSet | None, scale: Scale, *inks: str
) -> None:
    """Label each line that carries a tick, where its label fits.

    Args:
        ax: the axes.
        placement: where labels fit.
        drawn: the lines.
        scale: names the levels.
        inks: one colour for all, or one for labels on dark colours and one on light.
    """
    if drawn is None:
        return
    positions: list[tuple[float, float]] = []
    for level, path in zip(drawn.levels, drawn.get_paths(), strict=True):
        pieces = np.count_nonzero(path.codes == Path.MOVETO) if len(path) else 0
        if level not in scale.ticks or not 1 <= pieces <= _PIECES:
            continue
        half = 0.3 * _LABEL * count_letters(scale.text(level))
        position = _find_label_position(placement, path, half)
        if position is not None:
            data, (x, y) = position
            placement.reserve(Box(x - half, y - _LABEL / 2, x + half, y + _LABEL / 2))
            positions.append(data)
    if positions:
        colours = [inks[-1] if scale.height(level) > 0.5 else inks[0] for level in drawn.levels]
        ax.clabel(drawn, manual=positions, fmt=scale.text, fontsize=_LABEL, colors=colours)


def add_colour_bar(ax: Axes, coloured: QuadContourSet | None, scale: Scale, name: str) -> None:
    """Add a colour bar as tall as the axes; none where nothing was coloured."""
    figure = ax.get_figure()
    if coloured is None or figure is None:
        return
    bar = figure.colorbar(coloured, cax=ax.inset_axes((1.035, 0.0, 0.042, 1.0)))
    bar.set_ticks(list(scale.ticks), labels=[scale.text(tick) for tick in scale.ticks])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL, length=3, width=0.6, color=FRAME, labelcolor=INK)
    bar.set_label(name, fontsize=LABEL, color=INK)
    bar.outline.set_linewidth(0.6)
    bar.outline.set_edgecolor(FRAME)


def has_finite(values: NDArray[np.float64]) -> bool:
    """Whether any value is finite."""
    return bool(np.isfinite(values).any())


def _extent(surface: Surface) -> tuple[float, float]:
    return float(np.ptp(surface.alpha)), float(np.ptp(surface.beta))


def _find_label_position(
    placement: LabelPlacement, path: Path, half: float
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The most horizontal vertex of a line among those clear of edges and labels.

    As data coordinates and as points on the axes; None where there is none.
    """
    vertices = np.asarray(path.vertices)[path.codes != Path.CLOSEPOLY]
    positions = placement.to_points(vertices)
    from_ends = np.min(
        [np.hypot(*(positions - end).T) for end in placement.to_points(_line_ends(path))], axis=0
    )
    clear = np.minimum(np.minimum(placement.clearance(positions), from_ends) - half, _CLEARANCE)
    if clear.max() < _CLEARANCE / 4:
        return None
    along = np.gradient(positions, axis=0) if len(positions) > 1 else np.ones_like(positions)
    steepness = np.abs(along[:, 1]) / (np.hypot(*along.T) + 1e-12)
    best = int(np.argmin(np.where(clear == clear.max(), steepness, np.inf)))
    (x, y), (a, b) = vertices[best], positions[best]
    return (float(x), float(y)), (float(a), float(b))


def _line_ends(path: Path) -> NDArray[np.float64]:
    """The first and last vertices of the pieces of a line: at the edges or at non-finite values."""
    starts = np.flatnonzero(path.codes == Path.MOVETO)
    ends = np.concatenate([starts, [*(starts[1:] - 1), -1]])
    return np.asarray(np.asarray(path.vertices)[ends])

"""Composite figures: surfaces side by side on one colour scale, and contours beside a 3-D plot."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plot._contour import (
    add_colour_bar,
    choose_scale,
    contour,
    describe_values,
    draw_filled_contour,
    filled_contour,
    plane_aspect,
    select_values,
    trajectory,
)
from landscape.plot._figure import INK, LABEL, NotebookAxes3D, new_axes, new_figure, root_figure
from landscape.plot._surface3d import draw_relief, surface_3d

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from landscape._results import Surface

KINDS = ("both", "filled", "contour", "3d")


def compare(
    surfaces: Mapping[str, Surface] | Sequence[Surface],
    axes: Sequence[Axes] | None = None,
    *,
    values: str = "loss",
    scale: str = "auto",
    levels: int | Sequence[float] | None = None,
    **options: Any,
) -> tuple[Axes, ...]:
    """Filled contours of several surfaces side by side, one colour for one loss in all of them.

    Args:
        surfaces: title -> surface, or surfaces without titles: several models, or the training and
            the test data of one.
        axes: one for each surface; None makes a figure of its own, outside pyplot.
        values: "loss" or the name of a metric.
        scale: as for `filled_contour`, chosen from the values of all surfaces.
        levels: as for `filled_contour`.
        options: for `matplotlib.axes.Axes.contourf`, such as `cmap`.

    Returns:
        One Axes for each surface; the last carries the colour bar.

    Raises:
        ValueError: no surfaces, or another number of axes; or as for `filled_contour`.

    Example:
        >>> axes = landscape.plot.compare({"train": surface, "test": surface.test})
        >>> axes[0].figure.savefig("train-and-test.pdf")
    """
    named = surfaces.items() if isinstance(surfaces, Mapping) else (("", s) for s in surfaces)
    panels = [(title, surface, select_values(surface, values)) for title, surface in named]
    if not panels:
        raise ValueError("no surfaces to compare; expected at least one")
    if axes is not None and len(axes) != len(panels):
        raise ValueError(f"{len(axes)} axes for {len(panels)} surfaces; expected one each")
    together = np.concatenate([numbers.ravel() for *_, numbers in panels])
    chosen = choose_scale(together, values, scale, levels)
    row = _make_row([surface for _, surface, _ in panels]) if axes is None else tuple(axes)
    coloured = None
    for ax, (title, surface, numbers) in zip(row, panels, strict=True):
        coloured = draw_filled_contour(ax, surface, numbers, chosen, **options) or coloured
        ax.set_title(title, fontsize=LABEL, color=INK, loc="left")
        if axes is None and ax is not row[0] and _same_beta(surface, panels[0][1]):
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
    add_colour_bar(row[-1], coloured, chosen, describe_values(panels[0][1], values))
    return row


def draw(surface: Surface, kind: str = "both", **options: Any) -> Figure:
    """Draw a surface in a figure outside pyplot.

    Args:
        surface: what to draw.
        kind: "both" (filled contours beside the surface in three dimensions, on one scale),
            "filled", "contour" or "3d". A surface with a trajectory shows it on filled contours.
        options: those of `filled_contour`, `contour` or `surface_3d`.

    Returns:
        The figure; `.savefig(path)` saves it, and a notebook shows it.

    Raises:
        ValueError: another kind; or as for `filled_contour`.

    Example:
        >>> landscape.plot.draw(surface).savefig("surface.png")
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}; expected one of {', '.join(map(repr, KINDS))}")
    if kind == "both":
        return _both(surface, **options)
    plane = filled_contour if surface.recipe.trajectory is None else trajectory
    drawn: Axes = {"filled": plane, "contour": contour, "3d": surface_3d}[kind](surface, **options)
    figure = root_figure(drawn)
    if figure is None:
        raise ValueError("ax was removed from its figure; expected axes of a figure")
    return figure


def _both(
    surface: Surface,
    *,
    values: str = "loss",
    scale: str = "auto",
    levels: int | Sequence[float] | None = None,
    **options: Any,
) -> Figure:
    numbers, name = select_values(surface, values), describe_values(surface, values)
    chosen = choose_scale(numbers, values, scale, levels)
    figure = new_figure(10.0, 4.3)
    ratio = plane_aspect(surface) or 0.85
    width, height = 3.4 / max(1.0, ratio), 3.4 * min(1.0, ratio)
    left = new_axes(figure, 0.7, 0.55 + (3.4 - height) / 2, width, height)
    bands = draw_filled_contour(left, surface, numbers, chosen, path={}, **options)
    add_colour_bar(left, bands, chosen, name)
    right = figure.add_axes((0.5, 0.0, 0.47, 1.0), axes_class=NotebookAxes3D)
    draw_relief(right, surface, numbers, chosen, name, **options)
    return figure


def _make_row(surfaces: Sequence[Surface]) -> tuple[Axes, ...]:
    """Make axes of one height side by side, with the aspects of their planes up to 1.5."""
    height = 2.6
    left = 0.7
    lefts: list[float] = []
    widths: list[float] = []
    for surface in surfaces:
        if lefts:
            left += 0.35 if _same_beta(surface, surfaces[0]) else 0.85
        widths.append(height * min(1 / (plane_aspect(surface) or 1.0), 1.5))
        lefts.append(left)
        left += widths[-1]
    figure = new_figure(left + 0.8, height + 1.0)
    extents = zip(lefts, widths, strict=True)
    return tuple(new_axes(figure, x, 0.55, width, height) for x, width in extents)


def _same_beta(a: Surface, b: Surface) -> bool:
    return np.array_equal(a.beta, b.beta) and a.recipe.labels[1] == b.recipe.labels[1]


def check_picture(kind: str, path: str | os.PathLike[str] | None) -> None:
    """Check the kind of a picture and the format that its file's suffix asks for.

    Raises:
        ValueError: The kind or the format is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}; expected one of {', '.join(map(repr, KINDS))}")
    if path is None:
        return
    suffix = Path(path).suffix.removeprefix(".").lower()
    formats = new_figure(1, 1).canvas.get_supported_filetypes()
    if suffix and suffix not in formats:
        raise ValueError(
            f"path={os.fspath(path)!r} asks for a .{suffix} picture; expected one of "
            f"{', '.join('.' + name for name in sorted(formats))}"
        )

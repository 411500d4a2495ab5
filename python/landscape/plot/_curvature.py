"""A curvature map: the loss, the largest eigenvalue, and where the loss is convex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Patch

from landscape.plot._contour import filled_contour, plane_aspect, select_values
from landscape.plot._figure import DIVERGING, INK, LABEL, new_axes, new_figure
from landscape.plot._hatch import add_legend_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from landscape._results import Surface

_HEIGHT, _APART = 2.4, 1.7  # inches
_LIMITS = 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0


def curvature(
    surface: Surface, axes: Sequence[Axes] | None = None, **options: Any
) -> tuple[Axes, ...]:
    """Plot the loss, the largest eigenvalue and the ratio of both ends, side by side.

    The ratio is that of the smallest eigenvalue to the larger of both absolute values: above 0
    where the loss is convex, -1 where curvature is as negative as it is positive. A line runs along
    0, and dots cover where the smallest eigenvalue lies within its bound of 0, so that its sign is
    not known.

    Args:
        surface: what `landscape.curvature_map` returned.
        axes: three; None makes a figure of its own, outside pyplot.
        options: for `matplotlib.axes.Axes.contourf`.

    Returns:
        The three Axes.

    Raises:
        ValueError: the surface has no eigenvalues, or another number of axes.

    Example:
        >>> result = landscape.curvature_map(model, data, points=5)
        >>> landscape.plot.curvature(result)[0].figure.savefig("curvature.pdf")
    """
    ratio = select_values(surface, "ratio")
    panels = _make_row(surface) if axes is None else tuple(axes)
    if len(panels) != 3:
        raise ValueError(f"{len(panels)} axes; expected three")
    filled_contour(surface, panels[0], **options)
    filled_contour(surface, panels[1], values="lambda_max", scale="auto", **options)
    filled_contour(
        surface,
        panels[2],
        values="ratio",
        scale="linear",
        levels=_levels(ratio),
        **{"cmap": DIVERGING, **options},
    )
    if np.nanmin(ratio) < 0 < np.nanmax(ratio):
        panels[2].contour(
            surface.alpha, surface.beta, ratio, levels=[0.0], colors=INK, linewidths=1.0
        )
    _mark_unknown_sign(panels[2], surface)
    titles = ("loss", "largest eigenvalue", "smallest / largest")
    for ax, title in zip(panels, titles, strict=True):
        ax.set_title(title, fontsize=LABEL, color=INK, loc="left")
    return panels


def _levels(ratio: NDArray[np.float64]) -> list[float]:
    """Ten levels on each side of 0, up to a round limit beyond all ratios."""
    size = float(np.nanmax(np.abs(ratio))) if np.isfinite(ratio).any() else 0.0
    limit = next((limit for limit in _LIMITS if limit >= size), 1.0)
    return [float(level) for level in np.linspace(-limit, limit, 21).round(12)]


def _mark_unknown_sign(ax: Axes, surface: Surface) -> None:
    """Mark with dots where the sign of the smallest eigenvalue is not known."""
    excess = surface.metrics["lambda_min bound"] - np.abs(surface.metrics["lambda_min"])
    if not (excess > 0).any():
        return
    levels = [0.0, np.inf]
    ax.contourf(surface.alpha, surface.beta, excess, levels=levels, colors="none", hatches=["..."])
    add_legend_entry(
        ax, Patch(hatch="...", facecolor="none", edgecolor=INK, lw=0, label="sign not known")
    )


def _make_row(surface: Surface) -> tuple[Axes, ...]:
    """Three axes of one height, each with space for its colour bar."""
    width = _HEIGHT * min(1 / (plane_aspect(surface) or 1.0), 1.5)
    figure = new_figure(3 * (width + _APART), _HEIGHT + 1.0)
    lefts = [0.7 + index * (width + _APART) for index in range(3)]
    return tuple(new_axes(figure, left, 0.55, width, _HEIGHT) for left in lefts)

"""What a surface shows: random planes, curvatures, checkpoints, and the verdict in words."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

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
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from landscape._results import Trust

_CONFIDENCE = 1.96  # standard errors on each side of a 95% interval
_WIDTH, _HEIGHT, _LEFT, _GAP = 3.3, 2.5, 0.75, 0.35  # inches
_NAMES = 1.15  # inches, of the labels beside the curvatures
_LINE = 0.165  # inches, of the verdict's lines
_LETTERS = 15.5  # an inch, at that size


def trust(trust: Trust, ax: Axes | None = None, *, part: str | None = None, **options: Any) -> Axes:
    """What a surface shows of the loss around its centre, and what it does not.

    Three parts: the mean rise of the loss with the distance from the centre, on this plane (blue,
    with the lowest and the highest rise at that distance) and on random ones; the curvatures of the
    plane beside those of the whole Hessian, on an axis that is logarithmic beyond a small range
    around 0; of a trajectory, the losses at the checkpoints beside the surface's at their
    projections. The verdict is written below.

    Args:
        trust: what to draw.
        ax: where to draw one part; None makes a figure of all parts, outside pyplot.
        part: "planes", "curvature" or "trajectory"; the first one that there is when None.
        options: for `matplotlib.axes.Axes.plot`, such as `lw`; they hold for this plane's marks.

    Returns:
        The Axes drawn on; of a figure of all parts, the first.

    Raises:
        ValueError: `part` is unknown or not available, or goes with a figure of all parts.

    Example:
        >>> trust = landscape.surface(model, data, points=9).trust()
        >>> landscape.plot.trust(trust).figure.savefig("trust.png")
    """
    parts = _list_parts(trust)
    if ax is None and part is not None:
        raise ValueError(f"part={part!r} without ax; a figure of its own has all parts")
    if not parts or part not in (None, *parts):
        known = ", ".join(map(repr, parts)) or "none"
        raise ValueError(f"part={part!r} is not available; this result has {known}")
    if ax is not None:
        parts[part or next(iter(parts))](trust, ax, options)
        return ax
    return _draw_all(trust, parts, options)


Draw: TypeAlias = "Callable[[Trust, Axes, dict[str, Any]], None]"


def _list_parts(trust: Trust) -> dict[str, Draw]:
    parts: dict[str, Draw] = {}
    if trust.rises is not None:
        parts["planes"] = _draw_planes
    if trust.slice_curvature is not None and trust.eigenvalues is not None:
        parts["curvature"] = _draw_curvatures
    if trust.checkpoint_losses is not None:
        parts["trajectory"] = _draw_trajectory
    return parts


def _draw_all(trust: Trust, parts: dict[str, Draw], options: dict[str, Any]) -> Axes:
    lefts, left = [], 0.0
    for name in parts:
        left += _NAMES if name == "curvature" else _LEFT
        lefts.append(left)
        left += _WIDTH + _GAP
    width = max(left, 4.4)
    lines = [
        line
        for sentence in trust.verdict
        for line in wrap(sentence, int((width - 0.4) * _LETTERS), initial_indent="\u2022 ",
                         subsequent_indent="   ")
    ]  # fmt: skip
    low = 0.3 + _LINE * len(lines) + 0.5
    figure = new_figure(width, low + _HEIGHT + 0.35)
    axes = [new_axes(figure, x, low, _WIDTH, _HEIGHT) for x in lefts]
    for ax, draw in zip(axes, parts.values(), strict=True):
        draw(trust, ax, options)
    figure.text(
        0.2 / width, (low - 0.6) / (low + _HEIGHT + 0.35), "\n".join(lines),
        fontsize=SMALL, color=INK, va="top", linespacing=1.4,
    )  # fmt: skip
    return axes[0]


def _draw_planes(trust: Trust, ax: Axes, options: dict[str, Any]) -> None:
    rises, profiles, radii = trust.rises, trust.profiles, trust.radii
    if rises is None or profiles is None or radii is None:
        return
    style_axes(ax)
    x = np.concatenate([[0.0], radii])
    for index, profile in enumerate(profiles[1:]):
        label = f"{len(profiles) - 1} random planes" if index == 0 else None
        ax.plot(x, _from_zero(profile), color=FRAME, lw=0.9, alpha=0.75, label=label)
    own = rises[0]
    ax.fill_between(
        x, _from_zero(own.min(axis=1)), _from_zero(own.max(axis=1)), color=BLUE, alpha=0.15, lw=0,
        label="its lowest to highest rise",
    )  # fmt: skip
    style = {"color": BLUE, "lw": 1.8, "marker": "o", "ms": 3.5, "label": "this plane", **options}
    ax.plot(x, _from_zero(profiles[0]), **{"clip_on": False, "zorder": 3.0, **style})
    scale_vertical_axis(ax, _scale.choose(np.concatenate([profiles.ravel(), own.ravel(), [0.0]])))
    ax.set_xlim(0, 1)
    ax.set_xlabel("distance from the centre (1 = edge of the picture)", fontsize=LABEL, color=INK)
    ax.set_ylabel("mean rise of the loss", fontsize=LABEL, color=INK)
    title = f"rank {trust.rank} of {len(profiles)} at the edge"
    if trust.spread is not None:
        title += f"; random planes differ by {100 * trust.spread:.2g}%"
    ax.set_title(title, fontsize=SMALL, color=INK)
    ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK, loc="upper left")


def _draw_curvatures(trust: Trust, ax: Axes, options: dict[str, Any]) -> None:
    within, values, errors = trust.plane_eigenvalues, trust.eigenvalues, trust.eigenvalue_errors
    if within is None or values is None or errors is None:
        return
    style_axes(ax)
    rows = [
        ("Hessian,\nlargest", float(values[0]), float(errors[0]), INK),
        ("plane, largest", float(within[0]), 0.0, BLUE),
        ("plane, smallest", float(within[1]), 0.0, BLUE),
        ("Hessian,\nsmallest", float(values[1]), float(errors[1]), INK),
    ]
    if trust.mean_curvature is not None:
        half = _CONFIDENCE * (trust.mean_curvature_error or 0.0)
        rows.insert(3, ("Hessian, mean\n(trace / d)", trust.mean_curvature, half, INK))
    sizes = np.array([max(abs(value), error) for _, value, error, _ in rows])
    smallest = float(sizes[sizes > 0].min(initial=max(float(sizes.max()), 1e-300)))
    threshold = 10.0 ** np.floor(np.log10(max(smallest, 1e-7 * float(sizes.max()))))
    ax.set_xscale("symlog", linthresh=threshold, linscale=0.4)
    ax.axvline(0.0, color=FRAME, lw=0.8)
    for index, (_, value, error, colour) in enumerate(rows):
        ax.plot([0.0, value], [index, index], color=colour, lw=1.1, alpha=0.5)
        ax.errorbar(value, index, xerr=error, fmt="none", color=colour, lw=0.9, capsize=2.5)
        style = {"color": VERMILION if value < 0 else colour, "marker": "o", "ms": 5}
        ax.plot(value, index, **{**style, **(options if colour == BLUE else {})})
    low = min(0.0, *(value - error for _, value, error, _ in rows))
    high = max(0.0, *(value + error for _, value, error, _ in rows))
    ax.set_xlim(2.5 * low if low < 0 else -threshold, 2.5 * high if high > 0 else threshold)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=SMALL)
    ax.tick_params(axis="y", length=0)
    _thin_ticks(ax, threshold, low, high)
    ax.set_xlabel("curvature", fontsize=LABEL, color=INK)
    share = trust.curvature_share
    text = "curvature at the centre"
    if share is not None:
        text = f"the plane shows {100 * share:.2g}% of the largest curvature"
    ax.set_title(text, fontsize=SMALL, color=INK)


def _thin_ticks(ax: Axes, threshold: float, low: float, high: float) -> None:
    """At most four decades on each side, and zero."""
    ticks = [0.0]
    for end in (low, high):
        if abs(end) > threshold:
            decades = np.arange(
                np.ceil(np.log10(threshold)), np.floor(np.log10(abs(end) * 2.5)) + 1
            )
            kept = decades[:: -max(1, -(-len(decades) // 4))] if len(decades) else decades
            ticks += [float(np.sign(end) * 10.0**decade) for decade in kept]
    ax.set_xticks(sorted(ticks))
    ax.minorticks_off()


def _draw_trajectory(trust: Trust, ax: Axes, options: dict[str, Any]) -> None:
    losses, plane = trust.checkpoint_losses, trust.plane_losses
    if losses is None or plane is None:
        return
    style_axes(ax)
    steps = np.arange(len(losses))
    ax.plot(steps, losses, color=INK, lw=1.2, marker="o", ms=3.5, label="at the checkpoints")
    style = {"color": BLUE, "lw": 1.2, "marker": "s", "ms": 3.5, **options}
    ax.plot(steps, plane, **{**style, "label": "in the plane, below them"})
    shown = np.concatenate([losses, plane])
    scale_vertical_axis(ax, _scale.choose(shown))
    ax.set_xlabel("checkpoint", fontsize=LABEL, color=INK)
    ax.set_ylabel("loss", fontsize=LABEL, color=INK)
    if trust.outside_share is not None:
        share = 100 * trust.outside_share
        size = f"{share:.2g}%" if share >= 0.01 else "less than 0.01%"
        text = f"{size} of squared distances outside the plane"
        ax.set_title(text, fontsize=SMALL, color=INK)
    ax.legend(fontsize=SMALL, frameon=False, labelcolor=INK)


def _from_zero(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    """The profile with its value at the centre."""
    return np.concatenate([[0.0], profile])

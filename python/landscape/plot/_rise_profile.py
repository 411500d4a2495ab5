"""The rise of the loss against the radius: worst, most and average case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

    from landscape._results import Sharpness

_NEEDED = ("most_case_basin", "worst_case_basin")


def rise_profile(sharpness: Sharpness, ax: Axes | None = None, **options: Any) -> Axes:
    """How far the loss rises at each distance: on average, in most directions, and in the worst.

    The band holds eight of ten random directions; the worst case is the largest rise among
    directions of ascent, top eigenvectors and random ones. Dotted lines are the radii of the basin.

    Args:
        sharpness: with the measures most_case_basin and worst_case_basin, or one of them, under
            metric="loss".
        ax: where; None makes a figure of its own, outside pyplot.
        options: for `matplotlib.axes.Axes.plot`, such as `linewidth`.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: neither measure has a value, or their options have no axis in common.

    Example:
        >>> names = ["most_case_basin", "worst_case_basin"]
        >>> result = landscape.sharpness(model, data, measures=names)
        >>> landscape.plot.rise_profile(result).figure.savefig("rise.pdf")
    """
    shown = [sharpness[name] for name in _NEEDED if name in sharpness]
    shown = [measure for measure in shown if "rises" in measure.curves]
    if not shown:
        raise ValueError(f"there is nothing to draw; ask for the measures {' and '.join(_NEEDED)}")
    kinds = {
        (m.options["metric"], m.options["rise"], m.options.get("scaling", "unit")) for m in shown
    }
    if len(kinds) > 1:
        raise ValueError(
            "the two basins have another metric, rise or scaling each, and no axis in common; draw "
            "them one by one"
        )
    if ax is None:
        ax = new_axes(new_figure(5.6, 3.8), 0.75, 0.6, 4.4, 2.8)
    style_axes(ax)
    style: dict[str, Any] = {"lw": 1.6, "marker": "o", "ms": 3, **options}
    threshold = float(str(shown[0].options["rise"]))
    curves = []
    for measure in shown:
        radii, rises = measure.curves["radii"], measure.curves["rises"]
        if measure.name == "most_case_basin":
            low, middle, high = np.nanquantile(rises, [0.1, 0.5, 0.9], axis=0)
            ax.fill_between(radii, low, high, color=BLUE, alpha=0.2, lw=0, label="eight of ten")
            curves += [low, middle]
            ax.plot(radii, middle, color=BLUE, label="most case (median)", **style)
            ax.plot(radii, np.nanmean(rises, axis=0), color=INK, ls="--", lw=1.2, label="average")
        else:
            curves.append(np.nanmax(rises, axis=0))
            ax.plot(radii, np.nanmax(rises, axis=0), color=VERMILION, label="worst case", **style)
        if measure.value is not None:
            colour = BLUE if measure.name == "most_case_basin" else VERMILION
            ax.axvline(measure.value, color=colour, lw=0.9, ls=":")
    ax.set_xscale("log")
    if (np.concatenate(curves) > 0).all():
        ax.set_yscale("log")
    else:
        ax.set_yscale("symlog", linthresh=threshold / 100)
    ax.axhline(threshold, color=FRAME, lw=0.8, ls=":")
    ax.set_xlabel("distance from the model", fontsize=LABEL, color=INK)
    name = shown[0].options["metric"]
    ax.set_ylabel(f"rise of the {name}", fontsize=LABEL, color=INK)
    ax.set_title(f"{name} {sharpness.loss:.4g} at the model" if name == "loss" else str(name),
                 fontsize=SMALL, color=INK, loc="left")  # fmt: skip
    ax.legend(fontsize=SMALL, frameon=False, loc="best")
    return ax

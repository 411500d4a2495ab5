"""Chains of a sampler: every draw against its index, with the running mean of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.plot._figure import FRAME, INK, LABEL, SMALL, new_axes, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape._results import Measure

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def chains(measure: Measure, ax: Axes | None = None, **options: Any) -> Axes:
    """The draws of every chain, and the running mean with its final error.

    Chains that agree wander about one level. A trend or separate levels mean that the estimate is
    not the posterior's.

    Args:
        measure: one with chains, such as the learning coefficient.
        ax: where; None makes a figure of its own, outside pyplot.
        options: for `matplotlib.axes.Axes.plot` of the draws, such as `linewidth`.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: the measure has no chains.

    Example:
        >>> option = landscape.measures.LearningCoefficient(draws=50, burn_in=50)
        >>> result = landscape.sharpness(model, data, measures=[option])
        >>> ax = landscape.plot.chains(result["learning_coefficient"])
    """
    draws = measure.curves.get("chains")
    if draws is None:
        raise ValueError(f"{measure.name} has no chains; those of learning_coefficient are drawn")
    if ax is None:
        ax = new_axes(new_figure(6.0, 3.4), 0.75, 0.55, 5.0, 2.4)
    style_axes(ax)
    index = np.arange(1, draws.shape[1] + 1)
    style: dict[str, Any] = {"lw": 0.6, "alpha": 0.6, **options}
    for number, chain in enumerate(draws):
        ax.plot(index, chain, color=_COLOURS[number % len(_COLOURS)], **style)
    running = np.cumsum(draws.mean(0)) / index
    ax.plot(index, running, color=INK, lw=1.6, label="running mean of all chains")
    if measure.interval is not None:
        ax.axhspan(*measure.interval, color=FRAME, alpha=0.15, lw=0, label="interval")
    ax.set_xlim(1, len(index))
    ax.set_xlabel("draw", fontsize=LABEL, color=INK)
    ax.set_ylabel(measure.name.replace("_", " "), fontsize=LABEL, color=INK)
    r_hat, ess = measure.details.get("r_hat"), measure.details.get("ess")
    title = f"{len(draws)} chains"
    if isinstance(r_hat, float) and isinstance(ess, float):
        title += f", R-hat {r_hat:.3f}, {ess:.0f} independent draws"
    if measure.value is None:
        title += "; diverged"
    ax.set_title(title, fontsize=SMALL, color=INK, loc="left")
    ax.legend(fontsize=SMALL, frameon=False, loc="upper right")
    return ax

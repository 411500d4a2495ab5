"""A spectrum: eigenvalues as bars with whiskers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

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

    from landscape._results import Spectrum


def spectrum(spectrum: Spectrum, ax: Axes | None = None, **options: Any) -> Axes:
    """Eigenvalues in their order, with whiskers that span their intervals.

    Upward curvature is blue and downward curvature vermilion; pairs that have not converged are
    hatched.

    Args:
        spectrum: what to draw.
        ax: where; None makes a figure of its own, outside pyplot.
        options: for `matplotlib.axes.Axes.bar`, such as `width`.

    Returns:
        The Axes drawn on.

    Example:
        >>> spectrum = landscape.hessian(model, data).eigenvalues(k=5, which="both")
        >>> landscape.plot.spectrum(spectrum).figure.savefig("spectrum.pdf")
    """
    if ax is None:
        ax = new_axes(new_figure(5.6, 3.4), 0.7, 0.55, 4.6, 2.5)
    style_axes(ax)
    indices = np.arange(1, len(spectrum) + 1)
    colours = np.where(spectrum.values < 0, VERMILION, BLUE)
    bars = ax.bar(
        indices,
        spectrum.values,
        yerr=spectrum.errors,
        color=list(colours),
        **{"width": 0.7, "ecolor": INK, "capsize": 2.5, "error_kw": {"lw": 0.9}, **options},
    )
    for bar, good in zip(bars, spectrum.converged, strict=True):
        if not good:
            bar.set_hatch("////")
            bar.set_edgecolor("white")
    ax.axhline(0.0, color=FRAME, lw=0.8)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlim(0.3, len(spectrum) + 0.7)
    ax.set_xlabel(f"index ({spectrum.which})", fontsize=LABEL, color=INK)
    ax.set_ylabel("eigenvalue", fontsize=LABEL, color=INK)
    good = int(spectrum.converged.sum())
    title = f"{good} of {len(spectrum)} converged, {spectrum.products} products"
    ax.set_title(title, fontsize=SMALL, color=INK)
    if good < len(spectrum):
        mark = Patch(facecolor=FRAME, edgecolor="white", hatch="////", label="not converged")
        ax.legend(handles=[mark], fontsize=SMALL, frameon=False)
    return ax

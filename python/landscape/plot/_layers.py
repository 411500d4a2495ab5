"""Eigenvalues by layer: one row for each layer, one column for each eigenvalue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import SymLogNorm

from landscape.plot._figure import DIVERGING, INK, LABEL, SMALL, new_axes, new_figure, style_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from landscape._results import Spectrum

_CELL, _TALL = 0.75, 0.28  # inches
_DECADES = 3.0  # of the colours on each side of 0
_DARK = 0.55  # of the colours' range: text on it is white


def layers(spectra: Mapping[str, Spectrum], ax: Axes | None = None, **options: Any) -> Axes:
    """Plot a heat map of the eigenvalues of every layer's block, each printed in its cell.

    Colours are linear within a thousandth of the largest |eigenvalue| and logarithmic beyond.
    Values that are no larger than their bound are in brackets.

    Args:
        spectra: name -> spectrum of the layer's block, of one length.
        ax: where; None makes a figure of its own, outside pyplot.
        options: for `matplotlib.axes.Axes.imshow`, such as `cmap`.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: no spectra, or spectra of different ends.

    Example:
        >>> blocks = landscape.hessian(model, data).blocks()
        >>> spectra = {name: block.eigenvalues(k=2) for name, block in blocks.items()}
        >>> landscape.plot.layers(spectra).figure.savefig("layers.pdf")
    """
    ends = {spectrum.which for spectrum in spectra.values()}
    if len(ends) != 1:
        raise ValueError(f"spectra of {sorted(ends)}; expected those of one end, at least one")
    columns = max(len(spectrum) for spectrum in spectra.values())
    values, errors = (np.full((len(spectra), columns), np.nan) for _ in range(2))
    for row, spectrum in enumerate(spectra.values()):
        values[row, : len(spectrum)] = spectrum.values
        errors[row, : len(spectrum)] = spectrum.errors
    top = float(np.nanmax(np.abs(values))) or 1.0
    if ax is None:
        width, height = _CELL * columns, _TALL * len(spectra)
        ax = new_axes(new_figure(width + 2.6, height + 1.0), 1.6, 0.55, width, height)
    style_axes(ax)
    norm = SymLogNorm(top / 10**_DECADES, vmin=-top, vmax=top)
    ax.imshow(values, **{"cmap": DIVERGING, "norm": norm, "aspect": "auto", **options})
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            continue
        text = f"{value:.3g}" if abs(value) > errors[row, column] else f"({value:.2g})"
        dark = abs(float(norm(value)) - 0.5) > _DARK / 2
        ax.text(column, row, text, ha="center", va="center", size=SMALL, color="w" if dark else INK)
    ax.set_xticks(np.arange(columns), [str(index + 1) for index in range(columns)])
    ax.set_yticks(np.arange(len(spectra)), list(spectra))
    ax.tick_params(length=0)
    ax.set_xlabel(f"eigenvalue of the layer's block ({ends.pop()})", fontsize=LABEL, color=INK)
    return ax

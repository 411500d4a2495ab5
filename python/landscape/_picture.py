"""`plot_surface`: compute a surface and draw it."""

from __future__ import annotations

import inspect
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from landscape._replace import check_writable
from landscape._runs import check_option_names
from landscape._surface import surface

if TYPE_CHECKING:
    from torch import nn

    from landscape._objective import Objective
    from landscape._results import Surface

__all__ = ["plot_surface"]

_DRAWING = ("values", "scale", "levels", "cmap", "alpha")
_TOLERANCE = 0.05
_LINES = ("colors", "linewidths", "linestyles")


def plot_surface(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    path: str | os.PathLike[str] | None = None,
    kind: Literal["both", "filled", "contour", "3d"] = "both",
    **options: Any,
) -> Surface:
    """Compute a surface and draw it.

    Args:
        model: As for :func:`surface`.
        data: As for :func:`surface`.
        loss: As for :func:`surface`.
        path: The picture's file; its suffix is the format. None draws without saving.
        kind: ``"both"`` (filled contours beside the 3-D surface), ``"filled"``, ``"contour"`` or
            ``"3d"``.
        options: Those of :func:`surface`, and those of the drawing: ``values``, ``scale`` and
            ``levels`` of :func:`landscape.plot.filled_contour`, and matplotlib's ``cmap`` and
            ``alpha`` (with ``kind="contour"`` also ``colors``, ``linewidths`` and ``linestyles``).
            Where neither ``tolerance`` nor ``points`` is passed the surface is computed with
            ``tolerance=0.05``, and with ``metrics``, whose error no tolerance controls, as a full
            grid.

    Returns:
        The surface, with the figure at ``.figure``.

    Raises:
        TypeError: An option is unknown; the text has the nearest known one.
        ValueError: The picture's format or kind is unknown.
        OSError: ``path`` cannot be written; checked before the computation.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> data = (torch.randn(64, 4), torch.randint(3, (64,)))
        >>> surface = landscape.plot_surface(nn.Linear(4, 3), data, points=5)
        >>> len(surface.figure.axes) > 1
        True
    """
    from landscape import plot  # noqa: PLC0415 - matplotlib takes a while to import
    from landscape.plot._composite import check_picture  # noqa: PLC0415

    check_picture(kind, path)
    if path is not None:
        check_writable(path)
    drawing = (*_DRAWING, *(_LINES if kind == "contour" else ()))
    own = inspect.signature(surface).parameters
    check_option_names(plot_surface, options, (*own, *drawing))
    style = {name: options.pop(name) for name in drawing if name in options}
    if not {"tolerance", "points", "metrics"} & options.keys():
        options["tolerance"] = _TOLERANCE
    result = surface(model, data, loss, **options)
    figure = plot.draw(result, kind, **style)
    if path is not None:
        figure.savefig(Path(path))
    return replace(result, figure=figure)

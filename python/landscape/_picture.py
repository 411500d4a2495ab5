"""`plot_surface`: compute a surface and draw it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from landscape._replace import check_writable
from landscape._surface import surface

if TYPE_CHECKING:
    from torch import nn

    from landscape._objective import Objective
    from landscape._results import Surface

__all__ = ["plot_surface"]


def plot_surface(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    path: str | os.PathLike[str] | None = None,
    kind: Literal["both", "filled", "contour", "3d"] = "both",
    **surface_options: Any,
) -> Surface:
    """Compute a surface and draw it.

    Args:
        model: As for :func:`surface`.
        data: As for :func:`surface`.
        loss: As for :func:`surface`.
        path: The picture's file; its suffix is the format. None draws without saving.
        kind: ``"both"`` (filled contours beside the 3-D surface), ``"filled"``, ``"contour"`` or
            ``"3d"``.
        surface_options: Those of :func:`surface`.

    Returns:
        The surface, with the figure at ``.figure``.

    Raises:
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
    result = surface(model, data, loss, **surface_options)
    figure = plot.draw(result, kind)
    if path is not None:
        figure.savefig(Path(path))
    return replace(result, figure=figure)

"""The function of a path: builds models at its points and surfaces around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._directions import pca
from landscape._surface import surface

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from landscape._objective import Objective
    from landscape._results import Path, Surface

__all__ = ["ObjectiveContext"]

_CURVE_POINTS = 33  # to which a plane is fitted


@dataclass(frozen=True)
class ObjectiveContext:
    """The objective of a path."""

    objective: Objective

    def model_at(self, theta: NDArray[Any]) -> nn.Module:
        """A new module with these parameters, and buffers that go with them."""
        return self.objective.model_at(theta)

    def surface(self, path: Path, **options: Any) -> Surface:
        """The loss on the plane of the path's first two principal components.

        Raises:
            ValueError: The path is a straight line, which spans no plane.
        """
        if len(path.points) < 3:
            raise ValueError(
                "the path is a straight line, which spans no plane; use landscape.line(to=), or "
                "landscape.plane with a third model"
            )
        rows = list(path.points)
        if path.curve == "bezier":
            rows = [path.theta_at(position) for position in np.linspace(0, 1, _CURVE_POINTS)]
        return surface(self.objective, directions=pca(rows), **options)

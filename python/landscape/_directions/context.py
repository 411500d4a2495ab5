"""PlaneContext: the function and the axes of a surface, which the surface remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from landscape._directions.principal import PrincipalComponents

if TYPE_CHECKING:
    from landscape._directions.axes import Axes
    from landscape._objective import Objective

__all__ = ["PlaneContext"]


@dataclass(frozen=True, eq=False)
class PlaneContext:
    """The Objective that was evaluated, the axes, and the checkpoints that lie on them."""

    objective: Objective
    axes: Axes
    checkpoints: PrincipalComponents | None = None

    @classmethod
    def of(cls, objective: Objective, axes: Axes, directions: object) -> PlaneContext:
        """The context of axes that were made from these directions."""
        checkpoints = directions if isinstance(directions, PrincipalComponents) else None
        return cls(objective, axes, checkpoints)

"""Directions that the user made: used as they are, unless a normalisation is asked for.

Depends on the core and on what lends weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from landscape import _core
from landscape._directions.axes import NAMES, Axes, recipe_of
from landscape._directions.random import Normalization, unit_step
from landscape._directions.weights import flat_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._parameters import ParameterLayout

__all__ = ["GivenDirections"]


@dataclass(frozen=True)
class GivenDirections:
    """One or two directions as flat vectors, shape (d,), or as mappings from names to tensors."""

    vectors: Sequence[Any]
    normalize: Normalization | None = None
    one_dimensional: Literal["zero", "include"] = "include"

    def axes(self, theta: NDArray[Any], layout: ParameterLayout) -> Axes:
        """Check the directions and record what they are."""
        basis = [
            flat_weights(vector, layout, theta.dtype, f"direction {index}")
            for index, vector in enumerate(self.vectors)
        ]
        if self.normalize:
            table = layout.filter_table(self.one_dimensional)
            basis = [_core.normalise(vector, theta, table, self.normalize) for vector in basis]
        norms = [_core.norm(vector) for vector in basis]
        for index, norm in enumerate(norms):
            if norm == 0:
                raise ValueError(f"direction {index} is zero; pass a direction that moves")
        labels = [
            f"{name} ({unit_step(self.normalize, norm)})"
            for name, norm in zip(NAMES, norms, strict=False)
        ]
        recipe = recipe_of(
            "user",
            theta,
            basis,
            labels,
            normalize=self.normalize,
            one_dimensional=self.one_dimensional if self.normalize else "include",
        )
        return Axes(theta, tuple(basis), recipe, ((-1.0, 1.0),) * len(basis))

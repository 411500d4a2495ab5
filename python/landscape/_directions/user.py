"""Directions passed by the user: used unchanged, unless a normalisation is requested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from landscape import _core
from landscape._directions.axes import AXIS_NAMES, Axes, make_recipe
from landscape._directions.random import Normalization, describe_unit_step
from landscape._directions.weights import read_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._parameters import ParameterLayout

__all__ = ["UserDirections"]


@dataclass(frozen=True)
class UserDirections:
    """One or two directions as flat vectors, shape (d,), or as mappings from names to tensors."""

    vectors: Sequence[Any]
    normalize: Normalization | None = None
    one_dimensional: Literal["zero", "include"] = "include"

    def axes(self, theta: NDArray[Any], layout: ParameterLayout) -> Axes:
        """Validate the directions and record their recipe."""
        basis = [
            read_weights(vector, layout, theta.dtype, f"direction {index}")
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
            f"{name} ({describe_unit_step(self.normalize, norm)})"
            for name, norm in zip(AXIS_NAMES, norms, strict=False)
        ]
        recipe = make_recipe(
            "user",
            theta,
            basis,
            labels,
            normalize=self.normalize,
            one_dimensional=self.one_dimensional if self.normalize else "include",
        )
        return Axes(theta, tuple(basis), recipe, ((-1.0, 1.0),) * len(basis))

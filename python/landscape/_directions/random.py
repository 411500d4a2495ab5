"""Random directions, normalised so that surfaces of different networks can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from landscape import _core
from landscape._directions.axes import AXIS_NAMES, Axes, make_recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._parameters import ParameterLayout

__all__ = [
    "NORMALIZATIONS",
    "ONE_DIMENSIONAL",
    "Normalization",
    "RandomDirections",
    "describe_unit_step",
]

Normalization = Literal["filter", "layer", "model"]
NORMALIZATIONS: tuple[Normalization, ...] = ("filter", "layer", "model")
ONE_DIMENSIONAL = ("zero", "include")

_UNITS = {
    "filter": "1 = each filter's own norm",
    "layer": "1 = each layer's own norm",
    "model": "1 = the norm of the parameters",
}


def describe_unit_step(normalize: str | None, norm: float) -> str:
    """The length of a unit step along a direction, in words."""
    return _UNITS[normalize] if normalize else f"1 = {norm:.4g} in parameter space"


@dataclass(frozen=True)
class RandomDirections:
    r"""Gaussian directions around the model, rescaled to its weights.

    Under filter normalisation every filter of a direction takes the norm of the same filter of
    theta, d_f <- d_f |theta_f| / |d_f|, which makes a surface invariant to the rescaling of ReLU
    layers. A second direction is made orthogonal to the first *before* both are normalised:
    doing it afterwards would mix the filters' scales and destroy that invariance. The cosine that
    normalising leaves is in the recipe.

    Reference:
        Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of Neural Nets"
        (2018), section 4.
    """

    count: int
    seed: int
    normalize: Normalization | None
    one_dimensional: Literal["zero", "include"]

    def axes(self, theta: NDArray[Any], layout: ParameterLayout) -> Axes:
        """Draw the directions and normalise them."""
        dtype: Any = theta.dtype.name
        table = layout.filter_table(self.one_dimensional)
        basis: list[NDArray[Any]] = []
        for stream in range(self.count):
            direction = _core.gaussian(theta.size, seed=self.seed, stream=stream, dtype=dtype)
            if self.normalize:
                self._zero_one_dimensional(direction, layout)
            basis.append(_core.orthogonalise(direction, basis) if basis else direction)
        if self.normalize:
            for index in range(self.count):
                basis[index] = _core.normalise(basis[index], theta, table, self.normalize)
        recipe = make_recipe(
            "random",
            theta,
            basis,
            [
                f"{name} ({describe_unit_step(self.normalize, _core.norm(vector))})"
                for name, vector in zip(AXIS_NAMES, basis, strict=False)
            ],
            normalize=self.normalize,
            one_dimensional=self.one_dimensional if self.normalize else "include",
            seed=self.seed,
        )
        if not all(recipe.norms):
            raise ValueError(
                "every direction is zero after normalisation: no varied tensor has two dimensions, "
                "or all weights are zero; pass one_dimensional='include' or normalize=None"
            )
        return Axes(theta, tuple(basis), recipe, ((-1.0, 1.0),) * self.count)

    def _zero_one_dimensional(self, direction: NDArray[Any], layout: ParameterLayout) -> None:
        """Set biases and scales to zero first, so that the rest is made orthogonal."""
        if self.one_dimensional == "zero":
            for entry in layout.entries:
                if entry.filters is None:
                    direction[entry.span] = 0

"""`random_plane`: the random directions of a surface, and projections onto their plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from landscape import _core
from landscape._directions.axes import Axes
from landscape._directions.random import (
    NORMALIZATIONS,
    ONE_DIMENSIONAL,
    Normalization,
    RandomDirections,
)
from landscape._directions.weights import read_weights
from landscape._objective import Objective, validate_model
from landscape._parameters import ParameterLayout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from landscape._results import Recipe

__all__ = ["Projection", "RandomPlane", "random_plane"]


@dataclass(frozen=True, eq=False)
class Projection:
    """Where points lie on a plane, and how far from it.

    Args:
        coordinates: (2,) of one point, (k, 2) of several: those of a surface's axes.
        residual: Distance from the plane, in units of the parameters; shape () or (k,).

    Example:
        >>> projection = landscape.random_plane(model).project(other)
        >>> projection.coordinates.shape, bool(projection.residual > 0)
        ((2,), True)
    """

    coordinates: NDArray[np.float64]
    residual: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RandomPlane:
    """The plane of two random directions through a model; :func:`random_plane` makes it.

    Args:
        drawn: The origin and the two directions, with their recipe.
        layout: Names and shapes of the parameters.

    Example:
        >>> plane = landscape.random_plane(model, seed=1)
        >>> plane.vectors.shape == (2, plane.origin.size), abs(plane.cosine) < 1
        (True, True)
    """

    drawn: Axes
    layout: ParameterLayout

    @property
    def origin(self) -> NDArray[Any]:
        """(d,) the parameters of the model, at (0, 0)."""
        origin: NDArray[Any] = self.drawn.origin.view()
        origin.setflags(write=False)
        return origin

    @property
    def vectors(self) -> NDArray[Any]:
        """(2, d) the directions: a unit step along each axis."""
        return np.stack(self.drawn.basis)

    @property
    def recipe(self) -> Recipe:
        """How the directions were made."""
        return self.drawn.recipe

    @property
    def cosine(self) -> float:
        """Between the two directions."""
        cosine = self.recipe.cosine
        return 0.0 if cosine is None else cosine

    def project(self, points: Any) -> Projection:
        r"""Project models or points onto the plane.

        .. math:: c = \arg\min_c \lVert \theta - \theta_0 - c_1 u - c_2 v \rVert

        Args:
            points: A module, a state dict, a ``.safetensors`` path, a flat vector, shape (d,), or
                several vectors, shape (k, d), such as ``path.points``.

        Returns:
            The coordinates on the axes, which need not be orthogonal, and the distance from the
            plane.

        Raises:
            TypeError: They are no weights.
            ValueError: They do not fit the layout, or are not finite.
        """
        is_several = isinstance(points, (np.ndarray, torch.Tensor)) and points.ndim == 2
        rows = list(points) if is_several else [points]
        dtype = self.origin.dtype
        basis = self.drawn.basis
        gram = _core.gram(list(basis))
        coordinates, residuals = [], []
        for row in rows:
            step = read_weights(row, self.layout, dtype, "points") - self.origin
            products = np.array([_core.dot(vector, step) for vector in basis])
            own = np.linalg.solve(gram, products)
            rest = _core.combine([step, *basis], np.array([1.0, *-own]))
            coordinates.append(own)
            residuals.append(_core.norm(rest))
        if is_several:
            return Projection(np.array(coordinates).reshape(-1, 2), np.array(residuals))
        return Projection(coordinates[0], np.array(residuals[0]))

    def theta_at(self, alpha: float, beta: float) -> NDArray[Any]:
        """The parameters at a point of the plane, shape (d,)."""
        return _core.combine([self.origin, *self.drawn.basis], np.array([1, alpha, beta]))

    def axes(self, theta: NDArray[Any], layout: ParameterLayout) -> Axes:
        """The axes of a surface around the plane's own model.

        Raises:
            ValueError: The surface's model is another one.
        """
        if theta.dtype != self.origin.dtype:
            raise ValueError(
                f"this plane was drawn in {self.origin.dtype} for a surface in {theta.dtype}; "
                "draw it for the Objective: landscape.random_plane(objective)"
            )
        if layout.size != self.layout.size or not np.array_equal(theta, self.origin):
            where = self.layout.difference(layout)
            if where is None:
                distance = _core.norm(theta.astype(self.origin.dtype) - self.origin)
                where = f"its parameters are {distance:.4g} away"
            raise ValueError(
                f"this plane goes through another model than the surface's ({where}); pass that "
                "model, or directions=plane.vectors for the same directions around this one"
            )
        return self.drawn


def random_plane(
    model: nn.Module | Objective,
    *,
    seed: int = 0,
    normalize: Literal["filter", "layer", "model"] | None = "filter",
    one_dimensional: Literal["zero", "include"] = "zero",
    parameters: str | Iterable[str] | None = None,
) -> RandomPlane:
    r"""The plane of the random directions that a surface draws.

    The vectors are those of ``surface(model, data, seed=seed)``, bit for bit: a second model, a
    path or a computation of one's own can be placed on the same axes.

    Args:
        model: The module, or an Objective of it.
        seed: Of the directions.
        normalize: As for :func:`surface`, where ``"filter"`` is the default for random directions.
        one_dimensional: As for :func:`surface`.
        parameters: As for :class:`Objective`; an Objective has its own.

    Returns:
        The plane: ``.vectors``, shape (2, d), ``.cosine``, ``.project(model_or_theta)``, and
        ``surface(..., directions=plane)``.

    Raises:
        TypeError: ``parameters`` is passed together with an Objective.
        ValueError: An option is unknown, or every direction is zero after normalisation.

    Reference:
        Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of Neural Nets"
        (2018), section 4.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> a, b = nn.Linear(4, 3), nn.Linear(4, 3)
        >>> plane = landscape.random_plane(a, seed=1)
        >>> plane.project(a).coordinates
        array([0., 0.])
        >>> plane.project(b).residual > 0
        np.True_
        >>> data = (torch.randn(64, 4), torch.randint(3, (64,)))
        >>> surface = landscape.surface(a, data, directions=plane, points=5)
    """
    if normalize not in (None, *NORMALIZATIONS):
        raise ValueError(f"normalize={normalize!r}, expected 'filter', 'layer', 'model' or None")
    if one_dimensional not in ONE_DIMENSIONAL:
        raise ValueError(f"one_dimensional={one_dimensional!r}, expected 'zero' or 'include'")
    if isinstance(model, Objective):
        if parameters is not None:
            raise TypeError("an Objective has its own parameters=; leave them out")
        layout, theta = model.layout, model.theta
    else:
        module = validate_model(model)
        layout = ParameterLayout.of(module, parameters)
        theta = layout.flatten(module)
    chosen: Normalization | None = normalize
    return RandomPlane(
        RandomDirections(2, seed, chosen, one_dimensional).axes(theta, layout), layout
    )

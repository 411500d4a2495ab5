"""Axes: an origin, one or two directions, and the meaning of a unit step along them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from landscape import _core
from landscape._results import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._parameters import ParameterLayout

__all__ = ["AXIS_NAMES", "Axes", "Directions", "make_recipe"]

AXIS_NAMES = ("alpha", "beta")
_MARGIN = 0.2  # of the extent, around the points

Span = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Axes:
    """theta = origin + sum_j c_j basis_j, ready to be evaluated."""

    origin: NDArray[Any]
    """Shape (d,)."""
    basis: tuple[NDArray[Any], ...]
    """One or two directions, shape (d,) each."""
    recipe: Recipe
    span: Span
    """The default ranges of coordinates, one per axis."""
    joins_models: bool = False
    """Whether several models lie on the axes, whose batch statistics belong to none of them."""


class Directions(Protocol):
    """The plan of axes around a model's parameters."""

    def axes(self, theta: NDArray[Any], layout: ParameterLayout) -> Axes:
        """Make the axes.

        Args:
            theta: The model's parameters, shape (d,).
            layout: Their names and shapes.
        """


def make_recipe(
    kind: str,
    origin: NDArray[Any],
    basis: Sequence[NDArray[Any]],
    labels: Sequence[str],
    *,
    normalize: str | None = None,
    one_dimensional: str = "include",
    seed: int | None = None,
    markers: Mapping[str, tuple[float, ...]] | None = None,
    explained_variance: tuple[float, ...] | None = None,
    trajectory: NDArray[Any] | None = None,
) -> Recipe:
    """Record how directions were made, with their norms, cosine and fingerprint."""
    norms = tuple(_core.norm(vector) for vector in basis)
    cosine = None
    if len(basis) == 2 and all(norms):
        cosine = _core.dot(basis[0], basis[1]) / (norms[0] * norms[1])
    digest = hashlib.blake2b(digest_size=16)
    for vector in (origin, *basis):
        digest.update(vector.data)
    return Recipe(
        kind=kind,
        normalize=normalize,
        one_dimensional=one_dimensional,
        seed=seed,
        cosine=cosine,
        norms=norms,
        labels=tuple(labels),
        markers=markers or {"model": (0.0,) * len(basis)},
        explained_variance=explained_variance,
        trajectory=trajectory,
        fingerprint=digest.hexdigest(),
    )


def bounding_box(points: NDArray[Any]) -> Span:
    """The ranges, one per axis, of points, shape (points, axes), with a margin."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * (high - low)
    return tuple(zip((low - margin).tolist(), (high + margin).tolist(), strict=True))

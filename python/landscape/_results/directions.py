"""Recipe: how the axes of a surface or a line were made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from landscape._results._values import ReadOnly, frozen_array


@dataclass(frozen=True, eq=False)
class Recipe:
    """How the axes were made: a point of the picture is theta + alpha u + beta v.

    Args:
        kind: "random", "between", "plane", "pca", "user" or "eigen".
        normalize: "filter", "layer", "model" or None.
        one_dimensional: what became of biases and normalisation scales: "zero" or "include".
        seed: of the random directions; None where nothing was drawn.
        cosine: between the two directions as used; None for one direction.
        norms: Euclidean norm of each direction, in units of the parameters.
        labels: one an axis; says what a unit step is: "alpha (1 = filter norm of theta)".
        markers: named points in the coordinates of the picture: {"model": (0, 0), "B": (1, 0)}.
        explained_variance: the share of the variance along each axis, between 0 and 1 (PCA).
        trajectory: (checkpoints, axes) projected checkpoints, in order.
        fingerprint: hash of the bytes of the origin and the directions.
    """

    kind: str
    normalize: str | None
    one_dimensional: str
    seed: int | None
    cosine: float | None
    norms: tuple[float, ...]
    labels: tuple[str, ...]
    markers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    explained_variance: tuple[float, ...] | None = None
    trajectory: NDArray[np.float64] | None = None
    fingerprint: str = ""

    def __post_init__(self) -> None:
        axes = len(self.labels)
        if len(self.norms) != axes:
            raise ValueError(f"{len(self.norms)} norms for {axes} labels; expected one an axis")
        markers = {name: _numbers(point) for name, point in self.markers.items()}
        for name, point in markers.items():
            if len(point) != axes:
                raise ValueError(
                    f"marker {name!r} has {len(point)} coordinates; expected {axes}, one an axis"
                )
        object.__setattr__(self, "norms", _numbers(self.norms))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "markers", ReadOnly(markers))
        if self.explained_variance is not None:
            object.__setattr__(self, "explained_variance", _numbers(self.explained_variance))
        if self.trajectory is not None:
            steps = (np.shape(self.trajectory)[0] if np.ndim(self.trajectory) else 0, axes)
            trajectory = frozen_array(self.trajectory, "trajectory", steps)
            object.__setattr__(self, "trajectory", trajectory)


def _numbers(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)

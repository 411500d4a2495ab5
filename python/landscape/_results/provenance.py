"""Provenance: how numbers were computed (`Run`) and how directions were made (`Recipe`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landscape._results.fields import check_fields
from landscape._results.frozen import ReadOnly, freeze_array, freeze_json
from landscape._store import Json

__all__ = ["Recipe", "Run"]


@dataclass(frozen=True)
class Run:
    """The record of a computation, enough to understand its numbers and to repeat them.

    Args:
        engine: The backend that evaluated the loss: "native", or "torch" with the reason.
        strategy: How points were evaluated: kind, chunk, threads, device, dtype, ...
        policy: Which function the loss is: name, reduction, batch norm, dropout, samples, ...
        evaluations: The number of points evaluated, each a full pass over the data.
        seconds: Wall-clock time.
        seed: Of the sample subset, the split and the dropout; that of directions is in the recipe.
        status: How it ended, as a sentence; "complete" where nothing is left to say.
        versions: Of landscape, torch, numpy and python.
        notes: Remarks for the user: dropped samples, frozen augmentation, frozen parameters.
        check: What the comparison of the loss with the user's own program found, and its cost in
            passes over a few samples; empty in files of versions without it.

    Sequences inside `strategy` and `policy` become tuples, so that a run read from a file equals
    the one that was written.
    """

    engine: str
    strategy: Mapping[str, Json]
    policy: Mapping[str, Json]
    evaluations: int
    seconds: float
    seed: int
    status: str
    versions: Mapping[str, str]
    notes: tuple[str, ...] = ()
    check: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("strategy", "policy", "versions", "check"):
            object.__setattr__(self, name, freeze_json(getattr(self, name)))
        object.__setattr__(self, "notes", tuple(self.notes))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Run:
        """The run that :meth:`to_record` wrote.

        Raises:
            TypeError: A field is of another type.
            ValueError: A number is negative.
        """
        check_fields(cls, record)
        run = cls(**record)
        if run.evaluations < 0 or not run.seconds >= 0:
            raise ValueError(f"{run.evaluations} evaluations in {run.seconds} s")
        return run

    def to_record(self) -> dict[str, Any]:
        """Every field, as JSON-able data."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, eq=False)
class Recipe:
    """How the axes were made: a grid point is theta + alpha u + beta v.

    Args:
        kind: "random", "between", "plane", "pca", "user" or "eigen".
        normalize: "filter", "layer", "model" or None.
        one_dimensional: How biases and normalisation scales were treated: "zero" or "include".
        seed: Of the random directions; None where none are random.
        cosine: Between the two directions as used; None for one direction.
        norms: Euclidean norm of each direction, in units of the parameters.
        labels: One an axis; says what a unit step is: "alpha (1 = filter norm of theta)".
        markers: Named points in grid coordinates: {"model": (0, 0), "B": (1, 0)}.
        explained_variance: The share of the variance along each axis, between 0 and 1 (PCA).
        trajectory: (checkpoints, axes) projected checkpoints, in order.
        fingerprint: Hash of the bytes of the origin and the directions.
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
        markers = {name: _to_floats(point) for name, point in self.markers.items()}
        for name, point in markers.items():
            if len(point) != axes:
                raise ValueError(
                    f"marker {name!r} has {len(point)} coordinates; expected {axes}, one an axis"
                )
        object.__setattr__(self, "norms", _to_floats(self.norms))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "markers", ReadOnly(markers))
        if self.explained_variance is not None:
            object.__setattr__(self, "explained_variance", _to_floats(self.explained_variance))
        if self.trajectory is not None:
            steps = (np.shape(self.trajectory)[0] if np.ndim(self.trajectory) else 0, axes)
            trajectory = freeze_array(self.trajectory, "trajectory", steps)
            object.__setattr__(self, "trajectory", trajectory)

    def to_record(self) -> dict[str, Any]:
        """Every field but the trajectory, which is an array."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "trajectory"}


def _to_floats(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)

"""Path: a low-loss path between two models, its barrier, and the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from landscape._results._curve import Curve, CurveKind
from landscape._results._flat import Flat, nested, part_of
from landscape._results._values import frozen_array
from landscape._results.profile import Profile
from landscape._results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import nn

    from landscape._results.surface import Surface

_PARTS = ("train", "test")


class Within(Protocol):
    """What a path lies in: who can make a model at a point of it, and draw what is around."""

    def model_at(self, theta: NDArray[Any]) -> nn.Module:
        """A module of its own, with buffers that go with its weights."""

    def surface(self, path: Path, **options: Any) -> Surface:
        """The loss on the plane that lies closest to the path."""


@dataclass(frozen=True, eq=False, repr=False)
class Path(Flat):
    """A path from one model to another: theta(s), s from 0 to 1 the share of its length.

    Args:
        points: (k, d) pivots of a polyline, or control points of a Bezier curve; the first and the
            last are the two models.
        looks: (m, 3) rows of steps, inner points and highest loss: what the search saw on its way.
        curve: "polyline" or "bezier".
        method: "linear", "autoneb", "bezier" or "polychain".
        train: losses along the path, on the data that it was made for.
        test: the same on test data.
        gradient_norms: of L at the two ends; None on the straight line of data without gradients.
        slack: what steepest descent alone takes off the loss of each end: an end is a minimum only
            as far as this is small, and barriers below it say little.
        stored_losses: L at each end under the running statistics stored in its own model, where
            the path's own are re-estimated; NaN for an end without stored statistics.
        distance: between the two ends.
        status: how the search ended, as a sentence.
        run: how the numbers were made; its evaluations are passes over the data.
        figure: set by the `plot_*` calls alone; takes no part in equality or saving.
        within: what the path lies in; None after `landscape.load`.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> path = landscape.connect(model, other, data, method="linear", points=5)
        >>> path.method, bool(path.barrier >= 0)
        ('linear', True)
    """

    kind: ClassVar[str] = "path"
    arrays: ClassVar[tuple[str, ...]] = ("points", "looks")

    points: NDArray[Any]
    looks: NDArray[np.float64]
    _: KW_ONLY
    curve: CurveKind
    method: str
    train: Profile
    test: Profile | None = None
    gradient_norms: tuple[float, float] | None = None
    slack: tuple[float, float] | None = None
    stored_losses: tuple[float, float] | None = None
    distance: float
    status: str
    run: Run
    figure: Any = field(default=None, compare=False)
    within: Within | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        points = self.points if isinstance(self.points, np.memmap) else np.array(self.points)
        if points.ndim != 2 or len(points) < 2:
            raise ValueError(f"points has shape {points.shape}; expected two rows or more")
        points.setflags(write=False)
        object.__setattr__(self, "points", points)
        count = np.shape(self.looks)[0]
        object.__setattr__(self, "looks", frozen_array(self.looks, "looks", (count, 3)))
        for name in ("gradient_norms", "slack", "stored_losses"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))

    @cached_property
    def line(self) -> Curve:
        """The curve itself: coefficients and points at any position."""
        return Curve(self.points, self.curve)

    @property
    def positions(self) -> NDArray[np.float64]:
        """(n,) shares of the arc length, from 0 to 1."""
        return self.train.positions

    @property
    def losses(self) -> NDArray[np.float64]:
        """(n,) L at the positions."""
        return self.train.losses

    @property
    def metrics(self) -> Mapping[str, NDArray[np.float64]]:
        """Name -> (n,) further quantities at the positions."""
        return self.train.metrics

    @property
    def saddle(self) -> int:
        """The index of the highest loss."""
        return self.train.saddle

    @property
    def barrier(self) -> float:
        """The highest loss less that of the higher end."""
        return self.train.barrier

    @property
    def excess(self) -> float:
        """The largest rise above the straight line between the losses of the ends."""
        return self.train.excess

    @property
    def length(self) -> float:
        """The arc length; `distance` is that of the straight line."""
        return self.line.length

    @property
    def cosines(self) -> NDArray[np.float64]:
        """(k - 2,) cosines between successive segments of the points."""
        return self.line.cosines

    def theta_at(self, position: float) -> NDArray[Any]:
        """The parameters at a share of the arc length, shape (d,)."""
        return self.line.at(position)

    def model_at(self, position: float, within: Within | None = None) -> nn.Module:
        """A model at a share of the arc length: its weights, and buffers that go with them.

        Args:
            position: From 0, the first model, to 1, the second.
            within: An Objective; needed for a path that was loaded from a file, which holds no
                model and no data.

        Returns:
            A module of its own. Its batch norms have the statistics of that point, where the
            path's are re-estimated.

        Raises:
            ValueError: The position lies outside, or there is no model to make another one of.
        """
        found = within or self.within
        if found is None:
            raise ValueError(
                "this path was loaded from a file, which holds no model; pass an Objective: "
                "path.model_at(position, landscape.Objective(model, data, "
                "batch_norm='recalibrated'))"
            )
        return found.model_at(self.theta_at(position))

    def surface(self, **options: Any) -> Surface:
        """The loss on the plane closest to the path, with the path drawn on it.

        Args:
            options: Those of :func:`landscape.surface` but directions.

        Returns:
            The surface; its recipe's trajectory is the path.

        Raises:
            ValueError: The path was loaded from a file, or is a straight line.
        """
        if self.within is None:
            raise ValueError(
                "this path was loaded from a file, which holds no model; pass its points to "
                "landscape.surface(model, data, directions=landscape.pca(list(path.points)))"
            )
        return self.within.surface(self, **options)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Losses along the arc length: `landscape.plot.path`.

        Args:
            ax: where to draw; None makes a figure of its own (`.figure` of what is returned).
            options: those of `landscape.plot.path`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.path(self, ax, **options)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The record and the arrays, from which the path can be made again."""
        record, arrays = Flat.pack(replace(self, figure=None, within=None))
        del record["within"]
        for part in _PARTS:
            profile: Profile | None = getattr(self, part)
            record[part] = None
            if profile is not None:
                names = list(profile.metrics)
                record[part] = {"metrics": names, "barrier_error": profile.barrier_error}
                arrays[f"{part}.positions"] = profile.positions
                arrays[f"{part}.losses"] = profile.losses
                for place, name in enumerate(names):
                    arrays[f"{part}.metric_{place}"] = profile.metrics[name]
                if profile.standard_error is not None:
                    arrays[f"{part}.standard_error"] = profile.standard_error
        return record, arrays

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The path that `pack` took apart."""
        parts = {part: _profile(part, record[part], arrays) for part in _PARTS}
        return super().unpack({**record, **parts}, arrays)

    def __repr__(self) -> str:
        return "\n".join([*_table(self), *self._made(str(self.run.evaluations), "passes")])


def _profile(
    part: Literal["train", "test"] | str,
    record: Mapping[str, Any] | None,
    arrays: Mapping[str, NDArray[Any]],
) -> Profile | None:
    if record is None:
        return None
    return Profile(
        arrays[f"{part}.positions"],
        arrays[f"{part}.losses"],
        metrics={
            name: arrays[f"{part}.metric_{place}"] for place, name in enumerate(record["metrics"])
        },
        standard_error=arrays.get(f"{part}.standard_error"),
        barrier_error=record["barrier_error"],
    )


def packed(paths: Sequence[Path]) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """The records and the arrays of several paths."""
    records: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for place, path in enumerate(paths):
        record, members = path.pack()
        records.append(record)
        arrays |= nested(f"path_{place}", members)
    return records, arrays


def unpacked(
    records: Sequence[Mapping[str, Any]], arrays: Mapping[str, NDArray[Any]]
) -> list[Path]:
    """The paths that `packed` took apart."""
    parts = (part_of(f"path_{place}", arrays) for place in range(len(records)))
    return [Path.unpack(record, part) for record, part in zip(records, parts, strict=True)]


def _table(path: Path) -> list[str]:
    """The numbers on each data set, below each other."""
    inner = len(path.points) - 2
    head = f"Path, {path.method}: {inner} point{'' if inner == 1 else 's'} between the two models"
    lines = [
        head,
        f"length    {path.length:.5g}, {path.length / path.distance:.4g} of the distance",
    ]
    for name, part in (("loss", path.train), ("test loss", path.test)):
        if part is None:
            continue
        error = "" if part.barrier_error is None else f" +- {part.barrier_error:.2g}"
        top = f"{part.losses[part.saddle]:.6g} at {part.positions[part.saddle]:.4f}"
        barrier = f"{part.barrier:.6g}{error}, {part.between:.2g} more between points"
        lines += [
            f"{name:<9} {part.ends[0]:.6g} and {part.ends[1]:.6g} at the ends, highest {top}",
            f"  barrier {barrier}; excess {part.excess:.6g}",
        ]
        lines += [
            f"  {metric}: {values[0]:.4g} and {values[-1]:.4g} at the ends, "
            f"{values.min():.4g} to {values.max():.4g} on the way"
            for metric, values in part.metrics.items()
        ]
    if path.gradient_norms is not None and path.slack is not None:
        norms, slack = path.gradient_norms, path.slack
        lines.append(
            f"ends      gradient norms {norms[0]:.2g} and {norms[1]:.2g}; descent takes off "
            f"{slack[0]:.2g} and {slack[1]:.2g}"
        )
    if path.stored_losses is not None:
        lines.append("stored    {:.6g} and {:.6g} with own statistics".format(*path.stored_losses))
    return lines

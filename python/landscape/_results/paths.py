"""Paths between two models: losses along the path, barriers, and instability of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from landscape import _map
from landscape._results.base import Result, add_prefix, describe_function, select_prefix
from landscape._results.curve import Curve, CurveKind
from landscape._results.frozen import (
    finite_range,
    freeze_array,
    freeze_arrays,
    freeze_axis,
    freeze_vectors,
)
from landscape._results.provenance import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import nn

    from landscape._results.grids import Surface


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """Losses along a path, from one end to the other.

    Args:
        positions: (n,) shares of the arc length, from 0 to 1, increasing.
        losses: (n,) mean losses over samples.
        metrics: name -> (n,) further quantities at the same positions.
        standard_error: (n,) of the losses, where the data are a random subset.
        barrier_error: standard error of the barrier, where the data are a random subset; the losses
            at the ends and at the top are those of the same samples, so it is less than the sum.

    Raises:
        ValueError: shapes that do not fit together, or positions that do not span 0 to 1.

    Example:
        >>> profile = landscape.barrier(model, other, data, points=5).train
        >>> profile.losses.shape == profile.positions.shape
        True
    """

    positions: NDArray[np.float64]
    losses: NDArray[np.float64]
    _: KW_ONLY
    metrics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    standard_error: NDArray[np.float64] | None = None
    barrier_error: float | None = None

    def __post_init__(self) -> None:
        positions = freeze_axis(self.positions, "positions")
        if positions[0] != 0 or positions[-1] != 1:
            raise ValueError(
                f"positions run from {positions[0]} to {positions[-1]}; expected 0 to 1"
            )
        object.__setattr__(self, "positions", positions)
        shape = positions.shape
        object.__setattr__(self, "losses", freeze_array(self.losses, "losses", shape))
        object.__setattr__(self, "metrics", freeze_arrays(self.metrics, "metrics", shape))
        if self.standard_error is not None:
            errors = freeze_array(self.standard_error, "standard_error", shape)
            object.__setattr__(self, "standard_error", errors)

    @property
    def ends(self) -> tuple[float, float]:
        """The losses at both ends."""
        return float(self.losses[0]), float(self.losses[-1])

    @property
    def saddle(self) -> int:
        """The index of the highest loss; that of a NaN, where there is one."""
        return int(np.argmax(self.losses))

    @property
    def barrier(self) -> float:
        """max_s L(s) - max(L(0), L(1)): 0 where the path is nowhere higher than its higher end."""
        with np.errstate(invalid="ignore"):
            return float(np.max(self.losses) - np.max(self.ends))

    @property
    def excess(self) -> float:
        """max_s [L(s) - (1 - s) L(0) - s L(1)]: the rise above the line between the end losses."""
        return self.rise()

    def rise(self, metric: str | None = None) -> float:
        """The same for a metric: its largest rise above the line between its values at the ends."""
        values = self.losses if metric is None else self.metrics[metric]
        with np.errstate(invalid="ignore"):  # infinite losses are data
            chord = (1 - self.positions) * values[0] + self.positions * values[-1]
            return float(np.max(values - chord))

    @property
    def resolution(self) -> float:
        """The larger distance from the highest loss to a neighbour, as a share of the length."""
        steps = np.diff(self.positions)
        return float(np.max(steps[max(self.saddle - 1, 0) : self.saddle + 1]))

    @property
    def between(self) -> float:
        """An estimate of how far the loss between positions exceeds its highest value at positions.

        The height, above the highest point, of the peak of the parabola through it and its two
        neighbours; 0 where the highest point is an end.
        """
        top = self.saddle
        if top in (0, len(self.losses) - 1):
            return 0.0
        if not np.isfinite(self.losses[top - 1 : top + 2]).all():
            return float("nan")
        (a, b, c), (x, y, z) = (v[top - 1 : top + 2] for v in (self.losses, self.positions))
        left, right = (b - a) / (y - x), (c - b) / (z - y)
        curvature = (right - left) / (z - x)
        slope = left + curvature * (y - x)
        return float(-(slope**2) / (4 * curvature)) if curvature < 0 else 0.0

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest finite loss."""
        return finite_range(self.losses)


_SETS = ("train", "test")


class PathContext(Protocol):
    """The model and data of a path: builds models at its points and surfaces around it."""

    def model_at(self, theta: NDArray[Any]) -> nn.Module:
        """A new module with these parameters, and buffers that go with them."""

    def surface(self, path: Path, **options: Any) -> Surface:
        """The loss on the plane of best fit to the path."""


@dataclass(frozen=True, eq=False, repr=False)
class Path(Result):
    """A path from one model to another: theta(s), s from 0 to 1 the share of its length.

    Args:
        points: (k, d) pivots of a polyline, or control points of a Bezier curve; the first and the
            last are the two models.
        history: (m, 3) rows of steps, inner points and highest loss, one for each evaluation of the
            whole path during the search.
        curve: "polyline" or "bezier".
        method: "linear", "autoneb", "bezier" or "polychain".
        train: losses along the path, on the training data.
        test: the same on test data.
        gradient_norms: of L at the two ends; None on the straight line of data without gradients.
        descent_gain: by how much a step of steepest descent lowers the loss of each end: an end is
            a minimum only as far as this is small, and barriers below it say little.
        stored_losses: L at each end under the running statistics stored in its own model, where
            those of the path are re-estimated; NaN for an end without stored statistics.
        distance: between the two ends.
        status: how the search ended, as a sentence.
        run: how the numbers were computed; its evaluations are passes over the data.
        context: the model and data of the path; None after `landscape.load`.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> path = landscape.connect(model, other, data, method="linear", points=5)
        >>> path.method, bool(path.barrier >= 0)
        ('linear', True)
    """

    kind: ClassVar[str] = "path"
    arrays: ClassVar[tuple[str, ...]] = ("points", "history")
    unsaved: ClassVar[tuple[str, ...]] = ("context",)
    former_names: ClassVar[Mapping[str, str]] = {"looks": "history", "slack": "descent_gain"}

    points: NDArray[Any]
    history: NDArray[np.float64]
    _: KW_ONLY
    curve: CurveKind
    method: str
    train: Profile
    test: Profile | None = None
    gradient_norms: tuple[float, float] | None = None
    descent_gain: tuple[float, float] | None = None
    stored_losses: tuple[float, float] | None = None
    distance: float
    status: str
    run: Run
    context: PathContext | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        points = freeze_vectors(self.points)
        if points.ndim != 2 or len(points) < 2:
            raise ValueError(f"points has shape {points.shape}; expected two rows or more")
        object.__setattr__(self, "points", points)
        count = np.shape(self.history)[0]
        object.__setattr__(self, "history", freeze_array(self.history, "history", (count, 3)))
        for name in ("gradient_norms", "descent_gain", "stored_losses"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))

    @cached_property
    def geometry(self) -> Curve:
        """The curve itself: coefficients and points at any position."""
        _map.require_whole(self.points, "points")
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
        return self.geometry.length

    @property
    def cosines(self) -> NDArray[np.float64]:
        """(k - 2,) cosines between successive segments of the points."""
        return self.geometry.cosines

    def theta_at(self, position: float) -> NDArray[Any]:
        """The parameters at a share of the arc length, shape (d,)."""
        return self.geometry.at(position)

    def model_at(self, position: float, context: PathContext | None = None) -> nn.Module:
        """A model at a share of the arc length: its weights, and buffers that go with them.

        Args:
            position: From 0, the first model, to 1, the second.
            context: An Objective; needed for a path that was loaded from a file, which holds no
                model and no data.

        Returns:
            A new module. Where the path's batch statistics are re-estimated, its batch norms hold
            those of that point.

        Raises:
            ValueError: The position lies outside, or the path has no context.
        """
        source = context or self.context
        if source is None:
            raise ValueError(
                "this path was loaded from a file, which holds no model; pass an Objective: "
                "path.model_at(position, landscape.Objective(model, data, "
                "batch_norm='recalibrated'))"
            )
        return source.model_at(self.theta_at(position))

    def surface(self, **options: Any) -> Surface:
        """The loss on the plane of best fit to the path, with the path drawn on it.

        Args:
            options: Those of :func:`landscape.surface` but directions.

        Returns:
            The surface; its recipe's trajectory is the path.

        Raises:
            ValueError: The path was loaded from a file, or is a straight line.
        """
        if self.context is None:
            raise ValueError(
                "this path was loaded from a file, which holds no model; pass its points to "
                "landscape.surface(model, data, directions=landscape.pca(list(path.points)))"
            )
        return self.context.surface(self, **options)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Losses along the arc length: `landscape.plot.path`.

        Args:
            ax: Where to draw; None creates a figure (`.figure` of the returned Axes).
            options: Those of `landscape.plot.path`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.path(self, ax, **options)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The JSON record and the arrays; profiles have names with "train." and "test."."""
        record, arrays = super().pack()
        for part in _SETS:
            profile: Profile | None = getattr(self, part)
            record[part] = None
            if profile is not None:
                names = list(profile.metrics)
                record[part] = {"metrics": names, "barrier_error": profile.barrier_error}
                arrays[f"{part}.positions"] = profile.positions
                arrays[f"{part}.losses"] = profile.losses
                for index, name in enumerate(names):
                    arrays[f"{part}.metric_{index}"] = profile.metrics[name]
                if profile.standard_error is not None:
                    arrays[f"{part}.standard_error"] = profile.standard_error
        return record, arrays

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the path from what :meth:`pack` returned."""
        parts = {part: _unpack_profile(part, record[part], arrays) for part in _SETS}
        return super().unpack({**record, **parts}, arrays)

    def __repr__(self) -> str:
        cost = self._describe_run(str(self.run.evaluations), "passes")
        return "\n".join([*_format_path(self), *cost])


def _unpack_profile(
    part: str,
    record: Mapping[str, Any] | None,
    arrays: Mapping[str, NDArray[Any]],
) -> Profile | None:
    if record is None:
        return None
    return Profile(
        arrays[f"{part}.positions"],
        arrays[f"{part}.losses"],
        metrics={
            name: arrays[f"{part}.metric_{index}"] for index, name in enumerate(record["metrics"])
        },
        standard_error=arrays.get(f"{part}.standard_error"),
        barrier_error=record["barrier_error"],
    )


def pack_paths(paths: Sequence[Path]) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """The records and the arrays of several paths."""
    records: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for index, path in enumerate(paths):
        record, members = path.pack()
        records.append(record)
        arrays |= add_prefix(f"path_{index}", members)
    return records, arrays


def unpack_paths(
    records: Sequence[Mapping[str, Any]], arrays: Mapping[str, NDArray[Any]]
) -> list[Path]:
    """Rebuild the paths from what :func:`pack_paths` returned."""
    parts = (select_prefix(f"path_{index}", arrays) for index in range(len(records)))
    return [Path.unpack(record, part) for record, part in zip(records, parts, strict=True)]


def _format_path(path: Path) -> list[str]:
    """The numbers on each data set, below each other."""
    inner = len(path.points) - 2
    heading = (
        f"Path, {path.method}: {inner} point{'' if inner == 1 else 's'} between the two models"
        f"{describe_function(path.run)}"
    )
    lines = [
        heading,
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
            f"{values.min():.4g} to {values.max():.4g} along the path"
            for metric, values in part.metrics.items()
        ]
    if path.gradient_norms is not None and path.descent_gain is not None:
        norms, gains = path.gradient_norms, path.descent_gain
        lines.append(
            f"ends      gradient norms {norms[0]:.2g} and {norms[1]:.2g}; descent gains "
            f"{gains[0]:.2g} and {gains[1]:.2g}"
        )
    if path.stored_losses is not None:
        lines.append("stored    {:.6g} and {:.6g} with own statistics".format(*path.stored_losses))
    return lines


@dataclass(frozen=True, eq=False, repr=False)
class Instability(Result):
    """The error barrier between two models that were trained from one parent.

    Args:
        train: max_s E(s) - (E(0) + E(1)) / 2 on the straight line, E the share of wrong predictions
            on the training data.
        train_error: its standard error as an estimate of the population's.
        test: the same on test data; None without them.
        test_error: its standard error.
        threshold: below which the children count as stable; of the test data where there are any.
        distance: between the children.
        from_parent: distance of each child from the parent, where there is one.
        cosine: between the children's displacements from the parent.
        path: the straight line, with losses and errors.
        status: the verdict, as a sentence.
        run: how the numbers were computed.

    Example:
        >>> result = landscape.instability(model_a, model_b, data, parent=model)
        >>> result.stable == (result.train < result.threshold)
        True
    """

    kind: ClassVar[str] = "instability"
    arrays: ClassVar[tuple[str, ...]] = ()

    train: float
    train_error: float
    _: KW_ONLY
    test: float | None = None
    test_error: float | None = None
    threshold: float
    distance: float
    from_parent: tuple[float, float] | None = None
    cosine: float | None = None
    path: Path
    status: str
    run: Run

    def __post_init__(self) -> None:
        if self.from_parent is not None:
            object.__setattr__(self, "from_parent", tuple(self.from_parent))

    @property
    def stable(self) -> bool:
        """Whether the error barrier is below the threshold."""
        return (self.train if self.test is None else self.test) < self.threshold

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The JSON record and the arrays; those of the path have names with "path."."""
        record, arrays = super().pack()
        record["path"], members = self.path.pack()
        return record, {**arrays, **add_prefix("path", members)}

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the result from what :meth:`pack` returned."""
        path = Path.unpack(record["path"], select_prefix("path", arrays))
        return super().unpack({**record, "path": path}, {})

    def __repr__(self) -> str:
        lines = [self._title(f"Instability: {self.status}")]
        lines.append(f"train     error barrier {self.train:.4g} +- {self.train_error:.2g}")
        if self.test is not None:
            lines.append(f"test      error barrier {self.test:.4g} +- {self.test_error:.2g}")
        distances = f"distance  {self.distance:.5g} between the children"
        if self.from_parent is not None:
            one, other = self.from_parent
            distances += f", {one:.5g} and {other:.5g} from the parent, cosine {self.cosine:.3g}"
        lines.append(distances)
        lines += self._describe_run(str(self.run.evaluations), "passes")
        return "\n".join(lines)

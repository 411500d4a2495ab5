"""Losses on a grid: `Surface` (two axes) and `Line` (one axis)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from landscape import _core, _store
from landscape._results.base import (
    Arrays,
    Result,
    add_prefix,
    describe_function,
    select_prefix,
    wrap_row,
)
from landscape._results.fields import check_fields
from landscape._results.frozen import (
    finite_range,
    freeze_array,
    freeze_arrays,
    freeze_axis,
    same_bits,
)
from landscape._results.interpolation import EvaluatedPoints, SurfaceError, make_interpolant
from landscape._results.provenance import Recipe, Run

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

    from landscape._results.geometry import SurfaceGeometry
    from landscape._results.topology import Topology
    from landscape._results.trust import Trust

__all__ = ["Grid", "Line", "Surface"]

Floats = NDArray[np.float64]

_RESERVED = ("loss", "standard_error", "error", "trajectory")
"""Names of variables that no metric takes: an error rate must not read as an error bar."""


class Grid(Result):
    """Losses at every point of a product of axes: the common part of `Surface` and `Line`.

    The losses have one dimension an axis, the first axis varying fastest (so it comes last), and
    are read-only float64 arrays, copied when the result is created.
    """

    axis_names: ClassVar[tuple[str, ...]]

    if TYPE_CHECKING:  # the fields of the frozen dataclasses below

        @property
        def losses(self) -> Floats: ...
        @property
        def metrics(self) -> Mapping[str, Floats]: ...
        @property
        def standard_error(self) -> Floats | None: ...
        @property
        def test(self) -> Self | None: ...
        @property
        def recipe(self) -> Recipe: ...
        @property
        def evaluated(self) -> EvaluatedPoints | None: ...
        @property
        def error(self) -> SurfaceError | None: ...

    def __post_init__(self) -> None:
        axes = {name: freeze_axis(getattr(self, name), name) for name in self.axis_names}
        shape = tuple(len(axis) for axis in reversed(axes.values()))
        frozen: dict[str, Any] = {
            **axes,
            "losses": freeze_array(self.losses, "losses", shape),
            "metrics": freeze_arrays(self.metrics, "metrics", shape),
        }
        if self.standard_error is not None:
            frozen["standard_error"] = freeze_array(self.standard_error, "standard_error", shape)
        for name, value in frozen.items():
            object.__setattr__(self, name, value)
        if len(self.recipe.labels) != len(axes):
            raise ValueError(
                f"the recipe has {len(self.recipe.labels)} axis labels; expected {len(axes)}, "
                f"for {' and '.join(axes)}"
            )
        if self.test is not None:
            _check_test(self, self.test)
        if (self.error is None) != (self.evaluated is None):
            raise ValueError("an interpolated grid has both `evaluated` and `error`; pass both")
        if self.error is not None and self.error.map.shape != shape:
            raise ValueError(f"the error map has shape {self.error.map.shape}; expected {shape}")

    @property
    def axes(self) -> dict[str, Floats]:
        """Axis name -> its coordinates, the fastest axis first."""
        return {name: getattr(self, name) for name in self.axis_names}

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest finite loss; NaN twice where no loss is finite."""
        return finite_range(self.losses)

    @property
    def non_finite(self) -> int:
        """The number of losses that are NaN or infinite."""
        return int(self.losses.size - np.isfinite(self.losses).sum())

    @property
    def centre_loss(self) -> float:
        """The loss at the origin of the axes; NaN where the grid has no point there."""
        index = tuple(np.flatnonzero(axis == 0.0) for axis in reversed(self.axes.values()))
        return float(self.losses[np.ix_(*index)].item()) if all(map(len, index)) else math.nan

    @property
    def minimum(self) -> tuple[float, ...]:
        """The coordinates of the smallest finite loss, then the loss; NaN where none is finite."""
        finite = np.isfinite(self.losses)
        if not finite.any():
            return (math.nan,) * (len(self.axes) + 1)
        flat = int(np.argmin(np.where(finite, self.losses, np.inf)))
        index = np.unravel_index(flat, self.losses.shape)
        coordinates = zip(self.axes.values(), reversed(index), strict=True)
        return (*(float(axis[i]) for axis, i in coordinates), float(self.losses[index]))

    def pack(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """The JSON record and the arrays; those of the test data have names with "test."."""
        arrays = {**self.axes, "losses": self.losses}
        for name, values in self.metrics.items():
            arrays[_metric_key(name)] = values
        if self.standard_error is not None:
            arrays["standard_error"] = self.standard_error
        if self.recipe.trajectory is not None:
            arrays["trajectory"] = self.recipe.trajectory
        record: dict[str, Any] = {
            "metrics": list(self.metrics),
            "recipe": self.recipe.to_record(),
            "run": self.run.to_record(),
            "test": None,
        }
        if self.error is not None and self.evaluated is not None:
            record |= {"error": self.error.to_record(), "evaluated": self.evaluated.to_record()}
            arrays |= {"error_map": self.error.map, **self.evaluated.to_arrays()}
        if self.test is not None:
            record["test"], test_arrays = self.test.pack()
            own = {n: array for n, array in test_arrays.items() if n not in self.axis_names}
            arrays |= add_prefix("test", own)
        return record, arrays

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Arrays) -> Self:
        """Rebuild the result from what :meth:`pack` returned."""
        axes = {name: arrays[name] for name in cls.axis_names}
        test = None
        if record["test"] is not None:
            test = cls.unpack(record["test"], {**axes, **select_prefix("test", arrays)})
        check_fields(Recipe, record["recipe"])
        error = evaluated = None
        if record.get("error") is not None:  # files of version 0.2 have none
            error = SurfaceError.from_record(record["error"], arrays["error_map"])
            evaluated = EvaluatedPoints.from_record(record["evaluated"], arrays)
        make = cast("Callable[..., Self]", cls)  # the dataclasses below take these fields
        return make(
            **axes,
            losses=arrays["losses"],
            metrics={name: arrays[_metric_key(name)] for name in record["metrics"]},
            standard_error=arrays.get("standard_error"),
            test=test,
            evaluated=evaluated,
            error=error,
            recipe=Recipe(**record["recipe"], trajectory=arrays.get("trajectory")),
            run=Run.from_record(record["run"]),
        )

    def resample(self, points: int | Sequence[int]) -> Self:
        """The same function on other points between the same ends, by its own interpolant.

        Metrics and standard errors, and the error map, are interpolated linearly.

        Args:
            points: Along each axis, or one number an axis; at least 2.

        Returns:
            A grid of interpolated losses. `evaluated` and `run` stay those of the computation.

        Raises:
            ValueError: The number of points does not fit, or this is a full grid, whose losses
                are all evaluated: `surface(alpha, beta)` interpolates between them.
        """
        if self.error is None or self.evaluated is None:
            raise ValueError(
                f"this {self.kind} is a full grid, and interpolated losses would look like "
                f"evaluated ones; call it, {self.kind}({', '.join(self.axes)}), or compute it "
                "with tolerance="
            )
        axes = list(self.axes.values())
        counts = [points] * len(axes) if isinstance(points, int) else list(points)
        if len(counts) != len(axes):
            raise ValueError(f"points={points!r}, expected one number, or one for each axis")
        fine = [
            _core.axis(float(axis[0]), float(axis[-1]), count)
            for axis, count in zip(axes, counts, strict=True)
        ]
        shape = tuple(len(axis) for axis in reversed(fine))

        def resample(values: Floats) -> Floats:
            return _core.Interpolant(axes, values.ravel(), "linear").on(fine).reshape(shape)

        losses = make_interpolant(axes, self.losses, self.evaluated).on(fine).reshape(shape)
        error = replace(self.error, map=resample(self.error.map))
        rest = {
            "metrics": {name: resample(values) for name, values in self.metrics.items()},
            "standard_error": (
                None if self.standard_error is None else resample(self.standard_error)
            ),
            "test": None if self.test is None else self.test.resample(points),
        }
        return replace(
            self, **dict(zip(self.axes, fine, strict=True)), losses=losses, error=error, **rest
        )

    def _interpolate(self, *coordinates: Any) -> Floats:
        arrays = np.broadcast_arrays(*(np.asarray(c, np.float64) for c in coordinates))
        points = np.ascontiguousarray(np.stack([array.ravel() for array in arrays], axis=1))
        interpolant = self.__dict__.get("_interpolant")
        if interpolant is None:
            axes = list(self.axes.values())
            interpolant = make_interpolant(axes, self.losses, self.evaluated)
            object.__setattr__(self, "_interpolant", interpolant)
        values: Floats = interpolant.at(points)
        return values.reshape(arrays[0].shape)

    def __getstate__(self) -> dict[str, Any]:
        """Without the interpolant, which is made again at need."""
        return {name: value for name, value in self.__dict__.items() if name != "_interpolant"}

    def to_xarray(self) -> xarray.Dataset:
        """A labelled copy: named dimensions, units, and the provenance as JSON attributes.

        Variables are `loss`, each metric by its name, `standard_error`, `trajectory` and, for the
        test data, the same with `test_` before them.

        Raises:
            ImportError: xarray is not installed.
        """
        return _to_dataset(self)

    def __repr__(self) -> str:
        return _format_table(self)


@dataclass(frozen=True, eq=False, repr=False)
class Surface(Grid):
    """The loss on a plane: losses[j, i] = L(theta + alpha[i] u + beta[j] v).

    Args:
        alpha: (na,) coordinates along u, increasing; `recipe.labels` says what a unit step is.
        beta: (nb,) coordinates along v, increasing.
        losses: (nb, na) a row for each beta; NaN and infinities are kept.
        metrics: name -> (nb, na) further quantities at the same points.
        standard_error: (nb, na) of the losses, where the data are a random subset.
        test: The surface of the test data on the same plane.
        evaluated: Where the surface was computed to a tolerance, the points at which the loss was
            evaluated; `losses`, metrics and standard errors are then interpolated between them.
        error: The estimated error of that interpolation; None of a full grid.
        recipe: How the directions were made.
        run: How the numbers were computed.
        figure: Set by `plot_surface` alone; takes no part in equality or saving.
        context: The Objective and the directions, for :meth:`trust`; None after `landscape.load`.
            It takes no part in equality, saving or pickling.

    Raises:
        ValueError: Shapes that do not fit together; axes that do not increase.
    """

    kind: ClassVar[str] = "surface"
    axis_names: ClassVar[tuple[str, ...]] = ("alpha", "beta")

    alpha: NDArray[np.float64]
    beta: NDArray[np.float64]
    losses: NDArray[np.float64]
    _: KW_ONLY
    metrics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    standard_error: NDArray[np.float64] | None = None
    test: Surface | None = None
    evaluated: EvaluatedPoints | None = None
    error: SurfaceError | None = None
    recipe: Recipe
    run: Run
    figure: Any = field(default=None, repr=False, compare=False)
    context: Any = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Without the interpolant and the context."""
        return {**super().__getstate__(), "context": None}

    def trust(self, objective: Any = None, **options: Any) -> Trust:
        r"""Examine what this surface shows of the loss around its centre, and what it does not.

        - Random planes through the centre, evaluated at a few points over the same span: how much
          the picture depends on the plane.
        - The curvature of the slice, :math:`u^T H u / |u|^2`, beside the largest and the smallest
          eigenvalue of the Hessian and its trace over d.
        - The gradient within the plane beside the full one.
        - Of a trajectory: how far the checkpoints lie from the plane, and their own losses.
        - The errors of interpolation and of a subset of the samples.

        Args:
            objective: Needed for a surface that was loaded from a file, which holds no model and
                no data: the :class:`landscape.Objective` that was evaluated. The surface remembers
                it otherwise.
            options: ``directions=None`` (needed with an Objective for planes that were not drawn at
                random: what :func:`landscape.surface` was given); ``planes=5`` random planes of
                ``radii=4`` times ``angles=8`` points each; ``tolerance=0.01`` of both extreme
                eigenvalues, relative to the larger one, ``trace_error=0.1``, the relative standard
                error of the trace, and ``max_products=200`` for each of the two (0 leaves them
                out); ``seed=0``;
                ``interrupt="raise"``, or ``"return"`` the parts that are complete;
                ``progress=None``.

        Returns:
            The numbers, with a verdict in words. Parts that the function does not have, such as
            gradients under re-estimated batch statistics, are named with the reason.

        Raises:
            ValueError: There is no Objective, or it is another function or plane than the
                surface's; or an option is out of range.

        Example:
            >>> trust = landscape.surface(model, data, points=9).trust()
            >>> print(*trust.verdict, sep="\n")
        """
        from landscape._trust import examine_surface  # noqa: PLC0415  (a higher layer)

        return examine_surface(self, objective, **options)

    def topology(self, persistence: float = 0.0) -> Topology:
        """Find the local minima, saddles and maxima, with their persistence and merge tree.

        Args:
            persistence: Minima and maxima of no more than this height above or below the saddle
                where they merge are left out; in units of the loss. Errors of the losses make none
                of more than twice their size (Cohen-Steiner, Edelsbrunner and Harer 2007,
                "Stability of Persistence Diagrams").

        Returns:
            The topology of the sublevel sets of the losses.

        Raises:
            ValueError: The persistence is negative.

        Example:
            >>> surface.topology().barriers[0, 0] == surface.minimum[-1]
            np.True_
        """
        from landscape._results.topology import Topology  # noqa: PLC0415  (rarely needed)

        axes = (self.alpha, self.beta)
        return Topology.compute(axes, self.losses, persistence, self.run)

    def geometry(
        self,
        *,
        centre: tuple[float, float] | None = None,
        reach: int = 2,
        tolerance: float = 1e-6,
        chords: int = 5_000_000,
        seed: int = 0,
    ) -> SurfaceGeometry:
        """Measure roughness, convexity along chords and the condition number at the centre.

        Args:
            centre: Coordinates of the quadratic fit, moved to the next grid point. None is the
                model at (0, 0), or the lowest point where the picture does not contain it.
            reach: The fit takes the points up to so many grid steps away along each axis.
            tolerance: Violations of convexity up to this share of the range do not count, such as
                the rounding of losses.
            chords: All pairs of grid points are examined where there are no more; otherwise so many
                are drawn at random.
            seed: Of the draws.

        Returns:
            The numbers.

        Raises:
            ValueError: An option is out of range, the axes are not equally spaced, or too few
                losses next to the centre are finite.

        Example:
            >>> bool(surface.geometry().total_variation >= 1)
            True
        """
        from landscape._results.geometry import SurfaceGeometry  # noqa: PLC0415  (rarely needed)

        return SurfaceGeometry.compute(
            (self.alpha, self.beta),
            self.losses,
            self.recipe,
            self.run,
            centre=centre,
            reach=reach,
            tolerance=tolerance,
            chords=chords,
            seed=seed,
        )

    def __call__(self, alpha: Any, beta: Any) -> NDArray[np.float64]:
        """The loss anywhere on the plane, from the interpolant through the evaluated points.

        It is a bicubic spline with "not a knot" ends, of the logarithm of the loss where all losses
        are positive and no tolerance is relative to the range, or else of the loss. Next to a loss
        that is NaN or infinite it takes the value of the nearest point.

        Args:
            alpha: Coordinates along u, of any shape.
            beta: Coordinates along v; the shapes are broadcast.

        Returns:
            The losses, of that shape; NaN beyond the ends of the axes.

        Example:
            >>> surface = landscape.load("surface.npz")
            >>> surface(0.0, [0.1, 0.2]).shape
            (2,)
        """
        return self._interpolate(alpha, beta)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Filled contours with the minimum marked: `landscape.plot.filled_contour`.

        Args:
            ax: Where to draw; None creates a figure (`.figure` of the returned Axes).
            options: Those of `landscape.plot.filled_contour`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.filled_contour(self, ax, **options)

    def _repr_png_(self) -> Any:
        """The figure of `plot_surface`, which notebooks show in place of the table."""
        return None if self.figure is None else self.figure._repr_png_()


@dataclass(frozen=True, eq=False, repr=False)
class Line(Grid):
    """The loss along a line: losses[i] = L(theta + positions[i] u).

    Args:
        positions: (n,) coordinates along u, increasing; `recipe.labels` says what a unit step is.
        losses: (n,) at the positions; NaN and infinities are kept.
        metrics: name -> (n,) further quantities at the same points.
        standard_error: (n,) of the losses, where the data are a random subset.
        test: The line of the test data on the same points.
        evaluated: As of a :class:`Surface`.
        error: As of a :class:`Surface`.
        recipe: How the direction was made.
        run: How the numbers were computed.

    Raises:
        ValueError: Shapes that do not fit together; positions that do not increase.
    """

    kind: ClassVar[str] = "line"
    axis_names: ClassVar[tuple[str, ...]] = ("positions",)

    positions: NDArray[np.float64]
    losses: NDArray[np.float64]
    _: KW_ONLY
    metrics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    standard_error: NDArray[np.float64] | None = None
    test: Line | None = None
    evaluated: EvaluatedPoints | None = None
    error: SurfaceError | None = None
    recipe: Recipe
    run: Run

    def __call__(self, positions: Any) -> NDArray[np.float64]:
        """The loss anywhere on the line, from the interpolant; as of a :class:`Surface`.

        Args:
            positions: Coordinates along u, of any shape.

        Returns:
            The losses, of that shape; NaN beyond the ends.

        Example:
            >>> line = landscape.load("line.npz")
            >>> line([0.25, 0.75]).shape
            (2,)
        """
        return self._interpolate(positions)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """The loss on the training and the test data: `landscape.plot.line`.

        Args:
            ax: Where to draw; None creates a figure (`.figure` of the returned Axes).
            options: Those of `landscape.plot.line`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.line(self, ax, **options)


def _check_test(train: Grid, test: Grid) -> None:
    if type(test) is not type(train) or test.test is not None:
        raise TypeError(
            f"test is {type(test).__name__}; expected a {type(train).__name__} without a test of "
            "its own"
        )
    for name, axis in train.axes.items():
        if not same_bits(axis, test.axes[name]):
            raise ValueError(
                f"the test {train.kind} has another {name} axis than the {train.kind}; expected "
                "both on the same points"
            )


def _metric_key(name: str) -> str:
    """Metrics are named by the user; a file's members must not be folders or escape from one."""
    return f"metric.{quote(name, safe=' ')}"


def _format_table(grid: Grid) -> str:
    """A heading, the numbers on each data set side by side, then the provenance."""
    grids = [grid] if grid.test is None else [grid, grid.test]
    size = " x ".join(str(len(axis)) for axis in grid.axes.values())
    centre = ("centre", *(_format_number(side.centre_loss) for side in grids))
    rows: list[tuple[str, ...]] = [
        ("", *(["loss", "test loss"][: len(grids)])),
        *([] if math.isnan(grid.centre_loss) else [centre]),
        ("minimum", *(_format_number(side.minimum[-1]) for side in grids)),
        ("  at", *(_format_point(side.minimum[:-1]) for side in grids)),
        ("range", *(_format_range(side.range) for side in grids)),
    ]
    if any(side.non_finite for side in grids):
        total = grid.losses.size
        rows.append(("non-finite", *(f"{side.non_finite} of {total}" for side in grids)))
    rows += [(name, *(_format_metric(side, name) for side in grids)) for name in grid.metrics]
    widths = [max(len(row[column]) for row in rows) for column in range(len(grids) + 1)]
    widths[0] = max(widths[0], len("evaluations"))
    title = f"{type(grid).__name__} {size}{describe_function(grid.run)}"
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    provenance = [
        *((name, _format_axis(grid, i)) for i, name in enumerate(grid.axes)),
        ("directions", _format_recipe(grid.recipe)),
        *([] if grid.error is None else [("error", str(grid.error))]),
        ("evaluations", f"{grid.run.evaluations} in {grid.run.seconds:.3g} s"),
        ("engine", _format_engine(grid.run)),
        ("status", grid.run.status),
        *(("note", note) for note in grid.run.notes),
    ]
    for name, text in provenance:
        lines += wrap_row(name, text, widths[0] + 2)
    return "\n".join([title, *lines])


def _format_number(value: float) -> str:
    return f"{value + 0.0:.5g}"  # + 0.0 turns -0 into 0


def _format_point(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value + 0.0:.4g}' for value in values)})"


def _format_range(limits: tuple[float, float]) -> str:
    return f"{limits[0] + 0.0:.4g} .. {limits[1] + 0.0:.4g}"


def _format_metric(side: Grid, name: str) -> str:
    return _format_range(finite_range(side.metrics[name])) if name in side.metrics else "-"


def _format_axis(grid: Grid, index: int) -> str:
    axis = list(grid.axes.values())[index]
    return f"{_format_range((float(axis[0]), float(axis[-1])))}, {grid.recipe.labels[index]}"


def _format_recipe(recipe: Recipe) -> str:
    parts = [recipe.kind, f"{recipe.normalize} normalised" if recipe.normalize else "as they are"]
    if recipe.seed is not None:
        parts.append(f"seed {recipe.seed}")
    if recipe.cosine is not None:
        parts.append(f"cosine {recipe.cosine:.2g}")
    return ", ".join(parts)


def _format_engine(run: Run) -> str:
    record = {**run.policy, **run.strategy}
    details = (record.get(name) for name in ("device", "dtype"))
    return ", ".join([run.engine, *(str(detail) for detail in details if detail is not None)])


def _to_dataset(grid: Grid) -> xarray.Dataset:
    """Named dimensions and units; metrics and test data as variables; records as JSON text."""
    try:
        import xarray  # noqa: PLC0415  (an optional dependency)
    except ImportError as error:
        raise ImportError(
            "to_xarray needs xarray, which is not installed: "
            'pip install "landscape-geometry[xarray]"'
        ) from error
    names = {name: name.removesuffix("s") for name in grid.axis_names}  # positions: position
    coordinates: dict[str, Any] = {
        names[name]: (names[name], axis, {"long_name": label, "units": "1"})
        for (name, axis), label in zip(grid.axes.items(), grid.recipe.labels, strict=True)
    }
    dimensions = tuple(reversed(coordinates))
    variables = _dataset_variables(grid, dimensions, "")
    attributes: dict[str, Any] = {
        "title": f"{type(grid).__name__} of a neural network's loss",
        "source": f"landscape, file schema {_store.SCHEMA}",
        "recipe": _to_json(grid.recipe.to_record()),
        "run": _to_json(grid.run.to_record()),
    }
    if grid.test is not None:
        variables |= _dataset_variables(grid.test, dimensions, "test_")
        attributes["test_run"] = _to_json(grid.test.run.to_record())
    if grid.recipe.trajectory is not None:
        attrs = {"long_name": "projected checkpoints", "units": "1"}
        variables["trajectory"] = (("checkpoint", "axis"), grid.recipe.trajectory, attrs)
        coordinates["axis"] = ("axis", list(names.values()), {})
    return xarray.Dataset(variables, coordinates, attributes)


def _dataset_variables(grid: Grid, dimensions: tuple[str, ...], prefix: str) -> dict[str, Any]:
    side = "test " if prefix else ""
    attrs = {"long_name": f"{side}loss", "units": "1", "loss": str(grid.run.policy.get("loss"))}
    variables: dict[str, Any] = {f"{prefix}loss": (dimensions, grid.losses, attrs)}
    if grid.standard_error is not None:
        attrs = {"long_name": f"standard error of the {side}loss", "units": "1"}
        variables[f"{prefix}standard_error"] = (dimensions, grid.standard_error, attrs)
    for name, values in grid.metrics.items():
        attrs = {"long_name": f"{side}{name}", "units": "1"}
        variables[f"{prefix}{_variable_name(name, dimensions)}"] = (dimensions, values, attrs)
    return variables


def _variable_name(metric: str, dimensions: tuple[str, ...]) -> str:
    """A name that netCDF accepts and that no other variable has."""
    name = re.sub(r"\W", "_", metric)
    is_reserved = (
        name in (*_RESERVED, *dimensions) or name.startswith("test_") or not name[:1].isalpha()
    )
    return f"metric_{name}" if is_reserved else name


def _to_json(record: dict[str, Any]) -> str:
    return json.dumps(_store.encode(record), allow_nan=False)

"""Where the losses of a surface come from: all data, or a calibrated subset of the samples."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from landscape._calibration import (
    CalibratedSubset,
    calibrate_subset,
    explain_unavailable,
    identify_point,
)
from landscape._progress import reporter
from landscape._runs.accuracy import FIRST_POINTS
from landscape._runs.functions import join_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._directions import Axes
    from landscape._objective import Subspace
    from landscape._progress import Choice
    from landscape._runs.accuracy import Accuracy, ErrorScale
    from landscape._runs.adaptive import AdaptiveRun, ColumnInterpolation
    from landscape._runs.functions import Functions

__all__ = [
    "SUBSET_SHARE",
    "FullSource",
    "SamplingError",
    "Source",
    "SourceRequest",
    "SubsetChoice",
    "SubsetSource",
]

SubsetChoice = Literal["auto", "always", "never"]

SUBSET_SHARE = 0.5
"""Of the tolerance, for the estimates from a subset; the rest is for the interpolation."""

_EXPECTED_POINTS = 289  # of a surface at 5%, for the comparison of costs
_MANY_SAMPLES = 5000  # below it all of them are fast, and exact
_CLEARLY_CHEAPER = 0.5  # in evaluations, for an estimate that nobody asked for
_NORMAL95 = 1.96


@dataclass(frozen=True)
class SamplingError:
    """The relative error of losses that are estimated from a part of the samples."""

    quantile95: float
    maximum: float
    map: NDArray[np.float64]
    """1.96 standard errors, at every point of the grid; NaN where the loss is not finite."""


@dataclass
class SourceRequest:
    """What is to be evaluated, and how accurately."""

    functions: Functions
    axes: Axes
    coordinates: tuple[NDArray[np.float64], ...]
    accuracy: Accuracy
    progress: Choice
    known: tuple[NDArray[np.float64], NDArray[np.float64]] = field(
        default_factory=lambda: (np.empty((0, 0)), np.empty(0))
    )
    """Points that were evaluated on all data before, and their losses."""

    def explain_full(self, choice: SubsetChoice, recorded: str | None) -> str | None:
        """Why all data are evaluated; None where a subset is to be calibrated.

        Raises:
            ValueError: The choice is unknown, or a subset is asked for where there is none.
        """
        if choice not in ("auto", "always", "never"):
            raise ValueError(f"subset={choice!r}, expected 'auto', 'always' or 'never'")
        if recorded == FullSource.name and choice == "auto":
            return ""
        if choice == "never":
            return ""
        objective = self.functions.parts["train"]
        if choice == "auto" and objective.samples < _MANY_SAMPLES:
            return ""
        why = explain_unavailable(objective, self.functions.metrics)
        if "test" in self.functions.parts:
            why = "it has no test data, whose losses it cannot estimate; leave test out."
        if why is not None and choice == "always":
            raise ValueError(f"subset='always' is not possible: {why}")
        return why


class Source(ABC):
    """Values at points of a surface."""

    name: ClassVar[str]
    subspaces: list[Subspace]

    def __init__(self, request: SourceRequest) -> None:
        self.request = request
        self.functions = request.functions
        self.axes = request.axes
        self.tolerance = request.accuracy.tolerance
        self.notes: tuple[str, ...] = ()

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers of a row."""

    @property
    def chunk(self) -> int:
        """Points per call."""
        return self.subspaces[0].strategy.chunk

    def list_interpolations(self) -> list[ColumnInterpolation]:
        """How each column is interpolated: losses by splines."""
        spline = self.request.accuracy.spline
        return [spline if name.endswith(" loss") else "linear" for name in self.columns]

    def prepare(self, run: AdaptiveRun) -> None:
        """Choose how points are evaluated, or take it from the run's file."""
        with run.plan.thread_count():
            self.subspaces = self.functions.make_subspaces(
                self.axes,
                run.plan,
                self.request.progress,
                points=FIRST_POINTS[len(self.axes.basis)],
            )
            run.plan = run.plan.with_strategies([s.strategy for s in self.subspaces])

    @abstractmethod
    def evaluate(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of numbers, shape (k, columns), at points, shape (k, axes)."""

    def check(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same, with losses that are computed on all data."""
        return self.evaluate(points)

    @abstractmethod
    def count_evaluations(self, run: AdaptiveRun) -> int:
        """The cost in evaluations on all data."""

    def read_evaluated(self, run: AdaptiveRun) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The points that were evaluated, and their rows."""
        return run.grid.evaluated()

    def settle(self, run: AdaptiveRun) -> None:  # noqa: B027  (only estimates need it)
        """Compute on all data what must not be an estimate."""

    def bound_sampling(
        self,
        named: Mapping[str, NDArray[np.float64]],  # noqa: ARG002
        scale: ErrorScale,  # noqa: ARG002
    ) -> SamplingError | None:
        """The error of estimates; None where all data are evaluated."""
        return None


class FullSource(Source):
    """Losses and metrics on all data."""

    name = "all data"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers of a row: part and quantity."""
        return self.functions.columns

    def prepare(self, run: AdaptiveRun) -> None:
        """Choose how points are evaluated; keep the pilots of a subset that was of no use."""
        super().prepare(run)
        if run.arrays:
            self.request.known = run.arrays["pilots"], run.arrays["losses"]
        pilots, losses = self.request.known
        if len(losses):
            run.arrays = {"pilots": pilots, "losses": losses}
            run.spent = len(losses)

    def evaluate(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of numbers; losses that are known are not computed again."""
        if not len(self.request.known[1]):
            return join_columns(self.subspaces)(points)
        known = dict(
            zip(map(identify_point, self.request.known[0]), self.request.known[1], strict=True)
        )
        found = np.array([known.get(identify_point(point), np.nan) for point in points])
        missing = np.isnan(found)
        rows = np.repeat(found[:, None], len(self.columns), axis=1)
        if missing.any():
            rows[missing] = join_columns(self.subspaces)(points[missing])
        return rows

    def count_evaluations(self, run: AdaptiveRun) -> int:
        """Every point is one; pilots that were of no use count too."""
        points, _ = run.grid.evaluated()
        own = set(map(identify_point, points))
        idle = sum(identify_point(pilot) not in own for pilot in self.request.known[0])
        return len(points) + len(run.checks) + idle


class SubsetSource(Source):
    """Losses estimated from a calibrated subset of the samples, with standard errors."""

    name = "calibrated subset"
    calibrated: CalibratedSubset

    def __init__(self, request: SourceRequest, choice: SubsetChoice) -> None:
        super().__init__(request)
        self._worth = _CLEARLY_CHEAPER if choice == "auto" else 1.0
        self._settled: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The loss and its standard error."""
        return ("train loss", "train standard_error")

    def prepare(self, run: AdaptiveRun) -> None:
        """Calibrate the subset, or restore it from the run's file.

        Raises:
            SubsetUnavailable: It would not be cheaper.
        """
        super().prepare(run)
        (objective,), (subspace,) = self.functions.parts.values(), self.subspaces
        request, share = self.request, SUBSET_SHARE * self.tolerance
        with run.plan.thread_count():
            if run.arrays:
                self.calibrated = CalibratedSubset(objective, subspace, run.arrays)
            else:
                with reporter(request.progress, None, "pilots", unit="pilot") as bar:
                    self.calibrated = calibrate_subset(
                        objective,
                        subspace,
                        [float(axis[0]) for axis in request.coordinates],
                        [float(axis[-1]) for axis in request.coordinates],
                        points=_EXPECTED_POINTS,
                        full_evaluations=self._worth * _EXPECTED_POINTS,
                        tolerance=share,
                        tolerance_of=request.accuracy.scale,
                        seed=objective.seed,
                        progress=bar,
                    )
        run.arrays = self.calibrated.to_arrays()
        run.price, run.spent = self.calibrated.cost_per_point, len(run.arrays["known"])
        note = (
            f"losses are estimated from {len(self.calibrated.rows)} of {objective.samples} "
            f"samples, calibrated at {len(self.calibrated.pilots)} pilots on all data; "
            "evaluations count passes over all data"
        )
        self.notes = (note,)

    def evaluate(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Estimates and their standard errors; those of pilots are exact."""
        return np.column_stack(self.calibrated.evaluate(points))

    def check(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Losses on all data."""
        losses = self.calibrated.evaluate_fully(points)
        return np.column_stack([losses, np.zeros(len(losses))])

    def count_evaluations(self, run: AdaptiveRun) -> int:
        """Points on all data, and the part of the samples at all others."""
        arrays = self.calibrated.to_arrays()
        full = set(map(identify_point, arrays["known"]))
        points, _ = run.grid.evaluated()
        estimated = sum(identify_point(point) not in full for point in points)
        return math.ceil(len(full) + estimated * self.calibrated.cost_per_point)

    def settle(self, run: AdaptiveRun) -> None:
        """Compute the lowest loss on all data, and that of the model itself."""
        points, values = run.grid.evaluated()
        settled = self.calibrated.settle_minimum(points, values[:, 0], values[:, 1])
        self._settled = points, np.column_stack(settled)

    def read_evaluated(self, run: AdaptiveRun) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The points that were evaluated, the lowest one on all data."""
        return run.grid.evaluated() if self._settled is None else self._settled

    def bound_sampling(
        self, named: Mapping[str, NDArray[np.float64]], scale: ErrorScale
    ) -> SamplingError:
        """The error by cross-validation at the pilots and by standard errors."""
        losses, errors = named["train loss"], named["train standard_error"]
        finite = losses[np.isfinite(losses)]
        extent = float(np.ptp(finite)) if len(finite) else math.nan
        unit = np.abs(losses) if scale == "loss" else np.full(losses.shape, extent)
        bound = self.calibrated.bound_error(losses.ravel(), errors.ravel(), unit.ravel())
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = np.where(errors == 0, 0.0, _NORMAL95 * errors / unit)
        return SamplingError(bound.quantile95, bound.maximum, spread)

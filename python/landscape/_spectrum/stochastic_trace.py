"""Traces, norms, log-determinants, moments and diagonals from random vectors, with error bars."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from landscape import _core
from landscape._results import Estimate, Estimates
from landscape._runs import Interrupt, SolverRun

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._progress import Choice
    from landscape._spectrum.matrix import CurvatureMatrix

__all__ = [
    "Accuracy",
    "EstimateOptions",
    "SketchMethod",
    "TraceMethod",
    "estimate_diagonal",
    "estimate_frobenius",
    "estimate_log_determinant",
    "estimate_moments",
    "estimate_trace",
]

SketchMethod = Literal["hutch++", "hutchinson"]
TraceMethod = Literal["hutch++", "hutchinson", "xtrace"]

_MIN_VECTORS = 30  # independent ones, below which no interval is trusted
_VECTORS_PER_PRODUCT = 8
_MAX_SKETCH = 1000  # rows: orthogonalising against more costs more than products
_MAX_QUADRATURE_STEPS = 300  # of the logarithm
_DENSE_DIM = 256  # up to which the sampling error is measured along all axes
_SAMPLING_VECTORS = 16  # random ones along which it is measured otherwise
_SUBSET_NOTE = (
    "the errors are those of random vectors alone: what another draw of samples would change is "
    "not in them; trace() knows its own"
)


class EstimateOptions(TypedDict, total=False):
    r"""The options of every estimate from random vectors.

    Args:
        relative_error: Requested standard error over the \|estimate\|; 0.01 by default.
        absolute_error: Requested standard error in the quantity's own units; either is enough.
        max_products: The maximum number of products; 10,000 by default.
        level: Probability with which an interval contains the truth; 0.95 by default.
        seed: Of the random vectors.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the estimate so far.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, maximum)
            products.
    """

    relative_error: float
    absolute_error: float
    max_products: int
    level: float
    seed: int
    interrupt: Interrupt
    progress: Choice


@dataclass(frozen=True)
class Accuracy:
    """The requested accuracy of an estimate, and the options of its run."""

    relative_error: float = 0.01
    absolute_error: float = 0.0
    max_products: int = 10_000
    level: float = 0.95
    seed: int = 0
    interrupt: Interrupt = "raise"
    progress: Choice = None

    def __post_init__(self) -> None:
        errors = self.relative_error, self.absolute_error
        if not all(math.isfinite(e) and e >= 0 for e in errors) or not sum(errors) > 0:
            raise ValueError(
                f"relative_error={errors[0]} and absolute_error={errors[1]}, expected one of them "
                "above 0 and none below: a standard error, over the estimate or in its own units"
            )
        if not 0 < self.level < 1:
            raise ValueError(f"level={self.level}, expected a probability such as 0.95")
        if self.max_products < _MIN_VECTORS:
            raise ValueError(
                f"max_products={self.max_products}, expected at least {_MIN_VECTORS}: an interval "
                "from fewer random vectors cannot be trusted"
            )

    def to_core(self) -> dict[str, Any]:
        """The options of the core's estimators."""
        return {
            "relative": self.relative_error,
            "absolute": self.absolute_error,
            "max_products": self.max_products,
            "level": self.level,
            "seed": self.seed,
        }

    def describe_status(self, ending: str, error: float, size: float, *, interrupted: bool) -> str:
        """How a run ended, as a sentence."""
        reached = f"a relative standard error of {error / size:.2g}" if size else "zero"
        if interrupted:
            return f"interrupted at {reached}"
        if ending == "exhausted":
            return "exact: the whole space was summed"
        if ending == "converged":
            requested = f"relative_error={self.relative_error:g}"
            if self.absolute_error:
                requested += f" or absolute_error={self.absolute_error:g}"
            return f"converged: {reached} meets {requested}"
        return (
            f"stopped at max_products={self.max_products} with {reached}; raise max_products or "
            "the error"
        )


def estimate_trace(
    matrix: CurvatureMatrix,
    accuracy: Accuracy,
    method: TraceMethod = "hutch++",
    resume: str | os.PathLike[str] | None = None,
) -> Estimate:
    """Estimate the trace; see :meth:`landscape.Hessian.trace`."""
    if method == "xtrace" and resume is not None:
        raise ValueError("method='xtrace' cannot be resumed; leave resume out, or method")
    estimation = _estimate_traces(matrix, accuracy, "trace", method, resume=resume)
    value, error, low, high = estimation.rows[0]
    sampling_error = _sampling_error(matrix, estimation, accuracy.seed)
    if sampling_error is not None:
        freedom = matrix.objective.samples - 1
        half_width = _core.student_quantile(accuracy.level, freedom) * sampling_error
        low = value - math.hypot(value - low, half_width)
        high = value + math.hypot(high - value, half_width)
    if matrix.kind.semidefinite:
        low = max(low, 0.0)  # no such matrix has a negative trace
    return estimation.to_estimate((value, error, low, high), sampling_error)


def estimate_frobenius(
    matrix: CurvatureMatrix,
    accuracy: Accuracy,
    method: SketchMethod = "hutch++",
    resume: str | os.PathLike[str] | None = None,
) -> Estimate:
    """Estimate the Frobenius norm; see :meth:`landscape.Hessian.frobenius`."""
    _refuse_xtrace(method)
    if accuracy.absolute_error:
        raise ValueError(
            "frobenius takes relative_error alone: an absolute error of the root is not known "
            "before the root"
        )
    # d(x^2) = 2 x dx: the relative error of the root is half that of the square
    of_square = replace(accuracy, relative_error=2 * accuracy.relative_error)
    estimation = _estimate_traces(
        matrix, of_square, "frobenius", method, powers=2, target=1, resume=resume
    )
    square, error, low, high = estimation.rows[1]
    root = math.sqrt(square)
    ends = math.sqrt(max(low, 0.0)), math.sqrt(high)
    numbers = root, error / (2 * root) if root else error, *ends
    return replace(estimation, accuracy=accuracy).to_estimate(numbers)


def estimate_log_determinant(
    matrix: CurvatureMatrix,
    shift: float,
    accuracy: Accuracy,
    method: SketchMethod = "hutch++",
    resume: str | os.PathLike[str] | None = None,
) -> Estimate:
    """Estimate log det(H + shift); see :meth:`landscape.Hessian.log_determinant`."""
    _refuse_xtrace(method)
    if not math.isfinite(shift):
        raise ValueError(f"shift={shift}, expected a finite number")
    tolerance = 0.1 * (accuracy.relative_error or 0.01)
    logarithm = (float(shift), tolerance, min(_MAX_QUADRATURE_STEPS, matrix.dim))
    estimation = _estimate_traces(
        matrix, accuracy, "log_determinant", method, logarithm=logarithm, resume=resume
    )
    value, error, low, high = estimation.rows[0]
    quadrature_error = 0.1 * tolerance * abs(value)
    return estimation.to_estimate((value, error, low - quadrature_error, high + quadrature_error))


def estimate_moments(
    matrix: CurvatureMatrix,
    count: int,
    accuracy: Accuracy,
    method: SketchMethod = "hutch++",
    resume: str | os.PathLike[str] | None = None,
) -> Estimates:
    """Estimate spectral moments; see :meth:`landscape.Hessian.spectral_moments`."""
    _refuse_xtrace(method)
    if count < 1:
        raise ValueError(f"count={count}, expected at least 1 moment")
    # the absolute error is that of a moment, and the core estimates traces
    of_traces = replace(accuracy, absolute_error=accuracy.absolute_error * matrix.dim)
    estimation = _estimate_traces(
        matrix, of_traces, "spectral_moments", method, powers=count, resume=resume
    )
    return replace(estimation, accuracy=accuracy).to_estimates(estimation.rows / matrix.dim)


def estimate_diagonal(
    matrix: CurvatureMatrix, accuracy: Accuracy, method: SketchMethod = "hutch++"
) -> Estimates:
    """Estimate every diagonal entry; see :meth:`landscape.Hessian.diagonal`."""
    _refuse_xtrace(method)
    run = SolverRun(
        "diagonal",
        matrix,
        {"method": method, **accuracy.to_core()},
        accuracy.max_products,
        accuracy.progress,
        None,
        accuracy.interrupt,
    )
    matrix.check_symmetric(accuracy.seed)
    run.load_state()
    solver = _core.Diagonal(
        matrix.dim,
        matrix.storage_dtype,
        **accuracy.to_core(),
        rows=min(_MAX_SKETCH, matrix.max_vectors) if method == "hutch++" else 0,
        block=_VECTORS_PER_PRODUCT,
    )
    run.execute(solver, _describe_tick)
    values, errors = solver.values(), solver.standard_errors()
    half_widths = solver.quantile * errors
    estimation = _Estimation(
        run,
        accuracy,
        method,
        np.stack([values, errors, values - half_widths, values + half_widths], axis=1),
        solver.probes,
        solver.products,
        solver.status,
        solver.rank,
    )
    return estimation.to_estimates(estimation.rows)


@dataclass(frozen=True)
class _Estimation:
    """The estimates of a finished run."""

    run: SolverRun
    accuracy: Accuracy
    method: str
    rows: NDArray[np.float64]
    """Columns: value, standard error, and the ends of the interval."""
    probes: int
    products: int
    ending: str
    rank: int
    sketch: NDArray[Any] | None = None

    def to_estimate(
        self, numbers: tuple[float, float, float, float], sampling_error: float | None = None
    ) -> Estimate:
        """The result of one number: value, standard error, and the ends of the interval."""
        value, error, low, high = numbers
        if sampling_error is None:
            self._note_subset()
        return Estimate(
            value=value,
            standard_error=error,
            interval=(low, high),
            sampling_error=sampling_error,
            **self._common_fields(error, abs(value)),
        )

    def to_estimates(self, rows: NDArray[np.float64]) -> Estimates:
        """The result of several numbers, one a row."""
        self._note_subset()
        errors, sizes = rows[:, 1], np.abs(rows[:, 0])
        error, size = float(np.linalg.norm(errors)), float(np.linalg.norm(sizes))
        if self.run.label != "diagonal":
            worst = int(np.argmax(errors / np.where(sizes > 0, sizes, 1)))
            error, size = float(errors[worst]), float(sizes[worst])
        return Estimates(
            values=rows[:, 0],
            standard_errors=errors,
            interval=rows[:, 2:],
            **self._common_fields(error, size),
        )

    def _note_subset(self) -> None:
        if self.run.problem.objective.is_random_subset:
            self.run.notes += (_SUBSET_NOTE,)

    def _common_fields(self, error: float, size: float) -> dict[str, Any]:
        status = self.accuracy.describe_status(
            self.ending, error, size, interrupted=self.run.interrupted
        )
        run = self.run.make_run(self.products, status, self.accuracy.seed)
        return {
            "quantity": self.run.label,
            "level": self.accuracy.level,
            "probes": self.probes,
            "rank": self.rank,
            "products": self.products,
            "status": run.status,
            "method": self.method,
            "run": run,
        }


def _estimate_traces(
    matrix: CurvatureMatrix,
    accuracy: Accuracy,
    label: str,
    method: TraceMethod,
    *,
    powers: int = 1,
    target: int = 0,
    logarithm: tuple[float, float, int] | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> _Estimation:
    """Estimate the traces of powers, or of a logarithm, each as a row.

    Args:
        matrix: The matrix.
        accuracy: Requested of the target.
        label: The quantity.
        method: The estimator.
        powers: Traces of H, ..., H^powers.
        target: The index of the power whose error ends the run.
        logarithm: Shift, tolerance and maximum steps of a quadrature of log(H + shift).
        resume: The file that keeps the run.
    """
    if method not in ("hutch++", "hutchinson", "xtrace"):
        raise ValueError(f"method={method!r}, expected 'hutch++', 'hutchinson' or 'xtrace'")
    basis_vectors = logarithm[2] if logarithm else 1  # of each quadrature
    block = max(1, min(_VECTORS_PER_PRODUCT, matrix.max_vectors // basis_vectors))
    function: dict[str, Any] = {"powers": powers, "target": target, "logarithm": logarithm}
    inputs = {"method": method, **accuracy.to_core(), **function}
    limit = accuracy.max_products
    run = SolverRun(label, matrix, inputs, limit, accuracy.progress, resume, accuracy.interrupt)
    matrix.check_symmetric(accuracy.seed)
    state = run.load_state()
    solver: _core.Trace | _core.XTrace
    with nullcontext() if state is None else run.reading():
        if method == "xtrace":
            solver = _make_xtrace(matrix, accuracy, block)
        else:
            solver = _core.Trace(
                matrix.dim,
                matrix.storage_dtype,
                **function,
                **accuracy.to_core(),
                rows=min(_MAX_SKETCH, matrix.max_vectors) if method == "hutch++" else 0,
                block=block,
                state=None if state is None else (state[0], dict(state[1])),
            )
    get_state = solver.state if isinstance(solver, _core.Trace) else None
    run.execute(solver, _describe_tick, get_state, solver.products)
    sketch = solver.sketch()
    return _Estimation(
        run,
        accuracy,
        method,
        solver.means(),
        solver.probes,
        solver.products,
        solver.status,
        len(sketch),
        sketch,
    )


def _make_xtrace(matrix: CurvatureMatrix, accuracy: Accuracy, block: int) -> _core.XTrace:
    rows = min(_MAX_SKETCH, matrix.max_vectors // 3)
    if rows < _MIN_VECTORS:
        needed = 3 * _MIN_VECTORS * matrix.dim * matrix.dtype.itemsize
        raise ValueError(
            f"method='xtrace' keeps three vectors for each of at least {_MIN_VECTORS}, which take "
            f"{needed / 2**30:.3g} GiB, more than memory_budget; use 'hutch++', or raise "
            "memory_budget"
        )
    dtype = matrix.storage_dtype
    return _core.XTrace(matrix.dim, dtype, **accuracy.to_core(), rows=rows, block=block)


def _sampling_error(matrix: CurvatureMatrix, estimation: _Estimation, seed: int) -> float | None:
    """Standard error of a trace from sampling the data; None where all data are used.

    The spread of sample traces is measured along all axes of a small matrix, where it is exact.
    Otherwise it is measured along the sketch and, for the rest, along random vectors; they are the
    same for all samples, so that the error is right in the mean of its square, and off by a third
    where a few directions beside the sketch matter.
    """
    if (
        estimation.sketch is None
        or not matrix.objective.is_random_subset
        or matrix.objective.samples < 2
    ):
        return None
    if matrix.dim <= _DENSE_DIM:
        rows = np.eye(matrix.dim, dtype=matrix.dtype)
        errors = matrix.sampling_errors(rows, np.ones(matrix.dim))
        return None if errors is None else float(errors[0])
    sketch = estimation.sketch.astype(np.float64)
    rows = np.stack(
        [
            _core.gaussian(matrix.dim, dtype="float64", seed=seed, stream=stream)
            for stream in range(_SAMPLING_VECTORS)
        ]
    )
    for _ in range(2):
        rows -= (rows @ sketch.T) @ sketch
    complement = matrix.dim - len(sketch)
    rows *= math.sqrt(complement) / np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = np.concatenate([sketch, rows]).astype(matrix.dtype)
    weights = np.full(len(vectors), 1 / _SAMPLING_VECTORS)
    weights[: len(sketch)] = 1
    errors = matrix.sampling_errors(vectors, weights)
    return None if errors is None else float(errors[0])


def _describe_tick(probes: int, value: float, error: float) -> Mapping[str, float]:
    return {"probes": probes, "value": value, "error": error}


def _refuse_xtrace(method: str) -> None:
    if method not in ("hutch++", "hutchinson"):
        raise ValueError(f"method={method!r}, expected 'hutch++' or 'hutchinson'")

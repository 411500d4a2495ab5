"""Estimates from random vectors: from the options of a call to a result, by the core.

Depends on the iteration and on the results.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape import _core
from landscape._iteration import Iteration
from landscape._results import Estimate, Estimates
from landscape._spectrum.accuracy import FEWEST, Accuracy

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._spectrum.matrix import Matrix

__all__ = ["TraceMethod", "diagonals", "sampling_error", "traces"]

TraceMethod = Literal["hutch++", "hutchinson", "xtrace"]

_TOGETHER = 8  # vectors that share the passes of a product
_ROWS = 1000  # of a sketch: orthogonalising against more costs more than products
_UNDRAWN = (
    "the errors are those of random vectors alone: what another draw of samples would change is "
    "not in them; trace() knows its own"
)
_AXES = 256  # of a matrix whose sampling error is measured along all of them
_DRAWN = 16  # random vectors that the sampling error is measured along


@dataclass(frozen=True)
class Found:
    """What an estimate brought, and what it was asked for."""

    iteration: Iteration
    accuracy: Accuracy
    method: str
    means: NDArray[np.float64]
    """Columns: value, standard error, and the ends of the interval."""
    probes: int
    products: int
    ended: str
    rank: int
    sketch: NDArray[Any] | None = None

    def estimate(
        self, numbers: tuple[float, float, float, float], drawn: float | None = None
    ) -> Estimate:
        """The result of one number: value, standard error, and the ends of the interval."""
        value, error, low, high = numbers
        return Estimate(
            value=value,
            standard_error=error,
            interval=(low, high),
            sampling_error=drawn,
            **self._shared(error, abs(value), known=drawn is not None),
        )

    def estimates(self, means: NDArray[np.float64]) -> Estimates:
        """The result of several, one a row."""
        errors, sizes = means[:, 1], np.abs(means[:, 0])
        reached = float(np.linalg.norm(errors)), float(np.linalg.norm(sizes))
        if self.iteration.label != "diagonal":
            worst = int(np.argmax(errors / np.where(sizes > 0, sizes, 1)))
            reached = float(errors[worst]), float(sizes[worst])
        return Estimates(
            values=means[:, 0],
            standard_errors=errors,
            interval=means[:, 2:],
            **self._shared(*reached, known=False),
        )

    def _shared(self, error: float, size: float, *, known: bool) -> dict[str, Any]:
        iteration, accuracy = self.iteration, self.accuracy
        status = accuracy.described(self.ended, error, size, iteration.interrupted)
        if iteration.subject.objective.is_random_subset and not known:
            iteration.notes += (_UNDRAWN,)
        run = iteration.run(self.products, status, accuracy.seed)
        return {
            "quantity": iteration.label,
            "level": accuracy.level,
            "probes": self.probes,
            "rank": self.rank,
            "products": self.products,
            "status": run.status,
            "method": self.method,
            "run": run,
        }


def traces(
    matrix: Matrix,
    accuracy: Accuracy,
    label: str,
    method: TraceMethod,
    *,
    powers: int = 1,
    target: int = 0,
    logarithm: tuple[float, float, int] | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> Found:
    """Traces of powers, or of a logarithm, each as a row of means."""
    if method not in ("hutch++", "hutchinson", "xtrace"):
        raise ValueError(f"method={method!r}, expected 'hutch++', 'hutchinson' or 'xtrace'")
    # Every vector of a quadrature keeps a basis of its own.
    kept = logarithm[2] if logarithm else 1
    block = max(1, min(_TOGETHER, matrix.room // kept))
    kind: dict[str, Any] = {"powers": powers, "target": target, "logarithm": logarithm}
    inputs = {"method": method, **accuracy.limits, **kind}
    iteration = Iteration(
        label, matrix, inputs, accuracy.max_products, accuracy.progress, resume, accuracy.interrupt
    )
    matrix.check_symmetric(accuracy.seed)
    begun = iteration.begun()
    solver: _core.Trace | _core.XTrace
    if method == "xtrace":
        solver = _xtrace(matrix, accuracy, block)
    else:
        solver = _core.Trace(
            matrix.dim,
            matrix.storage,
            **kind,
            **accuracy.limits,
            rows=min(_ROWS, matrix.room) if method == "hutch++" else 0,
            block=block,
            state=begun,
        )
    state = solver.state if isinstance(solver, _core.Trace) else None
    iteration.execute(solver, _shown, state, solver.products)
    sketch = solver.sketch()
    return Found(
        iteration,
        accuracy,
        method,
        solver.means(),
        solver.probes,
        solver.products,
        solver.status,
        len(sketch),
        sketch,
    )


def _xtrace(matrix: Matrix, accuracy: Accuracy, block: int) -> _core.XTrace:
    rows = min(_ROWS, matrix.room // 3)
    if rows < FEWEST:
        raise ValueError(
            f"method='xtrace' keeps three vectors for each of at least {FEWEST}, which take "
            f"{3 * FEWEST * matrix.dim * matrix.dtype.itemsize / 2**30:.3g} GiB, more than "
            "memory_budget; use 'hutch++', or raise memory_budget"
        )
    return _core.XTrace(matrix.dim, matrix.storage, **accuracy.limits, rows=rows, block=block)


def diagonals(
    matrix: Matrix, accuracy: Accuracy, method: Literal["hutch++", "hutchinson"]
) -> Found:
    """Every diagonal entry as a row of means."""
    if method not in ("hutch++", "hutchinson"):
        raise ValueError(f"method={method!r}, expected 'hutch++' or 'hutchinson'")
    iteration = Iteration(
        "diagonal",
        matrix,
        {"method": method, **accuracy.limits},
        accuracy.max_products,
        accuracy.progress,
        None,
        accuracy.interrupt,
    )
    matrix.check_symmetric(accuracy.seed)
    iteration.begun()
    solver = _core.Diagonal(
        matrix.dim,
        matrix.storage,
        **accuracy.limits,
        rows=min(_ROWS, matrix.room) if method == "hutch++" else 0,
        block=_TOGETHER,
    )
    iteration.execute(solver, _shown)
    values, errors = solver.values(), solver.standard_errors()
    half = solver.quantile * errors
    return Found(
        iteration,
        accuracy,
        method,
        np.stack([values, errors, values - half, values + half], axis=1),
        solver.probes,
        solver.products,
        solver.status,
        solver.rank,
    )


def sampling_error(matrix: Matrix, found: Found, seed: int) -> float | None:
    """Standard error of a trace for the drawing of samples; None where nothing was drawn.

    The spread of sample traces is measured along all axes of a small matrix, where it is exact.
    Otherwise it is measured along the sketch and, for the rest, along random vectors; they are the
    same for all samples, so that the error is right in the mean of its square, and off by a third
    where a few directions beside the sketch matter.
    """
    if (
        found.sketch is None
        or not matrix.objective.is_random_subset
        or matrix.objective.samples < 2
    ):
        return None
    if matrix.dim <= _AXES:
        rows = np.eye(matrix.dim, dtype=matrix.dtype)
        whole = matrix.sampling_errors(rows, np.ones(matrix.dim))
        return None if whole is None else float(whole[0])
    sketch = found.sketch.astype(np.float64)
    streams = [{"seed": seed, "stream": stream} for stream in range(_DRAWN)]
    rows = np.stack([_core.gaussian(matrix.dim, dtype="float64", **one) for one in streams])
    for _ in range(2):
        rows -= (rows @ sketch.T) @ sketch
    left = matrix.dim - len(sketch)
    rows *= math.sqrt(left) / np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = np.concatenate([sketch, rows]).astype(matrix.dtype)
    weights = np.concatenate([np.ones(len(sketch)), np.full(_DRAWN, 1 / _DRAWN)])
    errors = matrix.sampling_errors(vectors, weights)
    return None if errors is None else float(errors[0])


def _shown(probes: int, value: float, error: float) -> Mapping[str, float]:
    return {"probes": probes, "value": value, "error": error}

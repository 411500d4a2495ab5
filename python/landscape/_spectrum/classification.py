"""Whether a point is a minimum, a maximum or a saddle: by all eigenvalues, or by their density.

Depends on the matrix with its eigenvalues and its density, and on the results.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape._iteration import Iteration
from landscape._results import CriticalPoint

if TYPE_CHECKING:
    from landscape._progress import Choice
    from landscape._results import Density, Spectrum
    from landscape._spectrum.solved import Solved

__all__ = ["Question", "classified"]

_WORKING = 3  # matrices of float64 that a decomposition keeps
_NOISE = 10.0  # of sqrt(d) units of rounding: what may stand where a zero belongs
_DRAWN = "another draw of samples may have other signs near zero"


@dataclass(frozen=True)
class Question:
    """What counts as zero, and how the eigenvalues are found."""

    threshold: float | None
    gradient_tolerance: float
    method: Literal["dense", "density"] | None
    probes: int
    steps: int
    level: float
    seed: int

    def __post_init__(self) -> None:
        if self.threshold is not None and not (
            math.isfinite(self.threshold) and self.threshold >= 0
        ):
            raise ValueError(
                f"threshold={self.threshold}, expected a number from 0 up: the largest "
                "|eigenvalue| that counts as zero"
            )
        if not self.gradient_tolerance >= 0:
            raise ValueError(
                f"gradient_tolerance={self.gradient_tolerance}, expected a norm from 0 up"
            )
        if self.method not in (None, "dense", "density"):
            raise ValueError(f"method={self.method!r}, expected None, 'dense' or 'density'")

    def zero(self, matrix: Solved, scale: float, resolution: float = 0.0) -> float:
        """The largest |eigenvalue| that counts as zero."""
        if self.threshold is not None:
            return self.threshold
        rounding = _NOISE * math.sqrt(matrix.dim) * float(np.finfo(matrix.dtype).eps) * scale
        return max(rounding, resolution)


def classified(matrix: Solved, question: Question, progress: Choice) -> CriticalPoint:
    """Answer the question; see :meth:`landscape.Hessian.classify`."""
    started = time.perf_counter()
    iteration = Iteration("classify", matrix, {}, matrix.dim, progress)
    iteration.begun()
    matrix.check_symmetric(question.seed)
    fits = _WORKING * 8 * matrix.dim**2 <= matrix.objective.memory_budget
    dense = question.method == "dense" or (question.method is None and fits)
    found = (
        _by_all(matrix, question, progress) if dense else _by_density(matrix, question, progress)
    )
    iteration.notes += found.get("notes", ())
    gradient_norm = float(np.linalg.norm(matrix.gradient().astype(np.float64)))
    counts, low, high = found["counts"], found["lowest"], found["highest"]
    described = _described(gradient_norm, question, found["threshold"])
    iteration.seconds = time.perf_counter() - started
    if matrix.objective.is_random_subset:
        iteration.notes += (_DRAWN,)
    return CriticalPoint(
        index=counts[0],
        near_zero=counts[1],
        lowest=low,
        highest=high,
        nature=_nature(low, high, found["threshold"]),
        loss=matrix.objective.loss(matrix.theta),
        gradient_norm=gradient_norm,
        gradient_tolerance=question.gradient_tolerance,
        threshold=found["threshold"],
        level=question.level,
        dim=matrix.dim,
        method="dense" if dense else "density",
        products=found["products"],
        status=described,
        values=found.get("values"),
        run=iteration.run(found["products"], described, question.seed),
    )


def _by_all(matrix: Solved, question: Question, progress: Choice) -> dict[str, Any]:
    entries = matrix.dense(progress=progress).astype(np.float64)
    if not np.isfinite(entries).all():
        raise FloatingPointError(
            "the matrix has entries that are not finite; the point lies where the loss has no "
            "second derivative, or beyond the range of its dtype"
        )
    values = np.linalg.eigvalsh((entries + entries.T) / 2)
    low, high = float(values[0]), float(values[-1])
    zero = question.zero(matrix, max(abs(low), abs(high)))
    negative, near = int((values < -zero).sum()), int((np.abs(values) <= zero).sum())
    return {
        "counts": np.array([[negative] * 3, [near] * 3], float),
        "lowest": low,
        "highest": high,
        "threshold": zero,
        "products": matrix.dim,
        "values": values[::-1],
    }


def _by_density(matrix: Solved, question: Question, progress: Choice) -> dict[str, Any]:
    ends: Spectrum = matrix.eigenvalues(1, "both", seed=question.seed, progress=progress)
    density: Density = matrix.density(
        probes=question.probes,
        steps=question.steps,
        level=question.level,
        seed=question.seed,
        progress=progress,
    )
    high, low = (float(value) for value in ends.values[[0, -1]])
    unsure = max(density.resolution, float(ends.residuals.max()))
    zero = question.zero(matrix, max(abs(low), abs(high)), unsure)
    shares = density.share(-np.inf, float(np.nextafter(-zero, -np.inf))), density.share(-zero, zero)
    return {
        "counts": matrix.dim * np.array(shares),
        "lowest": low,
        "highest": high,
        "threshold": zero,
        "products": ends.products + density.products,
        "notes": (f"both ends: {ends.status}", *density.run.notes[len(matrix.objective.notes) :]),
    }


def _nature(low: float, high: float, zero: float) -> str:
    if low < -zero and high > zero:
        return "saddle"
    if low > zero:
        return "minimum"
    if high < -zero:
        return "maximum"
    return "degenerate"


def _described(gradient_norm: float, question: Question, zero: float) -> str:
    within = f"|eigenvalue| <= {zero:.3g} counts as zero"
    if gradient_norm <= question.gradient_tolerance:
        return f"critical: the gradient's norm is {gradient_norm:.2g}; {within}"
    return (
        f"not critical: the gradient's norm is {gradient_norm:.2g}, above "
        f"{question.gradient_tolerance:g}; the class is that of the curvature alone; {within}"
    )

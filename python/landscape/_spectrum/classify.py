"""Classification of a point by its eigenvalues: minimum, maximum, saddle or degenerate."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from landscape._results import CriticalPoint
from landscape._runs import SolverRun
from landscape._spectrum.lanczos import EigenvalueOptions, compute_spectrum
from landscape._spectrum.slq import estimate_density

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._progress import Choice
    from landscape._spectrum.matrix import CurvatureMatrix

__all__ = ["ClassificationOptions", "classify_point"]

_WORKSPACE_MATRICES = 3  # of float64, during a dense eigendecomposition
_ROUNDING = 10.0  # of sqrt(d) units of rounding: the computed value of a zero eigenvalue
_SUBSET_NOTE = "another draw of samples may have other signs near zero"


@dataclass(frozen=True)
class ClassificationOptions:
    """Which eigenvalues count as zero, and how they are computed."""

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

    def zero_threshold(
        self, matrix: CurvatureMatrix, scale: float, resolution: float = 0.0
    ) -> float:
        """The largest |eigenvalue| that counts as zero.

        Args:
            matrix: The matrix.
            scale: Its largest |eigenvalue|.
            resolution: What the method cannot tell from zero.
        """
        if self.threshold is not None:
            return self.threshold
        rounding = _ROUNDING * math.sqrt(matrix.dim) * float(np.finfo(matrix.dtype).eps) * scale
        return max(rounding, resolution)


@dataclass(frozen=True)
class _Signs:
    """Counts of negative and near-zero eigenvalues, and both ends of the spectrum."""

    negative: NDArray[np.float64]
    """(3,) the count, and the ends of its interval."""
    near_zero: NDArray[np.float64]
    lowest: float
    highest: float
    threshold: float
    products: int
    values: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    @property
    def nature(self) -> str:
        if self.lowest < -self.threshold and self.highest > self.threshold:
            return "saddle"
        if self.lowest > self.threshold:
            return "minimum"
        if self.highest < -self.threshold:
            return "maximum"
        return "degenerate"


def classify_point(
    matrix: CurvatureMatrix, options: ClassificationOptions, progress: Choice
) -> CriticalPoint:
    """Classify the point of a matrix; see :meth:`landscape.Hessian.classify`."""
    start = time.perf_counter()
    run = SolverRun("classify", matrix, {}, matrix.dim, progress)
    run.load_state()
    matrix.check_symmetric(options.seed)
    fits = _WORKSPACE_MATRICES * 8 * matrix.dim**2 <= matrix.objective.memory_budget
    dense = options.method == "dense" or (options.method is None and fits)
    count_signs = _count_by_eigenvalues if dense else _count_by_density
    signs = count_signs(matrix, options, progress)
    run.notes += signs.notes
    gradient_norm = float(np.linalg.norm(matrix.gradient().astype(np.float64)))
    status = _describe_status(gradient_norm, options, signs.threshold)
    run.seconds = time.perf_counter() - start
    if matrix.objective.is_random_subset:
        run.notes += (_SUBSET_NOTE,)
    return CriticalPoint(
        index=signs.negative,
        near_zero=signs.near_zero,
        lowest=signs.lowest,
        highest=signs.highest,
        nature=signs.nature,
        loss=matrix.objective.loss(matrix.theta),
        gradient_norm=gradient_norm,
        gradient_tolerance=options.gradient_tolerance,
        threshold=signs.threshold,
        level=options.level,
        dim=matrix.dim,
        method="dense" if dense else "density",
        products=signs.products,
        status=status,
        values=signs.values,
        run=run.make_run(signs.products, status, options.seed),
    )


def _count_by_eigenvalues(
    matrix: CurvatureMatrix, options: ClassificationOptions, progress: Choice
) -> _Signs:
    entries = matrix.dense(progress=progress).astype(np.float64)
    if not np.isfinite(entries).all():
        raise FloatingPointError(
            "the matrix has entries that are not finite; the point lies where the loss has no "
            "second derivative, or beyond the range of its dtype"
        )
    values = np.linalg.eigvalsh((entries + entries.T) / 2)
    lowest, highest = float(values[0]), float(values[-1])
    threshold = options.zero_threshold(matrix, max(abs(lowest), abs(highest)))
    negative = int((values < -threshold).sum())
    near_zero = int((np.abs(values) <= threshold).sum())
    return _Signs(
        np.full(3, float(negative)),
        np.full(3, float(near_zero)),
        lowest,
        highest,
        threshold,
        products=matrix.dim,
        values=np.asarray(values[::-1], np.float64),
    )


def _count_by_density(
    matrix: CurvatureMatrix, options: ClassificationOptions, progress: Choice
) -> _Signs:
    # what is negative or near zero is so beside the largest |eigenvalue|
    both = EigenvalueOptions(1, "both", seed=options.seed, relative_to="norm")
    ends = compute_spectrum(matrix, both, progress=progress)
    density = estimate_density(
        matrix,
        probes=options.probes,
        steps=options.steps,
        level=options.level,
        seed=options.seed,
        progress=progress,
    )
    highest, lowest = (float(value) for value in ends.values[[0, -1]])
    resolution = max(density.resolution, float(ends.residuals.max()))
    threshold = options.zero_threshold(matrix, max(abs(lowest), abs(highest)), resolution)
    negative = density.share(-np.inf, float(np.nextafter(-threshold, -np.inf)))
    return _Signs(
        matrix.dim * np.array(negative),
        matrix.dim * np.array(density.share(-threshold, threshold)),
        lowest,
        highest,
        threshold,
        products=ends.products + density.products,
        notes=(
            f"both ends: {ends.status}",
            *density.run.notes[len(matrix.objective.notes) :],
        ),
    )


def _describe_status(gradient_norm: float, options: ClassificationOptions, threshold: float) -> str:
    zero = f"|eigenvalue| <= {threshold:.3g} counts as zero"
    if gradient_norm <= options.gradient_tolerance:
        return f"critical: the gradient's norm is {gradient_norm:.2g}; {zero}"
    return (
        f"not critical: the gradient's norm is {gradient_norm:.2g}, above "
        f"{options.gradient_tolerance:g}; the class is that of the curvature alone; {zero}"
    )

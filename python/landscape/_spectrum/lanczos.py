"""Eigenvalues of a matrix by Lanczos or power iteration, with a check for multiple eigenvalues."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape import _core
from landscape._replace import name_temporary, remove_temporaries_of_the_dead
from landscape._results import Spectrum
from landscape._runs import Interrupt, SolverRun, SolverState, check_options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._progress import Choice
    from landscape._spectrum.matrix import CurvatureMatrix

__all__ = ["EigenvalueOptions", "Method", "Which", "compute_spectrum"]

Which = Literal["largest", "smallest", "magnitude", "both"]
Method = Literal["lanczos", "power"]

_PRODUCT_ROUNDINGS = 8  # of the matrix, in float32: 3.5 seen on a U-Net, against float64
_WHOLE_BASIS = 256  # rows of a matrix whose basis is whole: its eigenpairs are found at every step
_WHICH = ("largest", "smallest", "magnitude", "both")
_METHODS = ("lanczos", "power")


@dataclass(frozen=True)
class EigenvalueOptions:
    """Which eigenvalues are computed, how accurately and by which method."""

    k: int
    which: Which = "largest"
    tolerance: float = 1e-3
    vectors: bool = False
    method: Method = "lanczos"
    multiplicity: Literal["check"] | None = None
    basis: int | None = None
    max_products: int | None = None
    seed: int = 0
    relative_to: Literal["end", "norm"] = "end"
    """What the tolerance is relative to: the largest |value| of the requested end, or of all."""

    def validate(self, dim: int) -> None:
        """Check every option against a matrix of this dimension.

        Raises:
            ValueError: An option is out of its range.
        """
        for name, value, known in (
            ("which", self.which, _WHICH),
            ("method", self.method, _METHODS),
            ("multiplicity", self.multiplicity, (None, "check")),
        ):
            if value not in known:
                expected = ", ".join(map(repr, known))
                raise ValueError(f"{name}={value!r}, expected one of {expected}")
        if not 1 <= self.k <= dim:
            raise ValueError(
                f"k={self.k}, expected 1 to {dim}: the matrix has {dim} rows, one for each "
                "parameter that varies"
            )
        if not 0 < self.tolerance < 1:
            raise ValueError(
                f"tolerance={self.tolerance}, expected a number between 0 and 1: a residual "
                "relative to the largest |eigenvalue| of the end that is asked for"
            )
        count = self.pair_count(dim)
        smallest = min(dim, count + 2)
        if self.basis is not None and self.basis < smallest:
            raise ValueError(
                f"basis={self.basis}, expected at least {smallest} vectors for {count} pairs"
            )
        if self.max_products is not None and self.max_products < 1:
            raise ValueError(f"max_products={self.max_products}, expected at least 1")

    def pair_count(self, dim: int) -> int:
        """The number of pairs of the result."""
        return min(dim, 2 * self.k if self.which == "both" else self.k)

    def basis_size(self, dim: int) -> int:
        """The number of basis vectors: enough that few runs have to restart.

        Restarts lose the small eigenvalues of a graded spectrum, so that a small matrix has all.
        """
        if self.basis is None and dim <= min(_WHOLE_BASIS, self.product_limit(dim)):
            return dim
        return min(dim, self.basis or max(60, 4 * self.pair_count(dim) + 20))

    def product_limit(self, dim: int) -> int:
        """The maximum number of products."""
        return self.max_products or max(1000, 100 * self.pair_count(dim))

    @property
    def inputs(self) -> dict[str, Any]:
        """What the numbers depend on."""
        names = ("k", "which", "tolerance", "method", "basis", "max_products", "seed")
        return {name: getattr(self, name) for name in names}


def compute_spectrum(
    matrix: CurvatureMatrix,
    options: EigenvalueOptions,
    *,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
) -> Spectrum:
    """Compute eigenvalues; see :meth:`landscape.Hessian.eigenvalues`."""
    dim = matrix.dim
    options.validate(dim)
    limit = options.product_limit(dim)
    run = SolverRun("eigenvalues", matrix, options.inputs, limit, progress, resume, interrupt)
    matrix.check_symmetric(options.seed)
    if resume is not None and options.method != "lanczos":
        raise ValueError("only method='lanczos' can be resumed; leave resume out, or take it")
    state = run.load_state()
    with _basis_file(matrix, options) as path:
        if state is None:
            solver = _make_solver(matrix, options, path)
        else:
            with run.reading():
                solver = _resume_solver(matrix, options, state, path)
        run.execute(
            solver,
            _describe_tick,
            solver.state if isinstance(solver, _core.Lanczos) else None,
            solver.products,
        )
        # of the gaps that sharper bounds need, the power iteration knows only those upwards
        bounds = solver.residuals() if options.method == "power" else solver.bounds()
        norm = solver.norm if isinstance(solver, _core.Lanczos) else solver.scale
        # products are rounded too, as every layer of the model is
        rounding = _PRODUCT_ROUNDINGS * matrix.objective.epsilon * norm
        bounds = np.maximum(bounds, rounding)
        pairs = Eigenpairs(solver.values(), solver.residuals(), bounds, solver.vectors())
        ending, products, scale = solver.status, solver.products, solver.scale
        multiplicity = None
        if options.multiplicity == "check":
            pairs, multiplicity = _check_multiplicity(matrix, options, run, pairs, ending)
    converged = int((pairs.residuals <= options.tolerance * scale).sum())
    status = _describe_status(ending, converged, options, dim, scale, interrupted=run.interrupted)
    vectors = pairs.vectors
    return Spectrum(
        values=pairs.values,
        residuals=pairs.residuals,
        bounds=pairs.bounds,
        products=products,
        status=status,
        which=options.which,
        tolerance=options.tolerance,
        scale=scale,
        method=options.method,
        vectors=vectors if options.vectors else None,
        standard_errors=matrix.sampling_errors(vectors) if len(vectors) else None,
        multiplicity=multiplicity,
        run=run.make_run(products, status, options.seed),
    )


def _make_solver(
    matrix: CurvatureMatrix,
    options: EigenvalueOptions,
    path: str | None,
) -> _core.Lanczos | _core.PowerIteration:
    dim, dtype = matrix.dim, matrix.storage_dtype
    common: dict[str, Any] = {
        "count": options.k,
        "which": options.which,
        "tolerance": options.tolerance,
        "max_products": options.product_limit(dim),
        "seed": options.seed,
    }
    if options.method == "power":
        return _core.PowerIteration(dim, dtype, **common)
    basis, relative_to = options.basis_size(dim), options.relative_to
    return _core.Lanczos(dim, dtype, basis=basis, path=path, relative_to=relative_to, **common)


def _resume_solver(
    matrix: CurvatureMatrix, options: EigenvalueOptions, state: SolverState, path: str | None
) -> _core.Lanczos:
    record, arrays = state
    expected = {
        "dim": matrix.dim,
        "count": options.k,
        "tolerance": int(np.float64(options.tolerance).view(np.uint64)),
        "basis": options.basis_size(matrix.dim),
        "max_products": options.product_limit(matrix.dim),
        "seed": options.seed,
    }
    check_options(record, expected)
    return _core.Lanczos.resumed(record, dict(arrays), path=path)


@contextmanager
def _basis_file(matrix: CurvatureMatrix, options: EigenvalueOptions) -> Iterator[str | None]:
    """A file for the basis where it exceeds the memory budget; None where it does not.

    Raises:
        ValueError: The disk is too small for it.
    """
    rows = options.basis_size(matrix.dim) + 1
    needed, budget = rows * matrix.dim * matrix.dtype.itemsize, matrix.objective.memory_budget
    if options.method == "power" or needed <= budget:
        yield None
        return
    remove_temporaries_of_the_dead(Path(tempfile.gettempdir()))
    folder = Path(tempfile.gettempdir()) / name_temporary("basis")
    folder.mkdir(mode=0o700)
    try:
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise ValueError(
                f"a basis of {rows} vectors takes {needed / 2**30:.3g} GiB: more than "
                f"memory_budget = {budget / 2**30:.3g} GiB, and {folder} has {free / 2**30:.3g} "
                "GiB left; pass a smaller basis=, raise memory_budget, or set TMPDIR to a larger "
                "disk"
            )
        yield str(folder / "basis")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _describe_tick(
    converged: int, values: NDArray[np.float64], residuals: NDArray[np.float64]
) -> dict[str, float]:
    numbers: dict[str, float] = {"converged": converged}
    if len(values):
        scale = float(np.abs(values).max())
        numbers["top"] = float(values[0])
        numbers["residual"] = float(residuals.max()) / scale if scale else 0.0
    return numbers


def _describe_status(
    ending: str,
    converged: int,
    options: EigenvalueOptions,
    dim: int,
    scale: float,
    *,
    interrupted: bool,
) -> str:
    count = options.pair_count(dim)
    reached = f"{converged} of {count} pairs converged"
    if interrupted:
        return f"interrupted: {reached}; call again with resume= to continue"
    if ending == "converged" and converged < count:
        return f"{reached}: not all of the multiple eigenvalues found; lower the tolerance"
    if ending == "converged":
        return f"converged: residuals of all pairs are at most {options.tolerance:g} x {scale:.4g}"
    if ending == "exhausted":
        return "exact: the basis spans the whole space"
    limit = options.product_limit(dim)
    return f"stopped at max_products={limit}: {reached}; raise max_products or the tolerance"


@dataclass(frozen=True)
class Eigenpairs:
    """Approximate eigenpairs with their residuals and error bounds."""

    values: NDArray[np.float64]
    residuals: NDArray[np.float64]
    bounds: NDArray[np.float64]
    vectors: NDArray[Any]

    def concatenate(self, others: Eigenpairs) -> Eigenpairs:
        """These pairs, followed by others."""
        return Eigenpairs(
            np.concatenate([self.values, others.values]),
            np.concatenate([self.residuals, others.residuals]),
            np.concatenate([self.bounds, others.bounds]),
            np.concatenate([self.vectors, others.vectors]),
        )

    def select(self, order: NDArray[np.intp]) -> Eigenpairs:
        """The pairs at these indices, in this order."""
        return Eigenpairs(
            self.values[order], self.residuals[order], self.bounds[order], self.vectors[order]
        )


def _check_multiplicity(
    matrix: CurvatureMatrix,
    options: EigenvalueOptions,
    run: SolverRun,
    pairs: Eigenpairs,
    ending: str,
) -> tuple[Eigenpairs, str]:
    """Search for missing pairs by a second run, orthogonal to the known eigenvectors.

    One Krylov space contains one vector of every eigenspace, so that a single run misses further
    copies of a multiple eigenvalue.

    Args:
        matrix: The matrix.
        options: Those of the first run.
        run: The first run.
        pairs: Its pairs.
        ending: How it ended.

    Returns:
        The best of all pairs, and a sentence about what was missing.
    """
    remaining = matrix.dim - len(pairs.values)
    if run.interrupted or ending not in ("converged", "exhausted"):
        return pairs, "skipped: the pairs themselves did not converge"
    if remaining == 0 or ending == "exhausted":
        return pairs, "skipped: the basis spans the whole space"
    solver = _core.Lanczos(
        matrix.dim,
        matrix.storage_dtype,
        count=min(options.k, remaining),
        which=options.which,
        tolerance=options.tolerance,
        relative_to=options.relative_to,
        basis=min(options.basis_size(matrix.dim), remaining),
        max_products=options.product_limit(matrix.dim),
        seed=options.seed + 1,
        deflate=list(pairs.vectors),
    )
    run.execute(solver, lambda *_: {})
    if run.interrupted:
        return pairs, "skipped: interrupted"
    more = _measure_residuals(matrix, run, solver.values(), solver.vectors())
    candidates = pairs.concatenate(more)
    order = _select_best(candidates.values, options.which, options.k, matrix.dim)
    missing = int((order >= len(pairs.values)).sum())
    finding = f"{missing} missing pairs found" if missing else "no missing pair"
    remark = "" if solver.status != "max_products" else ", which did not converge"
    products = solver.products + len(more.values)
    sentence = f"checked by {products} further products{remark}: {finding}"
    return candidates.select(order), sentence


def _measure_residuals(
    matrix: CurvatureMatrix, run: SolverRun, values: NDArray[np.float64], vectors: NDArray[Any]
) -> Eigenpairs:
    """Pairs with residuals in the whole space; the solver knows those of the deflated matrix."""
    images = matrix.operator(run.strategy)(vectors)
    differences = images.astype(np.float64) - values[:, None] * vectors
    residuals = np.linalg.norm(differences, axis=1)
    return Eigenpairs(values, residuals, residuals, vectors)


def _select_best(values: NDArray[np.float64], which: str, k: int, dim: int) -> NDArray[np.intp]:
    """The indices of the requested values, in the order of a result."""
    if which == "magnitude":
        return np.argsort(-np.abs(values), kind="stable")[:k]
    ascending = np.argsort(values, kind="stable")
    if which == "smallest":
        return ascending[:k]
    descending = ascending[::-1]
    if which == "largest" or 2 * k >= dim:
        return descending[: k if which == "largest" else dim]
    return np.concatenate([descending[:k], descending[-k:]])

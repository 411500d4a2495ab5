"""Eigenvalues: from the options of a call to a Spectrum, by the core's Lanczos or power iteration.

Depends on the iteration, on the check for copies and on the results.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape import _core
from landscape._iteration import Iteration
from landscape._results import Spectrum
from landscape._spectrum.copies import Pairs, with_copies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._spectrum.matrix import Matrix

__all__ = ["Method", "Request", "Which", "spectrum"]

Which = Literal["largest", "smallest", "magnitude", "both"]
Method = Literal["lanczos", "power"]

_WHICH = ("largest", "smallest", "magnitude", "both")
_METHODS = ("lanczos", "power")


@dataclass(frozen=True)
class Request:
    """Which eigenvalues, how well, and how they are looked for."""

    k: int
    which: Which
    tolerance: float
    vectors: bool
    method: Method
    multiplicity: Literal["check"] | None
    basis: int | None
    max_products: int | None
    seed: int

    def check(self, dim: int) -> None:
        """Refuse what cannot be.

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
                "relative to the largest |eigenvalue|"
            )
        low = min(dim, self.wanted(dim) + 2)
        if self.basis is not None and self.basis < low:
            raise ValueError(
                f"basis={self.basis}, expected at least {low} vectors for {self.wanted(dim)} pairs"
            )
        if self.max_products is not None and self.max_products < 1:
            raise ValueError(f"max_products={self.max_products}, expected at least 1")

    def wanted(self, dim: int) -> int:
        """How many pairs the result has."""
        return min(dim, 2 * self.k if self.which == "both" else self.k)

    def rows(self, dim: int) -> int:
        """Basis vectors: enough that few runs have to restart."""
        return min(dim, self.basis or max(60, 4 * self.wanted(dim) + 20))

    def limit(self, dim: int) -> int:
        """The most products."""
        return self.max_products or max(1000, 100 * self.wanted(dim))

    @property
    def inputs(self) -> dict[str, Any]:
        """What the numbers depend on."""
        names = ("k", "which", "tolerance", "method", "basis", "max_products", "seed")
        return {name: getattr(self, name) for name in names}


def spectrum(matrix: Matrix, request: Request, iteration: Iteration) -> Spectrum:
    """Compute what was asked for; see :meth:`landscape.Hessian.eigenvalues`."""
    dim = matrix.dim
    resumable = request.method == "lanczos"
    if iteration.resume is not None and not resumable:
        raise ValueError("only method='lanczos' can be resumed; leave resume out, or take it")
    state = iteration.begun()
    with _room(matrix, request) as path:
        solver = _solver(matrix, request, state, path)
        iteration.execute(
            solver,
            _shown,
            solver.state if isinstance(solver, _core.Lanczos) else None,
            solver.products,
        )
        # of the gaps that sharper bounds need, the power iteration knows only those upwards
        bounds = solver.residuals() if request.method == "power" else solver.bounds()
        pairs = Pairs(solver.values(), solver.residuals(), bounds, solver.vectors())
        status, products, scale = solver.status, solver.products, solver.scale
        checked, multiplicity = pairs, None
        if request.multiplicity == "check":
            checked, multiplicity = with_copies(matrix, request, iteration, pairs, status)
    whole = checked.vectors
    good = int((checked.residuals <= request.tolerance * scale).sum())
    found = _described(status, good, request, iteration, dim)
    return Spectrum(
        values=checked.values,
        residuals=checked.residuals,
        bounds=checked.bounds,
        products=products,
        status=found,
        which=request.which,
        tolerance=request.tolerance,
        scale=scale,
        method=request.method,
        vectors=whole if request.vectors else None,
        standard_errors=matrix.sampling_errors(whole) if len(whole) else None,
        multiplicity=multiplicity,
        run=iteration.run(products, found, request.seed),
    )


def _solver(
    matrix: Matrix,
    request: Request,
    state: tuple[str, dict[str, NDArray[Any]]] | None,
    path: str | None,
) -> _core.Lanczos | _core.PowerIteration:
    dim = matrix.dim
    if state is not None:
        return _core.Lanczos.resumed(*state, path=path)
    options: dict[str, Any] = {
        "count": request.k,
        "which": request.which,
        "tolerance": request.tolerance,
        "max_products": request.limit(dim),
        "seed": request.seed,
    }
    if request.method == "power":
        return _core.PowerIteration(dim, matrix.storage, **options)
    return _core.Lanczos(dim, matrix.storage, basis=request.rows(dim), path=path, **options)


@contextmanager
def _room(matrix: Matrix, request: Request) -> Iterator[str | None]:
    """A file for the basis where it would take more memory than the budget; None where not.

    Raises:
        ValueError: The disk has no room for it.
    """
    rows = request.rows(matrix.dim) + 1
    needed, budget = rows * matrix.dim * matrix.dtype.itemsize, matrix.objective.memory_budget
    if request.method == "power" or needed <= budget:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="landscape-") as folder:
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise ValueError(
                f"a basis of {rows} vectors takes {needed / 2**30:.3g} GiB: more than "
                f"memory_budget = {budget / 2**30:.3g} GiB, and {folder} has {free / 2**30:.3g} "
                "GiB left; pass a smaller basis=, raise memory_budget, or set TMPDIR to a larger "
                "disk"
            )
        yield str(Path(folder) / "basis")


def _shown(
    converged: int, values: NDArray[np.float64], residuals: NDArray[np.float64]
) -> dict[str, float]:
    shown: dict[str, float] = {"converged": converged}
    if len(values):
        scale = float(np.abs(values).max())
        shown["top"] = float(values[0])
        shown["residual"] = float(residuals.max()) / scale if scale else 0.0
    return shown


def _described(status: str, good: int, request: Request, iteration: Iteration, dim: int) -> str:
    of = f"{good} of {request.wanted(dim)} pairs converged"
    if iteration.interrupted:
        return f"interrupted: {of}; call again with resume= to go on"
    if status == "converged" and good < request.wanted(dim):
        return f"{of}: not all of the copies that were found; lower the tolerance"
    if status == "converged":
        return f"converged: residuals of all pairs are at most {request.tolerance:g} max |value|"
    if status == "exhausted":
        return "exact: the basis spans the whole space"
    return (
        f"stopped at max_products={request.limit(dim)}: {of}; raise max_products or the tolerance"
    )

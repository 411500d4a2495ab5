"""The density of eigenvalues, by the core's stochastic Lanczos quadrature (SLQ)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._results import Density
from landscape._runs import Interrupt, SolverRun, SolverState, read_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._progress import Choice
    from landscape._spectrum.matrix import CurvatureMatrix

__all__ = ["estimate_density"]

_PROBES_PER_PRODUCT = 8
_MIN_PROBES = 2
_FEW_PROBES = (
    f"intervals of fewer than {Density.min_probes} probes undercover: they hold the truth less "
    "often than they say"
)
_SUBSET_NOTE = "what another draw of samples would change is not in the intervals"


def estimate_density(
    matrix: CurvatureMatrix,
    *,
    probes: int,
    steps: int,
    width: float | None = None,
    level: float,
    seed: int,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
) -> Density:
    """Estimate the density; see :meth:`landscape.Hessian.density`."""
    steps = min(steps, matrix.dim)
    _validate(matrix, probes, steps, width, level)
    inputs = {"probes": probes, "steps": steps, "seed": seed}
    run = SolverRun("density", matrix, inputs, probes * steps, progress, resume, interrupt)
    matrix.check_symmetric(seed)
    state = run.load_state()
    with run.reading():
        solver = _core.Density(
            matrix.dim,
            matrix.storage_dtype,
            probes=probes,
            steps=steps,
            block=max(1, min(_PROBES_PER_PRODUCT, matrix.max_vectors // steps)),
            seed=seed,
            known=[] if state is None else _split_quadratures(state[1]),
            products=0 if state is None else _read_products(state[0]),
        )

    def get_state() -> SolverState:
        arrays = _join_quadratures(solver)
        # those of the block at work are computed again, and counted then
        return str(solver.completed_products), arrays

    run.execute(solver, lambda done: {"probes": done}, get_state, solver.products)
    arrays = _join_quadratures(solver)
    done = len(arrays["counts"])
    run.require_something(there_is=done >= _MIN_PROBES)
    status = f"complete: all {probes} probes"
    if run.interrupted:
        status = f"interrupted after {done} of {probes} probes"
    if done < Density.min_probes:
        run.notes += (_FEW_PROBES,)
    if matrix.objective.is_random_subset:
        run.notes += (_SUBSET_NOTE,)
    provenance = run.make_run(solver.products, status, seed)
    # the default width is a property of the quadratures, which need a valid one to be created
    provisional = float(np.ptp(arrays["nodes"])) or 1.0
    density = Density(
        **arrays,
        dim=matrix.dim,
        width=width or provisional,
        level=level,
        steps=steps,
        products=solver.products,
        status=provenance.status,
        run=provenance,
    )
    return density if width else density.with_width(density.kernel)


def _validate(
    matrix: CurvatureMatrix, probes: int, steps: int, width: float | None, level: float
) -> None:
    if probes < _MIN_PROBES:
        raise ValueError(f"probes={probes}, expected at least {_MIN_PROBES}: one has no spread")
    if steps < 1:
        raise ValueError(f"steps={steps}, expected at least 1")
    if width is not None and not (math.isfinite(width) and width > 0):
        raise ValueError(f"width={width}, expected a positive number of eigenvalue units")
    if not 0 < level < 1:
        raise ValueError(f"level={level}, expected a probability such as 0.95")
    if steps > matrix.max_vectors:
        needed = steps * matrix.dim * matrix.dtype.itemsize
        raise ValueError(
            f"{steps} steps keep as many vectors, which take {needed / 2**30:.3g} GiB, more "
            f"than memory_budget = {matrix.objective.memory_budget / 2**30:.3g} GiB; ask for at "
            f"most steps={matrix.max_vectors}, or raise memory_budget"
        )


def _join_quadratures(solver: _core.Density) -> dict[str, NDArray[Any]]:
    quadratures = solver.quadratures()
    empty = np.zeros(0)
    return {
        "nodes": np.concatenate([empty, *(nodes for nodes, _ in quadratures)]),
        "weights": np.concatenate([empty, *(weights for _, weights in quadratures)]),
        "counts": np.array([len(nodes) for nodes, _ in quadratures], np.int64),
    }


def _split_quadratures(
    arrays: Mapping[str, NDArray[Any]],
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    counts = read_array(arrays, "counts", (None,), "iu").astype(np.int64)
    total = int(counts.sum())
    nodes, weights = (read_array(arrays, name, (total,)) for name in ("nodes", "weights"))
    if (counts < 1).any():
        raise ValueError(f"the array 'counts' is {counts}, expected numbers from 1 up")
    if not len(counts):
        return []
    cuts = np.cumsum(counts)[:-1]
    return list(zip(np.split(nodes, cuts), np.split(weights, cuts), strict=True))


def _read_products(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"the state of the checkpoint is {text!r}, expected a number of products")
    return int(text)

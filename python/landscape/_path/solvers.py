"""Solvers of paths: the core's elastic band and curve training, run with a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from landscape import _core
from landscape._path.methods import AutoNEB, Bezier, Polychain
from landscape._runs import Interrupt, SolverRun, SolverState, check_options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._progress import Choice
    from landscape._runs import BatchedProblem

__all__ = ["PathSearch", "batched_objective", "describe_search", "search_path"]

_BATCH_SIZE = 256


def batched_objective(objective: Objective) -> Objective:
    """The function that a search minimises: differentiable, and split into mini-batches.

    Batch statistics that are re-estimated at every point have no gradient, so that the search
    uses those of the mini-batch.
    """
    differentiable = objective.with_batch_norm("batch") if objective.recalibrates else objective
    return differentiable.with_batch_size(_BATCH_SIZE)


def describe_search(objective: Objective, batched: Objective) -> tuple[str, ...]:
    """Notes on how the function of a search differs from the reported one."""
    notes = []
    if objective.recalibrates:
        notes.append(
            "the search differentiates under batch_norm='batch', and reported losses are those "
            "under 'recalibrated'"
        )
    if batched.batches > 1:
        notes.append(f"the search descends on {batched.batches} mini-batches")
    return tuple(notes)


@dataclass(frozen=True)
class PathSearch:
    """A search that has ended."""

    run: SolverRun
    points: NDArray[Any]
    """The best path: pivots or control points."""
    history: NDArray[Any]
    """Rows of steps, inner points and highest loss, one for each evaluation."""
    status: str
    passes: int
    """The number of passes over the data."""


def search_path(
    method: AutoNEB | Bezier | Polychain,
    problem: BatchedProblem,
    *,
    seed: int,
    resume: str | os.PathLike[str] | None,
    progress: Choice,
    interrupt: Interrupt,
) -> PathSearch:
    """Run a search until it ends, fails or is interrupted.

    Raises:
        FloatingPointError: A loss or a gradient is not finite, and ``interrupt`` is ``"raise"``.
        KeyboardInterrupt: Ctrl-C, and ``interrupt`` is ``"raise"``.
    """
    options = method.to_core(seed)
    run = SolverRun(
        method.name, problem, options, method.max_steps, progress, resume, interrupt, "step"
    )
    state = run.load_state()
    functions = problem.operator(run.strategy)
    ends = problem.points
    solver: _core.AutoNeb | _core.CurveTraining
    if state is not None:
        with run.reading():
            check_options(state[0], options)
            resume_solver = _resume_band if isinstance(method, AutoNEB) else _resume_curve
            solver = resume_solver(state)
    elif isinstance(method, AutoNEB):
        solver = _core.AutoNeb(functions, *ends, **options)
    else:
        solver = _core.CurveTraining(functions, *ends, **options)

    def get_state() -> SolverState:
        moving = (
            {"band": solver.band()}
            if isinstance(solver, _core.AutoNeb)
            else {"control": solver.control()}
        )
        return solver.record(), {**moving, "best": solver.best(), "memory": solver.memory()}

    failure = ""
    try:
        run.execute(solver, _describe_tick, get_state, solver.steps)
    except FloatingPointError as error:
        failure = str(error)
        if interrupt == "raise":
            error.add_note(
                "interrupt='return' returns the last good path; resume= keeps it in a file"
            )
            raise
    if failure or run.interrupted:
        solver.evaluate(functions)
    status = f"complete: {solver.steps} steps in {len(method.cycles)} cycles"
    if isinstance(solver, _core.AutoNeb) and solver.status == "converged":
        status = f"converged: no force above {solver.force:.3g}, within {options['tolerance']:g}"
    if run.interrupted:
        status = f"interrupted after {solver.steps} of {method.max_steps} steps"
    if failure:
        status = f"stopped: {failure}"
    evaluations, batches = solver.evaluations
    passes = evaluations + -(-batches // problem.objective.batches)
    return PathSearch(run, solver.best(), solver.history(), status, passes)


def _resume_band(state: SolverState) -> _core.AutoNeb:
    record, arrays = state
    return _core.AutoNeb.resumed(record, arrays["band"], arrays["best"], arrays["memory"])


def _resume_curve(state: SolverState) -> _core.CurveTraining:
    record, arrays = state
    return _core.CurveTraining.resumed(record, arrays["control"], arrays["best"], arrays["memory"])


def _describe_tick(barrier: float, force: float) -> Mapping[str, float]:
    return {"barrier": barrier, "force": force}

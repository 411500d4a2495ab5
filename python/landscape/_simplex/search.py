"""`simplex`: low-loss simplicial complexes through several minima."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core
from landscape._outside import Outside, compare_outside, validate_outside
from landscape._path import Cycles, Optimizer, batched_objective, describe_search
from landscape._results import SimplicialComplex
from landscape._runs import (
    BatchedProblem,
    Interrupt,
    ObjectiveOptions,
    SolverRun,
    SolverState,
    build_objectives,
    check_options,
)
from landscape._simplex.evaluation import evaluate_complex
from landscape._simplex.minima import flatten_minima, split_models
from landscape._simplex.options import CYCLES, SimplexOptions

if TYPE_CHECKING:
    from torch import nn

    from landscape._objective import Objective
    from landscape._progress import Choice

__all__ = ["simplex"]


def simplex(
    models: nn.Module | Objective | Sequence[Any],
    data: Any = None,
    loss: Any = None,
    *,
    connectors: int = 2,
    volume_weight: float = 0.01,
    cycles: Cycles = CYCLES,
    optimizer: Optimizer = "adam",
    draws: int = 4,
    spread: float = 0.1,
    points: int = 100,
    outside: Outside = "error",
    test: Any = None,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> SimplicialComplex:
    r"""Find simplices of low loss through several minima, and measure their volume.

    .. math:: \theta_j = \arg\min \; \mathbb{E}_{\theta \in K} L(\theta) - \lambda_j \log V(K),
              \quad \lambda_j = \frac{\lambda^*}{\max(1, |\log V(K_j)|)}

    Each model spans one simplex with all connecting points theta_0, ..., theta_{k-1}, which the
    simplices share: K = {S(w_i, theta_0, ..., theta_{k-1})}. Connecting points are added one after
    the other and are trained on mini-batches; earlier ones and the models are fixed. Points are
    uniform in each simplex, and all simplices have equal weight. V(K) is the sum of the volumes,
    and K_j the complex where theta_j starts: a random point around the mean of all vertices. The
    first connecting point between several models has lambda_0 = 0, since simplices are segments
    there. In a quadratic valley the optimum has a mean loss of lambda_j / 2.

    At the end losses are evaluated at all vertices and at random points of each simplex, under the
    batch-norm policy of the Objective. Where batch statistics are re-estimated at every point (the
    default for models with batch norm) the search differentiates through those of the mini-batch.

    Args:
        models: Models of one layout, or one alone. The first is a module or an Objective, which
            evaluates; others may be state dicts, ``.safetensors`` paths or flat vectors.
        data: As for the Objective.
        loss: As for the Objective.
        connectors: The number k of connecting points, which is the dimension of the simplices: 1
            joins the models by segments, 2 by triangles.
        volume_weight: lambda*, the weight of the volume, in units of the loss.
        cycles: Pairs (steps, learning rate) of each connecting point.
        optimizer: ``"adam"``, or ``"sgd"`` with a momentum of 0.9.
        draws: Points that a step draws in each simplex, each with a mini-batch of its own.
        spread: Distance from the mean of all vertices at which a connecting point starts, as a
            share of the root mean square distance of the models from their mean (one model: from
            0).
        points: Points of each simplex at which L is evaluated in the end.
        outside: As for :func:`connect`, of every model and the first.
        test: Further data, whose losses at the same points are the result's ``.test_losses``.
        seed: Of the order of mini-batches, drawn points, starts, the sample subset, the split and
            the dropout masks.
        interrupt: What Ctrl-C and numbers that are not finite do to the search: ``"raise"``, or
            ``"return"`` the complex as it is.
        resume: The checkpoint file of the search: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done,
            maximum), in steps of the search and then in evaluated points.
        options: Those of :class:`landscape.Objective`. Data that come in one piece are split into
            mini-batches of about 256 for the search unless ``batch_size`` says otherwise.

    Returns:
        The complex: vertices, simplices, volumes, and losses at random points of each simplex.

    Raises:
        TypeError: ``models`` holds something that is no model.
        ValueError: Layouts differ, two models are equal, one is another function than the first
            outside its parameters, or an option or the data do not fit.
        FloatingPointError: A loss or a gradient is not finite; the text names simplex and step.

    Reference:
        Benton, Maddox, Lotfi and Wilson, "Loss Surface Simplexes for Mode Connecting Volumes and
        Fast Ensembling" (2021), section 4. There lambda_j = lambda* / log V(K_j), whose sign
        changes at a volume of 1.

    Example:
        >>> complex = landscape.simplex([model, other], data, cycles=[(5, 0.01)], points=10)
        >>> complex.simplices, complex.losses.shape
        (((0, 2, 3), (1, 2, 3)), (2, 10))
    """
    search_options = SimplexOptions(
        connectors, cycles, optimizer, volume_weight, spread, draws, seed
    )
    if points < 2:
        raise ValueError(f"points={points}, expected 2 or more in each simplex")
    validate_outside(outside)
    first, others = split_models(models)
    built, on_test = build_objectives(
        simplex, first, data, loss, test=test, seed=seed, options=options, progress=progress
    )
    functions = [
        f.with_default_batch_norm("recalibrated") for f in (built, on_test) if f is not None
    ]
    minima = flatten_minima(built, others)
    notes: tuple[str, ...] = ()
    for index, other in enumerate(others, start=1):
        name = f"models[{index}]"
        notes += compare_outside(functions[0], other, name=name, outside=outside)
    problem = BatchedProblem(batched_objective(functions[0]), minima)
    search_options.check_memory(len(minima), built.dim, built.dtype.itemsize, built.memory_budget)
    search = _run_search(
        problem, search_options, interrupt=interrupt, resume=resume, progress=progress
    )
    return _make_complex(
        functions,
        problem,
        search_options,
        search,
        points=points,
        notes=tuple(dict.fromkeys(notes)),
        progress=progress,
    )


@dataclass(frozen=True)
class _Search:
    """A search that has ended."""

    run: SolverRun
    solver: _core.SimplexTraining
    status: str


def _run_search(
    problem: BatchedProblem,
    options: SimplexOptions,
    *,
    interrupt: Interrupt,
    resume: str | os.PathLike[str] | None,
    progress: Choice,
) -> _Search:
    arguments = options.to_core()
    run = SolverRun(
        "simplex", problem, arguments, options.max_steps, progress, resume, interrupt, "step"
    )
    state = run.load_state()
    if state is None:
        functions = problem.operator(run.strategy)
        solver = _core.SimplexTraining(functions, problem.points, **arguments)
    else:
        with run.reading():
            record, arrays = state
            check_options(record, arguments)
            solver = _core.SimplexTraining.resumed(record, arrays["vertices"], arrays["memory"])

    def get_state() -> SolverState:
        return solver.record(), {"vertices": solver.vertices(), "memory": solver.memory()}

    status = f"complete: {options.max_steps} steps of {options.connectors} connecting points"
    try:
        run.execute(solver, _describe_tick, get_state, solver.steps)
    except FloatingPointError as error:
        if interrupt == "raise":
            error.add_note("interrupt='return' returns the complex where losses were last finite")
            raise
        status = f"stopped: {error}"
    if run.interrupted:
        status = f"interrupted after {solver.steps} of {options.max_steps} steps"
        run.require_something(there_is=len(solver.vertices()) > len(problem.points))
    return _Search(run, solver, status)


def _make_complex(
    functions: Sequence[Objective],
    problem: BatchedProblem,
    options: SimplexOptions,
    search: _Search,
    *,
    points: int,
    notes: tuple[str, ...],
    progress: Choice,
) -> SimplicialComplex:
    """Evaluate the complex of a search."""
    vertices, simplices = search.solver.vertices(), search.solver.simplices()
    train, *tests = evaluate_complex(
        functions,
        search.run.strategy,
        vertices=vertices,
        simplices=simplices,
        points=points,
        seed=options.seed,
        progress=progress,
    )
    test = tests[0] if tests else None
    passes = -(-search.solver.evaluations // problem.objective.batches)
    passes += len(functions) * (len(vertices) + train.losses.size)
    run = search.run.make_run(passes, search.status, options.seed)
    notes += describe_search(functions[0], problem.objective)
    return SimplicialComplex(
        vertices=vertices,
        losses=train.losses,
        vertex_losses=train.vertex_losses,
        log_volumes=np.array([_core.simplex_log_volume(vertices[row]) for row in simplices]),
        test_losses=None if test is None else test.losses,
        test_vertex_losses=None if test is None else test.vertex_losses,
        standard_errors=train.errors,
        simplices=tuple(tuple(row) for row in simplices),
        status=search.status,
        run=replace(run, policy=functions[0].policy, notes=(*run.notes, *notes)),
    )


def _describe_tick(loss: float, log_volume: float) -> Mapping[str, float]:
    return {"loss": loss, "log_volume": log_volume}

"""`simplex`: from models to a complex of low loss through them.

Depends on the other files of this folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core
from landscape._iteration import Interrupt, Iteration
from landscape._path.schedules import Optimizer
from landscape._path.subject import Ends, descended, descent_notes
from landscape._results import SimplicialComplex
from landscape._sampling import ObjectiveOptions, objectives
from landscape._simplex.evaluation import evaluated
from landscape._simplex.options import SCHEDULE, SimplexOptions
from landscape._simplex.subject import minima, parted

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from landscape._objective import Objective
    from landscape._path.subject import Batched
    from landscape._progress import Choice

__all__ = ["simplex"]


def simplex(
    models: nn.Module | Objective | Sequence[Any],
    data: Any = None,
    loss: Any = None,
    *,
    connectors: int = 2,
    volume_weight: float = 0.01,
    schedule: Sequence[tuple[int, float]] | None = None,
    optimizer: Optimizer = "adam",
    draws: int = 4,
    spread: float = 0.1,
    points: int = 100,
    test: Any = None,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> SimplicialComplex:
    r"""Find simplices of low loss through several minima, and say how large they are.

    .. math:: \theta_j = \arg\min \; \mathbb{E}_{\theta \in K} L(\theta) - \lambda_j \log V(K),
              \quad \lambda_j = \frac{\lambda^*}{\max(1, |\log V(K_j)|)}

    Each model spans one simplex with all connecting points theta_0, ..., theta_{k-1}, which the
    simplices share: K = {S(w_i, theta_0, ..., theta_{k-1})}. Connecting points are added one after
    the other and descend on mini-batches; those before it, and the models, stand still. Points are
    uniform in each simplex, and all simplices count alike. V(K) is the sum of the volumes, and
    K_j the complex where theta_j begins: a random point about the mean of all vertices. The first
    connecting point between several models has lambda_0 = 0, since simplices are segments there.
    In a quadratic valley a connecting point rises until it has cost lambda_j / 2 of mean loss.

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
        volume_weight: lambda*, what volume is worth, in units of the loss.
        schedule: Pairs (steps, learning rate) of each connecting point; three when None.
        optimizer: ``"adam"``, or ``"sgd"`` with a momentum of 0.9.
        draws: Points that a step draws in each simplex, each with a mini-batch of its own.
        spread: How far from the mean of all vertices a connecting point begins, as a share of how
            far the models are from their mean, in the mean of squares (one alone: from 0).
        points: Points of each simplex at which L is evaluated in the end.
        test: Further data, whose losses at the same points are the result's ``.test_losses``.
        seed: Of the order of mini-batches, drawn points, starts, the sample subset, the split and
            the dropout masks.
        interrupt: What Ctrl-C and numbers that are not finite do to the search: ``"raise"``, or
            ``"return"`` the complex as it is.
        resume: A file that keeps the search: created when absent, continued when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, most):
            steps of the search, then points that are evaluated.
        options: Those of :class:`landscape.Objective`. Data that come in one piece are split into
            mini-batches of about 256 for the search unless ``batch_size`` says otherwise.

    Returns:
        The complex: vertices, simplices, volumes, and losses at random points of each simplex.

    Raises:
        TypeError: ``models`` holds something that is no model.
        ValueError: Layouts differ, two models are equal, or an option or the data do not fit.
        FloatingPointError: A loss or a gradient is not finite; the text names simplex and step.

    Reference:
        Benton, Maddox, Lotfi and Wilson, "Loss Surface Simplexes for Mode Connecting Volumes and
        Fast Ensembling" (2021), section 4. There lambda_j = lambda* / log V(K_j), whose sign
        changes at a volume of 1.

    Example:
        >>> complex = landscape.simplex([model, other], data, schedule=[(5, 0.01)], points=10)
        >>> complex.simplices, complex.losses.shape
        (((0, 2, 3), (1, 2, 3)), (2, 10))
    """
    cycles = SCHEDULE if schedule is None else schedule
    given = SimplexOptions(connectors, cycles, optimizer, volume_weight, spread, draws, seed)
    if points < 2:
        raise ValueError(f"points={points}, expected 2 or more in each simplex")
    first, others = parted(models)
    made, tested = objectives(first, data, loss, test=test, seed=seed, options=options)
    functions = [f.with_default_batch_norm("recalibrated") for f in (made, tested) if f is not None]
    subject = Ends(descended(functions[0]), minima(made, others))
    given.check_room(len(subject.points), made.dim, made.dtype.itemsize, made.memory_budget)
    way = _searched(subject, given, interrupt=interrupt, resume=resume, progress=progress)
    return _result(functions, subject, given, way, points=points, progress=progress)


@dataclass(frozen=True)
class _Way:
    """A search that has ended, or had to."""

    iteration: Iteration
    solver: _core.Simplices
    status: str


def _searched(
    subject: Ends,
    given: SimplexOptions,
    *,
    interrupt: Interrupt,
    resume: str | os.PathLike[str] | None,
    progress: Choice,
) -> _Way:
    """Run the search."""
    iteration = Iteration(
        "simplex", subject, given.limits(), given.most, progress, resume, interrupt, "step"
    )
    begun = iteration.begun()
    losses = subject.operator(iteration.strategy)
    solver = _solver(losses, subject, given, begun)

    def state() -> tuple[str, Mapping[str, NDArray[Any]]]:
        return solver.record(), {"vertices": solver.vertices(), "memory": solver.memory()}

    status = f"complete: {given.most} steps of {given.connectors} connecting points"
    try:
        iteration.execute(solver, _shown, state, solver.done)
    except FloatingPointError as error:
        if interrupt == "raise":
            error.add_note("interrupt='return' returns the complex where losses were last finite")
            raise
        status = f"stopped: {error}"
    if iteration.interrupted:
        status = f"interrupted after {solver.done} of {given.most} steps"
        if len(solver.vertices()) == len(subject.points):
            raise KeyboardInterrupt
    return _Way(iteration, solver, status)


def _solver(
    losses: Batched,
    subject: Ends,
    given: SimplexOptions,
    begun: tuple[str, Mapping[str, NDArray[Any]]] | None,
) -> _core.Simplices:
    if begun is None:
        return _core.Simplices(losses, subject.points, **given.limits())
    record, arrays = begun
    return _core.Simplices.resumed(record, arrays["vertices"], arrays["memory"])


def _result(
    functions: Sequence[Objective],
    subject: Ends,
    given: SimplexOptions,
    way: _Way,
    *,
    points: int,
    progress: Choice,
) -> SimplicialComplex:
    """Evaluate the complex that was found."""
    vertices, simplices = way.solver.vertices(), way.solver.simplices()
    train, *tests = evaluated(
        functions,
        way.iteration.strategy,
        vertices=vertices,
        simplices=simplices,
        points=points,
        seed=given.seed,
        progress=progress,
    )
    test = tests[0] if tests else None
    passes = -(-way.solver.evaluations // subject.objective.batches)
    run = way.iteration.run(
        passes + len(functions) * (len(vertices) + train.losses.size), way.status, given.seed
    )
    notes = descent_notes(functions[0], subject.objective)
    return SimplicialComplex(
        vertices=vertices,
        losses=train.losses,
        vertex_losses=train.vertex_losses,
        log_volumes=np.array([_core.simplex_log_volume(vertices[row]) for row in simplices]),
        test_losses=None if test is None else test.losses,
        test_vertex_losses=None if test is None else test.vertex_losses,
        standard_errors=train.errors,
        simplices=tuple(tuple(row) for row in simplices),
        status=way.status,
        run=replace(run, policy=functions[0].policy, notes=(*run.notes, *notes)),
    )


def _shown(loss: float, log_volume: float) -> Mapping[str, float]:
    """What stands beside the bar."""
    return {"loss": loss, "log_volume": log_volume}

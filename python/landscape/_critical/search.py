"""`find_critical_point` (Newton-MR) and `saddle_free_newton`: one search each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from landscape import _core
from landscape._critical.options import SearchOptions
from landscape._directions import read_weights
from landscape._results import CriticalSearch
from landscape._runs import (
    Interrupt,
    ObjectiveOptions,
    Problem,
    SolverRun,
    SolverState,
    build_objective,
    check_options,
)

if TYPE_CHECKING:
    import os

    from torch import nn

    from landscape._objective import Objective
    from landscape._progress import Choice

__all__ = ["describe_tick", "find_critical_point", "run_search", "saddle_free_newton"]


def find_critical_point(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    start: Any = None,
    tolerance: float = 1e-6,
    max_steps: int = 200,
    krylov: int = 100,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> CriticalSearch:
    r"""Find a point where the gradient vanishes: a minimum, a maximum or a saddle.

    Newton-MR reduces the gradient's norm: its step minimises the residual of the Newton equation

    .. math:: \lVert H p + g \rVert, \quad p \in \operatorname{span}\{g, H g, H^2 g, \dots\},
        \quad \lVert p \rVert \le \Delta

    within a radius that grows where the prediction holds and shrinks where it does not.

    Where g is in the null space of H without being 0, the search ends as gradient-flat: judged by
    the decrease of the gradient norm alone, such a point would pass for a critical one.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective.
        start: Where to begin: a module, a state dict, a ``.safetensors`` path or a flat vector;
            the model's own parameters when None.
        tolerance: Norm of the gradient of a critical point. In float32 rounding ends a search
            between 1e-4 and 1e-6 of the loss's derivatives; use ``dtype="float64"`` beyond.
        max_steps: The maximum number of steps.
        krylov: The maximum number of products of a step; as many vectors are kept.
        seed: Of the sample subset, the batch split and the dropout masks.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the point reached so far.
        resume: The checkpoint file: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, maximum)
            steps.
        options: Those of :class:`landscape.Objective`.

    Returns:
        The point, and every step's loss, gradient norm and length.

    Raises:
        ValueError: An option or the data do not fit, or the Krylov space exceeds the budget.
        FloatingPointError: The loss, its gradient or a product is not finite.

    Reference:
        Roosta, Liu, Xu and Mahoney, "Newton-MR: Inexact Newton Method with Minimum Residual
        Sub-problem Solver" (2022); Nocedal and Wright, "Numerical Optimization" (2006), section
        11.2; Frye et al., "Critical Point-Finding Methods Reveal Gradient-Flat Regions of Deep
        Network Losses" (2021).

    Example:
        >>> result = landscape.find_critical_point(model, data, dtype="float64", max_steps=5)
        >>> bool(result.gradient_norms[-1] <= result.gradient_norms[0])
        True
    """
    search_options = SearchOptions("newton_mr", tolerance, max_steps, krylov, 0.0, seed)
    objective = build_objective(
        find_critical_point, model, data, loss, seed=seed, options=options, progress=progress
    )
    return run_search(
        objective, start, search_options, interrupt=interrupt, resume=resume, progress=progress
    )


def saddle_free_newton(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    start: Any = None,
    tolerance: float = 1e-6,
    max_steps: int = 200,
    krylov: int = 100,
    negative_tolerance: float = 1e-3,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> CriticalSearch:
    r"""Find a minimum by saddle-free Newton steps, which saddles repel.

    .. math:: p = -(\lvert H \rvert + \delta)^{-1} g

    in a Krylov space of g, with the absolute values of H's eigenvalues, so that a step leads away
    from a saddle along its descent directions, where Newton's method converges to it. The damping
    is that of six values that reduces the loss most. Where the gradient vanishes and curvature is
    negative, a step goes along the eigenvector.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective.
        start: Where to begin; see :func:`landscape.find_critical_point`.
        tolerance: Norm of the gradient of a minimum.
        max_steps: The maximum number of steps.
        krylov: The maximum number of products of a step; as many vectors are kept.
        negative_tolerance: Curvature above minus this share of the largest \|eigenvalue\| does not
            count as negative.
        seed: Of the sample subset, the batch split, the dropout masks and random directions.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the point reached so far.
        resume: The checkpoint file: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, maximum)
            steps.
        options: Those of :class:`landscape.Objective`.

    Returns:
        The point, and every step's loss, gradient norm and length.

    Raises:
        ValueError: An option or the data do not fit, or the Krylov space exceeds the budget.
        FloatingPointError: The loss, its gradient or a product is not finite.

    Reference:
        Dauphin, Pascanu, Gulcehre, Cho, Ganguli and Bengio, "Identifying and Attacking the Saddle
        Point Problem in High-Dimensional Non-Convex Optimization" (2014), algorithm 1.

    Example:
        >>> result = landscape.saddle_free_newton(model, data, max_steps=5)
        >>> bool(result.losses[-1] <= result.losses[0])
        True
    """
    search_options = SearchOptions(
        "saddle_free", tolerance, max_steps, krylov, negative_tolerance, seed
    )
    objective = build_objective(
        saddle_free_newton, model, data, loss, seed=seed, options=options, progress=progress
    )
    return run_search(
        objective, start, search_options, interrupt=interrupt, resume=resume, progress=progress
    )


def run_search(
    objective: Objective,
    start: Any,
    options: SearchOptions,
    *,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = "off",
) -> CriticalSearch:
    """Run one search from a start, and return its result."""
    objective = objective.with_default_batch_norm("frozen")
    theta = objective.theta
    if start is not None:
        theta = read_weights(start, objective.layout, objective.dtype, "start")
    options.check_memory(theta.size, theta.itemsize, objective.memory_budget)
    problem = Problem(objective, theta)
    arguments = options.to_core(theta.size)
    run = SolverRun(
        options.method, problem, arguments, options.max_steps, progress, resume, interrupt, "step"
    )
    state = run.load_state()
    if state is None:
        solver = _core.CriticalPointSearch(problem.operator(run.strategy), theta, **arguments)
    else:
        with run.reading():
            record, arrays = state
            check_options(record, arguments)
            solver = _core.CriticalPointSearch.resumed(record, arrays["theta"], arrays["gradient"])

    def get_state() -> SolverState:
        return solver.record(), {"theta": solver.theta(), "gradient": solver.gradient()}

    run.execute(solver, describe_tick, get_state, len(solver.history()) - 1)
    steps = solver.history()
    status = options.describe_status(solver.status, solver.gradient_norm, str(objective.dtype))
    if run.interrupted:
        status = f"interrupted: the gradient's norm is {solver.gradient_norm:.3g}"
    return CriticalSearch(
        theta=solver.theta(),
        losses=steps[:, 0],
        gradient_norms=steps[:, 1],
        lengths=steps[:, 2],
        method=options.method,
        ending="interrupted" if run.interrupted else solver.status,
        tolerance=options.tolerance,
        products=solver.products,
        status=status,
        run=run.make_run(solver.evaluations, status, options.seed),
    )


def describe_tick(loss: float, norm: float) -> Mapping[str, float]:
    """The numbers shown beside the progress bar."""
    return {"loss": loss, "gradient": norm}

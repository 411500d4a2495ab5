"""`find_critical_point` and `saddle_free_newton`: one search each.

Depends on the core's searches and on the iteration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

from landscape import _core
from landscape._critical.options import SearchOptions
from landscape._critical.subject import Losses, Start
from landscape._directions import flat_weights
from landscape._iteration import Interrupt, Iteration
from landscape._results import CriticalSearch
from landscape._sampling import ObjectiveOptions, objectives

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray
    from torch import nn

    from landscape._objective import Objective
    from landscape._progress import Choice

__all__ = ["find_critical_point", "saddle_free_newton", "search", "shown"]


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
    r"""Walk to a point where the gradient vanishes, be it a minimum, a maximum or a saddle.

    Newton-MR lowers the gradient's norm: its step minimises the residual of the Newton equation

    .. math:: \lVert H p + g \rVert, \quad p \in \operatorname{span}\{g, H g, H^2 g, \dots\},
        \quad \lVert p \rVert \le \Delta

    within a radius that grows where the prediction holds and shrinks where it does not.

    Where g lies in the kernel of H without being 0 the search ends as gradient-flat: such points
    pass for critical ones when only the decrease of the norm is looked at.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective.
        start: Where to begin: a module, a state dict, a ``.safetensors`` path or a flat vector;
            the model's own parameters when None.
        tolerance: Norm of the gradient of a critical point. In float32 rounding ends a search
            between 1e-4 and 1e-6 of the loss's slopes; ``dtype="float64"`` goes on.
        max_steps: The most steps.
        krylov: The most products of a step; as many vectors are kept.
        seed: Of the sample subset, the batch split and the dropout masks.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the point reached so far.
        resume: A file that keeps the run: created when absent, continued when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, most)
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
        >>> found = landscape.find_critical_point(model, data, dtype="float64", max_steps=5)
        >>> bool(found.gradient_norms[-1] <= found.gradient_norms[0])
        True
    """
    given = SearchOptions("newton_mr", tolerance, max_steps, krylov, 0.0, seed)
    objective, _ = objectives(model, data, loss, test=None, seed=seed, options=options)
    return search(objective, start, given, interrupt=interrupt, resume=resume, progress=progress)


def saddle_free_newton(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    start: Any = None,
    tolerance: float = 1e-6,
    max_steps: int = 200,
    krylov: int = 100,
    negative: float = 1e-3,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> CriticalSearch:
    r"""Walk down to a minimum by steps that saddles repel.

    .. math:: p = -(\lvert H \rvert + \delta)^{-1} g

    in a Krylov space of g, with the absolute values of H's eigenvalues, so that a step leads away
    from a saddle along its downward directions, where Newton's leads into it. The damping is the
    one of six that lowers the loss most. Where the gradient vanishes and curvature is negative,
    a step goes along the eigenvector.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective.
        start: Where to begin; see :func:`landscape.find_critical_point`.
        tolerance: Norm of the gradient of a minimum.
        max_steps: The most steps.
        krylov: The most products of a step; as many vectors are kept.
        negative: Curvature above minus this share of the largest \|eigenvalue\| is not negative.
        seed: Of the sample subset, the batch split, the dropout masks and random directions.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the point reached so far.
        resume: A file that keeps the run: created when absent, continued when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, most)
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
        >>> found = landscape.saddle_free_newton(model, data, max_steps=5)
        >>> bool(found.losses[-1] <= found.losses[0])
        True
    """
    given = SearchOptions("saddle_free", tolerance, max_steps, krylov, negative, seed)
    objective, _ = objectives(model, data, loss, test=None, seed=seed, options=options)
    return search(objective, start, given, interrupt=interrupt, resume=resume, progress=progress)


def search(
    given: Objective,
    start: Any,
    options: SearchOptions,
    *,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = "off",
) -> CriticalSearch:
    """One search, from its options to its result."""
    objective = given.with_default_batch_norm("frozen")
    theta = objective.theta
    if start is not None:
        theta = flat_weights(start, objective.layout, objective.dtype, "start")
    options.check_room(theta.size, theta.itemsize, objective.memory_budget)
    subject = Start(objective, theta)
    limits = options.limits(theta.size)
    iteration = Iteration(
        options.method, subject, limits, options.max_steps, progress, resume, interrupt, "step"
    )
    begun = iteration.begun()
    losses = subject.operator(iteration.strategy)
    solver = _solver(losses, theta, limits, begun)

    def state() -> tuple[str, Mapping[str, NDArray[Any]]]:
        return solver.record(), {"theta": solver.theta(), "gradient": solver.gradient()}

    iteration.execute(solver, shown, state, len(solver.steps()) - 1)
    steps = solver.steps()
    status = options.described(solver.ending, solver.gradient_norm, str(objective.dtype))
    if iteration.interrupted:
        status = f"interrupted: the gradient's norm is {solver.gradient_norm:.3g}"
    return CriticalSearch(
        theta=solver.theta(),
        losses=steps[:, 0],
        gradient_norms=steps[:, 1],
        lengths=steps[:, 2],
        method=options.method,
        ending="interrupted" if iteration.interrupted else solver.ending,
        tolerance=options.tolerance,
        products=solver.products,
        status=status,
        run=iteration.run(solver.evaluations, status, options.seed),
    )


def _solver(
    losses: Losses,
    theta: NDArray[Any],
    limits: Mapping[str, Any],
    begun: tuple[str, Mapping[str, NDArray[Any]]] | None,
) -> _core.Search:
    if begun is None:
        return _core.Search(losses, theta, **limits)
    record, arrays = begun
    return _core.Search.resumed(record, arrays["theta"], arrays["gradient"])


def shown(loss: float, norm: float) -> Mapping[str, float]:
    """What stands beside the bar."""
    return {"loss": loss, "gradient": norm}

"""`walk`: a walk from a minimum through the null space of the Hessian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core
from landscape._directions import read_weights
from landscape._results import Walk
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

    from numpy.typing import NDArray
    from torch import nn

    from landscape._objective import Objective
    from landscape._progress import Choice

__all__ = ["walk"]


def walk(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    distance: float,
    tolerance: float,
    flat_tolerance: float = 1e-3,
    stride: float | None = None,
    start: Any = None,
    max_steps: int = 100,
    krylov: int = 30,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Walk:
    r"""Walk away from a minimum at constant loss.

    .. math:: \theta_{i+1} = \theta_i + h v, \quad v \propto \sum_{|\lambda_j| \le c \lambda_{\max}}
        (z_j \cdot w)\, z_j, \quad L(\theta_i) \le L(\theta_0) + \text{tolerance for all } i

    Minima of networks are connected sets with many directions of near-zero curvature. A step
    follows the direction w of the last one (a random one at first), projected onto the flat Ritz
    vectors z of its own Krylov space: the null space, to rounding, where that space is invariant.
    The step is halved until the loss is within the tolerance; where a quarter of that is used up,
    Newton's method reduces the loss in the steep directions alone.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective.
        distance: Euclidean distance to reach.
        tolerance: By how much the loss may exceed that of the start, at every point.
        flat_tolerance: Curvature up to this share of the largest \|eigenvalue\| counts as zero.
        stride: The longest step; a twentieth of the distance when None.
        start: Where to begin; see :func:`landscape.find_critical_point`.
        max_steps: The maximum number of steps; all points are kept.
        krylov: The maximum number of products of a direction; as many vectors are kept.
        seed: Of the first direction, the sample subset, the batch split and the dropout masks.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the steps so far.
        resume: The checkpoint file: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, maximum)
            steps.
        options: Those of :class:`landscape.Objective`.

    Returns:
        All points with their losses, and the curvature along every step.

    Raises:
        ValueError: An option or the data do not fit, or the points exceed the memory budget.
        FloatingPointError: The loss is not finite at the start, or a product later.

    Reference:
        Draxler et al., "Essentially No Barriers in Neural Network Energy Landscape" (2018), section
        5, for minima as connected sets; Sagun, Evci, Guney, Dauphin and Bottou, "Empirical Analysis
        of the Hessian of Over-Parametrized Neural Networks" (2018), for their flat directions.

    Example:
        >>> result = landscape.walk(model, data, distance=0.1, tolerance=1.0)
        >>> bool(result.rise <= 1.0)
        True
    """
    built = build_objective(walk, model, data, loss, seed=seed, options=options, progress=progress)
    objective = built.with_default_batch_norm("frozen")
    theta = objective.theta
    if start is not None:
        theta = read_weights(start, objective.layout, objective.dtype, "start")
    arguments = _validate(
        distance=distance,
        stride=distance / 20 if stride is None else stride,
        tolerance=tolerance,
        flat=flat_tolerance,
        max_steps=max_steps,
        krylov=min(krylov, theta.size),
    )
    arguments["seed"] = seed
    _check_memory(max_steps + 1 + arguments["krylov"], theta, objective.memory_budget)
    problem = Problem(objective, theta)
    run = SolverRun("walk", problem, arguments, max_steps, progress, resume, interrupt, "step")
    state = run.load_state()
    if state is None:
        walker = _core.Walker(problem.operator(run.strategy), theta, **arguments)
    else:
        with run.reading():
            record, arrays = state
            check_options(record, arguments)
            walker = _core.Walker.resumed(record, arrays["points"], arrays["direction"])

    def get_state() -> SolverState:
        return walker.record(), {"points": walker.points(), "direction": walker.direction()}

    run.execute(walker, _describe_tick, get_state, len(walker.history()) - 1)
    strides = walker.history()
    products, evaluations = walker.counts
    ending = "interrupted" if run.interrupted else walker.status
    status = _describe_status(ending, float(strides[-1, 1]), distance)
    return Walk(
        walker.points(),
        *strides.T,
        ending=ending,
        tolerance=tolerance,
        products=products,
        status=status,
        run=run.make_run(evaluations, status, seed),
    )


def _validate(**options: float) -> dict[str, Any]:
    """The options of the core's walk.

    Raises:
        ValueError: One is out of range.
    """
    for name in ("distance", "stride"):
        if not (np.isfinite(options[name]) and options[name] > 0):
            raise ValueError(f"{name}={options[name]}, expected a length above 0")
    for name, option in (("tolerance", "tolerance"), ("flat", "flat_tolerance")):
        if not (np.isfinite(options[name]) and options[name] >= 0):
            raise ValueError(f"{option}={options[name]}, expected a number that is not negative")
    for name in ("max_steps", "krylov"):
        if options[name] < 1:
            raise ValueError(f"{name}={options[name]}, expected at least 1")
    return dict(options)


def _check_memory(vectors: int, theta: NDArray[Any], budget: int) -> None:
    needed = vectors * theta.nbytes
    if needed > budget:
        raise ValueError(
            f"{vectors} vectors of {theta.size} parameters (all points, and a Krylov space) take "
            f"{needed / 2**30:.3g} GiB, more than memory_budget = {budget / 2**30:.3g} GiB; lower "
            "max_steps or krylov, or raise memory_budget"
        )


def _describe_tick(loss: float, distance: float) -> Mapping[str, float]:
    return {"loss": loss, "distance": distance}


def _describe_status(ending: str, reached: float, distance: float) -> str:
    if ending == "reached":
        return f"reached: {reached:.5g} from the start"
    where = f"{reached:.5g} of {distance:.5g} from the start"
    if ending == "stalled":
        return (
            f"stalled: {where}; no direction is flat, or no step along one keeps the loss: raise "
            "tolerance, flat_tolerance or krylov"
        )
    if ending == "max_steps":
        return f"stopped at max_steps: {where}; raise max_steps or stride"
    return f"interrupted: {where}"

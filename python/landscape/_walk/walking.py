"""`walk`: away from a minimum, along directions in which the loss does not curve.

Depends on the core's walks and on the iteration.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core
from landscape._critical import Start
from landscape._directions import flat_weights
from landscape._iteration import Interrupt, Iteration
from landscape._results import Walk
from landscape._sampling import ObjectiveOptions, objectives

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
    flat: float = 1e-3,
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
    r"""Walk away from a minimum while the loss stays what it is.

    .. math:: \theta_{i+1} = \theta_i + h v, \quad v \propto \sum_{|\lambda_j| \le c \lambda_{\max}}
        (z_j \cdot w)\, z_j, \quad L(\theta_i) \le L(\theta_0) + \text{tolerance for all } i

    Minima of networks are connected sets with many directions along which the loss hardly curves.
    A step goes on in the direction w of the last one (a random one at first) without the Ritz
    pairs (lambda, z) of its own Krylov space that are steep; that is the null space to rounding
    where the space is invariant. It is halved until the loss is within the tolerance; where a
    quarter of that is used up, Newton's method takes the loss back in the steep directions alone.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective.
        distance: How far to get, in units of the parameters' Euclidean norm.
        tolerance: By how much the loss may exceed that of the start, at every point.
        flat: Curvature up to this share of the largest \|eigenvalue\| counts as none.
        stride: The longest step; a twentieth of the distance when None.
        start: Where to begin; see :func:`landscape.find_critical_point`.
        max_steps: The most steps; all points are kept.
        krylov: The most products of a direction; as many vectors are kept.
        seed: Of the first direction, the sample subset, the batch split and the dropout masks.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the steps so far.
        resume: A file that keeps the run: created when absent, continued when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, most)
            steps.
        options: Those of :class:`landscape.Objective`.

    Returns:
        All points with their losses, and the curvature along every step.

    Raises:
        ValueError: An option or the data do not fit, or the points exceed the memory budget.
        FloatingPointError: The loss is not finite at the start, or a product on the way.

    Reference:
        Draxler et al., "Essentially No Barriers in Neural Network Energy Landscape" (2018), section
        5, for minima as connected sets; Sagun, Evci, Guney, Dauphin and Bottou, "Empirical Analysis
        of the Hessian of Over-Parametrized Neural Networks" (2018), for their flat directions.

    Example:
        >>> found = landscape.walk(model, data, distance=0.1, tolerance=1.0)
        >>> bool(found.rise <= 1.0)
        True
    """
    made, _ = objectives(model, data, loss, test=None, seed=seed, options=options)
    objective = made.with_default_batch_norm("frozen")
    theta = objective.theta
    if start is not None:
        theta = flat_weights(start, objective.layout, objective.dtype, "start")
    limits = _limits(
        distance=distance,
        stride=distance / 20 if stride is None else stride,
        tolerance=tolerance,
        flat=flat,
        max_steps=max_steps,
        krylov=min(krylov, theta.size),
    )
    limits["seed"] = seed
    _check_room(max_steps + 1 + limits["krylov"], theta, objective.memory_budget)
    subject = Start(objective, theta)
    iteration = Iteration("walk", subject, limits, max_steps, progress, resume, interrupt, "step")
    begun = iteration.begun()
    losses = subject.operator(iteration.strategy)
    if begun is None:
        walker = _core.Walker(losses, theta, **limits)
    else:
        walker = _core.Walker.resumed(begun[0], begun[1]["points"], begun[1]["direction"])

    def state() -> tuple[str, Mapping[str, NDArray[Any]]]:
        return walker.record(), {"points": walker.points(), "direction": walker.direction()}

    iteration.execute(walker, _shown, state, len(walker.strides()) - 1)
    strides = walker.strides()
    products, evaluations = walker.counts
    ending = "interrupted" if iteration.interrupted else walker.arrival
    status = _described(ending, float(strides[-1, 1]), distance)
    return Walk(
        walker.points(),
        *strides.T,
        ending=ending,
        tolerance=tolerance,
        products=products,
        status=status,
        run=iteration.run(evaluations, status, seed),
    )


def _limits(**given: float) -> dict[str, Any]:
    """The options for the core.

    Raises:
        ValueError: One is out of range.
    """
    for name in ("distance", "stride"):
        if not (np.isfinite(given[name]) and given[name] > 0):
            raise ValueError(f"{name}={given[name]}, expected a length above 0")
    for name in ("tolerance", "flat"):
        if not (np.isfinite(given[name]) and given[name] >= 0):
            raise ValueError(f"{name}={given[name]}, expected a number that is not negative")
    for name in ("max_steps", "krylov"):
        if given[name] < 1:
            raise ValueError(f"{name}={given[name]}, expected at least 1")
    return dict(given)


def _check_room(vectors: int, theta: NDArray[Any], budget: int) -> None:
    needed = vectors * theta.nbytes
    if needed > budget:
        raise ValueError(
            f"{vectors} vectors of {theta.size} parameters (all points, and a Krylov space) take "
            f"{needed / 2**30:.3g} GiB, more than memory_budget = {budget / 2**30:.3g} GiB; lower "
            "max_steps or krylov, or raise memory_budget"
        )


def _shown(loss: float, distance: float) -> Mapping[str, float]:
    return {"loss": loss, "distance": distance}


def _described(ending: str, found: float, wanted: float) -> str:
    if ending == "reached":
        return f"reached: {found:.5g} from the start"
    where = f"{found:.5g} of {wanted:.5g} from the start"
    if ending == "stalled":
        return (
            f"stalled: {where}; no direction is flat, or no step along one keeps the loss: raise "
            "tolerance, flat or krylov"
        )
    if ending == "max_steps":
        return f"stopped at max_steps: {where}; raise max_steps or stride"
    return f"interrupted: {where}"

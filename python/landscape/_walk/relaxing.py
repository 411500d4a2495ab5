"""`perturb_and_relax`: one parameter shifted and held, the others trained again.

Depends on the core's searches and on the iteration.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core
from landscape._critical import Losses, Start
from landscape._iteration import Interrupt, Iteration
from landscape._results import Relaxation
from landscape._sampling import ObjectiveOptions, objectives

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray
    from torch import nn

    from landscape._objective import CurvatureOperator, Objective
    from landscape._progress import Choice

__all__ = ["perturb_and_relax"]


def perturb_and_relax(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    parameter: str,
    index: int | tuple[int, ...],
    shifts: float | Sequence[float],
    tolerance: float = 1e-3,
    gradient_tolerance: float = 1e-6,
    max_steps: int = 100,
    krylov: int = 50,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Relaxation:
    r"""Shift one parameter, hold it, train the others again, and compare with a control.

    .. math:: m(\delta) = \min_{\theta:\; \theta_k = \theta^*_k + \delta} L(\theta)
        \quad \text{from } \theta^* + \delta e_k, \text{ beside } m(0)

    If m stays within the tolerance of the control's as the parameter moves, the minimum goes on:
    it is not a point but a set that reaches there. The others are trained by saddle-free Newton
    steps with the same budget for every shift and for the control.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective.
        parameter: The name of a tensor that varies, such as ``"0.weight"``.
        index: The entry of it.
        shifts: One shift or several, each from the model's own value.
        tolerance: By how much a relaxed loss may exceed the control's.
        gradient_tolerance: Norm of the gradient over the others that ends a training.
        max_steps: The most steps of each.
        krylov: The most products of a step; as many vectors are kept.
        seed: As for :func:`landscape.saddle_free_newton`.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the shifts that are done.
        resume: A file that keeps the shifts that are done: created when absent, continued when
            present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, most)
            shifts.
        options: Those of :class:`landscape.Objective`.

    Returns:
        For every shift, the control first: losses before and after, and how far the others went.

    Raises:
        ValueError: There is no such entry, or an option or the data do not fit.
        FloatingPointError: A loss, a gradient or a product is not finite.

    Reference:
        Draxler et al., "Essentially No Barriers in Neural Network Energy Landscape" (2018), section
        5, on parameters that can be perturbed and compensated for.

    Example:
        >>> found = landscape.perturb_and_relax(
        ...     model, data, parameter="weight", index=(0, 1), shifts=[-0.1, 0.1], max_steps=3
        ... )
        >>> found.shifts.tolist()
        [0.0, -0.1, 0.1]
    """
    made, _ = objectives(model, data, loss, test=None, seed=seed, options=options)
    objective = made.with_default_batch_norm("frozen")
    theta = objective.theta
    place, name = _entry(objective, parameter, index)
    wanted = [0.0, *np.atleast_1d(np.asarray(shifts, np.float64)).tolist()]
    if not np.isfinite(wanted).all() or tolerance < 0 or max_steps < 1 or krylov < 1:
        raise ValueError(
            f"shifts={shifts}, tolerance={tolerance}, max_steps={max_steps} and krylov={krylov}: "
            "expected finite shifts, none below 0, and at least one step and vector"
        )
    limits = {
        "method": "saddle_free",
        "tolerance": gradient_tolerance,
        "max_steps": max_steps,
        "krylov": min(krylov, theta.size),
        "negative": 1e-3,
        "seed": seed,
    }
    trials = _Trials(theta, place, wanted, limits)
    inputs = {**limits, "parameter": name, "shifts": wanted}
    subject = Start(objective, theta)
    iteration = Iteration(
        "perturb_and_relax", subject, inputs, len(wanted), progress, resume, interrupt, "shift"
    )
    begun = iteration.begun()
    if begun is not None:
        trials.take(*begun)
    iteration.execute(trials, _shown, trials.state, len(trials.rows))
    if not trials.rows:
        raise KeyboardInterrupt
    rows = np.array(trials.rows)
    good = int((rows[1:, 2] <= rows[0, 2] + tolerance).sum())
    status = f"the minimum goes on for {good} of {len(rows) - 1} shifts"
    if iteration.interrupted:
        status = f"interrupted after {len(rows) - 1} of {len(wanted) - 1} shifts; {status}"
    shifted, relaxed, moved, norms = rows.T[1:5]
    return Relaxation(
        rows[:, 0],
        shifted,
        relaxed,
        moved,
        norms,
        np.stack(trials.points),
        parameter=name,
        value=float(theta[place]),
        tolerance=tolerance,
        products=int(rows[:, 5].sum()),
        status=status,
        run=iteration.run(int(rows[:, 6].sum()), status, seed),
    )


def _entry(objective: Objective, parameter: str, index: int | tuple[int, ...]) -> tuple[int, str]:
    """The place of a tensor's entry in the flat vector, and its name."""
    found = [e for e in objective.layout.entries if parameter in (e.name, *e.aliases)]
    known = ", ".join(e.name for e in objective.layout.entries[:8])
    if not found:
        raise ValueError(f"parameter={parameter!r} does not vary; expected one of {known}, ...")
    entry, at = found[0], index if isinstance(index, tuple) else (index,)
    fits = len(at) == len(entry.shape) and all(
        0 <= i < size for i, size in zip(at, entry.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"index={index}, expected an entry of {parameter!r}, shape {entry.shape}")
    name = f"{entry.name}[{', '.join(map(str, at))}]"
    return entry.offset + int(np.ravel_multi_index(at, entry.shape)), name


@dataclass(frozen=True)
class _Held:
    """L as a function of all parameters but one."""

    losses_of: Losses
    place: int

    def losses(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """L at each point."""
        return self.losses_of.losses(points)

    def gradients(self, points: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """L and its gradient, which is 0 along the one."""
        losses, slopes = self.losses_of.gradients(points)
        slopes = slopes.copy()
        slopes[:, self.place] = 0
        return losses, slopes

    def curvature_at(self, theta: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """The Hessian, without the row and the column of the one."""
        products: CurvatureOperator = self.losses_of.curvature_at(theta)

        def apply(block: NDArray[Any]) -> NDArray[Any]:
            inside = block.copy()
            inside[:, self.place] = 0
            image = products(inside).copy()
            image[:, self.place] = 0
            return image

        return apply


@dataclass
class _Trials:
    """Shifts one after the other, as an iteration that goes on where it stopped."""

    theta: NDArray[Any]
    place: int
    shifts: list[float]
    limits: Mapping[str, Any]
    rows: list[list[float]] = field(default_factory=list)
    points: list[NDArray[Any]] = field(default_factory=list)

    def run(self, losses: Losses, tick: Callable[..., bool]) -> bool:
        """Train at every shift that is left, until a tick pauses it."""
        held = _Held(losses, self.place)
        while len(self.rows) < len(self.shifts):
            shift = self.shifts[len(self.rows)]
            start = self.theta.copy()
            start[self.place] += shift
            search = _core.Search(held, start, **self.limits)
            before = search.loss
            search.run(held, lambda *_: True)
            end = search.theta()
            moved = _core.norm(end - start)
            numbers = (shift, before, search.loss, moved, search.gradient_norm)
            self.rows.append([*numbers, search.products, search.evaluations])
            self.points.append(end)
            if not tick(len(self.rows), search.loss):
                return False
        return True

    def state(self) -> tuple[str, Mapping[str, NDArray[Any]]]:
        """What a resume needs."""
        return json.dumps(self.rows), {"points": np.array(self.points, self.theta.dtype)}

    def take(self, text: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take that up."""
        self.rows, self.points = json.loads(text), list(arrays["points"])


def _shown(loss: float) -> Mapping[str, float]:
    return {"loss": loss}

"""`perturb_and_relax`: one parameter shifted and frozen, the others trained again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core
from landscape._results import Relaxation
from landscape._runs import (
    CallbackProblem,
    Interrupt,
    LossFunctions,
    ObjectiveOptions,
    SolverRun,
    SolverState,
    build_objective,
    read_array,
    read_rows,
)

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
    r"""Shift one parameter, freeze it, train the others again, and compare with a control.

    .. math:: m(\delta) = \min_{\theta:\; \theta_k = \theta^*_k + \delta} L(\theta)
        \quad \text{from } \theta^* + \delta e_k, \text{ beside } m(0)

    If m stays within the tolerance of the control's as the parameter moves, the minimum
    continues: it is not a point but a set that contains such points. The others are trained by
    saddle-free Newton steps with the same budget for every shift and for the control.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective.
        parameter: The name of a tensor that varies, such as ``"0.weight"``.
        index: The index of an entry of it.
        shifts: One shift or several, each from the model's own value.
        tolerance: By how much a relaxed loss may exceed the control's.
        gradient_tolerance: Norm of the gradient over the other parameters at which a training ends.
        max_steps: The maximum number of steps of each training.
        krylov: The maximum number of products of a step; as many vectors are kept.
        seed: As for :func:`landscape.saddle_free_newton`.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the finished shifts.
        resume: The checkpoint file of finished shifts: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, maximum)
            shifts.
        options: Those of :class:`landscape.Objective`.

    Returns:
        For every shift, the control first: losses before and after, and the distance that the
        others moved.

    Raises:
        ValueError: There is no such entry, or an option or the data do not fit.
        FloatingPointError: A loss, a gradient or a product is not finite.

    Reference:
        Draxler et al., "Essentially No Barriers in Neural Network Energy Landscape" (2018), section
        5, on parameters that can be perturbed and compensated for.

    Example:
        >>> result = landscape.perturb_and_relax(
        ...     model, data, parameter="weight", index=(0, 1), shifts=[-0.1, 0.1], max_steps=3
        ... )
        >>> result.shifts.tolist()
        [0.0, -0.1, 0.1]
    """
    built = build_objective(
        perturb_and_relax, model, data, loss, seed=seed, options=options, progress=progress
    )
    objective = built.with_default_batch_norm("frozen")
    theta = objective.theta
    index_in_theta, name = _find_entry(objective, parameter, index)
    all_shifts = [0.0, *np.atleast_1d(np.asarray(shifts, np.float64)).tolist()]
    if not np.isfinite(all_shifts).all() or tolerance < 0 or max_steps < 1 or krylov < 1:
        raise ValueError(
            f"shifts={shifts}, tolerance={tolerance}, max_steps={max_steps} and krylov={krylov}: "
            "expected finite shifts, none below 0, and at least one step and vector"
        )
    arguments = {
        "method": "saddle_free",
        "tolerance": gradient_tolerance,
        "max_steps": max_steps,
        "krylov": min(krylov, theta.size),
        "negative": 1e-3,
        "seed": seed,
    }
    trials = _Trials(theta, index_in_theta, all_shifts, arguments)
    inputs = {**arguments, "parameter": name, "shifts": all_shifts}
    problem = CallbackProblem(objective, theta)
    run = SolverRun(
        "perturb_and_relax", problem, inputs, len(all_shifts), progress, resume, interrupt, "shift"
    )
    state = run.load_state()
    if state is not None:
        with run.reading():
            trials.restore(state)
    run.execute(trials, _describe_tick, trials.get_state, len(trials.rows))
    run.require_something(there_is=bool(trials.rows))
    rows = np.array(trials.rows)
    continuing = int((rows[1:, 2] <= rows[0, 2] + tolerance).sum())
    status = f"the minimum continues for {continuing} of {len(rows) - 1} shifts"
    if run.interrupted:
        status = f"interrupted after {len(rows) - 1} of {len(all_shifts) - 1} shifts; {status}"
    shifted, relaxed, moved, norms = rows.T[1:5]
    return Relaxation(
        rows[:, 0],
        shifted,
        relaxed,
        moved,
        norms,
        np.stack(trials.points),
        parameter=name,
        value=float(theta[index_in_theta]),
        tolerance=tolerance,
        products=int(rows[:, 5].sum()),
        status=status,
        run=run.make_run(int(rows[:, 6].sum()), status, seed),
    )


def _find_entry(
    objective: Objective, parameter: str, index: int | tuple[int, ...]
) -> tuple[int, str]:
    """The index of a tensor's entry in the flat vector, and its name."""
    matches = [e for e in objective.layout.entries if parameter in (e.name, *e.aliases)]
    known = ", ".join(e.name for e in objective.layout.entries[:8])
    if not matches:
        raise ValueError(f"parameter={parameter!r} does not vary; expected one of {known}, ...")
    entry, indices = matches[0], index if isinstance(index, tuple) else (index,)
    fits = len(indices) == len(entry.shape) and all(
        0 <= i < size for i, size in zip(indices, entry.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"index={index}, expected an entry of {parameter!r}, shape {entry.shape}")
    name = f"{entry.name}[{', '.join(map(str, indices))}]"
    return entry.offset + int(np.ravel_multi_index(indices, entry.shape)), name


@dataclass(frozen=True)
class _FrozenEntry:
    """L as a function of all parameters but one."""

    functions: LossFunctions
    index: int

    def losses(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """L at each point."""
        return self.functions.losses(points)

    def gradients(self, points: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """L and its gradient, which is 0 for the frozen parameter."""
        losses, gradients = self.functions.gradients(points)
        gradients = gradients.copy()
        gradients[:, self.index] = 0
        return losses, gradients

    def curvature_at(self, theta: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """The Hessian, with zeros in the row and the column of the frozen parameter."""
        products: CurvatureOperator = self.functions.curvature_at(theta)

        def apply(block: NDArray[Any]) -> NDArray[Any]:
            projected = block.copy()
            projected[:, self.index] = 0
            image = products(projected).copy()
            image[:, self.index] = 0
            return image

        return apply


_COLUMNS = 7  # numbers of a row


@dataclass
class _Trials:
    """A solver that trains one shift after the other."""

    theta: NDArray[Any]
    index: int
    shifts: list[float]
    arguments: Mapping[str, Any]
    rows: list[list[float]] = field(default_factory=list)
    points: list[NDArray[Any]] = field(default_factory=list)

    def run(self, functions: LossFunctions, tick: Callable[..., bool]) -> bool:
        """Train at the remaining shifts, until a tick pauses it."""
        functions_of_others = _FrozenEntry(functions, self.index)
        while len(self.rows) < len(self.shifts):
            shift = self.shifts[len(self.rows)]
            start = self.theta.copy()
            start[self.index] += shift
            search = _core.CriticalPointSearch(functions_of_others, start, **self.arguments)
            before = search.loss
            search.run(functions_of_others, lambda *_: True)
            end = search.theta()
            moved = _core.norm(end - start)
            numbers = (shift, before, search.loss, moved, search.gradient_norm)
            self.rows.append([*numbers, search.products, search.evaluations])
            self.points.append(end)
            if not tick(len(self.rows), search.loss):
                return False
        return True

    def get_state(self) -> SolverState:
        """The state for a checkpoint."""
        whole = self.points[: len(self.rows)]  # Ctrl-C may come between the two
        return json.dumps(self.rows), {"points": np.array(whole, self.theta.dtype)}

    def restore(self, state: SolverState) -> None:
        """Restore the state from a checkpoint."""
        text, arrays = state
        rows = read_rows(text, _COLUMNS)
        if len(rows) > len(self.shifts):
            raise ValueError(f"it has {len(rows)} of {len(self.shifts)} shifts")
        shape = (len(rows), len(self.theta)) if rows else (0,)
        self.rows, self.points = rows, list(read_array(arrays, "points", shape))


def _describe_tick(loss: float) -> Mapping[str, float]:
    return {"loss": loss}

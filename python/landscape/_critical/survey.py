"""`critical_points`: searches from many starting points, with the index of each result."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from landscape import _core
from landscape._critical.options import SearchOptions
from landscape._critical.search import describe_tick, run_search
from landscape._directions import RandomDirections, read_weights
from landscape._results import CriticalPoints
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
from landscape._spectrum import Hessian

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray
    from torch import nn

    from landscape._objective import Objective
    from landscape._progress import Choice

__all__ = ["critical_points"]


def critical_points(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    starts: int | Sequence[Any] = 20,
    distance: float = 1.0,
    tolerance: float = 1e-6,
    max_steps: int = 200,
    krylov: int = 100,
    threshold: float | None = None,
    method: Literal["dense", "density"] | None = None,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> CriticalPoints:
    r"""Find many critical points, each with its loss and its index.

    In high dimensions critical points of high loss have many descending directions and those of
    low loss few, as for a Gaussian random field. A :func:`landscape.find_critical_point`
    runs from each start, and :meth:`landscape.Hessian.classify` classifies the point that it ends
    at.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective.
        starts: Where to begin: weights from a training run (modules, state dicts,
            ``.safetensors`` paths or flat vectors), or a number of random points around the model:
            each lies along a filter-normalised Gaussian direction, at a distance that is uniform
            up to ``distance``.
        distance: The maximum distance of random starts, relative to the norm of the weights.
        tolerance: Norm of the gradient of a critical point.
        max_steps: The maximum number of steps of a search.
        krylov: The maximum number of products of a step.
        threshold: Which eigenvalues count as zero; see :meth:`landscape.Hessian.classify`.
        method: How eigenvalues are counted; see :meth:`landscape.Hessian.classify`.
        seed: Of the starts, the subset, the split and the masks.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the points found so far.
        resume: The checkpoint file: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, starts).
        options: Those of :class:`landscape.Objective`.

    Returns:
        The points, with losses, gradient norms and shares of negative eigenvalues.

    Raises:
        ValueError: An option or the data do not fit, or a start has other parameters.
        FloatingPointError: A loss, a gradient or a product is not finite.

    Reference:
        Dauphin et al. (2014), "Identifying and attacking the saddle point problem in
        high-dimensional non-convex optimization", section 3; Bray and Dean (2007), "Statistics of
        critical points of Gaussian fields on large-dimensional spaces".

    Example:
        >>> result = landscape.critical_points(model, data, starts=2, max_steps=2, dtype="float64")
        >>> len(result)
        2
    """
    search_options = SearchOptions("newton_mr", tolerance, max_steps, krylov, 0.0, seed)
    built = build_objective(
        critical_points, model, data, loss, seed=seed, options=options, progress=progress
    )
    objective = built.with_default_batch_norm("frozen")
    search_options.check_memory(objective.dim, objective.dtype.itemsize, objective.memory_budget)
    points = _make_starts(objective, starts, distance, seed)
    classification = {"threshold": threshold, "method": method, "gradient_tolerance": tolerance}
    survey = _Survey(points, search_options, classification)
    inputs = {**search_options.to_core(objective.dim), "threshold": threshold, "count": method}
    run = SolverRun(
        "critical_points",
        CallbackProblem(objective, points),
        inputs,
        len(points),
        progress,
        resume,
        interrupt,
        "point",
    )
    state = run.load_state()
    if state is not None:
        with run.reading():
            survey.restore(state)
    run.execute(survey, describe_tick, survey.get_state, len(survey.rows))
    run.require_something(there_is=bool(survey.rows))
    converged = sum(row["gradient_norm"] <= tolerance for row in survey.rows)
    status = f"{converged} of {len(points)} searches have converged"
    if run.interrupted:
        status = f"interrupted after {len(survey.rows)} of {len(points)} starts; " + status
    products = sum(row["products"] for row in survey.rows)
    evaluations = sum(row["evaluations"] for row in survey.rows)
    return CriticalPoints(
        points=np.stack(survey.points),
        losses=survey.column("loss"),
        gradient_norms=survey.column("gradient_norm"),
        fractions=survey.column("fraction"),
        natures=tuple(row["nature"] for row in survey.rows),
        endings=tuple(row["ending"] for row in survey.rows),
        tolerance=tolerance,
        level=0.95,
        products=products,
        status=status,
        run=run.make_run(evaluations, status, seed),
    )


def _make_starts(
    objective: Objective, starts: int | Sequence[Any], distance: float, seed: int
) -> NDArray[Any]:
    theta, layout = objective.theta, objective.layout
    if isinstance(starts, int) and starts > 0:
        _core.require_memory(f"{starts} starts", [starts, objective.dim + 8])
    if not isinstance(starts, int):
        rows = [
            read_weights(source, layout, objective.dtype, f"starts[{index}]")
            for index, source in enumerate(starts)
        ]
    else:
        if not distance > 0:
            raise ValueError(f"distance={distance}, expected a positive number")
        generator = np.random.default_rng([seed, zlib.crc32(b"critical points")])
        seeds = generator.integers(2**31, size=max(starts, 0)).tolist()
        rows = [
            theta
            + objective.dtype.type(distance * generator.random())
            * _draw_direction(objective, number)
            for number in seeds
        ]
    if not rows:
        raise ValueError(f"starts={starts!r}, expected at least one")
    return np.stack(rows)


def _draw_direction(objective: Objective, seed: int) -> NDArray[Any]:
    directions = RandomDirections(1, seed, "filter", "include")
    return directions.axes(objective.theta, objective.layout).basis[0]


_ROW = {
    "loss": float,
    "gradient_norm": float,
    "fraction": list,
    "nature": str,
    "ending": str,
    "products": int,
    "evaluations": int,
}
"""The fields of a point in a checkpoint."""


@dataclass
class _Survey:
    """A solver that runs one search after the other."""

    starts: NDArray[Any]
    options: SearchOptions
    classification: Mapping[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    points: list[NDArray[Any]] = field(default_factory=list)

    def run(self, functions: LossFunctions, tick: Callable[..., bool]) -> bool:
        """Search from the remaining starts, until a tick pauses it."""
        while len(self.rows) < len(self.starts):
            self._search_next(functions.objective)
            if not tick(len(self.rows), self.rows[-1]["loss"], self.rows[-1]["gradient_norm"]):
                return False
        return True

    def _search_next(self, objective: Objective) -> None:
        start = self.starts[len(self.rows)]
        search = run_search(objective, start, self.options)
        hessian = Hessian(objective, search.theta)
        point = hessian.classify(**self.classification, seed=self.options.seed, progress="off")
        self.points.append(search.theta)
        self.rows.append(
            {
                "loss": point.loss,
                "gradient_norm": float(search.gradient_norms[-1]),
                "fraction": point.fraction_negative.tolist(),
                "nature": point.nature,
                "ending": search.ending,
                "products": search.products + point.products,
                "evaluations": search.run.evaluations,
            }
        )

    def column(self, name: str) -> NDArray[np.float64]:
        """A field of the rows as an array, one entry for each point."""
        return np.array([row[name] for row in self.rows], np.float64)

    def get_state(self) -> SolverState:
        """The state for a checkpoint."""
        whole = self.points[: len(self.rows)]  # Ctrl-C may come between the two
        return json.dumps(self.rows), {"found": np.array(whole, self.starts.dtype)}

    def restore(self, state: SolverState) -> None:
        """Restore the state from a checkpoint."""
        text, arrays = state
        rows = read_rows(text, _ROW)
        if len(rows) > len(self.starts):
            raise ValueError(f"it has {len(rows)} points of {len(self.starts)} starts")
        shape = (len(rows), self.starts.shape[1]) if rows else (0,)
        self.rows, self.points = rows, list(read_array(arrays, "found", shape))

"""`critical_points`: searches from many starts, and the index of what they find.

Depends on single searches and on the Hessian.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from landscape._critical.options import SearchOptions
from landscape._critical.search import search, shown
from landscape._critical.subject import Losses, Start
from landscape._directions import RandomDirections, flat_weights
from landscape._iteration import Interrupt, Iteration
from landscape._results import CriticalPoints
from landscape._sampling import ObjectiveOptions, objectives
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
    r"""Find many critical points, and set the share of negative curvature against the loss.

    In high dimensions critical points of high loss have many descending directions and those of
    low loss few, as for a Gaussian random field. Every start is followed by
    :func:`landscape.find_critical_point`, and its end classified by
    :meth:`landscape.Hessian.classify`.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective.
        starts: Where to begin: weights from a training run (modules, state dicts,
            ``.safetensors`` paths or flat vectors), or a number of random points around the model:
            each lies along a filter-normalised Gaussian direction, at a distance that is uniform
            up to ``distance``.
        distance: Of random starts at most; 1 is as far as the weights are large.
        tolerance: Norm of the gradient of a critical point.
        max_steps: The most steps of a search.
        krylov: The most products of a step.
        threshold: Of what counts as a zero eigenvalue; see :meth:`landscape.Hessian.classify`.
        method: How eigenvalues are counted; see there.
        seed: Of the starts, the subset, the split and the masks.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the points found so far.
        resume: A file that keeps the run: created when absent, continued when present.
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
        >>> found = landscape.critical_points(model, data, starts=2, max_steps=2, dtype="float64")
        >>> len(found)
        2
    """
    given = SearchOptions("newton_mr", tolerance, max_steps, krylov, 0.0, seed)
    made, _ = objectives(model, data, loss, test=None, seed=seed, options=options)
    objective = made.with_default_batch_norm("frozen")
    given.check_room(objective.dim, objective.dtype.itemsize, objective.memory_budget)
    points = _starts(objective, starts, distance, seed)
    classify = {"threshold": threshold, "method": method, "gradient_tolerance": tolerance}
    survey = _Survey(points, given, classify)
    inputs = {**given.limits(objective.dim), "threshold": threshold, "count": method}
    iteration = Iteration(
        "critical_points",
        Start(objective, points),
        inputs,
        len(points),
        progress,
        resume,
        interrupt,
        "point",
    )
    begun = iteration.begun()
    if begun is not None:
        survey.take(*begun)
    iteration.execute(survey, shown, survey.state, len(survey.rows))
    if not survey.rows:
        raise KeyboardInterrupt
    good = sum(row["gradient_norm"] <= tolerance for row in survey.rows)
    status = f"{good} of {len(points)} searches have converged"
    if iteration.interrupted:
        status = f"interrupted after {len(survey.rows)} of {len(points)} starts; " + status
    products = sum(row["products"] for row in survey.rows)
    evaluations = sum(row["evaluations"] for row in survey.rows)
    return CriticalPoints(
        points=np.stack(survey.found),
        losses=survey.column("loss"),
        gradient_norms=survey.column("gradient_norm"),
        fractions=survey.column("fraction"),
        natures=tuple(row["nature"] for row in survey.rows),
        endings=tuple(row["ending"] for row in survey.rows),
        tolerance=tolerance,
        level=0.95,
        products=products,
        status=status,
        run=iteration.run(evaluations, status, seed),
    )


def _starts(
    objective: Objective, starts: int | Sequence[Any], distance: float, seed: int
) -> NDArray[Any]:
    theta, layout = objective.theta, objective.layout
    if not isinstance(starts, int):
        rows = [
            flat_weights(one, layout, objective.dtype, f"starts[{index}]")
            for index, one in enumerate(starts)
        ]
    else:
        if not distance > 0:
            raise ValueError(f"distance={distance}, expected a positive number")
        draw = np.random.default_rng([seed, zlib.crc32(b"critical points")])
        seeds = draw.integers(2**31, size=max(starts, 0)).tolist()
        rows = [
            theta + objective.dtype.type(distance * draw.random()) * _direction(objective, one)
            for one in seeds
        ]
    if not rows:
        raise ValueError(f"starts={starts!r}, expected at least one")
    return np.stack(rows)


def _direction(objective: Objective, seed: int) -> NDArray[Any]:
    drawn = RandomDirections(1, seed, "filter", "include")
    return drawn.axes(objective.theta, objective.layout).basis[0]


@dataclass
class _Survey:
    """Searches one after the other, as an iteration that goes on where it stopped."""

    starts: NDArray[Any]
    options: SearchOptions
    classify: Mapping[str, Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    found: list[NDArray[Any]] = field(default_factory=list)

    def run(self, losses: Losses, tick: Callable[..., bool]) -> bool:
        """Search from every start that is left, until a tick pauses it."""
        while len(self.rows) < len(self.starts):
            self._add(losses.objective)
            if not tick(len(self.rows), self.rows[-1]["loss"], self.rows[-1]["gradient_norm"]):
                return False
        return True

    def _add(self, objective: Objective) -> None:
        start = self.starts[len(self.rows)]
        way = search(objective, start, self.options)
        hessian = Hessian(objective, way.theta)
        point = hessian.classify(**self.classify, seed=self.options.seed, progress="off")
        self.found.append(way.theta)
        self.rows.append(
            {
                "loss": point.loss,
                "gradient_norm": float(way.gradient_norms[-1]),
                "fraction": point.fraction_negative.tolist(),
                "nature": point.nature,
                "ending": way.ending,
                "products": way.products + point.products,
                "evaluations": way.run.evaluations,
            }
        )

    def column(self, name: str) -> NDArray[np.float64]:
        """One number, or a few, of every point."""
        return np.array([row[name] for row in self.rows], np.float64)

    def state(self) -> tuple[str, Mapping[str, NDArray[Any]]]:
        """What a resume needs."""
        return json.dumps(self.rows), {"found": np.array(self.found, self.starts.dtype)}

    def take(self, text: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take that up."""
        self.rows, self.found = json.loads(text), list(arrays["found"])

"""From a curve and its numbers to a Path: evidence at the ends, the record, what to warn of.

Depends on the ends, the profile, the planes and the results.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._environment import versions
from landscape._path.ends import Evidence, evidence, stored_losses
from landscape._path.planes import Around
from landscape._path.subject import descent_notes
from landscape._results import Path, Run

if TYPE_CHECKING:
    from landscape._objective import Objective
    from landscape._path.profiling import Profiled
    from landscape._path.searching import Searched
    from landscape._path.subject import Ends
    from landscape._results import Curve

__all__ = ["made_path"]


def made_path(
    curve: Curve,
    method: str,
    found: Profiled,
    way: Searched | None,
    *,
    functions: Sequence[Objective],
    model_b: Any,
    ends: Ends,
    notes: tuple[str, ...] = (),
) -> Path:
    """Put a path together.

    Args:
        curve: The path.
        method: How it was found.
        found: Losses along it.
        way: The search; None on the straight line.
        functions: L of the training data, and of the test data where there are any.
        model_b: The other end as it was given.
        ends: They, in the function that was descended.
        notes: What else there is to say.
    """
    minima = evidence(ends.objective, ends.points)
    told = () if way is None else descent_notes(functions[0], ends.objective)
    notes = (*notes, *told, *_doubts(found, minima))
    train, test = found.train, found.test
    top = train.losses[train.saddle]
    looks = np.array([[0.0, len(curve.points) - 2, top]]) if way is None else way.looks
    status = "complete" if way is None else way.status
    return Path(
        curve.points,
        looks,
        curve=curve.kind,
        method=method,
        train=train,
        test=test,
        gradient_norms=minima.gradient_norms,
        descent_gain=minima.slack,
        stored_losses=stored_losses(functions[0], model_b, ends.points[1]),
        distance=_core.norm(ends.points[1] - ends.points[0]),
        status=status,
        run=_record(functions[0], found, way, status, notes),
        context=Around(functions[0]),
    )


def _record(
    objective: Objective,
    found: Profiled,
    way: Searched | None,
    status: str,
    notes: tuple[str, ...],
) -> Run:
    seed = objective.seed
    if way is not None:
        run = way.run(way.passes + found.evaluations, status, seed)
        seconds = run.seconds + found.seconds
        policy = objective.policy
        return replace(run, seconds=seconds, policy=policy, notes=(*run.notes, *notes))
    plan = found.plan
    return Run(
        engine=objective.describe_engine(found.strategy),
        strategy={**found.strategy.record(), "threads": plan["threads"], **plan["environment"]},
        policy=objective.policy,
        evaluations=found.evaluations,
        seconds=found.seconds,
        seed=seed,
        status=status,
        versions=versions(),
        notes=(*objective.notes, *found.notes, *notes),
    )


def _doubts(found: Profiled, ends: Evidence) -> tuple[str, ...]:
    """What a low barrier does not say, where the ends are no minima."""
    slack, barrier = max(ends.slack), found.train.barrier
    if not barrier < slack:
        return ()
    doubt = (
        f"the barrier, {barrier:.2g}, is less than what steepest descent alone takes off the loss "
        f"of an end, {slack:.2g} (gradient norms {ends.gradient_norms[0]:.2g} and "
        f"{ends.gradient_norms[1]:.2g}): the ends are not minima, and so low a barrier says "
        "little; train them further"
    )
    warnings.warn(doubt, UserWarning, stacklevel=4)
    return (doubt,)

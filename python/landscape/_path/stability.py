"""`instability`: the error barrier between two models trained from one parent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core
from landscape._directions import read_weights
from landscape._outside import Outside
from landscape._path.connection import barrier
from landscape._results import Instability
from landscape._runs import ObjectiveOptions, build_objectives

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from landscape._objective import Objective
    from landscape._progress import Choice
    from landscape._results import Path, Profile

__all__ = ["instability"]


def instability(
    child_a: nn.Module | Objective,
    child_b: Any,
    data: Any = None,
    loss: Any = None,
    *,
    parent: Any = None,
    outside: Outside = "error",
    test: Any = None,
    threshold: float = 0.02,
    points: int = 31,
    seed: int = 0,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Instability:
    r"""Measure whether two models trained from one parent are linearly connected.

    .. math:: \max_s E(\theta(s)) - \tfrac{1}{2} \bigl(E(\theta(0)) + E(\theta(1))\bigr)

    with E the share of wrong predictions, on the straight line between two children: copies of the
    parent that were trained further under different noise (order of samples, augmentation). A
    parent whose children stay below two percent is stable to that noise.

    Args:
        child_a: The first child, or an Objective of it.
        child_b: The second: a module, a state dict, a ``.safetensors`` path or a flat vector.
        data: As for the Objective.
        loss: As for the Objective; it must be one of classes.
        parent: The model that both started from; the result then has the distances from it and the
            cosine between both displacements.
        outside: As for :func:`connect`.
        test: Test data, on which the verdict is then based.
        threshold: The error barrier below which the parent counts as stable.
        points: As for :func:`connect`.
        seed: As for :func:`barrier`.
        progress: As for :func:`barrier`.
        options: Those of :class:`landscape.Objective`.

    Returns:
        The error barriers with their standard errors, and the straight path.

    Raises:
        ValueError: The loss has no classes, the models do not fit, they are equal, or they are
            different functions outside their parameters.

    Reference:
        Frankle, Dziugaite, Roy and Carbin, "Linear Mode Connectivity and the Lottery Ticket
        Hypothesis" (2020), sections 2 and 3.

    Example:
        >>> result = landscape.instability(model_a, model_b, data, parent=model)
        >>> result.train >= 0
        True
    """
    objective, on_test = build_objectives(
        instability, child_a, data, loss, test=test, seed=seed, options=options, progress=progress
    )
    if objective.expected_classes() is None:
        raise ValueError(
            f"instability is a difference of errors, and the loss {objective.policy['loss']} has "
            "no classes; landscape.barrier measures losses"
        )
    path = barrier(
        objective,
        child_b,
        outside=outside,
        metrics="error",
        points=points,
        seed=seed,
        progress=progress,
        test=on_test,
    )
    train = _error_barrier(objective, path, path.train)
    test_value, test_error = None, None
    if on_test is not None and path.test is not None:
        test_value, test_error = _error_barrier(on_test, path, path.test)
    decisive = train[0] if test_value is None else test_value
    verdict = "stable" if decisive < threshold else "unstable"
    status = f"{verdict}: an error barrier of {decisive:.4g}, against {threshold:g}"
    displacements = None
    if parent is not None:
        start = read_weights(parent, objective.layout, objective.dtype, "parent")
        displacements = [path.points[0] - start, path.points[-1] - start]
    norms = None
    if displacements is not None:
        norms = _core.norm(displacements[0]), _core.norm(displacements[1])
    return Instability(
        *train,
        test=test_value,
        test_error=test_error,
        threshold=threshold,
        distance=path.distance,
        from_parent=norms,
        cosine=_cosine(displacements, norms),
        path=path,
        status=status,
        run=path.run,
    )


def _cosine(
    displacements: list[NDArray[Any]] | None, norms: tuple[float, float] | None
) -> float | None:
    if displacements is None or norms is None or not all(norms):
        return None
    return _core.dot(displacements[0], displacements[1]) / (norms[0] * norms[1])


def _error_barrier(objective: Objective, path: Path, part: Profile) -> tuple[float, float]:
    """The error barrier, and its standard error as an estimate of the population's."""
    errors = part.metrics["error"]
    top = int(np.argmax(errors))
    positions = (part.positions[top], 0.0, 1.0)
    function = objective.with_default_batch_norm("recalibrated")
    expected = objective.expected_classes()
    wrong = [
        np.argmax(outputs, axis=1) != expected
        for outputs in function.outputs(np.stack([path.theta_at(s) for s in positions]))
    ]
    rises = wrong[0] - (wrong[1].astype(float) + wrong[2]) / 2
    value = float(errors[top] - (errors[0] + errors[-1]) / 2)
    return value, float(rises.std(ddof=1) / np.sqrt(rises.size))

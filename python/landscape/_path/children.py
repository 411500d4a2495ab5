"""`instability`: the error barrier between two children of one parent.

Depends on the straight path and on predictions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core
from landscape._directions import flat_weights
from landscape._path.connecting import barrier
from landscape._results import Instability
from landscape._sampling import ObjectiveOptions, objectives

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
    test: Any = None,
    threshold: float = 0.02,
    points: int = 31,
    seed: int = 0,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Instability:
    r"""Say whether two models that were trained from one parent are linearly connected.

    .. math:: \max_s E(\theta(s)) - \tfrac{1}{2} \bigl(E(\theta(0)) + E(\theta(1))\bigr)

    with E the share of wrong predictions, on the straight way between two children: copies of the
    parent that went on training under different noise (order of samples, augmentation). A parent
    whose children stay below two percent is stable: from there on noise decides nothing.

    Args:
        child_a: The one child, or an Objective of it.
        child_b: The other one: a module, a state dict, a ``.safetensors`` path or a flat vector.
        data: As for the Objective.
        loss: As for the Objective; it must be one of classes.
        parent: Where both began; distances from it and the cosine between both ways are told.
        test: Test data, on which the verdict is then based.
        threshold: Of the error barrier.
        points: As for :func:`connect`.
        seed: As for :func:`barrier`.
        progress: As for :func:`barrier`.
        options: Those of :class:`landscape.Objective`.

    Returns:
        The error barriers with their standard errors, and the straight path.

    Raises:
        ValueError: The loss has no classes, the models do not fit, or they are equal.

    Reference:
        Frankle, Dziugaite, Roy and Carbin, "Linear Mode Connectivity and the Lottery Ticket
        Hypothesis" (2020), sections 2 and 3.

    Example:
        >>> found = landscape.instability(model_a, model_b, data, parent=model)
        >>> found.train >= 0
        True
    """
    made, tested = objectives(child_a, data, loss, test=test, seed=seed, options=options)
    if made.expected_classes() is None:
        raise ValueError(
            f"instability is a difference of errors, and the loss {made.policy['loss']} has no "
            "classes; landscape.barrier measures losses"
        )
    path = barrier(
        made,
        child_b,
        metrics="error",
        points=points,
        seed=seed,
        progress=progress,
        test=None if tested is None else tested,
    )
    parts = [(made, path.train), (tested, path.test)]
    numbers = [_barrier(f, path, p) for f, p in parts if f is not None and p is not None]
    train, of_test = numbers[0], numbers[1] if len(numbers) > 1 else (None, None)
    decisive = train[0] if of_test[0] is None else of_test[0]
    verdict = "stable" if decisive < threshold else "unstable"
    status = f"{verdict}: an error barrier of {decisive:.4g}, against {threshold:g}"
    ways = None
    if parent is not None:
        start = flat_weights(parent, made.layout, made.dtype, "parent")
        ways = [path.points[0] - start, path.points[-1] - start]
    norms = None if ways is None else (_core.norm(ways[0]), _core.norm(ways[1]))
    return Instability(
        *train,
        test=of_test[0],
        test_error=of_test[1],
        threshold=threshold,
        distance=path.distance,
        from_parent=norms,
        cosine=_cosine(ways, norms),
        path=path,
        status=status,
        run=path.run,
    )


def _cosine(ways: list[NDArray[Any]] | None, norms: tuple[float, float] | None) -> float | None:
    if ways is None or norms is None or not all(norms):
        return None
    return _core.dot(ways[0], ways[1]) / (norms[0] * norms[1])


def _barrier(objective: Objective, path: Path, part: Profile) -> tuple[float, float]:
    """The error barrier, and its standard error as an estimate for further samples."""
    errors = part.metrics["error"]
    top = int(np.argmax(errors))
    places = (part.positions[top], 0.0, 1.0)
    function = objective.with_default_batch_norm("recalibrated")
    expected = objective.expected_classes()
    wrong = [
        np.argmax(found, axis=1) != expected
        for found in function.outputs(np.stack([path.theta_at(place) for place in places]))
    ]
    each = wrong[0] - (wrong[1].astype(float) + wrong[2]) / 2
    value = float(errors[top] - (errors[0] + errors[-1]) / 2)
    return value, float(each.std(ddof=1) / np.sqrt(each.size))

"""Invariance: a measure computed again on copies of the model that compute the same function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from landscape._align import NoEquivalent, permute_units, rescale_units
from landscape._results import Invariance, Measure
from landscape._sharpness.definition import NotApplicable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from landscape._objective import Objective
    from landscape._sharpness.context import Context
    from landscape._sharpness.definition import Definition, Outcome

__all__ = ["CHECK_COPIES", "check_invariance"]

_COPIES = 3
CHECK_COPIES: Final = 2 * _COPIES
"""How many times a measure is computed again: on three copies of each kind."""

_SAME_LOSS = 1e-5

_KINDS: dict[str, Callable[[Objective, Sequence[int]], tuple[nn.Module, ...]]] = {
    "rescaling": rescale_units,
    "permutation": permute_units,
}


def check_invariance(
    measure: Measure,
    definition: Definition,
    context: Context,
    make_context: Callable[[nn.Module], Context],
) -> tuple[Measure, float]:
    """Compute a measure again on rescaled and permuted copies, and say whether it moved.

    A value that stays within its error is ``"measured"``, or ``"exact"`` where the definition says
    so by theorem; one that moves further is not invariant, whatever is declared.

    Args:
        measure: As computed on the model itself.
        definition: Computes it.
        context: Of the model; it keeps the copies for the next measure.
        make_context: The context of a copy.

    Returns:
        The measure with its invariances, the values on copies in ``details``; and what the copies
        cost in gradient-equivalents.
    """
    if measure.value is None:
        return measure, 0.0
    spent = 0.0
    found: dict[str, Invariance] = {}
    details = dict(measure.details)
    for kind in _KINDS:
        copies, reason = context.share(
            f"copies {kind}", partial(_make_copies, kind, context, make_context)
        )
        if not copies:
            found[kind] = "not applicable"
            details[f"{kind}_reason"] = reason
            continue
        before = sum(copy.spent for copy in copies)
        outcomes = [_compute(definition, copy) for copy in copies]
        spent += sum(copy.spent for copy in copies) - before
        details[f"{kind}_values"] = tuple(
            None if o is None or o.value is None else o.value for o in outcomes
        )
        is_kept = all(_is_equal(measure, outcome, definition.accuracy) for outcome in outcomes)
        declared: Invariance = getattr(measure, kind)
        found[kind] = "no" if not is_kept else "exact" if declared == "exact" else "measured"
    checked = replace(measure, details=details, **found)  # type: ignore[arg-type]  # by their names
    return checked, spent


def _make_copies(
    kind: str, context: Context, make_context: Callable[[nn.Module], Context]
) -> tuple[tuple[Context, ...], str]:
    """The contexts of three copies, or none and the reason."""
    seeds = range(context.stream(kind), context.stream(kind) + _COPIES)
    try:
        models = _KINDS[kind](context.objective, seeds)
    except NoEquivalent as reason:
        return (), str(reason)
    contexts = tuple(make_context(model) for model in models)
    for copy in contexts:
        if not np.isclose(copy.loss, context.loss, rtol=_SAME_LOSS, atol=1e-12):
            return (), (
                f"the copies are another function over all data: the loss is {copy.loss:.6g} "
                f"instead of {context.loss:.6g}"
            )
    return contexts, ""


def _compute(definition: Definition, context: Context) -> Outcome | None:
    context.begin()
    try:
        definition.require(context)
        return definition.compute(context)
    except (NotApplicable, FloatingPointError):
        return None


def _is_equal(measure: Measure, other: Outcome | None, accuracy: float) -> bool:
    """Whether two values differ by no more than their errors and rounding."""
    if other is None or other.value is None or measure.value is None:
        return False
    difference = abs(other.value - measure.value)
    rounding = accuracy * max(abs(measure.value), abs(other.value))
    errors = [e for e in (measure.standard_error, other.standard_error) if e is not None]
    quantile = NormalDist().inv_cdf((1 + measure.level) / 2)
    # three copies are compared, each with a chance to lie outside: the quantile is widened
    return difference <= rounding + 1.5 * quantile * float(np.hypot.reduce([0.0, *errors]))

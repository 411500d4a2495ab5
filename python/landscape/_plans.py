"""Which directions a call asks for: its options read and checked, then turned into axes.

Depends on the directions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from landscape._directions import (
    NORMALIZATIONS,
    ONE_DIMENSIONAL,
    GivenDirections,
    LineBetween,
    PlaneThrough,
    PrincipalComponents,
    RandomDirections,
)
from landscape._eigenplane import EigenDirections

if TYPE_CHECKING:
    from landscape._directions import Axes, Plan
    from landscape._objective import Objective
    from landscape._progress import Choice

__all__ = ["Normalize", "OneDimensional", "line_plan", "prepared", "surface_plan"]

Normalize = Literal["auto", "filter", "layer", "model"] | None
OneDimensional = Literal["zero", "include"]


def surface_plan(
    directions: Any, normalize: Normalize, one_dimensional: OneDimensional, seed: int
) -> Plan | EigenDirections:
    """The plan of a surface's two axes; see :func:`landscape.surface` for the options.

    Raises:
        ValueError: An option is unknown, or does not go with these directions.
    """
    _check_normalization(normalize, one_dimensional)
    if isinstance(directions, str):
        return _named_plan(directions, 2, normalize, one_dimensional, seed)
    if isinstance(directions, (PlaneThrough, PrincipalComponents, EigenDirections)):
        _refuse_normalization(normalize, "the plane that is meant")
        return directions
    try:
        pair = tuple(directions)
    except TypeError:
        pair = ()
    if len(pair) != 2 or isinstance(directions, dict):
        raise ValueError(
            f"directions is a {type(directions).__name__}, expected 'random', 'eigen', "
            "landscape.pca(...), landscape.plane(...), landscape.eigenplane(...) or a pair of "
            "flat vectors or state dicts"
        )
    return GivenDirections(pair, None if normalize == "auto" else normalize, one_dimensional)


def line_plan(
    to: Any, direction: Any, normalize: Normalize, one_dimensional: OneDimensional, seed: int
) -> Plan | EigenDirections:
    """The plan of a line's axis; see :func:`landscape.line` for the options.

    Raises:
        ValueError: An option is unknown, or ``to`` came together with a direction.
    """
    _check_normalization(normalize, one_dimensional)
    if to is not None:
        if not (isinstance(direction, str) and direction == "random"):
            raise ValueError("pass either to= (another model) or direction=, not both")
        _refuse_normalization(normalize, "a line between models")
        return LineBetween(to)
    if isinstance(direction, str):
        return _named_plan(direction, 1, normalize, one_dimensional, seed)
    chosen = None if normalize == "auto" else normalize
    return GivenDirections((direction,), chosen, one_dimensional)


def prepared(
    plan: Plan | EigenDirections, objective: Objective, tested: Objective | None, progress: Choice
) -> tuple[Axes, Objective, Objective | None]:
    """Make the axes, and settle the batch-norm policy that they ask for."""
    if isinstance(plan, EigenDirections):
        plan = plan.found(objective.with_default_batch_norm("frozen"), progress)
    axes = plan.axes(objective.theta, objective.layout)
    policy: Literal["frozen", "recalibrated"] = "recalibrated" if axes.joins_models else "frozen"
    return (
        axes,
        objective.with_default_batch_norm(policy),
        tested.with_default_batch_norm(policy) if tested else None,
    )


def _named_plan(
    name: str, count: int, normalize: Normalize, one_dimensional: OneDimensional, seed: int
) -> Plan | EigenDirections:
    if name == "eigen":
        _refuse_normalization(normalize, "the eigenvectors' plane")
        return EigenDirections(range(1, count + 1), seed=seed)
    if name != "random":
        raise ValueError(f"direction {name!r} is unknown, expected 'random', 'eigen' or vectors")
    return RandomDirections(
        count, seed, "filter" if normalize == "auto" else normalize, one_dimensional
    )


def _check_normalization(normalize: Normalize, one_dimensional: OneDimensional) -> None:
    if normalize not in ("auto", None, *NORMALIZATIONS):
        raise ValueError(
            f"normalize={normalize!r}, expected 'auto', 'filter', 'layer', 'model' or None"
        )
    if one_dimensional not in ONE_DIMENSIONAL:
        raise ValueError(f"one_dimensional={one_dimensional!r}, expected 'zero' or 'include'")


def _refuse_normalization(normalize: Normalize, what: str) -> None:
    if normalize not in ("auto", None):
        raise ValueError(f"normalize={normalize!r} would move the models off {what}; leave it out")

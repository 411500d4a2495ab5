"""What a measure is: options, source, invariances, and the function that computes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, ClassVar

from landscape import _core
from landscape._results import Invariance, Measure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._sharpness.context import Context
    from landscape._store import Json

__all__ = [
    "Definition",
    "DerivativeDefinition",
    "NotApplicable",
    "Outcome",
    "declare_rescaling",
    "make_measure",
]


class NotApplicable(Exception):  # noqa: N818 - a property of the model or call, not an error
    """The measure has no meaning for this model, loss or call; the text says why.

    Args:
        args: The text.

    Example:
        >>> raise landscape.measures.NotApplicable("the loss has no margin")
        Traceback (most recent call last):
        ...
        landscape._sharpness.definition.NotApplicable: the loss has no margin
    """


@dataclass(frozen=True)
class Outcome:
    """What a measure computed.

    Args:
        value: The number; None where the method failed, as `status` says.
        standard_error: None where the value is exact or its error is not known.
        interval: Where the quantity lies with the run's level; from the standard error when None.
        status: How the method ended, as a sentence.
        details: Further numbers.
        curves: Further arrays.
        freedom: Degrees of freedom of the standard error, where it is that of a few draws: the
            interval has Student's quantile.

    Example:
        >>> landscape.measures.Outcome(0.5, standard_error=0.1).status
        'complete'
    """

    value: float | None
    standard_error: float | None = None
    interval: tuple[float, float] | None = None
    status: str = "complete"
    details: Mapping[str, Json] = field(default_factory=dict)
    curves: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    freedom: int | None = None


class Definition(ABC):
    """A measure with its options: a frozen dataclass.

    A subclass names the measure, its source and its invariances by theorem; options are its
    dataclass fields, validated in ``__post_init__``. One of your own is passed as those of
    :mod:`landscape.measures` are.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class LargestWeight(landscape.measures.Definition):
        ...     name, reference, rescaling = "largest_weight", "none", "no"
        ...
        ...     def estimate_cost(self, context):
        ...         return 0.0
        ...
        ...     def compute(self, context):
        ...         return landscape.measures.Outcome(float(abs(context.theta).max()))
        >>> result = landscape.sharpness(model, data, measures=[LargestWeight()])
        >>> list(result)
        ['largest_weight']
    """

    name: ClassVar[str]
    """The measure's name in tables and in ``measures=``."""
    reference: ClassVar[str]
    """The paper and the equation."""
    rescaling: ClassVar[Invariance]
    """Whether the *quantity* is invariant when units are rescaled and the function is unchanged."""
    permutation: ClassVar[Invariance] = "exact"
    """Whether the quantity is invariant when hidden units are permuted."""
    penalised: ClassVar[bool] = False
    """Whether weight decay is part of what is measured: then no rescaling leaves it unchanged."""
    accuracy: ClassVar[float] = 1e-4
    """By how much of the value rounding, or a search from other starting points, may move it."""

    def require(self, context: Context) -> None:  # noqa: B027 - most apply to any model
        """Refuse where the measure has no meaning, before anything is computed.

        Raises:
            NotApplicable: With the reason.
        """

    @abstractmethod
    def estimate_cost(self, context: Context) -> float:
        """The expected cost in gradient-equivalents, computed alone."""

    @abstractmethod
    def compute(self, context: Context) -> Outcome:
        """Compute the measure.

        Raises:
            NotApplicable: With the reason.
        """

    def list_options(self) -> dict[str, Any]:
        """The options as plain data."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]  # every subclass is a dataclass


class DerivativeDefinition(Definition):
    """A measure that needs gradients or products with the Hessian."""

    def require(self, context: Context) -> None:
        """Refuse a function without derivatives.

        Raises:
            NotApplicable: Batch statistics are re-estimated at every point.
        """
        try:
            context.objective.require_curvature("hessian")
        except ValueError as reason:
            raise NotApplicable(str(reason)) from None


def declare_rescaling(definition: Definition, context: Context) -> Invariance:
    """Whether the quantity is invariant: not where weight decay, which is not, is part of it."""
    decays = float(context.objective.policy["weight_decay"]) > 0
    return "no" if definition.penalised and decays else definition.rescaling


def _quantile(level: float, freedom: int | None) -> float:
    if freedom is None:
        return NormalDist().inv_cdf((1 + level) / 2)
    return _core.student_quantile(level, freedom)


def make_measure(
    definition: Definition,
    outcome: Outcome | None,
    context: Context,
    status: str,
    cost: float = 0.0,
) -> Measure:
    """The result of a measure, its interval from the standard error where it has no own.

    Args:
        definition: The measure.
        outcome: What was computed; None where there is nothing.
        context: Where it was computed.
        status: How it ended.
        cost: In gradient-equivalents.
    """
    known = Outcome(None) if outcome is None else outcome
    interval = known.interval
    if interval is None and known.value is not None and known.standard_error is not None:
        half = _quantile(context.level, known.freedom) * known.standard_error
        interval = known.value - half, known.value + half
    has_value = known.value is not None
    return Measure(
        definition.name,
        known.value,
        standard_error=known.standard_error,
        interval=interval,
        level=context.level,
        rescaling=declare_rescaling(definition, context) if has_value else "not applicable",
        permutation=definition.permutation if has_value else "not applicable",
        cost=cost,
        status=status,
        reference=definition.reference,
        options=definition.list_options(),
        details=known.details,
        curves=known.curves,
    )

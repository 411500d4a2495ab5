"""Methods of `connect` with their options: AutoNEB, Bezier, Polychain and Linear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

__all__ = [
    "AutoNEB",
    "Bezier",
    "Cycles",
    "Linear",
    "Method",
    "MethodName",
    "Optimizer",
    "PathMethod",
    "Polychain",
    "cycles_to_core",
    "method_options",
    "optimizer_to_core",
    "parse_method",
    "validate_cycles",
]

Cycles = Sequence[tuple[int, float]]
"""Pairs (steps, learning rate), one a cycle."""
Optimizer = Literal["adam", "sgd"]
MethodName = Literal["autoneb", "bezier", "polychain", "linear"]

_MOMENTUM = 0.9
_POINTS_PER_SEGMENT = 5  # of an evaluation of a band, between two pivots
_POINTS_PER_CURVE = 15  # of an evaluation of a curve
_DRAWS = 4  # points per step, one in each of as many equal parts of the curve


@dataclass(frozen=True)
class AutoNEB:
    r"""An elastic band whose pivots are added where the loss rises between them.

    Pivots between the models descend across the band by :math:`F = -(g - (g \cdot t)\, t)`, with
    the improved tangent t, each on a mini-batch of its own, and are kept evenly spaced. After
    every cycle the whole band is evaluated on all data: pivots are added where the loss between
    two of them exceeds the line, and the best band so far is kept.

    Args:
        cycles: Pairs (steps, learning rate), one a cycle, after each of which the whole band is
            evaluated.
        optimizer: ``"adam"``, or ``"sgd"`` with a momentum of 0.9.
        pivots: The number of inner points at the start.
        max_pivots: The maximum number of inner points.
        insertion: A pivot is added where the loss exceeds the line between two pivots by more than
            this share of the range of losses on the band.
        spring: The stiffness of springs between pivots; None spaces them evenly instead.
        climb: The number of last cycles in which the highest pivot climbs to the saddle.
        tolerance: The search ends early when no force across the band is larger; needs gradients of
            all data (``batch_size=`` their number).

    Raises:
        ValueError: An option is out of range.

    Reference:
        Draxler, Veschgini, Salmhofer and Hamprecht, "Essentially No Barriers in Neural Network
        Energy Landscape" (2018), algorithm 1; Henkelman and Jonsson, "Improved Tangent Estimate in
        the Nudged Elastic Band Method" (2000), equations 8 to 11; Kolsbjerg, Groves and Hammer,
        "An Automated Nudged Elastic Band Method" (2016).

    Example:
        >>> method = landscape.AutoNEB(cycles=[(20, 0.02), (20, 0.005)], pivots=5)
        >>> landscape.connect(model, other, data, method=method).method
        'autoneb'
    """

    name: ClassVar[Literal["autoneb"]] = "autoneb"
    curve: ClassVar[Literal["polyline"]] = "polyline"

    cycles: Cycles = ((60, 0.02), (60, 0.02), (60, 0.005))
    optimizer: Optimizer = "adam"
    pivots: int = 3
    max_pivots: int = 30
    insertion: float = 0.2
    spring: float | None = None
    climb: int = 0
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        validate_cycles(self.cycles, self.optimizer)
        if self.pivots < 1 or self.max_pivots < self.pivots:
            raise ValueError(
                f"pivots={self.pivots} and max_pivots={self.max_pivots}, expected 1 or more "
                "between the two models, and no fewer at most"
            )
        if self.spring is not None and not self.spring > 0:
            raise ValueError(f"spring={self.spring}, expected a stiffness above 0, or None")
        for name in ("tolerance", "insertion", "climb"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ValueError(f"{name}={getattr(self, name)}, expected none below 0")

    @property
    def max_steps(self) -> int:
        """The maximum number of steps."""
        return sum(steps for steps, _ in self.cycles)

    def to_core(self, seed: int) -> dict[str, Any]:
        """The options of the core's elastic band."""
        return {
            "cycles": cycles_to_core(self.cycles),
            "rule": optimizer_to_core(self.optimizer),
            "spring": self.spring,
            "climb": self.climb,
            "tolerance": self.tolerance,
            "pivots": self.pivots,
            "max_pivots": self.max_pivots,
            "insertion": self.insertion,
            "between": _POINTS_PER_SEGMENT,
            "seed": seed,
        }


@dataclass(frozen=True)
class _TrainedCurve:
    """Options that both kinds of trained curves share."""

    cycles: Cycles = ((100, 0.02), (100, 0.02), (100, 0.005))
    optimizer: Optimizer = "adam"
    control_points: int = 1

    name: ClassVar[Literal["bezier", "polychain"]]

    def __post_init__(self) -> None:
        validate_cycles(self.cycles, self.optimizer)
        if self.control_points < 1:
            raise ValueError(
                f"control_points={self.control_points}, expected 1 or more between the two models"
            )

    @property
    def max_steps(self) -> int:
        """The maximum number of steps."""
        return sum(steps for steps, _ in self.cycles)

    def to_core(self, seed: int) -> dict[str, Any]:
        """The options of the core's curve training."""
        return {
            "kind": self.name,
            "cycles": cycles_to_core(self.cycles),
            "rule": optimizer_to_core(self.optimizer),
            "bends": self.control_points,
            "draws": _DRAWS,
            "between": _POINTS_PER_CURVE,
            "seed": seed,
        }


@dataclass(frozen=True)
class Bezier(_TrainedCurve):
    r"""A Bezier curve :math:`\theta(t) = \sum_j c_j(t)\, P_j` trained to low mean loss.

    The inner control points P_j minimise the mean of L over t uniform on [0, 1]: each step draws
    four values of t, one in each quarter, each with a mini-batch of its own.

    Args:
        cycles: Pairs (steps, learning rate), one a cycle, after each of which the whole curve is
            evaluated on all data; the best curve is kept.
        optimizer: ``"adam"``, or ``"sgd"`` with a momentum of 0.9.
        control_points: Inner control points: the degree of the curve less 1.

    Raises:
        ValueError: An option is out of range.

    Reference:
        Garipov, Izmailov, Podoprikhin, Vetrov and Wilson, "Loss Surfaces, Mode Connectivity, and
        Fast Ensembling of DNNs" (2018), section 3.

    Example:
        >>> method = landscape.Bezier(cycles=[(20, 0.02)], control_points=2)
        >>> landscape.connect(model, other, data, method=method).points.shape[0]
        4
    """

    name: ClassVar[Literal["bezier"]] = "bezier"
    curve: ClassVar[Literal["bezier"]] = "bezier"


@dataclass(frozen=True)
class Polychain(_TrainedCurve):
    """Straight segments between control points, trained to low mean loss as :class:`Bezier` is.

    Args:
        cycles: As for :class:`Bezier`.
        optimizer: As for :class:`Bezier`.
        control_points: Inner points of the polyline.

    Raises:
        ValueError: An option is out of range.

    Reference:
        Garipov, Izmailov, Podoprikhin, Vetrov and Wilson, "Loss Surfaces, Mode Connectivity, and
        Fast Ensembling of DNNs" (2018), section 3.

    Example:
        >>> method = landscape.Polychain(cycles=[(20, 0.02)])
        >>> landscape.connect(model, other, data, method=method).curve
        'polyline'
    """

    name: ClassVar[Literal["polychain"]] = "polychain"
    curve: ClassVar[Literal["polyline"]] = "polyline"


@dataclass(frozen=True)
class Linear:
    """The straight segment between the two models; it has no options.

    Reference:
        Frankle, Dziugaite, Roy and Carbin, "Linear Mode Connectivity and the Lottery Ticket
        Hypothesis" (2020), section 2.

    Example:
        >>> landscape.connect(model, other, data, method=landscape.Linear()).method
        'linear'
    """

    name: ClassVar[Literal["linear"]] = "linear"
    curve: ClassVar[Literal["polyline"]] = "polyline"


PathMethod = AutoNEB | Bezier | Polychain | Linear
Method = PathMethod | MethodName
_METHODS: tuple[type[PathMethod], ...] = (AutoNEB, Bezier, Polychain, Linear)


def parse_method(method: Method) -> PathMethod:
    """Convert a name to a method with default options; other methods are returned unchanged.

    Raises:
        ValueError: The name is unknown.
        TypeError: It is neither a name nor the options of a method.
    """
    if isinstance(method, _METHODS):
        return method
    named = {cls.name: cls for cls in _METHODS}
    if not isinstance(method, str):
        raise TypeError(
            f"method is a {type(method).__name__}, expected one of {', '.join(named)} or "
            f"{', '.join(f'landscape.{cls.__name__}(...)' for cls in _METHODS)}"
        )
    if method not in named:
        raise ValueError(f"method={method!r}, expected one of {', '.join(named)}")
    return named[method]()


def method_options(name: str) -> list[str]:
    """The names of the methods, as classes, that have an option of this name."""
    return [cls.__name__ for cls in _METHODS if name in {f.name for f in fields(cls)}]


def cycles_to_core(cycles: Cycles) -> list[tuple[int, float]]:
    """Convert cycles for the core."""
    return [(int(steps), float(rate)) for steps, rate in cycles]


def optimizer_to_core(optimizer: Optimizer) -> Literal["adam"] | float:
    """Convert an optimizer for the core: Adam, or the momentum of SGD."""
    return "adam" if optimizer == "adam" else _MOMENTUM


def validate_cycles(cycles: Cycles, optimizer: str) -> None:
    """Check cycles and optimizer.

    Raises:
        ValueError: There are no cycles, or one has no steps or a rate that is not positive.
    """
    if optimizer not in ("adam", "sgd"):
        raise ValueError(f"optimizer={optimizer!r}, expected 'adam' or 'sgd'")
    valid = all(len(c) == 2 and c[0] >= 1 and math.isfinite(c[1]) and c[1] > 0 for c in cycles)
    if not cycles or not valid:
        raise ValueError(f"cycles={cycles!r}, expected pairs (steps, learning rate), one a cycle")

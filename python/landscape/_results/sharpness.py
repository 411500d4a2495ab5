"""Measure and Sharpness: flatness and generalisation measures of one model, with error bars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from landscape._results.base import Result, add_prefix, select_prefix
from landscape._results.fields import check_fields
from landscape._results.frozen import ReadOnly, freeze_array, freeze_json
from landscape._results.provenance import Run
from landscape._store import Json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = [
    "Invariance",
    "Measure",
    "Sharpness",
    "import_pandas",
    "pack_measures",
    "unpack_measures",
]

Invariance = Literal["exact", "measured", "no", "not applicable"]

_ROW = "  {:<26} {:>12} {:>10}   {:<27} {:<14} {:<11} {:>7}"


@dataclass(frozen=True, eq=False)
class Measure:
    """One measure of a model: a number with its error bar, or the reason why there is none.

    Args:
        name: The measure, such as "max_eigenvalue".
        value: The number; None where the measure is not applicable or its method failed.
        standard_error: Of the estimate; None where the value is exact (to rounding) or unknown.
        interval: Where the quantity lies with probability `level`; None where it is not known.
        level: Probability of the interval.
        rescaling: Whether the value survives a rescaling of units that leaves the function
            unchanged: "exact" (by theorem), "measured" (on rescaled copies, within its error), "no"
            or "not applicable".
        permutation: The same for a permutation of hidden units.
        cost: In gradient-equivalents, as if computed alone: a gradient over all data is 1, a loss
            1/3, a Hessian product 2.
        status: How it ended: "complete", "not applicable: ..." or another sentence.
        reference: The source of the definition.
        options: The options it was computed with.
        details: Further numbers of the same computation.
        curves: Arrays of the same computation: profiles against the radius, chains.

    Raises:
        ValueError: `value` is missing though the status says complete.

    Example:
        >>> measure = landscape.sharpness(model, data, measures=["sam"])["sam"]
        >>> measure.is_applicable, measure.rescaling
        (True, 'no')
    """

    name: str
    value: float | None
    _: KW_ONLY
    standard_error: float | None = None
    interval: tuple[float, float] | None = None
    level: float = 0.95
    rescaling: Invariance = "no"
    permutation: Invariance = "no"
    cost: float = 0.0
    status: str = "complete"
    reference: str = ""
    options: Mapping[str, Json] = field(default_factory=dict)
    details: Mapping[str, Json] = field(default_factory=dict)
    curves: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.value is None and self.status == "complete":
            raise ValueError(f"the measure {self.name} is complete, expected a value")
        for name in ("value", "standard_error"):
            number = getattr(self, name)
            object.__setattr__(self, name, None if number is None else float(number))
        if self.interval is not None:
            low, high = self.interval
            object.__setattr__(self, "interval", (float(low), float(high)))
        for name in ("options", "details"):
            object.__setattr__(self, name, freeze_json(getattr(self, name)))
        curves = {name: freeze_array(array, name, None) for name, array in self.curves.items()}
        object.__setattr__(self, "curves", ReadOnly(curves))

    @property
    def is_applicable(self) -> bool:
        """Whether there is a number."""
        return self.value is not None

    def __float__(self) -> float:
        if self.value is None:
            raise ValueError(f"{self.name} has no value: {self.status}")
        return self.value

    def to_record(self) -> dict[str, Any]:
        """Every field but the curves, which are arrays."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "curves"}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], curves: Mapping[str, Any]) -> Self:
        """The measure that :meth:`to_record` wrote.

        Raises:
            TypeError: A field is of another type.
        """
        check_fields(cls, record)
        return cls(**record, curves=dict(curves))


@dataclass(frozen=True, eq=False, repr=False)
class Sharpness(Result, Mapping[str, Measure]):
    """Measures of one model by name, in the order in which they were asked for.

    Args:
        measures: The measures.
        loss: L at the model's parameters.
        dim: The number d of parameters.
        samples: The number of samples.
        descent_gain: By how much one step of steepest descent lowers the loss: a measure of
            curvature describes a minimum only where this is small. None where no measure needed
            a derivative.
        run: How the numbers were computed; its evaluations are gradient-equivalents, rounded up,
            with what measures share counted once.

    Example:
        >>> result = landscape.sharpness(model, data, measures=["max_eigenvalue", "norms"])
        >>> result["max_eigenvalue"].value > 0
        True
    """

    kind: ClassVar[str] = "sharpness"

    measures: tuple[Measure, ...]
    _: KW_ONLY
    loss: float
    dim: int
    samples: int
    descent_gain: float | None
    run: Run

    def __post_init__(self) -> None:
        object.__setattr__(self, "measures", tuple(self.measures))

    def __getitem__(self, name: str) -> Measure:
        for measure in self.measures:
            if measure.name == name:
                return measure
        known = ", ".join(measure.name for measure in self.measures)
        raise KeyError(f"there is no measure {name!r}; there are {known}")

    def __iter__(self) -> Iterator[str]:
        return iter([measure.name for measure in self.measures])

    def __len__(self) -> int:
        return len(self.measures)

    @property
    def is_minimum(self) -> bool | None:
        """Whether steepest descent lowers the loss by less than 1%; None where not computed."""
        if self.descent_gain is None:
            return None
        return self.descent_gain <= 0.01 * abs(self.loss)

    def to_pandas(self) -> pd.DataFrame:
        """One row a measure, indexed by name.

        Raises:
            ImportError: pandas is not installed.
        """
        frame = import_pandas()
        columns = [f.name for f in fields(Measure) if f.name not in ("details", "curves", "name")]
        rows = [[getattr(m, c) for c in columns] for m in self.measures]
        return frame.DataFrame(rows, columns=columns, index=frame.Index(list(self), name="measure"))

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Every value with its interval: `landscape.plot.sharpness`.

        Args:
            ax: Where to draw; None creates a figure (`.figure` of the returned Axes).
            options: Those of `landscape.plot.sharpness`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.sharpness(self, ax, **options)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The JSON record and the arrays; the curves of measure i have names with "measure_i."."""
        record, arrays = super().pack()
        record["measures"], members = pack_measures(self.measures)
        return record, {**arrays, **members}

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the measures from what :meth:`pack` returned."""
        measures = unpack_measures(record["measures"], arrays)
        return super().unpack({**record, "measures": measures}, {})

    def __repr__(self) -> str:
        lines = [self._title(f"Sharpness at loss {self.loss:.6g}")]
        lines.append(
            _ROW.format(
                "measure", "value", "+-", "interval", "rescaling", "permutation", "cost"
            ).rstrip()
        )
        for m in self.measures:
            if m.value is None:
                lines.append(f"  {m.name:<26} {m.status}")
                continue
            error = "" if m.standard_error is None else f"{m.standard_error:.2g}"
            span = "" if m.interval is None else "{:.5g} .. {:.5g}".format(*m.interval)
            row = (m.name, f"{m.value:.6g}", error, span, m.rescaling, m.permutation)
            lines.append(_ROW.format(*row, f"{m.cost:.1f}").rstrip())
            if m.status != "complete":
                lines.append(f"    {m.status}")
        if self.is_minimum is False:
            lines.append(
                f"no minimum: a step of steepest descent lowers the loss by {self.descent_gain:.3g}"
            )
        lines += self._describe_run(str(self.run.evaluations), "gradients")
        return "\n".join(lines)


def import_pandas() -> Any:
    """The module pandas.

    Raises:
        ImportError: It is not installed; the text names the extra.
    """
    try:
        import pandas  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ImportError("to_pandas needs pandas; install landscape-geometry[pandas]") from error
    return pandas


def pack_measures(
    measures: tuple[Measure, ...],
) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Records of measures, and their curves under the prefix "measure_i."."""
    arrays: dict[str, NDArray[Any]] = {}
    for index, measure in enumerate(measures):
        arrays |= add_prefix(f"measure_{index}", measure.curves)
    return [measure.to_record() for measure in measures], arrays


def unpack_measures(records: Any, arrays: Mapping[str, NDArray[Any]]) -> tuple[Measure, ...]:
    """The measures that :func:`pack_measures` wrote.

    Raises:
        TypeError: The records are no list of mappings.
    """
    if not isinstance(records, (list, tuple)):
        raise TypeError(f"'measures' is {records!r}, expected a list")
    return tuple(
        Measure.from_record(record, select_prefix(f"measure_{index}", arrays))
        for index, record in enumerate(records)
    )

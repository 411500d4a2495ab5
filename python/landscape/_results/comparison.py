"""Comparison: the measures, profiles and surfaces of several models side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from landscape._results.base import Result, add_prefix, select_prefix
from landscape._results.frozen import ReadOnly, freeze_json
from landscape._results.grids import Line, Surface
from landscape._results.provenance import Run
from landscape._results.rank_correlation import RankCorrelation, measure_correlation
from landscape._results.sharpness import Sharpness, import_pandas
from landscape._store import Json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["Comparison", "pack_parts", "unpack_parts"]

_NESTED: dict[str, type[Result]] = {
    "models": Sharpness,
    "rescaled": Sharpness,
    "profiles": Line,
    "surfaces": Surface,
    "lines": Line,
}
_COLUMN, _WIDTH = 22, 116


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """Measures of several models on the same data, and what their losses look like around them.

    Args:
        models: The measures of each model, by the model's name.
        rescaled: The same of a rescaled copy of each model that computes the same function: the
            control for measures of weights instead of functions; empty where it was not asked for.
        profiles: The loss along one random filter-normalised direction through each model, all at
            the same relative distances.
        surfaces: The loss on a plane through each model; empty where it was not asked for.
        lines: The loss on the straight line between two models, by "name, other name".
        hyperparameters: What each model was trained with, for granulated correlations.
        level: Probability of the intervals.
        run: How the numbers were computed; its evaluations are gradient-equivalents.

    Example:
        >>> comparison = landscape.compare({"a": model_a, "b": model_b}, data, measures=["sam"])
        >>> list(comparison)
        ['a', 'b']
    """

    kind: ClassVar[str] = "comparison"

    models: Mapping[str, Sharpness]
    _: KW_ONLY
    rescaled: Mapping[str, Sharpness] = field(default_factory=dict)
    profiles: Mapping[str, Line] = field(default_factory=dict)
    surfaces: Mapping[str, Surface] = field(default_factory=dict)
    lines: Mapping[str, Line] = field(default_factory=dict)
    hyperparameters: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    level: float = 0.95
    run: Run

    def __post_init__(self) -> None:
        for name in _NESTED:
            object.__setattr__(self, name, ReadOnly(getattr(self, name)))
        object.__setattr__(self, "hyperparameters", freeze_json(self.hyperparameters))

    def __iter__(self) -> Iterator[str]:
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    def __getitem__(self, name: str) -> Sharpness:
        return self.models[name]

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of the measures."""
        return tuple(dict.fromkeys(name for model in self.models.values() for name in model))

    def values(self, measure: str) -> NDArray[np.float64]:
        """One measure of every model, shape (n,); NaN where there is none."""
        return _select(self.models, measure)

    def ranks(self, measure: str) -> dict[str, int | None]:
        """The models' ranks by one measure, 1 for the smallest value; None without a value.

        Equal values have the same rank.

        Args:
            measure: The measure's name.

        Raises:
            KeyError: There is no such measure.
        """
        values = self.values(measure)
        known = np.sort(values[np.isfinite(values)])
        return {
            name: int(np.searchsorted(known, value)) + 1 if np.isfinite(value) else None
            for name, value in zip(self.models, values, strict=True)
        }

    def correlations(
        self, target: str = "generalisation_gap", *, seed: int = 0
    ) -> tuple[RankCorrelation, ...]:
        r"""Kendall's tau of every other measure with a target, over the models.

        A large tau over few models means little, and so does one over many models that differ in
        one hyperparameter which moves both: see the interval, and the granulated form.

        Args:
            target: The measure that others are compared with.
            seed: Of the bootstrap.

        Returns:
            One row a measure, largest \|tau\| first.

        Raises:
            KeyError: There is no such measure.
            ValueError: There are fewer than three models.

        Reference:
            Kendall (1938), "A new measure of rank correlation"; Jiang, Neyshabur, Mobahi, Krishnan
            and Bengio (2020), "Fantastic Generalization Measures and Where to Find Them",
            equations 2 to 4.

        Example:
            >>> comparison = landscape.compare(models, data, test=data, measures=["norms", "sam"])
            >>> len(comparison.correlations())
            2
        """
        if len(self) < 3:
            raise ValueError(
                f"a rank correlation of {len(self)} models says nothing; compare three or more"
            )
        goal = self.values(target)
        missing = np.full(len(self), np.nan)
        rows = [
            measure_correlation(
                measure,
                target,
                (self.values(measure), goal),
                rescaled=_select(self.rescaled, measure) if self.rescaled else missing,
                hyperparameters=[self.hyperparameters[name] for name in self.models]
                if self.hyperparameters
                else (),
                level=self.level,
                seed=seed,
            )
            for measure in self.measures
            if measure != target
        ]
        return tuple(sorted(rows, key=lambda row: -np.nan_to_num(abs(row.tau), nan=-1.0)))

    def to_pandas(self) -> pd.DataFrame:
        """One row for each model and measure: value, error, interval, invariances and rank.

        Raises:
            ImportError: pandas is not installed.
        """
        frame = import_pandas()
        parts = []
        for name, model in self.models.items():
            part = model.to_pandas().reset_index()
            part.insert(0, "model", name)
            part["rank"] = [self.ranks(measure)[name] for measure in model]
            parts.append(part)
        return frame.concat(parts, ignore_index=True).set_index(["measure", "model"]).sort_index()

    def plot(self, axes: Any = None, **options: Any) -> tuple[Axes, ...]:
        """Every measure with its error bars: `landscape.plot.comparison`.

        Args:
            axes: Where to draw, one for each measure; None creates a figure.
            options: Those of `landscape.plot.comparison`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.comparison(self, axes, **options)

    def plot_profiles(self, ax: Axes | None = None, **options: Any) -> Axes:
        """The profiles on one axis: `landscape.plot.profiles`.

        Args:
            ax: Where to draw; None creates a figure.
            options: Those of `landscape.plot.profiles`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.profiles(self.profiles, ax, **options)

    def plot_surfaces(self, axes: Any = None, **options: Any) -> tuple[Axes, ...]:
        """The surfaces side by side on one colour scale: `landscape.plot.compare`.

        Args:
            axes: Where to draw, one for each surface; None creates a figure.
            options: Those of `landscape.plot.compare`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.compare(self.surfaces, axes, **options)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The JSON record and the arrays; those of part i of a field have the prefix "field_i."."""
        record, arrays = super().pack()
        parts, members = pack_parts({name: getattr(self, name) for name in _NESTED})
        return {**record, **parts}, {**arrays, **members}

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the comparison from what :meth:`pack` returned."""
        parts = unpack_parts(_NESTED, record, arrays)
        return super().unpack({**record, **parts}, {})

    def __repr__(self) -> str:
        lines = [self._title(f"Comparison of {len(self)} models")]
        first = max(26, *(len(name) + 2 for name in self.measures))
        column = max(_COLUMN, *(len(name) + 2 for name in self))
        names, at_once = list(self), max(1, (_WIDTH - first) // column)
        for start in range(0, len(names), at_once):
            shown = names[start : start + at_once]
            lines.append(" " * first + "".join(f"{name:>{column}}" for name in shown))
            rows = [("loss", [f"{self.models[name].loss:.6g}" for name in shown])]
            rows += [(m, [_describe(self.models[n], m) for n in shown]) for m in self.measures]
            lines += [
                f"  {row:<{first - 2}}" + "".join(f"{cell:>{column}}" for cell in cells)
                for row, cells in rows
            ]
        for name, line in self.lines.items():
            rise = float(np.max(line.losses)) - max(
                float(np.interp(t, line.positions, line.losses)) for t in (0.0, 1.0)
            )
            policy = str(line.run.policy.get("batch_norm"))
            norms = "" if policy.startswith("none") else f" (batch norm {policy})"
            lines.append(f"  line {name}: {max(rise, 0.0):.5g} above the higher end{norms}")
        lines += self._describe_run(str(self.run.evaluations), "gradients")
        return "\n".join(lines)


def pack_parts(
    fields: Mapping[str, Mapping[str, Result]],
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Fields of named results as a record and arrays; part i has the prefix "field_i."."""
    record: dict[str, Any] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for name, parts in fields.items():
        record[name] = []  # pairs, for a record does not keep the order of names
        for index, (key, part) in enumerate(parts.items()):
            own, members = part.pack()
            record[name].append((key, own))
            arrays |= add_prefix(f"{name}_{index}", members)
    return record, arrays


def unpack_parts(
    kinds: Mapping[str, type[Result]],
    record: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> dict[str, dict[str, Any]]:
    """The fields that :func:`pack_parts` wrote, each with results of its kind."""
    return {
        name: {
            key: kind.unpack(own, select_prefix(f"{name}_{index}", arrays))
            for index, (key, own) in enumerate(record[name])
        }
        for name, kind in kinds.items()
    }


def _select(models: Mapping[str, Sharpness], measure: str) -> NDArray[np.float64]:
    found = [model[measure].value if measure in model else None for model in models.values()]
    if not any(measure in model for model in models.values()):
        known = ", ".join(dict.fromkeys(name for model in models.values() for name in model))
        raise KeyError(f"there is no measure {measure!r}; there are {known}")
    return np.array([np.nan if value is None else value for value in found])


def _describe(model: Sharpness, measure: str) -> str:
    if measure not in model or model[measure].value is None:
        return "-"
    found = model[measure]
    error = "" if found.standard_error is None else f" +- {found.standard_error:.2g}"
    return f"{found.value:.5g}{error}"

"""The small table that a result prints as."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from landscape._results._values import finite_range

if TYPE_CHECKING:
    from landscape._results._sampled import Sampled
    from landscape._results.directions import Recipe
    from landscape._results.run import Run

_WIDTH = 100


def table(result: Sampled) -> str:
    """A heading, the numbers on each data set side by side, then how they were made."""
    sides = [result] if result.test is None else [result, result.test]
    size = " x ".join(str(len(axis)) for axis in result.axes.values())
    centre = ("centre", *(_number(side.centre_loss) for side in sides))
    rows: list[tuple[str, ...]] = [
        (f"{type(result).__name__} {size}", *(["loss", "test loss"][: len(sides)])),
        *([] if math.isnan(result.centre_loss) else [centre]),
        ("minimum", *(_number(side.minimum[-1]) for side in sides)),
        ("  at", *(_point(side.minimum[:-1]) for side in sides)),
        ("range", *(_span(side.range) for side in sides)),
    ]
    if any(side.non_finite for side in sides):
        of = result.losses.size
        rows.append(("non-finite", *(f"{side.non_finite} of {of}" for side in sides)))
    rows += [(name, *(_metric_span(side, name) for side in sides)) for name in result.metrics]
    widths = [max(len(row[column]) for row in rows) for column in range(len(sides) + 1)]
    widths[0] = max(widths[0], len("evaluations"))
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    made = [
        *((name, _axis(result, i)) for i, name in enumerate(result.axes)),
        ("directions", _directions(result.recipe)),
        ("evaluations", f"{result.run.evaluations} in {result.run.seconds:.3g} s"),
        ("engine", _engine(result.run)),
        ("status", result.run.status),
        *(("note", note) for note in result.run.notes),
    ]
    lines += [f"{name.ljust(widths[0])}  {text}"[:_WIDTH] for name, text in made]
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value + 0.0:.5g}"  # which turns -0 into 0


def _point(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value + 0.0:.4g}' for value in values)})"


def _span(limits: tuple[float, float]) -> str:
    return f"{limits[0] + 0.0:.4g} .. {limits[1] + 0.0:.4g}"


def _metric_span(side: Sampled, name: str) -> str:
    return _span(finite_range(side.metrics[name])) if name in side.metrics else "-"


def _axis(result: Sampled, index: int) -> str:
    axis = list(result.axes.values())[index]
    return f"{_span((float(axis[0]), float(axis[-1])))}, {result.recipe.labels[index]}"


def _directions(recipe: Recipe) -> str:
    parts = [recipe.kind, f"{recipe.normalize} normalised" if recipe.normalize else "as they are"]
    if recipe.seed is not None:
        parts.append(f"seed {recipe.seed}")
    if recipe.cosine is not None:
        parts.append(f"cosine {recipe.cosine:.2g}")
    return ", ".join(parts)


def _engine(run: Run) -> str:
    known = {**run.policy, **run.strategy}
    details = (known.get(name) for name in ("device", "dtype"))
    return ", ".join([run.engine, *(str(detail) for detail in details if detail is not None)])

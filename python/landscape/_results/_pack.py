"""A result as a JSON record and named arrays, and back: what `_store` writes and reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from landscape._results.directions import Recipe
from landscape._results.run import Run

if TYPE_CHECKING:
    from landscape._results._sampled import Sampled

    R = TypeVar("R", bound=Sampled)

Arrays = Mapping[str, NDArray[np.float64]]
_OPTIONAL = ("standard_error", "error")


def pack(result: Sampled) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """The record and the arrays of a result; those of its test data under "test." names."""
    arrays = dict(result.axes)
    arrays["losses"] = result.losses
    for name, values in result.metrics.items():
        arrays[_metric(name)] = values
    for name in _OPTIONAL:
        if getattr(result, name) is not None:
            arrays[name] = getattr(result, name)
    if result.recipe.trajectory is not None:
        arrays["trajectory"] = result.recipe.trajectory
    record: dict[str, Any] = {
        "metrics": list(result.metrics),
        "recipe": recipe_record(result.recipe),
        "run": run_record(result.run),
        "test": None,
    }
    if result.test is not None:
        record["test"], test_arrays = pack(result.test)
        shared = result.axes.keys()
        arrays |= {f"test.{name}": a for name, a in test_arrays.items() if name not in shared}
    return record, arrays


def unpack(cls: type[R], record: Mapping[str, Any], arrays: Arrays) -> R:
    """The result that `pack` took apart."""
    axes = {name: arrays[name] for name in cls.axis_names}
    test = None
    if record["test"] is not None:
        of_test = {n.removeprefix("test."): a for n, a in arrays.items() if n.startswith("test.")}
        test = unpack(cls, record["test"], {**axes, **of_test})
    make = cast("Callable[..., R]", cls)  # the dataclasses below Sampled take these fields
    return make(
        **axes,
        losses=arrays["losses"],
        metrics={name: arrays[_metric(name)] for name in record["metrics"]},
        **{name: arrays.get(name) for name in _OPTIONAL},
        test=test,
        recipe=Recipe(**record["recipe"], trajectory=arrays.get("trajectory")),
        run=Run(**record["run"]),
    )


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """Every field but the trajectory, which is an array."""
    return {f.name: getattr(recipe, f.name) for f in fields(recipe) if f.name != "trajectory"}


def run_record(run: Run) -> dict[str, Any]:
    """Every field."""
    return {f.name: getattr(run, f.name) for f in fields(run)}


def _metric(name: str) -> str:
    """Metrics are named by the user; a file's members must not be folders or escape from one."""
    return f"metric.{quote(name, safe=' ')}"

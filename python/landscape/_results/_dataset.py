"""A result as an xarray.Dataset that netCDF can hold. xarray is an extra, imported on demand."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from landscape import _store
from landscape._results import _pack

if TYPE_CHECKING:
    import xarray

    from landscape._results._sampled import Sampled

_OURS = ("loss", "standard_error", "error", "trajectory")


def dataset(result: Sampled) -> xarray.Dataset:
    """Named dimensions and units; metrics and test data as variables; the records as JSON text."""
    try:
        import xarray  # noqa: PLC0415  (an extra)
    except ImportError as error:
        raise ImportError(
            "to_xarray needs xarray, which is not installed: "
            'pip install "landscape-geometry[xarray]"'
        ) from error
    names = {name: name.removesuffix("s") for name in result.axis_names}  # positions: position
    coordinates: dict[str, Any] = {
        names[name]: (names[name], axis, {"long_name": label, "units": "1"})
        for (name, axis), label in zip(result.axes.items(), result.recipe.labels, strict=True)
    }
    dimensions = tuple(reversed(coordinates))
    variables = _variables(result, dimensions, "")
    attributes: dict[str, Any] = {
        "title": f"{type(result).__name__} of a neural network's loss",
        "source": f"landscape, file schema {_store.SCHEMA}",
        "recipe": _json(_pack.recipe_record(result.recipe)),
        "run": _json(_pack.run_record(result.run)),
    }
    if result.test is not None:
        variables |= _variables(result.test, dimensions, "test_")
        attributes["test_run"] = _json(_pack.run_record(result.test.run))
    if result.recipe.trajectory is not None:
        described = {"long_name": "projected checkpoints", "units": "1"}
        variables["trajectory"] = (("checkpoint", "axis"), result.recipe.trajectory, described)
        coordinates["axis"] = ("axis", list(names.values()), {})
    return xarray.Dataset(variables, coordinates, attributes)


def _variables(result: Sampled, dimensions: tuple[str, ...], prefix: str) -> dict[str, Any]:
    whose = "test " if prefix else ""
    loss = {"long_name": f"{whose}loss", "units": "1", "loss": str(result.run.policy.get("loss"))}
    variables: dict[str, Any] = {f"{prefix}loss": (dimensions, result.losses, loss)}
    for name in ("standard_error", "error"):
        if getattr(result, name) is not None:
            described = {"long_name": f"{name.replace('_', ' ')} of the {whose}loss", "units": "1"}
            variables[f"{prefix}{name}"] = (dimensions, getattr(result, name), described)
    for name, values in result.metrics.items():
        described = {"long_name": f"{whose}{name}", "units": "1"}
        variables[f"{prefix}{_variable(name, dimensions)}"] = (dimensions, values, described)
    return variables


def _variable(metric: str, dimensions: tuple[str, ...]) -> str:
    """A name that netCDF accepts and that is not one of ours."""
    name = re.sub(r"\W", "_", metric)
    taken = name in (*_OURS, *dimensions) or name.startswith("test_") or not name[:1].isalpha()
    return f"metric_{name}" if taken else name


def _json(record: dict[str, Any]) -> str:
    return json.dumps(_store.encode(record), allow_nan=False)

"""The fields of a checkpoint that a run trusts, checked as they are read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "check_options",
    "read_array",
    "read_count",
    "read_mapping",
    "read_number",
    "read_rows",
    "read_seconds",
    "read_text",
]

_MAX_COUNT = 2**53


def read_seconds(record: Mapping[str, Any]) -> float:
    """The seconds that a run took so far.

    Raises:
        ValueError: They are not a number from 0 up.
    """
    value = record["seconds"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"'seconds' is {value!r}, expected a number")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"'seconds' is {value!r}, expected a finite number from 0 up")
    return float(value)


def read_count(record: Mapping[str, Any], name: str, *, least: int = 0) -> int:
    """A whole number.

    Raises:
        ValueError: It is none, or too small or large for one.
    """
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MAX_COUNT:
        raise ValueError(f"{name!r} is {value!r}, expected a whole number from {least} up")
    return value


def read_text(record: Mapping[str, Any], name: str) -> str:
    """A text.

    Raises:
        ValueError: It is none.
    """
    value = record[name]
    if not isinstance(value, str):
        raise ValueError(f"{name!r} is {value!r}, expected a text")
    return value


def read_number(record: Mapping[str, Any], name: str) -> float:
    """A finite number.

    Raises:
        ValueError: It is none.
    """
    value = record[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name!r} is {value!r}, expected a finite number")
    return float(value)


def read_mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A mapping.

    Raises:
        ValueError: It is none.
    """
    value = record[name]
    if not isinstance(value, Mapping):
        raise ValueError(f"{name!r} is {value!r}, expected a mapping")
    return value


def read_array(
    arrays: Mapping[str, NDArray[Any]],
    name: str,
    shape: tuple[int | None, ...],
    kinds: str = "f",
) -> NDArray[Any]:
    """An array of this shape, None being any length, and of one of these kinds of numbers.

    Raises:
        ValueError: It is missing, of another shape or of another kind.
    """
    if name not in arrays:
        raise ValueError(f"the array {name!r} is missing")
    array = np.asarray(arrays[name])
    fits = array.ndim == len(shape) and all(
        wanted in (None, length) for wanted, length in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype.kind not in kinds:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(
            f"the array {name!r} is {array.dtype} of shape {array.shape}, expected ({wanted})"
        )
    return array


def read_rows(text: str, columns: Mapping[str, type] | int) -> list[Any]:
    """Rows of a JSON text: mappings of these fields, or lists of so many numbers.

    Raises:
        ValueError: It is none.
    """
    rows = json.loads(text)
    if not isinstance(rows, list):
        raise ValueError(f"the state is {text[:40]!r}, expected a list of rows")
    for row in rows:
        if isinstance(columns, int):
            fits = isinstance(row, list) and len(row) == columns and all(map(_is_number, row))
        else:
            fits = isinstance(row, dict) and row.keys() == columns.keys()
            fits = fits and all(_has_type(row[name], kind) for name, kind in columns.items())
        if not fits:
            raise ValueError(f"the state has the row {row!r}, which no run writes")
    return rows


def check_options(text: str, expected: Mapping[str, Any]) -> None:
    """Compare the options in a solver's record with those of the call.

    Args:
        text: The record.
        expected: The call's options; those that are numbers and that the record has are compared.

    Raises:
        ValueError: One differs.
    """
    record = json.loads(text)
    for key in ("state", "options"):
        if isinstance(record, dict) and isinstance(record.get(key), dict):
            record = record[key]
    if not isinstance(record, dict):
        raise ValueError(f"the state is {text[:40]!r}, expected a record")
    for name, value in expected.items():
        recorded = record.get(name, value)
        if isinstance(recorded, dict) and len(recorded) == 1:  # {"Momentum": 0.9}
            (recorded,) = recorded.values()
        if _is_number(value) and recorded != value:
            raise ValueError(f"{name!r} is {recorded!r} in its state and {value!r} here")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _has_type(value: Any, kind: type) -> bool:
    if kind is int:
        return _is_number(value) and isinstance(value, int) and 0 <= value <= _MAX_COUNT
    return _is_number(value) if kind is float else isinstance(value, kind)

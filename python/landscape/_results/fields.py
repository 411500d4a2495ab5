"""The fields of a saved result, checked against the types that its class declares."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["check_fields"]

_PLAIN: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "None": (type(None),),
    "Mapping": (Mapping,),
    "tuple": (tuple, list),
    "Sequence": (tuple, list),
}
_ITEMS: dict[str, tuple[type, ...]] = {
    "tuple[str, ...]": (str,),
    "tuple[float, ...]": (int, float),
    "tuple[int, ...]": (int,),
}


def check_fields(kind: type[DataclassInstance], values: Mapping[str, Any]) -> None:
    """Compare values from a file with the declared types of a dataclass's fields.

    Declared types are JSON's; fields of other types (arrays, nested results) are checked by the
    class itself.

    Raises:
        TypeError: A value is of another type, or a field is unknown.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{kind.__name__} is {values!r}, expected a mapping of its fields")
    declared = {field.name: str(field.type) for field in fields(kind)}
    for name, value in values.items():
        if name not in declared:
            raise TypeError(f"{kind.__name__} has no field {name!r}")
        if not _fits(value, declared[name]):
            raise TypeError(f"{name!r} is {value!r}, expected {declared[name]}")


def _fits(value: Any, declared: str) -> bool:
    parts = _split(declared)
    if not all(part.startswith("Literal[") or part.split("[")[0] in _PLAIN for part in parts):
        return True
    return any(_fits_one(value, part) for part in parts)


def _fits_one(value: Any, part: str) -> bool:
    members: Any = value
    if part.startswith("Literal["):
        return value in ast.literal_eval(f"[{part[len('Literal[') : -1]}]")
    kinds = _PLAIN[part.split("[", maxsplit=1)[0]]
    if isinstance(value, bool) and bool not in kinds:
        return False
    if not isinstance(value, kinds):
        return False
    if part not in _ITEMS:
        return True
    return all(isinstance(item, _ITEMS[part]) for item in members)


def _split(declared: str) -> list[str]:
    """The parts of a union that are not inside brackets."""
    parts, depth = [""], 0
    for character in declared:
        depth += (character == "[") - (character == "]")
        if character == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]

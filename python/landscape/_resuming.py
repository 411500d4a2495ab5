"""Unfinished runs: whether a file belongs to this computation, and when to write it again.

Depends on the standard library alone.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["SaveTimes", "check_same", "other_environment", "plain"]

_SAVE_SECONDS = 2.0
_SAVE_SHARE = 20  # a save may take at most this part of the time between two saves


@dataclass
class SaveTimes:
    """When an unfinished run is worth writing again."""

    _next: float = 0.0

    @property
    def due(self) -> bool:
        """Whether enough time has gone by since the last save."""
        return time.perf_counter() >= self._next

    @contextmanager
    def save(self) -> Iterator[None]:
        """Time a save: the longer it takes, the later the next one is due."""
        before = time.perf_counter()
        yield
        after = time.perf_counter()
        self._next = after + max(_SAVE_SECONDS, _SAVE_SHARE * (after - before))


def check_same(
    path: str | os.PathLike[str], found: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Refuse to go on with another computation.

    Args:
        path: The file.
        found: What its numbers depend on.
        wanted: What those of this call depend on.

    Raises:
        ValueError: They differ; the difference is named.
    """
    differences = _differences(found, plain(wanted))
    if differences:
        raise ValueError(
            f"{Path(path)} holds another computation: {'; '.join(differences)}. Pass the same "
            "inputs to finish it, or another file to begin anew"
        )


def other_environment(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Say so where a resumed run cannot repeat the bits of its first part."""
    differences = _differences(dict(found), dict(wanted))
    if not differences:
        return ()
    note = (
        f"resumed in another environment ({'; '.join(differences)}): numbers before and after may "
        "differ in their last bits"
    )
    warnings.warn(note, UserWarning, stacklevel=5)
    return (note,)


def plain(value: Any) -> Any:
    """Tuples as lists and mappings as dicts, as a file gives them back."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any], at: str = "") -> list[str]:
    lines = []
    for key in dict.fromkeys((*found, *wanted)):
        there, here = found.get(key), wanted.get(key)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            lines += _differences(there, here, f"{at}{key}.")
        elif there != here:
            lines.append(f"{at}{key} is {there!r} in the file and {here!r} here")
    return lines

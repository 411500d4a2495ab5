"""Checkpoints: the file of an unfinished run, what identifies it, and when it is written."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _store
from landscape._replace import check_writable, explain_failed_save

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CHECKPOINT_KIND", "Checkpoint", "hash_array", "list_differences", "to_plain"]

_SAVE_INTERVAL = 2.0
_MAX_OVERHEAD = 20  # a save may take at most this part of the time between two saves
CHECKPOINT_KIND = "partial"


@dataclass
class Checkpoint:
    """The file that keeps a run, or none where the path is None.

    Args:
        path: The file: created when absent, continued when present.
        inputs: What the numbers depend on, as plain data; a file with others is refused.
    """

    path: str | os.PathLike[str] | None
    inputs: Mapping[str, Any]
    _next_save: float = 0.0

    @property
    def due(self) -> bool:
        """Whether the file should be written again."""
        return self.path is not None and time.perf_counter() >= self._next_save

    def load(self) -> _store.Stored | None:
        """The record and the arrays of the file; None where there is none.

        Raises:
            OSError: The file could not be written.
            ValueError: It belongs to another computation; the difference is named.
        """
        if self.path is None:
            return None
        check_writable(self.path)
        if not Path(self.path).exists():
            return None
        stored = _store.read(self.path, CHECKPOINT_KIND)
        with self.reading():
            recorded = dict(stored.record["inputs"])
            if "columns" in stored.record:  # grids of version 0.1
                recorded["columns"] = stored.record["columns"]
        differences = list_differences(recorded, to_plain(self.inputs))
        if differences:
            raise ValueError(
                f"{Path(self.path)} holds another computation: {'; '.join(differences)}. Pass the "
                "same inputs to finish it, or another file to begin anew"
            )
        return stored

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what goes wrong with the fields of the file into the reader's error.

        Raises:
            ValueError: A field is missing, or is not what it must be.
        """
        try:
            yield
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
            raise ValueError(
                f"{os.fspath(self.path or '')} does not hold a whole run: {reason}. It was changed "
                "after it was written; restore it from a copy, or pass another file to begin anew"
            ) from error

    def close(self, save: Callable[[], None], error: BaseException | None) -> str | None:
        """Save at the end of a run, in a way that never hides how the run ended.

        Args:
            save: Writes the file.
            error: What ended the run; None where it is complete.

        Returns:
            Why the file could not be written, which is also a note of the error; None where it was.
        """
        try:
            save()
        except Exception as failure:
            if error is None and not isinstance(failure, OSError):
                raise
            text = self.explain(failure)
            if error is not None:
                error.add_note(text)
            return text
        return None

    def explain(self, failure: Exception) -> str:
        """Why the file could not be written, for the user."""
        return explain_failed_save(failure, self.path or "")

    def save(self, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write the file; the next save is due after a multiple of the time that this one took."""
        if self.path is None:
            return
        start = time.perf_counter()
        _store.write(
            self.path, CHECKPOINT_KIND, {"inputs": to_plain(self.inputs), **record}, arrays
        )
        end = time.perf_counter()
        self._next_save = end + max(_SAVE_INTERVAL, _MAX_OVERHEAD * (end - start))


def hash_array(array: NDArray[Any] | None) -> str | None:
    """What identifies an array in a checkpoint: a checksum; None where there is no array."""
    if array is None:
        return None
    return f"crc32 {zlib.crc32(np.ascontiguousarray(array).tobytes()):08x}"


def list_differences(
    recorded: Mapping[str, Any], expected: Mapping[str, Any], prefix: str = ""
) -> list[str]:
    """The entries in which a file's record differs from this call's, as sentences."""
    lines = []
    for key in dict.fromkeys((*recorded, *expected)):
        old, new = recorded.get(key), expected.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += list_differences(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"{prefix}{key} is {old!r} in the file and {new!r} here")
    return lines


def to_plain(value: Any) -> Any:
    """Tuples as lists and mappings as dicts, as a file returns them."""
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_plain(item) for item in value]
    return value

"""Results whose fields are arrays and plain values: packed field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from landscape._results._saved import Saved
from landscape._results.run import Run

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from numpy.typing import NDArray
else:
    DataclassInstance = object

WIDTH = 100
"""Characters of a line that a result writes of itself."""


_INDENT = 10


Arrays = Mapping[str, "NDArray[Any]"]


def nested(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays of a part of a result, under names of its own."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def part_of(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Those that `nested` has put there."""
    start = f"{prefix}."
    return {n.removeprefix(start): array for n, array in arrays.items() if n.startswith(start)}


class Flat(Saved, DataclassInstance):
    """A dataclass of arrays, plain values, a Run, and the figure of a `plot_*` call."""

    arrays: ClassVar[tuple[str, ...]]
    """The fields that hold arrays, None where there is nothing."""

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The record and the arrays, from which the result can be made again."""
        apart = (*self.arrays, "run", "figure")
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in apart}
        run: Run = self.run
        record["run"] = {f.name: getattr(run, f.name) for f in fields(run)}
        given = {name: getattr(self, name) for name in self.arrays}
        return record, {name: np.asarray(a) for name, a in given.items() if a is not None}

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The result that `pack` took apart."""
        given: dict[str, Any] = {name: arrays.get(name) for name in cls.arrays}
        return cls(**given, **{**record, "run": Run(**record["run"])})

    run: Run

    def _made(self, count: str, what: str = "products", **others: str | None) -> list[str]:
        """Lines about how the numbers came about."""
        told = {
            what: f"{count} in {self.run.seconds:.3g} s",
            "engine": self.run.engine,
            "status": self.run.status,
            **others,
        }
        rows = [(name, text) for name, text in told.items() if text]
        rows += [("note", note) for note in self.run.notes]
        return [line for name, text in rows for line in _lines(name, text)]


def _lines(name: str, text: str) -> list[str]:
    """A name and its text, cut at words and indented where it is long."""
    first, rest = f"{name:<{_INDENT}}", " " * _INDENT
    return wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest)

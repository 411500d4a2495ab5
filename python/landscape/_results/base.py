"""The base class of results: serialisation, bitwise comparison and printing."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import fields
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from landscape import _map, _store
from landscape._results.fields import check_fields
from landscape._results.frozen import same_bits
from landscape._results.provenance import Run

if TYPE_CHECKING:
    import os

    from _typeshed import DataclassInstance
else:
    DataclassInstance = object

__all__ = [
    "Arrays",
    "Result",
    "add_prefix",
    "describe_function",
    "result_kinds",
    "select_prefix",
    "wrap_row",
]

Arrays = Mapping[str, NDArray[Any]]

_LINE_WIDTH = 100
_NAME_WIDTH = 10
_KINDS: dict[str, type[Result]] = {}


class Result(ABC, DataclassInstance):
    """A frozen dataclass of arrays, plain values and a :class:`Run`.

    A subclass names its ``kind``, under which its files are stored, and the fields that hold
    arrays. Every other field is written as JSON. A class that nests other results overrides
    :meth:`pack` and :meth:`unpack`.

    Example:
        >>> result = landscape.load("surface.npz")
        >>> isinstance(result, landscape.Result), result.kind
        (True, 'surface')
    """

    kind: ClassVar[str]
    """Names the class in files; a subclass that defines it can be loaded."""
    arrays: ClassVar[tuple[str, ...]] = ()
    """The fields that hold arrays, None where there is nothing."""
    unsaved: ClassVar[tuple[str, ...]] = ()
    """The fields that are not saved: a figure, a model."""
    former_names: ClassVar[Mapping[str, str]] = {}
    """Names of fields in files of earlier versions -> their present names."""

    run: Run

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "kind" in cls.__dict__:
            _KINDS[cls.kind] = cls

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The JSON record and the arrays from which :meth:`unpack` builds an equal result."""
        separate = (*self.arrays, *self.unsaved, "run")
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in separate}
        record["run"] = self.run.to_record()
        values = {name: getattr(self, name) for name in self.arrays}
        for name, value in values.items():
            _map.require_whole(value, name)
        return record, {n: np.asarray(value) for n, value in values.items() if value is not None}

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Arrays) -> Self:
        """Rebuild a result from what :meth:`pack` returned, in this version or an earlier one."""
        record, arrays = cls._rename(record), cls._rename(arrays)
        check_fields(cls, {name: value for name, value in record.items() if name != "run"})
        values: dict[str, Any] = {name: arrays.get(name) for name in cls.arrays}
        return cls(**values, **{**record, "run": Run.from_record(record["run"])})

    @classmethod
    def _rename(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        return {cls.former_names.get(name, name): value for name, value in stored.items()}

    def equals(self, other: object) -> bool:
        """Whether two results are equal bit for bit: NaN equals NaN, and -0.0 differs from 0.0.

        The run record takes part, with its seconds; a figure does not.
        """
        if type(other) is not type(self) or not isinstance(other, Result):
            return False
        (record, arrays), (other_record, other_arrays) = self.pack(), other.pack()
        return (
            _store.encode(record) == _store.encode(other_record)
            and arrays.keys() == other_arrays.keys()
            and all(
                array.dtype == other_arrays[name].dtype and same_bits(array, other_arrays[name])
                for name, array in arrays.items()
            )
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the result to one file, atomically; :func:`landscape.load` reads it.

        The file is an uncompressed zip of NumPy arrays with a JSON record, without pickle:
        ``numpy.load`` opens it too. Figures and models are not saved.

        Args:
            path: The file, with any suffix (".npz" tells other programs what it is).

        Raises:
            OSError: The folder is missing or cannot be written, or the path is a folder.
        """
        record, arrays = self.pack()
        _store.write(path, self.kind, record, {name: np.asarray(a) for name, a in arrays.items()})

    def _title(self, text: str) -> str:
        """The first line of a printed result: what it is, and of which function."""
        return f"{text}{describe_function(self.run)}"

    def _describe_run(self, count: str, unit: str = "products", **more: str | None) -> list[str]:
        """The closing lines of a printed result: cost, engine, status and notes."""
        entries = {
            unit: f"{count} in {self.run.seconds:.3g} s",
            "engine": self.run.engine,
            "status": self.run.status,
            **more,
        }
        rows = [(name, text) for name, text in entries.items() if text]
        rows += [("note", note) for note in self.run.notes]
        return [line for name, text in rows for line in wrap_row(name, text)]


def result_kinds() -> Mapping[str, type[Result]]:
    """Every class of results, by the kind under which its files are stored."""
    return dict(_KINDS)


def add_prefix(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays of a nested result, named ``prefix.name``."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def select_prefix(prefix: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays that :func:`add_prefix` named, under their own names."""
    start = f"{prefix}."
    return {n.removeprefix(start): array for n, array in arrays.items() if n.startswith(start)}


def describe_function(run: Run) -> str:
    """Which function a result is about: " of cross-entropy (inferred), batch norm frozen"."""
    loss, batch_norm = run.policy.get("loss"), run.policy.get("batch_norm")
    if not isinstance(loss, str) or not loss:
        return ""
    name = "the loss" if "lambda" in loss else loss
    inferred = " (inferred)" if run.policy.get("inferred") else ""
    has_norms = isinstance(batch_norm, str) and not batch_norm.startswith("none")
    return f" of {name}{inferred}" + (f", batch norm {batch_norm}" if has_norms else "")


def wrap_row(name: str, text: str, width: int = _NAME_WIDTH) -> list[str]:
    """A name and its text, wrapped with a hanging indent."""
    first, rest = f"{name:<{width}}", " " * width
    return wrap(text, _LINE_WIDTH, initial_indent=first, subsequent_indent=rest)

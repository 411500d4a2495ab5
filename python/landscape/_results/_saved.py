"""What every result can: be compared bit for bit, and be written to a file in one step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape import _store
from landscape._results._values import same_bits

if TYPE_CHECKING:
    import os


class Saved(ABC):
    """A result that a JSON record and named arrays hold."""

    kind: ClassVar[str]

    @abstractmethod
    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The record and the arrays, from which the result can be made again."""

    def equals(self, other: object) -> bool:
        """Whether two results are equal bit for bit: NaN equals NaN, and -0.0 differs from 0.0.

        The run record takes part, with its seconds; the figure does not.
        """
        if type(other) is not type(self) or not isinstance(other, Saved):
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
        """Write everything but the figure to one file, in one step; `landscape.load` reads it.

        The file is an uncompressed zip of NumPy arrays with a JSON record, without pickle:
        `numpy.load` opens it too.

        Args:
            path: the file, with any suffix (".npz" tells other programs what it is).

        Raises:
            OSError: the folder is missing or cannot be written, or the path is a folder.
        """
        record, arrays = self.pack()
        _store.write(path, self.kind, record, {name: np.asarray(a) for name, a in arrays.items()})

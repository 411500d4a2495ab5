"""Arrays that stay in their file and are mapped into memory.

What another program does to the file afterwards shows in a mapping: a page that was changed holds
other numbers, and a page of a file that was cut short ends the process by a signal (SIGBUS on
POSIX), which no program can catch in a useful way. So the bytes are checked when a file is opened
and its size again before a result reads it; files are replaced by landscape in one step, which
leaves mappings of the old one whole. Who wants no mapping copies: ``landscape.load(path,
mmap=False)``.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

__all__ = [
    "BLOCK",
    "Mapped",
    "check_blocks",
    "checksums",
    "count_blocks",
    "mapped",
    "require_whole",
]

BLOCK = 1 << 24
"""Bytes of a block that has a checksum of its own."""
_LOCAL_HEADER = 30  # bytes before the name, whose length is in bytes 26 and 27


class Mapped(np.memmap):
    """A memory-mapped array that knows the file that it is a part of."""

    identity: tuple[int, int] | None = None
    """Device and number of the file: another one may have taken its name."""
    end: int = 0
    """The length of the file that the array needs."""

    def __array_finalize__(self, other: Any) -> None:
        super().__array_finalize__(other)
        self.identity, self.end = getattr(other, "identity", None), getattr(other, "end", 0)


def mapped(
    path: str, info: zipfile.ZipInfo, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> Mapped:
    """Map a member of an uncompressed zip into memory, read-only.

    Args:
        path: the zip.
        info: the member, a .npy array.
        dtype: the expected dtype.
        shape: the expected shape.

    Raises:
        ValueError: the member is compressed, another array than expected, or not whole.
    """
    with Path(path).open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<HH", file.read(_LOCAL_HEADER)[26:30])
        file.seek(info.header_offset + _LOCAL_HEADER + name + extra)
        if info.compress_type != zipfile.ZIP_STORED or npy.read_magic(file) != (1, 0):
            raise ValueError("an array that is compressed, or of another .npy version")
        if npy.read_array_header_1_0(file) != (shape, False, dtype) or dtype.kind not in "biufc":
            raise ValueError("an array that differs from its record")
        offset, state = file.tell(), os.fstat(file.fileno())
        end = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
        if end > state.st_size:
            raise ValueError(f"an array that ends at byte {end} of {state.st_size}")
        array = Mapped(path, dtype=dtype, mode="r", offset=offset, shape=shape)
        array.identity, array.end = (state.st_dev, state.st_ino), end
        return array


def require_whole(array: Any, what: str) -> None:
    """Refuse a mapped array whose file was cut short since it was opened; others pass.

    Args:
        array: the array, mapped or not.
        what: what it holds, for the text.

    Raises:
        ValueError: the file is too short.
    """
    if not isinstance(array, Mapped) or array.identity is None or array.filename is None:
        return
    path = os.fspath(array.filename)
    try:
        state = Path(path).stat()
    except OSError:
        return  # it was removed or renamed, which leaves the mapping whole
    if (state.st_dev, state.st_ino) == array.identity and state.st_size < array.end:
        raise ValueError(
            f"{path} was cut short since it was loaded: the {what} need {array.end} bytes of it, "
            f"and {state.st_size} are left. Restore it from a copy and load it again; "
            "landscape.load(path, mmap=False) keeps no file open"
        )


def checksums(array: np.ndarray[Any, Any]) -> list[int]:
    """The CRC-32 of every block of an array."""
    return [zlib.crc32(block) for block in _iter_blocks(array)]


def count_blocks(array: np.ndarray[Any, Any]) -> int:
    """The number of blocks of an array."""
    return -(-array.nbytes // BLOCK)


def check_blocks(array: np.ndarray[Any, Any], sums: Sequence[int], name: str) -> Iterator[None]:
    """Check one block after the other; yields after each.

    Raises:
        ValueError: a block differs from its checksum, or their numbers differ.
    """
    if len(sums) != count_blocks(array):
        raise ValueError(f"{len(sums)} checksums for {count_blocks(array)} blocks of {name}")
    for index, (block, expected) in enumerate(zip(_iter_blocks(array), sums, strict=True)):
        if zlib.crc32(block) != expected:
            raise ValueError(f"bad CRC-32 of {name} from byte {index * BLOCK} of the array on")
        yield


def _iter_blocks(array: np.ndarray[Any, Any]) -> Iterator[memoryview]:
    numbers = np.asarray(array).reshape(-1).view(np.uint8)
    for start in range(0, array.nbytes, BLOCK):
        yield numbers[start : start + BLOCK].data

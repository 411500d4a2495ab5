"""Arrays that stay in their file and are mapped into memory."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

__all__ = ["mapped"]

_LOCAL_HEADER = 30  # bytes before the name, whose length is in bytes 26 and 27


def mapped(
    path: str, info: zipfile.ZipInfo, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> np.ndarray[Any, np.dtype[Any]]:
    """Map a member of an uncompressed zip into memory, read-only.

    Args:
        path: the zip.
        info: the member, a .npy array.
        dtype: the expected dtype.
        shape: the expected shape.

    Raises:
        ValueError: the member is compressed, or another array than expected.
    """
    with Path(path).open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<HH", file.read(_LOCAL_HEADER)[26:30])
        file.seek(info.header_offset + _LOCAL_HEADER + name + extra)
        if info.compress_type != zipfile.ZIP_STORED or npy.read_magic(file) != (1, 0):
            raise ValueError("an array that is compressed, or of another .npy version")
        if npy.read_array_header_1_0(file) != (shape, False, dtype) or dtype.kind not in "biufc":
            raise ValueError("an array that differs from its record")
        return np.memmap(path, dtype=dtype, mode="r", offset=file.tell(), shape=shape)

"""Crash-safe files without pickle: an uncompressed zip of .npy arrays and one record.json.

Depends on NumPy and the standard library alone. Results and resumable partial runs share this one
container, and `numpy.load` opens it too.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import zipfile
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.lib import format as npy

from landscape import _map
from landscape._replace import replacement

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"

FORMAT = "landscape"
SCHEMA = 1
MAPPED = 1 << 26
"""Bytes from which on an array may stay on the disk."""
_RECORD = "record.json"
_NON_FINITE = "$float"
_NPY_HEADER = 1024  # bytes, more than the header of a numeric array takes
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed time stamp: equal contents make equal files
_FOREIGN = {
    b"\x93NUMPY": "a single NumPy array (.npy)",
    b"\x89HDF": "an HDF5 file",
    b"CDF": "a netCDF file",
    b"\x89PNG": "a PNG picture",
    b"%PDF": "a PDF document",
    b"\x80": "perhaps a pickle, which is never read",
}


@dataclass(frozen=True)
class Stored:
    """What a file holds: its kind, its record as plain JSON values, and its arrays (writable)."""

    kind: str
    record: dict[str, Any]
    arrays: dict[str, np.ndarray[Any, np.dtype[Any]]]


def write(
    path: str | os.PathLike[str],
    kind: str,
    record: Mapping[str, Json],
    arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]],
) -> None:
    """Replace the file at `path` in one step: a reader sees the old file or the new, never a part.

    Whatever goes wrong before that leaves the old file as it was.

    Args:
        path: the file, with any suffix. A symbolic link keeps pointing at it.
        kind: what the file holds: "surface", "line", "partial", ...
        record: JSON values; floats may be NaN or infinite. Tuples come back as lists.
        arrays: name -> array of booleans or numbers, of any shape.

    Raises:
        TypeError: a value that is not JSON, or an array of objects (only a pickle could hold it).
        OSError: the folder is missing or cannot be written, the disk is full, the path is a folder,
            or the file is read-only.
    """
    manifest = {name: _checked(name, array) for name, array in arrays.items()}
    header = {
        "format": FORMAT,
        "schema": SCHEMA,
        "kind": kind,
        "library": _version(),
        "arrays": {name: [a.dtype.str, list(a.shape)] for name, a in manifest.items()},
        "record": encode(record),
    }
    blocks = {name: _map.checksums(a) for name, a in manifest.items() if a.nbytes > MAPPED}
    if blocks:
        header["blocks"] = blocks
    text = json.dumps(header, indent=1, allow_nan=False).encode()
    with replacement(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_RECORD, _ZIP_EPOCH), text)
        for name, array in manifest.items():
            member = zipfile.ZipInfo(f"{name}.npy", _ZIP_EPOCH)
            member.file_size = array.nbytes + _NPY_HEADER  # tells zipfile when ZIP64 is needed
            with archive.open(member, "w") as stream:
                try:
                    npy.write_array(stream, array, version=(1, 0), allow_pickle=False)
                except BaseException:
                    file.give_up()  # zipfile writes at every exit, and may hide the error
                    raise


def read(
    path: str | os.PathLike[str],
    *kinds: str,
    mapped: Container[str] = (),
    watch: Callable[[int, int], object] | None = None,
) -> Stored:
    """Read a file and check every byte of its contents (CRC-32).

    Args:
        path: a file that `write` made.
        kinds: the kinds that will do; none given, every kind will.
        mapped: names of arrays that stay on the disk where they are large: they are mapped into
            memory, read-only, and read as they are used. Their bytes are checked here, block by
            block.
        watch: called with (blocks checked, all blocks) of the mapped arrays.

    Raises:
        ValueError: the file is cut short, damaged, of another program, of a newer landscape, or of
            another kind; the text says which and what to do.
        OSError: there is no such file, or it cannot be read.
    """
    name = os.fspath(path)
    with Path(path).open("rb") as file:
        _check_beginning(name, file)
        try:
            with zipfile.ZipFile(file) as archive:
                header = _header(name, archive)
                stored = _contents(header, archive, name, mapped, watch)
        except _UnreadableError as reason:
            raise ValueError(str(reason)) from None
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise  # the disk's own trouble, which says nothing about the bytes
            raise ValueError(
                f"{name} is damaged or was cut short ({error}); its numbers cannot be trusted. "
                "Restore it from a copy or compute it again"
            ) from error
    if kinds and stored.kind not in kinds:
        raise ValueError(_wrong_kind(name, stored.kind, kinds))
    return stored


def encode(value: Any, where: str = "record") -> Any:
    """A copy of nested values as strict JSON: NaN and the infinities become {"$float": "nan"}.

    Raises:
        TypeError: a value that JSON cannot hold; the text names its key.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_NON_FINITE: repr(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or key == _NON_FINITE:
                raise TypeError(f"{where} has the key {key!r}; expected text other than '$float'")
        return {key: encode(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [encode(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise TypeError(
        f"{where} is {value!r} of type {type(value).__name__}; expected None, a number, text, or "
        "lists and mappings of these. Convert it first"
    )


class _UnreadableError(Exception):
    """A sound zip archive that is not for us; its text is the whole message."""


# Every way in which damaged bytes come out of zipfile, json and the .npy header parser; EINVAL is
# a seek to before the beginning.
_DAMAGE = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    OverflowError,
    OSError,
)


def _version() -> str:
    try:
        return metadata.version("landscape-geometry")
    except metadata.PackageNotFoundError:
        return "unknown"


def _checked(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array = np.asarray(array)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"array {name!r} has dtype {array.dtype}; expected booleans or numbers, since anything "
            "else would need a pickle. Convert it first"
        )
    return np.asarray(array, order="C")


def _check_beginning(name: str, file: BinaryIO) -> None:
    beginning = file.read(8)
    file.seek(0)
    if not beginning:
        raise ValueError(f"{name} is empty; expected a landscape file. Compute it again")
    if beginning[:2] in (b"PK", b"P"):  # of a zip, or of what is left of one
        return
    found = next((text for magic, text in _FOREIGN.items() if beginning.startswith(magic)), None)
    raise ValueError(
        f"{name} is not a landscape file: it begins with {beginning!r}"
        f"{f' ({found})' if found else ''}. Pass a file that a result's save or resume= wrote"
    )


def _header(name: str, archive: zipfile.ZipFile) -> dict[str, Any]:
    names = archive.namelist()
    if _RECORD not in names:
        plain = bool(names) and all(member.endswith(".npy") for member in names)
        raise _UnreadableError(
            f"{name} is {'a plain NumPy archive' if plain else 'a zip archive'}, not a landscape "
            f"file: it holds {', '.join(sorted(names)[:4]) or 'nothing'} and no {_RECORD}. "
            "Pass a file that a result's save or resume= wrote"
        )
    header = json.loads(_member(archive, _RECORD), object_hook=decoded)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _UnreadableError(
            f"{name} is not a landscape file: its {_RECORD} is of another program. "
            "Pass a file that a result's save or resume= wrote"
        )
    if int(header["schema"]) > SCHEMA:
        raise _UnreadableError(
            f"{name} was written by landscape {header.get('library')} with file schema "
            f"{header['schema']}; this landscape ({_version()}) reads schemas up to {SCHEMA}. "
            "Upgrade it: pip install --upgrade landscape-geometry"
        )
    return header


def _contents(
    header: dict[str, Any],
    archive: zipfile.ZipFile,
    path: str,
    mapped: Container[str],
    watch: Callable[[int, int], object] | None,
) -> Stored:
    arrays: dict[str, np.ndarray[Any, np.dtype[Any]]] = {}
    for name, (dtype, shape) in header["arrays"].items():
        info, wanted = archive.getinfo(f"{name}.npy"), (np.dtype(dtype), tuple(shape))
        stays = name in mapped and info.file_size > MAPPED
        arrays[name] = (
            _map.mapped(path, info, *wanted)
            if stays
            else _array(_member(archive, f"{name}.npy"), *wanted)
        )
    large = {name: a for name, a in arrays.items() if isinstance(a, _map.Mapped)}
    _check_blocks(header, archive, large, watch)
    return Stored(kind=header["kind"], record=header["record"], arrays=arrays)


def _check_blocks(
    header: dict[str, Any],
    archive: zipfile.ZipFile,
    arrays: Mapping[str, _map.Mapped],
    watch: Callable[[int, int], object] | None,
) -> None:
    """Check the bytes of mapped arrays; files of earlier versions have one checksum an array."""
    total = sum(_map.count_blocks(array) for array in arrays.values())
    done = 0
    for name, array in arrays.items():
        table = header.get("blocks", {})
        if not isinstance(table, dict) or not isinstance(table.get(name, []), list):
            raise ValueError("checksums that are no lists")
        sums = table.get(name)
        blocks = (
            _read_through(archive, f"{name}.npy")
            if sums is None
            else _map.check_blocks(array, sums, name)
        )
        for _ in blocks:
            done = min(done + 1, total)
            if watch is not None:
                watch(done, total)
    if watch is not None and total:
        watch(total, total)


def _read_through(archive: zipfile.ZipFile, member: str) -> Iterator[None]:
    """Read a member to its end, where zipfile compares its checksum."""
    with archive.open(member) as stream:
        while stream.read(_map.BLOCK):
            yield


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed, which landscape never does")
    return archive.read(info)


def _array(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The array of a .npy member; its header must say what the record says."""
    file = io.BytesIO(data)
    if npy.read_magic(file) != (1, 0):
        raise ValueError("an array of another .npy version")
    if npy.read_array_header_1_0(file) != (shape, False, dtype) or dtype.kind not in "biufc":
        raise ValueError("an array that differs from its record")
    flat = np.frombuffer(data, dtype=dtype, offset=file.tell())
    return flat.reshape(shape).copy()


def decoded(mapping: dict[str, Any]) -> Any:
    return float(mapping[_NON_FINITE]) if mapping.keys() == {_NON_FINITE} else mapping


def _wrong_kind(name: str, found: str, kinds: tuple[str, ...]) -> str:
    if found == "partial":
        return (
            f"{name} holds a run that resume= keeps, not a result; pass resume={name!r} to its "
            "call again, which finishes or reads it, and save what that returns"
        )
    return f"{name} holds a {found}; expected a {' or a '.join(kinds)}. Pass another file"

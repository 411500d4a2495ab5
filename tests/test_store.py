"""The store: written data is read bit for bit, or a ValueError says why not."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from landscape import _store
from landscape._replace import check_writable

RECORD: dict[str, Any] = {
    "name": "Jürgen's run",
    "numbers": [0, -1, 2**70, 0.1, -0.0, math.nan, math.inf, -math.inf],
    "nested": {"none": None, "yes": True, "tuple": (1, (2,)), "empty": {}},
}
ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "losses": np.array([[0.1, np.nan, np.inf], [-np.inf, -0.0, 5e-324]]),
    "scalar": np.array(3.0),
    "empty": np.zeros((0, 2)),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "reversed": np.arange(5)[::-1],
    "flags": np.array([True, False]),
    "singles": np.linspace(0, 1, 3, dtype=np.float32),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.npz"
    _store.write(path, "partial", RECORD, ARRAYS)
    return path


def same(found: _store.Stored) -> bool:
    return repr(found.record) == repr(_plain(RECORD)) and all(
        found.arrays[name].dtype == array.dtype
        and found.arrays[name].shape == array.shape
        and found.arrays[name].tobytes() == array.tobytes()
        for name, array in ARRAYS.items()
    )


def _plain(value: Any) -> Any:
    """Tuples as JSON gives them back."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def rewrite(path: Path, **changes: Any) -> None:
    """The same file with other words in its header."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members["record.json"])
    members["record.json"] = json.dumps(header | changes).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def test_round_trip_is_exact(path: Path) -> None:
    found = _store.read(path)
    assert found.kind == "partial"
    assert same(found)
    assert found.arrays.keys() == ARRAYS.keys()
    assert all(array.flags.writeable for array in found.arrays.values())


def test_equal_contents_make_equal_files(path: Path, tmp_path: Path) -> None:
    _store.write(tmp_path / "again", "partial", RECORD, ARRAYS)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_the_record_is_strict_json_that_describes_the_file(path: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("record.json"), parse_constant=refuse)
    assert (header["format"], header["schema"], header["kind"]) == ("landscape", 1, "partial")
    assert header["library"]
    assert header["arrays"]["losses"] == ["<f8", [2, 3]]


def test_numpy_opens_it(path: Path) -> None:
    with np.load(path, allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["losses"], ARRAYS["losses"])
        assert set(ARRAYS) < set(archive.files)


def test_every_truncation_is_a_clear_error(path: Path) -> None:
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(
            ValueError, match=r"run\.npz (is empty|is damaged or was cut short)"
        ) as e:
            _store.read(path)
        assert "ompute it again" in str(e.value)


@pytest.mark.parametrize("mask", [0x01, 0xFF])
def test_no_flipped_byte_changes_a_number(path: Path, mask: int) -> None:
    losses = ARRAYS["losses"]
    _store.write(path, "line", {"nan": math.nan}, {"losses": losses})
    data = path.read_bytes()
    refused = 0
    for index in range(len(data)):
        damaged = bytearray(data)
        damaged[index] ^= mask
        path.write_bytes(damaged)
        try:
            found = _store.read(path)  # time stamps and the like stay unnoticed
        except ValueError as error:
            refused += 1
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert found.arrays["losses"].tobytes() == losses.tobytes()
            assert math.isnan(found.record["nan"])
    assert refused > 0.7 * len(data)


def test_a_flipped_number_is_found_by_its_checksum(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(ARRAYS["losses"].tobytes()) + 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged or was cut short \(Bad CRC-32.*losses"):
        _store.read(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"alpha,beta\n0,1\n", r"not a landscape file: it begins with b'alpha,be'"),
        (b"\x80\x04\x95", "perhaps a pickle, which is never read"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"", "is empty"),
    ],
)
def test_a_foreign_file_is_named(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=text):
        _store.read(tmp_path / "file")


def test_a_foreign_zip_and_a_plain_npz_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", weights=np.zeros(2))
    with pytest.raises(ValueError, match=r"a plain NumPy archive, not a .* holds weights\.npy"):
        _store.read(tmp_path / "plain.npz")
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr("letter.txt", "Dear")
    with pytest.raises(ValueError, match=r"a zip archive, not a landscape file: it holds letter"):
        _store.read(tmp_path / "foreign.zip")
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr("record.json", '{"format": "music"}')
    with pytest.raises(ValueError, match=r"record\.json is of another program"):
        _store.read(tmp_path / "foreign.zip")


def test_a_newer_schema_asks_for_an_upgrade(path: Path) -> None:
    rewrite(path, schema=2, library="9.1.0")
    with pytest.raises(
        ValueError, match=r"landscape 9\.1\.0 with file schema 2; .* up to 1\. Upgrade"
    ):
        _store.read(path)


def test_another_kind_is_named(path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds a run that resume= keeps, not a result"):
        _store.read(path, "surface", "line")
    _store.write(path, "line", {}, {})
    with pytest.raises(ValueError, match=r"holds a line; expected a surface"):
        _store.read(path, "surface")
    assert _store.read(path, "surface", "line").kind == "line"


def test_an_array_that_differs_from_its_record_is_refused(path: Path) -> None:
    rewrite(path, arrays={"losses": ["<f8", [3, 2]]})
    with pytest.raises(ValueError, match="an array that differs from its record"):
        _store.read(path)
    rewrite(path, arrays={"gone": ["<f8", [3, 2]]})
    with pytest.raises(ValueError, match=r"gone\.npy"):
        _store.read(path)


def test_a_pickle_inside_is_never_loaded(path: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    np.savez(path, losses=np.array([Bomb()], dtype=object))
    with zipfile.ZipFile(path, "a") as archive:
        header = {"format": "landscape", "schema": 1, "kind": "line", "record": {}}
        archive.writestr("record.json", json.dumps(header | {"arrays": {"losses": ["|O", [1]]}}))
    with pytest.raises(ValueError, match="differs from its record"):
        _store.read(path)
    assert not (tmp_path / "exploded").exists()


def test_objects_are_refused_when_written_and_the_old_file_stays(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"array 'names' has dtype .*expected booleans or numbers"):
        _store.write(path, "line", {}, {"names": np.array(["a"])})
    with pytest.raises(TypeError, match=r"record\['run'\]\['device'\]\[1\] is <object"):
        _store.write(path, "line", {"run": {"device": [0, object()]}}, {})  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"record has the key 3; expected text"):
        _store.write(path, "line", {3: 1}, {})  # type: ignore[dict-item]
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file_and_a_folder_are_os_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.npz"):
        _store.read(tmp_path / "gone.npz")
    with pytest.raises(IsADirectoryError):
        _store.read(tmp_path)


@pytest.mark.parametrize("act", [check_writable, lambda p: _store.write(p, "line", {}, {})])
def test_an_unwritable_path_is_refused_with_the_remedy(
    act: Any, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError, match=r"the folder .*gone does not exist; create it"):
        act(path.parent / "gone" / "run.npz")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        act(path / "run.npz")
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file in it"):
        act(path.parent)

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(PermissionError, match="is not writable; choose another"):
        act(path)


def test_check_writable_leaves_nothing_behind(path: Path) -> None:
    before = path.read_bytes(), path.stat().st_mtime_ns
    check_writable(path)
    check_writable(path.with_name("new.npz"))
    assert list(path.parent.iterdir()) == [path]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        _store.write(path, "line", {}, {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_link_keeps_pointing_and_the_mask_is_respected(path: Path) -> None:
    link = path.with_name("link.npz")
    link.symlink_to(path)
    path.unlink()
    old = os.umask(0o027)
    try:
        _store.write(link, "line", {}, {})
    finally:
        os.umask(old)
    assert link.is_symlink()
    assert _store.read(path).kind == "line"
    assert path.stat().st_mode & 0o777 == 0o640


KILLED = """
import os, signal, sys
import numpy as np
from landscape import _store

def stop(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr({module}, {function!r}, stop)
_store.write(sys.argv[1], "line", {{}}, {{"losses": np.zeros(1000)}})
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize(
    ("module", "function"), [("np.lib.format", "write_array"), ("os", "fsync"), ("os", "replace")]
)
def test_a_kill_while_writing_leaves_the_old_file(path: Path, module: str, function: str) -> None:
    script = KILLED.format(module=module, function=function)
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert same(_store.read(path))


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_kills_at_any_moment_leave_a_whole_file(path: Path) -> None:
    script = """
import sys, numpy as np
from landscape import _store
for n in range(10**9):
    _store.write(sys.argv[1], "partial", {"n": n}, {"losses": np.full(5000, float(n))})
    print(n, flush=True)
"""
    for _ in range(3):
        command = [sys.executable, "-c", script, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                if int(line) >= 20:
                    writer.kill()
                    break
        found = _store.read(path)
        assert (found.arrays["losses"] == found.record["n"]).all()
        assert found.record["n"] >= 20

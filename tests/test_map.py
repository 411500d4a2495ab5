"""Memory-mapped arrays: checked at load, and their size again before they are read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from landscape import _map, _store

COUNT = (_store.MAPPED + 3 * _map.BLOCK // 2) // 8
NAMES = ("points",)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("map") / "large.npz"
    _store.write(path, "line", {}, {"points": np.arange(COUNT, dtype=np.float64)})
    return path


def write_byte(path: Path, position: int) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)
        file.seek(position)
        file.write(bytes([byte[0] ^ 1]))


def test_every_block_is_checked_with_progress(saved: Path) -> None:
    seen: list[tuple[int, int]] = []
    stored = _store.read(saved, mapped=NAMES, watch=lambda *counts: seen.append(counts))
    points = stored.arrays["points"]
    assert isinstance(points, _map.Mapped)
    assert seen[-1][0] == seen[-1][1] == _map.count_blocks(points) == 6
    assert points[-1] == COUNT - 1
    offset = int(points.offset)
    for byte in (0, _map.BLOCK, points.nbytes - 1):
        write_byte(saved, offset + byte)
        block = byte // _map.BLOCK * _map.BLOCK
        with pytest.raises(ValueError, match=f"CRC-32 of points from byte {block} "):
            _store.read(saved, mapped=NAMES)
        write_byte(saved, offset + byte)
    copied = _store.read(saved).arrays["points"]
    assert not isinstance(copied, np.memmap)
    assert np.array_equal(copied, points)


def test_files_without_block_checksums_are_checked_as_a_whole(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.npz"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
        header = json.loads(source.read("record.json"))
        del header["blocks"]
        target.writestr("record.json", json.dumps(header))
        with target.open(zipfile.ZipInfo("points.npy"), "w", force_zip64=True) as stream:
            stream.write(source.read("points.npy"))
    points = _store.read(path, mapped=NAMES).arrays["points"]
    assert isinstance(points, _map.Mapped)
    write_byte(path, int(points.offset) + 12345)
    with pytest.raises(ValueError, match="damaged"):
        _store.read(path, mapped=NAMES)


def test_a_file_that_was_cut_short_is_refused_before_it_is_read(
    saved: Path, tmp_path: Path
) -> None:
    path = tmp_path / "copy.npz"
    path.write_bytes(saved.read_bytes())
    points = _store.read(path, mapped=NAMES).arrays["points"]
    _map.require_whole(points, "points")
    os.truncate(path, _store.MAPPED)
    for part in (points, points[3:], points.reshape(-1)[:10]):
        with pytest.raises(ValueError, match=r"cut short since it was loaded.*mmap=False"):
            _map.require_whole(part, "points")
    # a file that is replaced leaves the mapping of the old one whole
    whole = _store.read(saved, mapped=NAMES).arrays["points"]
    moved = saved.with_name("moved.npz")
    saved.rename(moved)
    _store.write(saved, "line", {}, {"points": np.zeros(3)})
    _map.require_whole(whole, "points")
    assert whole[COUNT // 2] == COUNT // 2
    moved.replace(saved)


TRUNCATED = """
import os, sys
import numpy as np
from landscape import _map, _store
points = _store.read(sys.argv[1], mapped=("points",)).arrays["points"]
os.truncate(sys.argv[1], 1 << 16)
try:
    _map.require_whole(points, "points")
except ValueError:
    print("refused", flush=True)
print(float(points[-1]))  # what the documentation says of such a mapping
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the signal is that of Linux")
def test_a_truncated_mapping_ends_the_process_as_documented(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.npz"
    path.write_bytes(saved.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", TRUNCATED, str(path)], check=False, capture_output=True, text=True
    )
    assert done.stdout.split() == ["refused"]
    assert done.returncode < 0

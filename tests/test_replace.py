"""Files that are replaced in one step: full disks, vanished folders, read-only files, dead runs."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import _replace, _store
from landscape._replace import name_temporary, remove_temporaries_of_the_dead, replacement
from landscape._runs import checkpoint

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
DATA = (torch.linspace(-1, 1, 360).reshape(60, 6).sin(), torch.arange(60) % 3)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every tick."""
    monkeypatch.setattr(checkpoint, "_SAVE_INTERVAL", 0.0)
    monkeypatch.setattr(checkpoint, "_MAX_OVERHEAD", 0)


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path_factory.mktemp("disk")
    options = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = ROOT and subprocess.run(options, check=False, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a file system of 1 MiB can be mounted by root alone")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte on a disk."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return path


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A switch that makes the disk full for every write to a file that is replaced."""
    full = [False]
    write = _replace.Sink.write

    def refuse(sink: Any, data: Any) -> int:
        if full[0] and not sink._given_up:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(sink, data)

    monkeypatch.setattr(_replace.Sink, "write", refuse)
    return full


def make_objective() -> landscape.Objective:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))
    objective = landscape.Objective(model, DATA, engine="torch")
    strategy = landscape._objective.Strategy(chunk=4)
    objective.__dict__["_loss_engine"] = landscape._objective.engine.Engine(strategy)
    return objective


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(small_disk: Path) -> None:
    path = small_disk / "result.npz"
    _store.write(path, "line", {"x": 1}, {"a": np.arange(8.0)})
    before = path.read_bytes()
    with pytest.raises(OSError, match=r"full .*pass a path on another disk") as caught:
        _store.write(path, "line", {"x": 2}, {"a": np.zeros(1 << 18)})
    assert caught.value.errno == errno.ENOSPC
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert [p.name for p in small_disk.iterdir()] == ["result.npz"]


def test_a_surface_on_a_full_disk_ends_with_the_users_exception(
    small_disk: Path, often: None
) -> None:
    path, objective = small_disk / "run.npz", make_objective()
    error: BaseException | None = None

    def stop(done: int, _: int) -> None:
        if done >= 3:
            fill(small_disk)
            raise KeyboardInterrupt

    try:
        landscape.surface(objective, points=9, resume=path, progress=stop)
    except KeyboardInterrupt as raised:
        error = raised
    (small_disk / "filler").unlink()
    assert error is not None
    assert any("could not be written" in note and str(path) in note for note in error.__notes__)
    kept = len(_store.read(path, "partial").arrays["values"])
    finished = landscape.surface(objective, points=9, resume=path, progress="off")
    assert 0 <= kept < 81
    np.testing.assert_array_equal(
        finished.losses, landscape.surface(objective, points=9, progress="off").losses
    )
    path.unlink()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_failed_save_is_a_note_of_what_ended_the_run(
    error: type[BaseException], refusing: list[bool], often: None, tmp_path: Path
) -> None:
    objective, path = make_objective(), tmp_path / "run.npz"

    def stop(done: int, _: int) -> None:
        if done >= 4:
            refusing[0] = True
            raise error("mine")

    with pytest.raises(error, match="mine") as caught:
        landscape.Hessian(objective).eigenvalues(2, resume=path, progress=stop)
    assert "the disk or a quota is full" in caught.value.__notes__[0]
    refusing[0] = False
    assert _store.read(path, "partial").record["seconds"] >= 0
    landscape.Hessian(objective).eigenvalues(2, resume=path, progress="off")


def test_what_is_in_hand_is_returned_where_that_is_asked_for(
    refusing: list[bool], often: None, tmp_path: Path
) -> None:
    objective, path = make_objective(), tmp_path / "run.npz"

    def fill_up(done: int, _: int) -> None:
        refusing[0] = done >= 100

    with pytest.warns(UserWarning, match="could not be written"):
        density = landscape.Hessian(objective).density(
            probes=60, steps=4, resume=path, progress=fill_up, interrupt="return"
        )
    assert density.status.startswith("interrupted")
    assert any("disk or a quota is full" in note for note in density.run.notes)
    with pytest.raises(OSError, match="full"):
        landscape.Hessian(objective).density(
            probes=60, steps=4, resume=tmp_path / "other.npz", progress=fill_up
        )


def test_a_finished_run_is_returned_though_its_last_save_fails(
    refusing: list[bool], tmp_path: Path
) -> None:
    objective = make_objective()

    def fill_up(done: int, total: int) -> None:
        refusing[0] = done == total

    with pytest.warns(UserWarning, match="could not be written"):
        surface = landscape.surface(
            objective, points=3, resume=tmp_path / "run.npz", progress=fill_up
        )
    assert np.isfinite(surface.losses).all()
    assert "could not be written" in surface.run.status


def test_a_folder_that_vanishes_is_a_note(often: None, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    def stop(*_: int) -> None:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        landscape.surface(make_objective(), points=3, resume=folder / "run.npz", progress=stop)
    assert "does not exist" in caught.value.__notes__[0]


def interrupt_in_a_full_file(path: Path, full: list[bool]) -> None:
    with replacement(path) as file:
        try:
            raise KeyboardInterrupt
        finally:
            full[0] = True
            file.write(b"x")


def test_ctrl_c_comes_through_an_error_of_the_disk(refusing: list[bool], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt_in_a_full_file(tmp_path / "file", refusing)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_and_owner_of_a_replaced_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    if ROOT:
        os.chown(path, 12345, 23456)
    with replacement(path) as file:
        file.write(b"new")
    state = path.stat()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(state.st_mode) == 0o640
    if ROOT:
        assert (state.st_uid, state.st_gid) == (12345, 23456)


@pytest.mark.skipif(os.name != "posix" or ROOT, reason="root may write everywhere")
def test_a_read_only_file_is_refused_before_the_computation(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(PermissionError, match="read-only"):
        _replace.check_writable(path)


@pytest.mark.skipif(os.name != "posix", reason="processes of POSIX")
def test_files_of_dead_processes_of_this_host_are_removed(tmp_path: Path) -> None:
    script = "from landscape import _replace; print(_replace.name_temporary())"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    dead = done.stdout.strip()
    mine, foreign = name_temporary(), dead.replace(_replace._host(), "00000000")
    others = [mine, foreign, "landscape-notes.tmp", ".landscape-0123456789abcdef.tmp"]
    for name in (dead, f".{dead}", *others):
        (tmp_path / name).write_bytes(b"")
    folder = tmp_path / dead.replace(".tmp", "0.tmp")
    folder.mkdir()
    (folder / "basis").write_bytes(b"")
    remove_temporaries_of_the_dead(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(others)


KILLED = """
import os, signal
from landscape import _replace
with _replace.replacement({path!r}) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED.format(path=str(path))], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    _replace.check_writable(path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_a_picture_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415

    surface = landscape.surface(make_objective(), points=3, progress="off")
    figure = landscape.plot.draw(surface)
    path = tmp_path / "surface.png"
    figure.savefig(path)
    before = path.read_bytes()
    save = Figure.savefig

    def interrupted(self: Figure, fname: Any, **options: Any) -> None:
        save(self, fname, **options)
        if not hasattr(fname, "write"):
            Path(fname).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        figure.savefig(path)
    assert path.read_bytes() == before
    monkeypatch.undo()
    figure.savefig(tmp_path / "plain")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plain.png", "surface.png"]

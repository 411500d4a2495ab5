"""Files that are replaced in one step: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import errno
import io
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = [
    "Sink",
    "check_writable",
    "explain_failed_save",
    "name_temporary",
    "remove_temporaries_of_the_dead",
    "replacement",
]

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_CLEANED: set[str] = set()  # folders in which this process has looked for files of the dead


@contextmanager
def replacement(path: str | os.PathLike[str]) -> Iterator[Sink]:
    """A new file that takes the place of the one at `path` when the block ends without an error.

    The bytes go to a file in the same folder, are flushed to the disk and take the place of the old
    file by ``os.replace``; whatever goes wrong before that leaves the old file as it was. The new
    file has the permissions and, where the system allows it, the owner of the old one. A symbolic
    link keeps pointing at it.

    Raises:
        OSError: The folder is missing or cannot be written, the disk is full, the path is a folder,
            or the file is read-only; the text says what to do.
    """
    target, handled = _find_target(path), sys.exc_info()[1]
    temporary = _create_beside(target)
    file = Sink(io.FileIO(temporary, "wb"))
    try:
        with _explained(target):
            yield file
            file.flush()
            os.fsync(file.fileno())
            _take_attributes(file.fileno(), target)
            file.close()
            temporary.replace(target)
    except BaseException as error:
        file.give_up()
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            temporary.unlink()
        interrupt = _find_interrupt(error, handled)
        if interrupt is not None:
            raise interrupt from None
        raise
    _sync_folder(target.parent)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out before a computation, not after it, that a file cannot be written.

    Creates and removes an empty file beside `path`; a file that is already there is not touched.

    Raises:
        OSError: As :func:`replacement`.
    """
    _create_beside(_find_target(path)).unlink()


def explain_failed_save(error: Exception, path: str | os.PathLike[str]) -> str:
    """What a user needs to know when a checkpoint could not be written."""
    return (
        f"the checkpoint {os.fspath(path)} could not be written: {error}; what it held before is "
        "unchanged, and a resume continues from there"
    )


def name_temporary(kind: str = "") -> str:
    """A name that says whose a temporary file or folder is: this process's, on this host."""
    return f"landscape-{_host()}-{os.getpid()}-{kind}{secrets.token_hex(6)}.tmp"


def remove_temporaries_of_the_dead(folder: Path) -> None:
    """Remove what processes of this host that no longer run have left in a folder.

    Looks once in a folder. Files of other hosts, of processes that this one cannot see and of live
    ones stay; what cannot be removed stays too.
    """
    key = os.fspath(folder)
    if os.name != "posix" or key in _CLEANED:
        return
    _CLEANED.add(key)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _TEMPORARY.fullmatch(entry.name)
            if match is None or match["host"] != _host() or _is_alive(int(match["process"])):
                continue
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    Path(entry.path).unlink()


_TEMPORARY = re.compile(
    r"\.?landscape-(?P<host>[0-9a-f]{8})-(?P<process>[0-9]{1,9})-[0-9a-z]+\.tmp"
)


def _host() -> str:
    """This host, and the name space in which a number means a process."""
    space = ""
    with suppress(OSError, AttributeError):
        space = str(Path("/proc/self/ns/pid").readlink())
    return f"{zlib.crc32(f'{platform.node()} {space}'.encode()):08x}"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


class Sink(io.BufferedWriter):
    """A file that can be given up: what is written to it afterwards is dropped, without errors."""

    _given_up = False

    def give_up(self) -> None:
        """Drop what is written from now on."""
        self._given_up = True

    def write(self, data: Any) -> int:
        if self._given_up:
            return memoryview(data).nbytes
        return super().write(data)

    def flush(self) -> None:
        if not self._given_up:
            super().flush()


def _find_interrupt(
    error: BaseException, handled: BaseException | None
) -> KeyboardInterrupt | None:
    """Ctrl-C in the block, where an error of the disk came in its way; not one handled before."""
    found: BaseException | None = error if isinstance(error, OSError) else None
    while found is not None and found is not handled:
        if isinstance(found, KeyboardInterrupt):
            return found
        found = found.__context__
    return None


def _find_target(path: str | os.PathLike[str]) -> Path:
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{os.fspath(path)} is a folder; give the name of a file in it")
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(
            f"cannot write {target}: the file is read-only; make it writable, or pass another path"
        )
    return target


def _create_beside(target: Path) -> Path:
    """Create an empty temporary file beside a file."""
    remove_temporaries_of_the_dead(target.parent)
    temporary = target.with_name(f".{name_temporary()}")
    with _explained(target):
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return temporary


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """The operating system's usual refusals, with what to do about them."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise FileNotFoundError(
                f"cannot write {target}: the folder {target.parent} does not exist; create it first"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise PermissionError(
                f"cannot write {target}: the folder {target.parent} is not writable; "
                "choose another or change its permissions"
            ) from error
        if error.errno in _FULL:
            raise OSError(
                error.errno,
                f"cannot write {target}: the disk or a quota is full ({_describe_free(target)}); "
                "make space, or pass a path on another disk. What was there before is unchanged",
            ) from error
        raise


def _describe_free(target: Path) -> str:
    try:
        return f"{shutil.disk_usage(target.parent).free / 1e6:.3g} MB are free"
    except OSError:
        return "how much is free is unknown"


def _take_attributes(descriptor: int, target: Path) -> None:
    """Give a new file the permissions and, where allowed, the owner of the one it replaces."""
    if not hasattr(os, "fchmod"):
        return
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with suppress(PermissionError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
    with suppress(PermissionError):
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    """Without it a power cut may forget the new name, though not the bytes. POSIX alone has it."""
    if os.name != "posix":
        return
    with suppress(OSError):  # the file is there already
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

"""`load`: read a saved result of any kind."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from landscape import _store
from landscape._progress import reporter
from landscape._results.base import Result, result_kinds

if TYPE_CHECKING:
    from landscape._progress import Choice

__all__ = ["load"]

_MEMORY_MAPPED = ("points", "vertices")


def load(path: str | os.PathLike[str], *, mmap: bool = True, progress: Choice = None) -> Result:
    """Read the result that `save` wrote, equal to it bit for bit.

    Args:
        path: The file.
        mmap: Whether the points of a path and the vertices of a simplicial complex stay on the disk
            where they are large (64 MiB): they are memory-mapped, after every block of them was
            compared with its checksum. Their file must not be changed in place while the result is
            in use: a mapping of a file that another program cuts short ends the process (SIGBUS).
            False copies them into memory.
        progress: How that comparison is shown: a bar in a terminal when None, ``"bar"``, ``"off"``,
            or a function of (blocks done, all blocks).

    Returns:
        The result, of the class that the file names.

    Raises:
        ValueError: The file is cut short, damaged, of another program, of a newer landscape, or an
            unfinished run; the text says which and what to do.
        OSError: There is no such file, or it cannot be read.

    Example:
        >>> surface = landscape.load("surface.npz")
        >>> surface.plot().figure.savefig("surface.pdf")
    """
    kinds = result_kinds()
    with ExitStack() as stack:
        bars: list[Any] = []

        def watch(done: int, total: int) -> None:
            if not bars:  # files without mapped arrays show none
                bar = reporter(progress, total, "checking", unit="block")
                bars.append(stack.enter_context(bar))
            bars[0].update(done)

        reporter(progress, 0, "checking")  # refuses a wrong choice before the file is read
        stored = _store.read(path, *kinds, mapped=_MEMORY_MAPPED if mmap else (), watch=watch)
    try:
        return kinds[stored.kind].unpack(stored.record, stored.arrays)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{os.fspath(path)} does not hold a whole {stored.kind} ({error!r}); it was changed "
            "after it was saved. Restore it from a copy or compute it again"
        ) from error

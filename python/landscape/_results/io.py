"""`load`: read a saved result of any kind."""

from __future__ import annotations

import os

from landscape import _store
from landscape._results.base import Result, result_kinds

__all__ = ["load"]

_MEMORY_MAPPED = ("points", "vertices")


def load(path: str | os.PathLike[str]) -> Result:
    """Read the result that `save` wrote, equal to it bit for bit.

    Args:
        path: The file.

    Returns:
        The result, of the class that the file names. The points of a path and the vertices of a
        simplicial complex are memory-mapped where they are large (64 MiB).

    Raises:
        ValueError: The file is cut short, damaged, of another program, of a newer landscape, or an
            unfinished run; the text says which and what to do.
        OSError: There is no such file, or it cannot be read.

    Example:
        >>> surface = landscape.load("surface.npz")
        >>> surface.plot().figure.savefig("surface.pdf")
    """
    kinds = result_kinds()
    stored = _store.read(path, *kinds, mapped=_MEMORY_MAPPED)
    try:
        return kinds[stored.kind].unpack(stored.record, stored.arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{os.fspath(path)} does not hold a whole {stored.kind} ({error!r}); it was changed "
            "after it was saved. Restore it from a copy or compute it again"
        ) from error

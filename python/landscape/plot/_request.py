"""Refuse a picture that cannot be drawn or saved before anything is computed for it."""

from __future__ import annotations

import os
from pathlib import Path

from landscape.plot._figure import picture
from landscape.plot._sheet import KINDS

__all__ = ["check_picture"]


def check_picture(kind: str, path: str | os.PathLike[str] | None) -> None:
    """Check the kind of a picture and the format that its file's suffix asks for.

    Raises:
        ValueError: The kind or the format is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r}; expected one of {', '.join(map(repr, KINDS))}")
    if path is None:
        return
    suffix = Path(path).suffix.removeprefix(".").lower()
    formats = picture(1, 1).canvas.get_supported_filetypes()
    if suffix and suffix not in formats:
        raise ValueError(
            f"path={os.fspath(path)!r} asks for a .{suffix} picture; expected one of "
            f"{', '.join('.' + name for name in sorted(formats))}"
        )

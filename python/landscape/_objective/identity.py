"""What a function is, as text: so that a run is resumed with the same loss and the same metrics.

Depends on the standard library alone.
"""

from __future__ import annotations

import zlib
from types import CodeType
from typing import Any

__all__ = ["identity"]


def identity(function: Any) -> str:
    """Name a callable, with a checksum of its code where it is written in Python."""
    owner = function if hasattr(function, "__qualname__") else type(function)
    name = f"{owner.__module__}.{owner.__qualname__}"
    method = function if hasattr(function, "__code__") else getattr(function, "forward", None)
    code = getattr(method, "__code__", None)
    return f"{name} {_checksum(code):08x}" if code is not None else name


def _checksum(code: CodeType) -> int:
    value = zlib.crc32(code.co_code)
    for part in (*code.co_consts, *code.co_names):
        nested = _checksum(part) if isinstance(part, CodeType) else part
        value = zlib.crc32(repr(nested).encode(), value)
    return value

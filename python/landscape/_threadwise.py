"""What Python and PyTorch keep once for all threads, changed for one thread only.

Each of these is a filter that asks which thread it is called from; other threads see no effect.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

__all__ = ["WhileAnyone", "muted", "thread_warnings"]

_LOCK = threading.Lock()


class _ThisThread:
    """Matches any text, as a compiled pattern would, on the thread that made it until it is off."""

    def __init__(self) -> None:
        self.thread: int | None = threading.get_ident()

    def __bool__(self) -> bool:
        return threading.get_ident() == self.thread

    def match(self, _: str) -> bool:
        return bool(self)


@contextmanager
def thread_warnings(action: Literal["ignore", "error"]) -> Iterator[None]:
    """Ignore this thread's warnings, or raise them as errors.

    The filter stands in front of the others and matches on one thread alone. Where another thread
    has replaced the list of filters in between (``warnings.catch_warnings``), it may stay in one of
    them, but matches nothing any more.
    """
    here = _ThisThread()
    entry: Any = (action, here, Warning, None, 0)
    with _LOCK:
        warnings.filters.insert(0, entry)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        here.thread = None
        with _LOCK:
            if entry in warnings.filters:
                warnings.filters.remove(entry)  # type: ignore[attr-defined]


class _Stream:
    """A stream that drops what one thread writes, and is the original to all others."""

    def __init__(self, original: Any, here: _ThisThread) -> None:
        self.original = original
        self._here = here

    def write(self, text: str) -> int:
        return len(text) if self._here else self.original.write(text)

    def writelines(self, lines: Any) -> None:
        if not self._here:
            self.original.writelines(lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


@contextmanager
def muted() -> Iterator[None]:
    """Drop what this thread prints, logs and warns of."""
    here = _ThisThread()
    streams = [(name, _Stream(getattr(sys, name), here)) for name in ("stdout", "stderr")]

    def passes(record: logging.LogRecord) -> bool:
        return record.thread != here.thread

    with _LOCK:
        handlers = _list_handlers()
        for handler in handlers:
            handler.addFilter(passes)
        for name, stream in streams:
            setattr(sys, name, stream)
    try:
        with thread_warnings("ignore"):
            yield
    finally:
        here.thread = None
        with _LOCK:
            for handler in handlers:
                handler.removeFilter(passes)
            for name, stream in streams:
                # where another thread has replaced it since, its own end puts the original back
                if getattr(sys, name) is stream:
                    setattr(sys, name, stream.original)


def _list_handlers() -> list[logging.Handler]:
    """Every handler that a record can reach."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    found = [h for logger in loggers if isinstance(logger, logging.Logger) for h in logger.handlers]
    last = logging.lastResort
    return list(dict.fromkeys([*found, *([last] if last is not None else [])]))


class WhileAnyone:
    """A state of the whole process that holds while at least one thread needs it.

    The first that enters sets it, and the last that leaves restores what was before, in whichever
    order they leave. A thread may enter it again.

    Args:
        enter: Sets the state, and returns the function that restores the one before.
    """

    def __init__(self, enter: Callable[[], Callable[[], None]]) -> None:
        self._enter = enter
        self._lock = threading.Lock()
        self._users = 0
        self._restore: Callable[[], None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._restore = self._enter()
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._restore is not None:
                self._restore()
                self._restore = None

"""Ctrl-C deferred to moments at which it does no harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

__all__ = ["DeferredInterrupt"]


class DeferredInterrupt:
    """A block in which SIGINT is deferred to :meth:`check`, or to the end of the block.

    A KeyboardInterrupt while the model is being restored would leave it half restored. Blocks may
    be nested: an inner one passes the interrupt on to the one around it. Each use takes an object
    of its own.
    """

    def __init__(self) -> None:
        self._handler: Any = None
        self._pending = False
        self._passes = False

    def __enter__(self) -> Self:
        handler = signal.getsignal(signal.SIGINT)
        # only the main thread receives signals; an ignored one stays ignored
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._handler = handler
            signal.signal(signal.SIGINT, self._defer)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            if self._pending:
                self._pending = False
                self._handler(signal.SIGINT, None)

    def check(self) -> None:
        """Call the user's handler now if an interrupt is pending."""
        if self._pending:
            self._pending = False
            self._handler(signal.SIGINT, None)
            # the handler may be that of a block around this one, to which the moment is as good
            outer = getattr(self._handler, "__self__", None)
            if isinstance(outer, DeferredInterrupt):
                outer.check()

    @contextmanager
    def passed_on(self) -> Iterator[None]:
        """Interrupt at once inside this block, in which nothing needs protection."""
        self.check()
        self._passes = True
        try:
            yield
        finally:
            self._passes = False

    def _defer(self, *_: object) -> None:
        self._pending = True
        if self._passes:
            self.check()

"""Ctrl-C is held back while the model is on loan, and obeyed between two batches.

Depends on the standard library alone. An interrupt in the middle of putting the model together
again would leave it in pieces.
"""

from __future__ import annotations

import signal
import threading
from typing import Any, Self

__all__ = ["Deferral"]


class Deferral:
    """A block in which SIGINT waits for :meth:`check`, or for the end of the block."""

    def __init__(self) -> None:
        self._handler: Any = None
        self._pending = False

    def __enter__(self) -> Self:
        handler = signal.getsignal(signal.SIGINT)
        # only the main thread receives signals; an ignored one stays ignored
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._handler = handler
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
            self.check()

    def check(self) -> None:
        """Let an interrupt happen here if one has come: the user's handler runs now."""
        if self._pending:
            self._pending = False
            self._handler(signal.SIGINT, None)

    def _note(self, *_: object) -> None:
        self._pending = True

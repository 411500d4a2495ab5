"""Progress of a run: a bar, nothing, or the caller's own function."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

Choice: TypeAlias = "str | Callable[[int, int], object] | None"

_DELAY = 2.0  # seconds: a shorter run shows nothing
_START_UP_DELAY = 0.5  # seconds before the line of a start-up


class Progress(Protocol):
    """A context manager that is updated with the progress of a run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def update(self, done: int, **values: float) -> None:
        """Report `done` of the total units, and show these values: `smallest=0.012`."""

    def expect(self, total: int) -> None:
        """Change the total, where it becomes known during the run."""


def reporter(
    progress: Choice,
    total: int | None,
    label: str,
    *,
    unit: str = "point",
    start: int = 0,
) -> Progress:
    """Make the reporter for the `progress=` of a public function.

    Args:
        progress: None shows a bar where the standard error stream is a terminal and nothing
            elsewhere; "bar" always shows one (on that stream, after two seconds); "off" is
            silent; a function is called with (done, total) after each update.
        total: the number of units in the whole run; None where it is unknown, for which a function
            is called with 0.
        label: shown before the bar.
        unit: what is counted.
        start: units that were done before a resumed run.

    Raises:
        ValueError: another text.
        TypeError: anything else.

    Example:
        >>> with reporter("off", total=2601, label="surface") as progress:
        ...     progress.update(8, smallest=0.012)
    """
    if progress is None:
        progress = "bar" if _is_terminal() else "off"
    if callable(progress):
        return _Callback(progress, total or 0)
    if not isinstance(progress, str):
        raise TypeError(f"progress={progress!r}: {_EXPECTED}")
    if progress == "bar":
        return _Bar(total, label, unit, start)
    if progress == "off":
        return _NoProgress()
    raise ValueError(f"progress={progress!r}: {_EXPECTED}")


_EXPECTED = "expected None (a bar in a terminal), 'bar', 'off' or a function of (done, total)"


def _is_terminal() -> bool:
    """Whether standard error is a terminal; it may be missing, closed or without isatty."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


@contextmanager
def start_up(progress: Choice) -> Iterator[None]:
    """Show the stages before the first unit of work, where a bar would be shown.

    Args:
        progress: As for :func:`reporter`.
    """
    # the caller's own function counts units of work, which start-up has none of
    choice = _CHOICE.set("off" if callable(progress) else progress)
    is_shown = progress == "bar" or (progress is None and _is_terminal())
    line = _StatusLine() if is_shown and _LINE.get() is None else None
    token = None if line is None else _LINE.set(line)
    try:
        yield
    finally:
        _CHOICE.reset(choice)
        if line is not None and token is not None:
            _LINE.reset(token)
            line.close()


def start_up_choice() -> Choice:
    """How a start-up is shown: the ``progress=`` of the function that is called, None outside."""
    return _CHOICE.get()


@contextmanager
def stage(text: str) -> Iterator[None]:
    """Say inside :func:`start_up` what takes so long, such as "exporting the model"."""
    line = _LINE.get()
    if line is None:
        yield
        return
    before = line.text
    line.show(text)
    try:
        yield
    finally:
        line.show(before)


class _StatusLine:
    """One line on standard error, shown after a moment, from a thread of its own."""

    def __init__(self) -> None:
        self.text = ""
        self._bar: Any = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(_START_UP_DELAY, self._open)
        self._timer.daemon = True
        self._timer.start()

    def show(self, text: str) -> None:
        with self._lock:
            self.text = text
            if self._bar is not None:
                self._bar.set_description_str(text)

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            if self._bar is not None:
                self._bar.close()

    def _open(self) -> None:
        with self._lock:
            self._bar = tqdm(bar_format="{desc}", desc=self.text, leave=False, file=sys.stderr)


_CHOICE: ContextVar[Choice] = ContextVar("landscape_progress", default=None)
_LINE: ContextVar[_StatusLine | None] = ContextVar("landscape_start_up", default=None)


class _NoProgress:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, done: int, **values: float) -> None:
        pass

    def expect(self, total: int) -> None:
        pass


class _Callback(_NoProgress):
    def __init__(self, function: Callable[[int, int], object], total: int) -> None:
        self._function = function
        self._total = total

    def update(self, done: int, **values: float) -> None:  # noqa: ARG002  (a bar shows them)
        self._function(done, self._total)

    def expect(self, total: int) -> None:
        self._total = total


class _Bar:
    def __init__(self, total: int | None, label: str, unit: str, start: int) -> None:
        self._open = partial(
            tqdm,
            total=total,
            desc=label,
            unit=f" {unit}s",
            initial=start,
            delay=_DELAY,
            dynamic_ncols=True,
        )

    def __enter__(self) -> Self:
        self._bar = self._open(file=sys.stderr)  # here, so that its clock starts with the run
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self, done: int, **values: float) -> None:
        if values:
            self._bar.set_postfix(
                {name: f"{value:.4g}" for name, value in values.items()}, refresh=False
            )
        self._bar.update(done - self._bar.n)

    def expect(self, total: int) -> None:
        self._bar.total = total

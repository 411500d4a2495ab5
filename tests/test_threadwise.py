"""Warnings, prints and logs of one thread are changed, those of others are not."""

from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from typing import Any

import pytest

from landscape._threadwise import WhileAnyone, muted, thread_warnings


def elsewhere(work: Any) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_warnings_are_ignored_or_raised_on_one_thread_alone() -> None:
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with thread_warnings("ignore"):
            warnings.warn("here", stacklevel=1)
            elsewhere(lambda: warnings.warn("there", stacklevel=1))
        with thread_warnings("error"):
            with pytest.raises(UserWarning, match="here"):
                warnings.warn("here", stacklevel=1)
            elsewhere(lambda: warnings.warn("there too", stacklevel=1))
        warnings.warn("after", stacklevel=1)
    assert [str(w.message) for w in caught] == ["there", "there too", "after"]
    assert list(warnings.filters) == before


class Collecting(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self.records = records

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_prints_and_logs_are_dropped_on_one_thread_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = io.StringIO()
    records: list[logging.LogRecord] = []
    monkeypatch.setattr(sys, "stdout", out)
    handler = Collecting(records)
    logger = logging.getLogger("test.threadwise")
    logger.addHandler(handler)

    def speak() -> None:
        sys.stdout.write("there\n")
        logger.error("there")

    with muted():
        sys.stdout.write("here\n")
        logger.error("here")
        elsewhere(speak)
    logger.error("after")
    logger.removeHandler(handler)
    assert out.getvalue() == "there\n"
    assert [record.getMessage() for record in records] == ["there", "after"]
    assert sys.stdout is out
    assert handler.filters == []


def test_a_state_of_the_process_is_restored_by_the_last_user() -> None:
    state = ["before"]

    def enter() -> Any:
        old, state[0] = state[0], "inside"
        return lambda: state.__setitem__(0, old)

    shared = WhileAnyone(enter)
    first_in, second_in = threading.Event(), threading.Event()

    def first() -> None:
        with shared:
            first_in.set()
            second_in.wait(30)

    thread = threading.Thread(target=first)
    thread.start()
    first_in.wait(30)
    with shared:
        second_in.set()
        thread.join()
        assert state == ["inside"]  # the first has left, the second has not
    assert state == ["before"]

"""Progress: when the bar appears, and what it shows."""

from __future__ import annotations

import io
import sys
import time

import pytest

from landscape import _progress
from landscape._progress import reporter, stage, start_up, start_up_choice


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch, delay: float = 1e-9) -> Terminal:
    """Not a fixture: pytest puts its own stream back between set-up and test."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(_progress, "_DELAY", delay)
    return stream


def run(progress: _progress.Choice) -> None:
    with reporter(progress, 10, "surface") as report:
        for done in range(2, 11, 2):
            report.update(done, smallest=1.0 / done)


@pytest.mark.parametrize("progress", [None, "bar"])
def test_a_long_run_shows_a_bar_with_the_label_the_unit_and_the_current_value(
    progress: _progress.Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = terminal(monkeypatch)
    run(progress)
    last = stream.getvalue().split("\r")[-1]
    assert last.startswith("surface: 100%")
    assert "10/10" in last
    assert "points/s" in last
    assert "smallest=0.1" in last


@pytest.mark.parametrize("progress", [None, "bar"])
def test_a_short_run_shows_nothing(
    progress: _progress.Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = terminal(monkeypatch, delay=_progress._DELAY)
    run(progress)
    assert stream.getvalue() == ""
    assert 1.0 <= _progress._DELAY <= 3.0


def test_away_from_a_terminal_it_is_quiet_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "_DELAY", 1e-9)
    for stream in (io.StringIO(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        run(None)
        assert stream is None or stream.getvalue() == ""
    asked = io.StringIO()
    monkeypatch.setattr(sys, "stderr", asked)
    run("bar")
    assert "surface" in asked.getvalue()


def test_off_is_silent_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    run("off")
    assert stream.getvalue() == ""


def test_a_function_is_called_with_done_and_total() -> None:
    calls: list[tuple[int, int]] = []
    run(lambda done, total: calls.append((done, total)))
    assert calls == [(2, 10), (4, 10), (6, 10), (8, 10), (10, 10)]


def test_an_exception_of_the_function_comes_out_as_it_is() -> None:
    error = KeyError("mine")

    def stop(*_: int) -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        run(stop)
    assert caught.value is error


def test_a_resumed_run_begins_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    with reporter("bar", 10, "surface", start=6) as report:
        report.update(6)
    assert "60%" in stream.getvalue()
    assert "6/10" in stream.getvalue()


def test_a_run_that_stops_closes_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)

    def interrupted() -> None:
        with reporter(None, 10, "surface") as report:
            report.update(4)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert stream.getvalue().endswith("\n")
    assert "4/10" in stream.getvalue()


@pytest.mark.parametrize(
    ("value", "error"), [("yes", ValueError), (True, TypeError), (3, TypeError)]
)
def test_anything_else_is_refused_before_the_run(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"progress=.*expected None .*'bar', 'off' or a function"):
        reporter(value, 10, "surface")  # type: ignore[arg-type]


def show_stages() -> None:
    with stage("exporting the model"):
        time.sleep(0.05)
        with stage("comparing"):
            time.sleep(0.05)


def test_a_start_up_says_what_takes_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = terminal(monkeypatch)
    monkeypatch.setattr(_progress, "_START_UP_DELAY", 0.0)
    with start_up(None):
        show_stages()
    text = stream.getvalue()
    assert "exporting the model" in text
    assert "comparing" in text
    assert text.split("\r")[-1].strip() == ""  # the line goes away


@pytest.mark.parametrize("progress", ["off", print])
def test_a_start_up_is_quiet_on_request(
    progress: _progress.Choice, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = terminal(monkeypatch)
    monkeypatch.setattr(_progress, "_START_UP_DELAY", 0.0)
    with start_up(progress):
        assert start_up_choice() == "off"
        show_stages()
    show_stages()  # outside there is nothing to show it on
    assert start_up_choice() is None
    assert stream.getvalue() == ""

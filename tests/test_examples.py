"""The examples run as they stand, small, and leave what they promise."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import landscape

FOLDER = Path(__file__).parents[1] / "examples"
SMALL = {"points": 5, "epochs": 2}
PICTURES = {
    "demo": "surface.png",
    "between_models": "between_models.png",
    "trajectory": "trajectory.png",
    "train_and_test": "train_and_test.png",
    "skip_connections": "skip_connections.png",
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where an example may leave files, with the examples' own folder on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield
    for name in (*PICTURES, "digits"):
        sys.modules.pop(name, None)


def run(name: str, **sizes: int) -> None:
    """Call the example's main function."""
    importlib.import_module(name).main(**{**SMALL, **sizes})


def test_every_example_is_here() -> None:
    files = {path.stem for path in FOLDER.glob("*.py")}
    assert files == {*PICTURES, "digits"}


@pytest.mark.parametrize("name", sorted(PICTURES.keys() - {"skip_connections"}))
def test_an_example_draws_its_picture(name: str) -> None:
    run(name)
    assert Path(PICTURES[name]).read_bytes().startswith(b"\x89PNG")


def test_the_comparison_of_networks_draws_its_picture() -> None:
    run("skip_connections", depth=1)
    assert Path("skip_connections.png").read_bytes().startswith(b"\x89PNG")


def test_the_demo_says_five_things_and_keeps_the_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("demo")
    lines = capsys.readouterr().out.splitlines()
    things = ("loss at the centre", "range", "evaluations", "seconds", "engine")
    assert len(lines) == len(things)
    assert all(line.startswith(thing) for line, thing in zip(lines, things, strict=True))
    surface = landscape.load("surface.landscape")
    assert surface.losses.shape == (5, 5)
    assert f"{surface.centre_loss:.4g}" in lines[0]
    assert surface.run.policy["samples"] == 1437


def test_the_demo_asks_for_the_grid_that_it_shows() -> None:
    """The default, which the tests above do not run."""
    demo = importlib.import_module("demo")
    assert inspect.signature(demo.main).parameters["points"].default == 51


@pytest.mark.parametrize("name", sorted({*PICTURES, "digits"}))
def test_an_example_is_short(name: str) -> None:
    limit = {"demo": 120, "digits": 120}.get(name, 40)
    assert len((FOLDER / f"{name}.py").read_text().splitlines()) <= limit

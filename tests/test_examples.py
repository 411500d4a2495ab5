"""The examples run, on small data, and write their files."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import landscape

FOLDER = Path(__file__).parents[1] / "examples"
SMALL = {"points": 5, "epochs": 2}
PICTURES = {
    "demo": "surface.png",
    "between_models": "between_models.png",
    "connection": "connection.png",
    "curvature": "curvature.png",
    "flat_or_sharp": "flat_or_sharp.png",
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


@pytest.mark.filterwarnings("ignore:the barrier:UserWarning")  # after two epochs
@pytest.mark.parametrize("name", sorted(PICTURES.keys() - {"skip_connections"}))
def test_an_example_draws_its_picture(name: str) -> None:
    run(name)
    assert Path(PICTURES[name]).read_bytes().startswith(b"\x89PNG")


def test_the_comparison_of_networks_draws_its_picture() -> None:
    run("skip_connections", depth=1)
    assert Path("skip_connections.png").read_bytes().startswith(b"\x89PNG")


def test_the_demo_says_six_things_and_keeps_the_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("demo")
    lines = capsys.readouterr().out.splitlines()
    things = (
        *("loss at the centre", "range", "evaluations"),
        *("error between them", "seconds", "engine"),
    )
    assert len(lines) == len(things)
    assert all(line.startswith(thing) for line, thing in zip(lines, things, strict=True))
    surface = landscape.load("surface.landscape")
    assert isinstance(surface, landscape.Surface)
    assert surface.losses.shape == (5, 5)
    assert f"{surface.centre_loss:.4g}" in lines[0]
    assert surface.run.policy["samples"] == 1437
    assert surface.error is not None
    assert surface.error.tolerance == 0.05


@pytest.mark.parametrize("name", sorted({*PICTURES, "digits"}))
def test_an_example_is_short(name: str) -> None:
    limit = {"demo": 120, "digits": 120}.get(name, 40)
    assert len((FOLDER / f"{name}.py").read_text().splitlines()) <= limit


def programs_of(document: str) -> list[str]:
    """The Python blocks of a Markdown document."""
    text = (FOLDER.parent / document).read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def test_the_readme_fits_a_screen_and_the_documents_show_six_short_examples() -> None:
    readme = (FOLDER.parent / "README.md").read_text()
    assert len(readme.splitlines()) <= 70
    assert len(programs_of("README.md")) == 1
    programs = programs_of("docs/examples.md")
    assert len(programs) == 6
    assert all(len(program.splitlines()) <= 10 for program in programs)


@pytest.mark.filterwarnings("ignore:the barrier:UserWarning")  # between untrained models
def test_the_examples_of_the_readme_run() -> None:
    """Those of docs/examples.md too, on small models and data."""
    torch.manual_seed(0)
    models = [nn.Linear(4, 3) for _ in range(4)]
    inputs, targets = torch.randn(32, 4), torch.randint(3, (32,))
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=10, shuffle=True)
    given: dict[str, Any] = {
        "model": models[-1],
        "data": (inputs, targets),
        "inputs": inputs,
        "targets": targets,
        "model_a": models[0],
        "model_b": models[1],
        "train_loader": loader,
        "test_loader": loader,
        "checkpoints": models,
    }
    given |= {"data": (inputs, targets), "test_data": (inputs, targets)}
    documents = ("README.md", "docs/examples.md", "docs/sharpness.md")
    for program in (program for name in documents for program in programs_of(name)):
        exec(program, given)
    for picture in ("surface.png", "path.png", "run.png"):
        assert Path(picture).stat().st_size > 0


def test_the_picture_of_the_readme_is_small() -> None:
    picture = FOLDER.parent / "docs" / "images" / "surface.png"
    assert 10_000 < picture.stat().st_size < 300_000

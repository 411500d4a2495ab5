"""The public names: the cost of `import landscape`, and their executable examples."""

from __future__ import annotations

import dataclasses
import doctest
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import landscape
from landscape import measures, plot

RECORDS = {"Line", "Recipe", "Run", "Surface"}
"""What functions return: users read them and do not make them."""

WITHOUT_ARGUMENTS = {"landscape.ParameterLayout", "landscape.measures.NotApplicable"}
"""Made by methods of their own, or an exception."""


def public() -> Iterator[tuple[str, Any]]:
    """Everything in the public tables, by its full name."""
    for module in (landscape, measures, plot):
        for name in module.__all__:
            yield f"{module.__name__}.{name}", getattr(module, name)


CALLABLES = {name: value for name, value in public() if callable(value)}
WITH_EXAMPLES = sorted(name for name in CALLABLES if name.removeprefix("landscape.") not in RECORDS)


def in_a_new_process(program: str) -> str:
    """What a program prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return done.stdout


def test_importing_loads_neither_pytorch_nor_matplotlib() -> None:
    heavy = "{'torch', 'matplotlib', 'numpy.ma', 'xarray', 'tqdm'}"
    loaded = in_a_new_process(f"import sys, landscape; print(sorted({heavy} & set(sys.modules)))")
    assert loaded.strip() == "[]"


def test_a_name_is_loaded_when_it_is_first_used() -> None:
    program = "import sys, landscape; landscape.Surface; print('torch' in sys.modules)"
    assert in_a_new_process(program).strip() == "False"


def test_every_public_name_resolves() -> None:
    for name in landscape.__all__:
        assert getattr(landscape, name) is not None
    star: dict[str, object] = {}
    exec("from landscape import *", star)
    assert set(landscape.__all__) <= star.keys()


def test_dir_shows_the_public_table_and_nothing_else() -> None:
    assert dir(landscape) == sorted(landscape.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'landscape' has no attribute 'surfaces'"):
        _ = landscape.surfaces


@pytest.mark.parametrize("name", sorted(CALLABLES))
def test_everything_public_says_what_it_is(name: str) -> None:
    text = inspect.getdoc(CALLABLES[name]) or ""
    assert text.split("\n\n")[0].strip()
    for method, member in vars(CALLABLES[name]).items() if inspect.isclass(CALLABLES[name]) else ():
        if not method.startswith("_") and (callable(member) or isinstance(member, property)):
            assert inspect.getdoc(member), f"{name}.{method} has no docstring"


@pytest.mark.parametrize("name", sorted(CALLABLES.keys() - WITHOUT_ARGUMENTS))
def test_every_argument_is_explained(name: str) -> None:
    value = CALLABLES[name]
    arguments = (
        {field.name for field in dataclasses.fields(value)}
        if dataclasses.is_dataclass(value)
        else set(inspect.signature(value).parameters)
    )
    text = inspect.getdoc(value) or ""
    assert not {argument for argument in arguments if f"\n    {argument}: " not in text}


class Checker(doctest.OutputChecker):
    """An example that shows no output only has to run."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return not want or super().check_output(want, got, optionflags)


@pytest.fixture(scope="module")
def workplace() -> dict[str, Any]:
    """What the examples of the documentation take as given."""
    torch.manual_seed(0)
    checkpoints = [nn.Linear(4, 3) for _ in range(4)]
    data = (torch.randn(64, 4), torch.randint(3, (64,)))
    surface = landscape.surface(
        checkpoints[-1], data, test=data, metrics="accuracy", points=5, progress="off"
    )
    return {
        "landscape": landscape,
        "torch": torch,
        "checkpoints": checkpoints,
        "models": dict(zip("abc", checkpoints, strict=False)),
        "model": checkpoints[-1],
        "model_a": checkpoints[0],
        "model_b": checkpoints[1],
        "other": checkpoints[2],
        "data": data,
        "surface": surface,
    }


@pytest.mark.filterwarnings("ignore:the barrier:UserWarning")  # between untrained models
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_example_of_a_public_name_runs(
    name: str, workplace: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workplace["surface"].save("surface.npz")
    torch.manual_seed(0)
    found: Callable[..., Any] = CALLABLES[name]
    text = inspect.getdoc(found) or ""
    assert "Example:" in text
    scope = {**workplace, found.__name__: found}
    example = doctest.DocTestParser().get_doctest(text, scope, name, None, None)
    assert example.examples
    heard: list[str] = []
    doctest.DocTestRunner(Checker(), verbose=False).run(example, out=heard.append)
    assert not heard, "".join(heard)

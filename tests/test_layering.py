"""Dependencies point one way: the layer table of docs/architecture.md, held against the imports."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "landscape"
CRATES = ROOT / "rust"

UPWARDS = {("_results", "plot")}
"""A result's .plot() imports the plots when it is called."""

OBJECTIVE = ("data", "losses", "torch_backend", "native_backend")
"""The sub-packages of _objective, lowest first: each may import those before it."""


@dataclass(frozen=True)
class Import:
    """One imported module, as its full dotted name."""

    file: Path
    target: str
    typing_only: bool

    @property
    def module(self) -> str:
        """The importing module within the package: "_objective.data", "__init__"."""
        return ".".join(self.file.relative_to(PACKAGE).with_suffix("").parts)

    @property
    def internal(self) -> str | None:
        """The imported module within the package, or None."""
        return self.target.partition(".")[2] if self.target.startswith("landscape.") else None


def imports_of(file: Path) -> Iterator[Import]:
    """Every import of a file, wherever it stands."""
    tree = ast.parse(file.read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        for target in targets_of(node):
            yield Import(file, target, node in typing_only)


def targets_of(node: ast.AST) -> list[str]:
    """The modules that a statement imports; of a package's own folder, the very file."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    assert node.level == 0, f"a relative import: {ast.unparse(node)}"
    origin = node.module or ""
    names = [f"{origin}.{alias.name}" for alias in node.names]
    return [name if is_module(name) else origin for name in names]


def is_module(name: str) -> bool:
    """Whether a dotted name is a file or a folder of the package, or the extension."""
    first, *rest = name.split(".")
    path = PACKAGE.joinpath(*rest)
    return (
        first == "landscape"
        and bool(rest)
        and (path.is_dir() or path.with_suffix(".py").exists() or path.with_suffix(".pyi").exists())
    )


IMPORTS = [found for file in sorted(PACKAGE.rglob("*.py")) for found in imports_of(file)]


def table() -> dict[str, set[str]]:
    """The layers from the ground up, each with what it may import from outside."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    return {name: {word.strip() for word in outside.split(",")} - {""} for name, outside in rows}


def test_every_module_has_a_row_in_the_table() -> None:
    files = {path.stem for path in PACKAGE.glob("_*.py*")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert set(table()) == files - {"__init__"}


def test_a_layer_uses_only_those_above_it_in_the_table() -> None:
    order = {name: place for place, name in enumerate(table())}
    wrong = []
    for found in IMPORTS:
        layer = found.module.split(".")[0]
        used = (found.internal or layer).split(".")[0]
        if layer in ("__init__", used) or (layer, used) in UPWARDS:
            continue
        if order[used] > order[layer]:
            wrong.append(f"{found.module} imports {found.target}, which is not above it")
    assert not wrong


def test_a_layer_imports_from_outside_only_what_its_row_says() -> None:
    allowed = table()
    wrong = [
        f"{found.module} imports {found.target}"
        for found in IMPORTS
        if found.module != "__init__"
        and not found.typing_only
        and (name := found.target.split(".")[0]) not in sys.stdlib_module_names
        and name not in {"landscape", *allowed[found.module.split(".")[0]]}
    ]
    assert not wrong


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph: dict[str, set[str]] = {}
    for found in IMPORTS:
        if found.internal and not found.typing_only:
            target = found.internal
            if (PACKAGE.joinpath(*target.split(".")) / "__init__.py").exists():
                target += ".__init__"
            graph.setdefault(found.module, set()).add(target)
    TopologicalSorter(graph).prepare()


def test_the_public_table_imports_nothing_before_it_is_asked() -> None:
    eager = {
        found.target for found in IMPORTS if found.module == "__init__" and not found.typing_only
    }
    assert {name for name in eager if name.split(".")[0] not in sys.stdlib_module_names} == {
        "landscape._core"
    }


def test_sub_packages_of_the_objective_import_lower_ones_only() -> None:
    levels = {name: level for level, name in enumerate(OBJECTIVE)}
    folders = {path.parent.name for path in (PACKAGE / "_objective").glob("*/__init__.py")}
    assert folders == set(levels)
    wrong = []
    for found in IMPORTS:
        layer, *own = found.module.split(".")
        used_layer, *used = (found.internal or "").split(".")
        if layer != "_objective" or used_layer != layer or own[0] not in levels or not used:
            continue
        if levels.get(used[0], -1) > levels[own[0]]:
            wrong.append(f"{found.module} imports {found.target}, a higher sub-package")
    assert not wrong


@pytest.mark.parametrize(
    "folder", [PACKAGE, *sorted(file.parent for file in PACKAGE.rglob("*/__init__.py"))], ids=str
)
def test_children_of_a_folder_do_not_import_each_other_in_circles(folder: Path) -> None:
    """Files and sub-packages of one folder, a sub-package being one node."""
    prefix = folder.relative_to(PACKAGE).parts
    graph: dict[str, set[str]] = {}
    for found in IMPORTS:
        own = tuple(found.module.split("."))
        used = tuple((found.internal or "").split("."))
        inside = own[: len(prefix)] == prefix == used[: len(prefix)]
        if not inside or len(own) == len(prefix) or len(used) <= len(prefix):
            continue
        child, other = own[len(prefix)], used[len(prefix)]
        if child not in (other, "__init__") and other and not found.typing_only:
            graph.setdefault(child, set()).add(other)
    if not prefix:
        for layer, used_layer in UPWARDS:
            graph[layer].discard(used_layer)
    TopologicalSorter(graph).prepare()


def test_only_the_objective_runs_a_model() -> None:
    callers = {
        ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and runs_a_model(node.func)
    }
    assert callers
    assert all(module.startswith("_objective.") for module in callers), callers


def runs_a_model(function: ast.expr) -> bool:
    """By name: model(...), self.model(...), anything.forward(...), functional_call(...)."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"model", "forward", "functional_call"}


@pytest.mark.parametrize("crate", ["core", "python"])
def test_modules_of_a_crate_do_not_use_each_other_in_circles(crate: str) -> None:
    source = CRATES / crate / "src"
    graph: dict[str, set[str]] = {}
    for file in source.rglob("*.rs"):
        module = file.relative_to(source).parts[0].removesuffix(".rs")
        used = set(re.findall(r"\bcrate::(\w+)", file.read_text()))
        graph.setdefault(module, set()).update(used - {module})
    TopologicalSorter(graph).prepare()


def test_the_core_crate_knows_nothing_of_python() -> None:
    core = CRATES / "core"
    files = [core / "Cargo.toml", *core.rglob("*.rs")]
    assert len(files) > 10
    told = [str(file) for file in files if re.search(r"\bpyo3\b|\bnumpy\b", file.read_text())]
    assert not told


def test_only_the_binding_crate_knows_pyo3() -> None:
    told = {
        manifest.parent.name
        for manifest in CRATES.glob("*/Cargo.toml")
        if re.search(r"^(pyo3|numpy)\b", manifest.read_text(), re.MULTILINE)
    }
    assert told == {"python"}

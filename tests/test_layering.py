"""Dependencies: the layer table of docs/architecture.md against the imports; no circles."""

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

UPWARDS = {("_results", "plot"), ("_results", "_trust")}
"""A result's .plot() imports the plots when it is called, and .trust() what it examines."""

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


def test_every_folder_is_a_package_and_every_file_is_read() -> None:
    folders = {file.parent for file in PACKAGE.rglob("*.py")}
    assert all((folder / "__init__.py").exists() for folder in folders)
    importing = {found.file for found in IMPORTS}
    silent = {file for file in PACKAGE.rglob("*.py") if file not in importing}
    assert all(file.name == "__init__.py" for file in silent), silent


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
    """Deferred imports and those for types alone included."""
    graph: dict[str, set[str]] = {}
    for found in IMPORTS:
        if found.internal and not is_exempt(found):
            target = found.internal
            if (PACKAGE.joinpath(*target.split(".")) / "__init__.py").exists():
                target += ".__init__"
            graph.setdefault(found.module, set()).add(target)
    TopologicalSorter(graph).prepare()


def is_exempt(found: Import) -> bool:
    """A result's deferred imports; the types of results that plots name."""
    layer, used = found.module.split(".")[0], (found.internal or "").split(".")[0]
    return (layer, used) in UPWARDS or (layer == "plot" and found.typing_only)


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
        if child not in (other, "__init__") and other and not is_exempt(found):
            graph.setdefault(child, set()).add(other)
    TopologicalSorter(graph).prepare()


TRACERS = ("_export.recorder", "_export.torch_export")
RUNS_MODELS = ("_objective.", *TRACERS)
"""Where modules are called. Tracing is the one exception to the Objective: a twin of the model is
called on a few samples or on symbolic tensors, to see its operations, and no number comes of it."""

RUNNERS = {
    *("model", "module", "network", "forward", "functional_call", "vmap"),
    *("register_forward_hook", "register_forward_pre_hook", "register_module_forward_hook"),
}
"""Names whose call runs a module: model(x), self.model(x), m.forward(x), a hook on its forward."""

MODULE_MAKERS = {
    *("deepcopy", "model_at", "as_model", "get_submodule", "eval", "train", "Sequential"),
    *("double", "float", "half", "bfloat16"),
}
"""Functions and methods that return modules (or, some of them, tensors, which nobody calls)."""


def test_only_the_objective_runs_a_model() -> None:
    callers = {
        ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        for file in PACKAGE.rglob("*.py")
        if any(model_calls(ast.parse(file.read_text())))
    }
    assert {name for name in callers if name.startswith("_objective.")}
    assert callers.issuperset(TRACERS)
    assert not {name for name in callers if not name.startswith(RUNS_MODELS)}


def model_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of modules: by a runner's name, by a variable that holds one, or of what was made."""
    modules = module_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, function = last_name(node.func), node.func
        exported = name == "export" and "torch" in ast.unparse(function)
        called = isinstance(function, ast.Name) and function.id in modules
        made = isinstance(function, ast.Call) and last_name(function.func) in MODULE_MAKERS
        if name in RUNNERS or exported or called or made:
            yield node


def module_names(tree: ast.AST) -> set[str]:
    """Variables and arguments that hold modules: annotated as such, or assigned from a maker."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            if ast.unparse(node.annotation).strip("'\"") in {"nn.Module", "torch.nn.Module"}:
                names.add(node.arg)
        elif isinstance(node, ast.AnnAssign) and "nn.Module" in ast.unparse(node.annotation):
            names.add(ast.unparse(node.target))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            targets = {ast.unparse(target) for target in node.targets}
            names |= targets if last_name(node.value.func) in MODULE_MAKERS else set()
    return names


def last_name(function: ast.expr) -> str:
    """What is called: "f" of f(...), a.f(...) and a.b.f(...)."""
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@pytest.mark.parametrize(
    "code",
    [
        "model(x)",
        "self.model(x)",
        "anything.forward(x)",
        "functional_call(m, state, x)",
        "m.register_forward_hook(f)",
        "copy.deepcopy(m).double().eval()(x)",
        "twin = copy.deepcopy(m)\ntwin(x)",
        "def f(net: nn.Module) -> None:\n    net(x)",
        "torch.export.export(m, x)",
    ],
)
def test_calls_of_modules_are_seen(code: str) -> None:
    assert any(model_calls(ast.parse(code)))


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

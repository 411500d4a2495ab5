"""The permutation symmetry of a traced model: groups of units that may be permuted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._align.permutation import FIXED, EntryUnionFind, Labels, UnitGroup
from landscape._align.propagation import RULES, Operand, Propagation, UnsupportedFlow
from landscape._export import BATCH, Reference

if TYPE_CHECKING:
    from landscape._export import TracedGraph, TracedNode

__all__ = ["Symmetry", "find_symmetry"]

_UNTIED: Mapping[str, str] = MappingProxyType({})
_SIZE_OPERATIONS = {
    "mul": lambda a, b: a * b,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "floordiv": lambda a, b: a // b,
}


@dataclass(frozen=True)
class Symmetry:
    """The permutations that leave a model's function as it is."""

    groups: tuple[UnitGroup, ...]
    unsupported: Mapping[str, str]
    """Operations through which units were not followed, by module, and why."""


def find_symmetry(graph: TracedGraph, tied: Mapping[str, str] = _UNTIED) -> Symmetry:
    """Find the groups of units of a traced model, by propagating labels through its operations.

    Args:
        graph: The model.
        tied: Every further name of a tensor, and the name by which its axes are labelled.
    """
    labelling = _Labelling(graph, tied)
    for node in graph.nodes:
        labelling.propagate(node)
    for output in graph.outputs:
        if isinstance(output, Reference):
            labelling.fix(labelling.values[output.name])
    return Symmetry(labelling.entries.groups(), labelling.unsupported)


class _Labelling:
    """Labels of the values of a graph, computed one operation after the other."""

    def __init__(self, graph: TracedGraph, tied: Mapping[str, str]) -> None:
        self.entries = EntryUnionFind()
        self.flow = Propagation(self.entries)
        self.unsupported: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        for leaf in graph.leaves:
            shape = _sample_sizes(leaf.shape)
            if leaf.kind in ("parameter", "buffer"):
                self.values[leaf.name] = Operand(tied.get(leaf.target, leaf.target), shape)
            elif leaf.kind == "input" or np.prod(shape) > 1:
                self.values[leaf.name] = np.full(shape, FIXED)
            else:
                self.values[leaf.name] = 1.0  # a constant number

    def propagate(self, node: TracedNode) -> None:
        """Label the result of one operation."""
        arguments = {name: self._resolve(value) for name, value in node.arguments.items()}
        if node.op in _SIZE_OPERATIONS:
            self.values[node.name] = _SIZE_OPERATIONS[node.op](*arguments.values())
            return
        if node.op == "getitem":
            parts = arguments["0"]
            result = parts[arguments["1"]] if isinstance(parts, tuple) else None
        elif node.op == "aten.sym_size.int":
            self.values[node.name] = arguments["self"].shape[arguments["dim"]]
            return
        else:
            result = self._apply_rule(node, arguments)
        self.values[node.name] = _expand_to_shape(result, node)

    def _apply_rule(self, node: TracedNode, arguments: Mapping[str, Any]) -> Any:
        name = node.op.removeprefix("aten.")
        try:
            rule = RULES.get(name) or RULES.get(name.split(".")[0])
            if rule is None:
                raise UnsupportedFlow("this operation is not understood")
            return rule(self.flow, arguments)
        except (UnsupportedFlow, RuntimeError, ValueError, KeyError, AttributeError) as reason:
            self.unsupported[f"{node.module or 'the model'}: {node.op}"] = str(reason)
            self.fix(tuple(arguments.values()))
            return None

    def fix(self, value: Any) -> None:
        """Exclude the entries of a value from every permutation."""
        if isinstance(value, Operand):
            for axis in range(len(value.shape)):
                self.entries.fix(self.flow.label_axis(value, axis))
        elif isinstance(value, np.ndarray):
            self.entries.fix(value)
        elif isinstance(value, tuple):
            for part in value:
                self.fix(part)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Reference):
            return self.values[value.name]
        if isinstance(value, tuple):
            return tuple(self._resolve(part) for part in value)
        return value


def _sample_sizes(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    """A shape for a batch of one sample."""
    return tuple(1 if size == BATCH else int(size) for size in shape)


def _expand_to_shape(result: Any, node: TracedNode) -> Any:
    """A result in its full shape; FIXED where it is not known."""
    if node.shape is None:
        return result
    if result is None:
        sizes = tuple(size if isinstance(size, int) else 1 for size in node.shape)
        return np.full(sizes, FIXED)
    if not isinstance(result, np.ndarray):
        return result
    labels: Labels = result
    sizes = tuple(
        size if isinstance(size, int) else own
        for size, own in zip(node.shape, labels.shape, strict=True)
    )
    return np.broadcast_to(labels, sizes)

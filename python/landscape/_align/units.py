"""From a traced graph to the groups of units that may be permuted, and what is held and why.

Depends on the traced graph and the operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._align.operations import RULES, Flow, Tensor, Unknown
from landscape._align.strands import FIXED, Group, Strands
from landscape._export import BATCH, Reference

if TYPE_CHECKING:
    from landscape._export import TracedGraph, TracedNode

__all__ = ["Units", "units_of"]

_SIZES = {
    "mul": lambda a, b: a * b,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "floordiv": lambda a, b: a // b,
}


@dataclass(frozen=True)
class Units:
    """What of a model may be permuted without changing its function."""

    groups: tuple[Group, ...]
    held: Mapping[str, str]
    """Operations that units were not followed through, by their place in the model, and why."""


def units_of(graph: TracedGraph) -> Units:
    """Follow units through a model, from each tensor's axes to all that move with them."""
    walk = _Walk(graph)
    for node in graph.nodes:
        walk.take(node)
    for output in graph.outputs:
        if isinstance(output, Reference):
            walk.hold(walk.values[output.name])
    return Units(walk.strands.groups(), walk.held)


class _Walk:
    """Values of the graph as atoms, one operation after the other."""

    def __init__(self, graph: TracedGraph) -> None:
        self.strands = Strands()
        self.flow = Flow(self.strands)
        self.held: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        for leaf in graph.leaves:
            shape = _sizes(leaf.shape)
            if leaf.kind in ("parameter", "buffer"):
                self.values[leaf.name] = Tensor(leaf.target, shape)
            elif leaf.kind == "input" or np.prod(shape) > 1:
                self.values[leaf.name] = np.full(shape, FIXED)
            else:
                self.values[leaf.name] = 1.0  # a constant number

    def take(self, node: TracedNode) -> None:
        """Find the atoms of one operation's result."""
        given = {name: self._given(value) for name, value in node.arguments.items()}
        if node.op in _SIZES:
            self.values[node.name] = _SIZES[node.op](*given.values())
            return
        if node.op == "getitem":
            found = given["0"]
            found = found[given["1"]] if isinstance(found, tuple) else None
        elif node.op == "aten.sym_size.int":
            self.values[node.name] = given["self"].shape[given["dim"]]
            return
        else:
            found = self._followed(node, given)
        self.values[node.name] = _whole(found, node)

    def _followed(self, node: TracedNode, given: Mapping[str, Any]) -> Any:
        name = node.op.removeprefix("aten.")
        try:
            rule = RULES.get(name) or RULES.get(name.split(".")[0])
            if rule is None:
                raise Unknown("this operation is not understood")
            return rule(self.flow, given)
        except (Unknown, RuntimeError, ValueError, KeyError, AttributeError) as reason:
            self.held[f"{node.module or 'the model'}: {node.op}"] = str(reason)
            self.hold(tuple(given.values()))
            return None

    def hold(self, value: Any) -> None:
        """Let nothing of a value move."""
        if isinstance(value, Tensor):
            for axis in range(len(value.shape)):
                self.strands.hold(self.flow.along(value, axis))
        elif isinstance(value, np.ndarray):
            self.strands.hold(value)
        elif isinstance(value, tuple):
            for part in value:
                self.hold(part)

    def _given(self, value: Any) -> Any:
        if isinstance(value, Reference):
            return self.values[value.name]
        if isinstance(value, tuple):
            return tuple(self._given(part) for part in value)
        return value


def _sizes(shape: tuple[int | str, ...]) -> tuple[int, ...]:
    """Axes of one sample."""
    return tuple(1 if size == BATCH else int(size) for size in shape)


def _whole(found: Any, node: TracedNode) -> Any:
    """A result in its real shape, nothing of which moves where it is not known."""
    if node.shape is None:
        return found
    if found is None:
        sizes = tuple(size if isinstance(size, int) else 1 for size in node.shape)
        return np.full(sizes, FIXED)
    if not isinstance(found, np.ndarray):
        return found
    sizes = tuple(
        size if isinstance(size, int) else there
        for size, there in zip(node.shape, found.shape, strict=True)
    )
    return np.broadcast_to(found, sizes)

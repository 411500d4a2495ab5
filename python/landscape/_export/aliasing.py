"""Aliasing of a traced graph: which names share memory, and which operations the outputs need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from landscape._export.graph import Reference, TracedGraph, TracedNode
from landscape._export.unsupported import Unsupported

__all__ = ["Aliasing"]

# views where the layout of the memory allows it, copies elsewhere
_MAY_COPY = {"reshape", "reshape_as", "flatten", "unflatten", "contiguous", "to", "type_as"}


class Aliasing:
    """The names that may share memory, and the index of the last operation that reads each."""

    def __init__(self, traced: TracedGraph) -> None:
        self._leaves = {leaf.name for leaf in traced.leaves}
        self._ambiguous: set[str] = set()
        self._groups: dict[str, set[str]] = {name: {name} for name in self._leaves}
        for node in traced.nodes:
            self._join(node)
        self._last_read: dict[str, int] = {}
        self.needed = self._find_needed(traced)
        """The operations that the output depends on, in their order."""
        self._indices = {node.name: index for index, node in enumerate(traced.nodes)}

    def is_leaf(self, name: str) -> bool:
        """Whether a value may share its memory with an input or with the model."""
        return not self._groups[name].isdisjoint(self._leaves)

    def names_of_result(
        self, node: TracedNode, name: str, operands: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """The names that refer to an operation's result once it has overwritten a value.

        Raises:
            Unsupported: Another view of the same memory is read later.
        """
        index = self._indices[node.name]
        later = [
            alias
            for alias in sorted(self._groups[name])
            if alias in operands and self._last_read.get(alias, -1) > index and alias != node.name
        ]
        before = operands[name]
        ambiguous = not self._groups[name].isdisjoint(self._ambiguous)
        for alias in later:
            if alias != name and (ambiguous or operands[alias] is not before):
                why = f"it overwrites {name}, of which another view ({alias}) is read later"
                raise Unsupported(node.op, why, node.module)
        return tuple(dict.fromkeys((name, *later)))

    def _join(self, node: TracedNode) -> None:
        if not _MAY_COPY.isdisjoint(node.op.split(".")[1:2]):
            self._ambiguous.add(node.name)
        group = {node.name}
        for name in node.shares:
            group |= self._groups[name]
        for name in group:
            self._groups[name] = group

    def _find_needed(self, traced: TracedGraph) -> tuple[TracedNode, ...]:
        read = {value.name for value in traced.outputs if isinstance(value, Reference)}
        self._last_read.update(dict.fromkeys(read, len(traced.nodes)))
        needed = []
        for index in range(len(traced.nodes) - 1, -1, -1):
            node = traced.nodes[index]
            changes = any(not self._groups[name].isdisjoint(read) for name in node.overwrites)
            if node.name in read or changes:
                needed.append(node)
                read.update(node.references)
                for name in node.references:
                    self._last_read.setdefault(name, index)
        return tuple(reversed(needed))

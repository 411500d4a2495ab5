"""The lowered graph while it grows, and the JSON that it becomes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from landscape._export.operands import Held, Value, Weight

__all__ = ["Lowered", "Program"]

_VERSION = 1


@dataclass(frozen=True, eq=False)
class Lowered:
    """A network as the native engine reads it."""

    graph: str
    """Strict JSON: input, parameters, nodes, output."""
    held: NDArray[np.float64]
    """The numbers that do not vary, one after another."""
    dim: int
    """The length of theta."""
    dtype: str
    """The dtype in which the model computes: ``"float32"`` or ``"float64"``."""
    input_shape: tuple[int, ...]
    """The axes of one sample, as the model takes it."""
    output_shape: tuple[int, ...]
    """The axes of one sample's output, as the model returns it."""
    batch_norms: tuple[str, ...]
    """The path of the module behind each batch norm of the graph, in order; one that the model
    calls as a function stands under the module that calls it."""


@dataclass(frozen=True)
class _Node:
    kind: str
    inputs: tuple[int, ...]
    parameters: tuple[int | None, ...]
    options: dict[str, Any]
    shape: tuple[int, ...]
    module: str


class Program:
    """Nodes and parameters, appended one by one; value 0 is the input, node i makes value i + 1."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        self.input = Value(0, input_shape)
        self._nodes: list[_Node] = []
        self._parameters: list[dict[str, Any]] = []
        self._places: dict[Any, int] = {}
        self._held: list[NDArray[np.float64]] = []
        self._kept: list[Held] = []  # alive, so that no other takes its id
        self._held_size = 0

    def append(
        self,
        kind: str,
        inputs: Sequence[Value],
        parameters: Sequence[int | None],
        options: dict[str, Any],
        shape: tuple[int, ...],
        *,
        module: str,
    ) -> Value:
        """Add a node and return its value."""
        indices = tuple(value.index for value in inputs)
        self._nodes.append(_Node(kind, indices, tuple(parameters), options, shape, module))
        return Value(len(self._nodes), shape)

    def maker(self, value: Value, kind: str) -> _Node | None:
        """The node that made a value, if it is of this kind."""
        node = self._nodes[value.index - 1] if value.index > 0 else None
        return node if node is not None and node.kind == kind else None

    def value(self, index: int) -> Value:
        """A value by its place."""
        return Value(index, self._nodes[index - 1].shape) if index > 0 else self.input

    def parameter(self, operand: Weight | Held, shape: tuple[int, ...]) -> int:
        """The place of a tensor in the table, under these axes; used again, it is shared."""
        varied = isinstance(operand, Weight)
        key = ((operand.name if isinstance(operand, Weight) else id(operand)), shape, varied)
        if key not in self._places:
            offset = operand.offset if isinstance(operand, Weight) else self._hold(operand)
            self._places[key] = len(self._parameters)
            self._parameters.append({"shape": list(shape), "offset": offset, "held": not varied})
        return self._places[key]

    def _hold(self, operand: Held) -> int:
        offset = self._held_size
        numbers = operand.tensor.detach().to("cpu", torch.float64).reshape(-1).numpy().copy()
        self._held.append(numbers)
        self._kept.append(operand)
        self._held_size += numbers.size
        return offset

    def finished(self, output: Value, dim: int, dtype: str) -> Lowered:
        """What the output needs, as JSON."""
        needed = {output.index}
        for index in range(len(self._nodes), 0, -1):
            if index in needed:
                needed.update(self._nodes[index - 1].inputs)
        places = {0: 0}
        kept = [i for i in range(1, len(self._nodes) + 1) if i in needed]
        places.update({index: place for place, index in enumerate(kept, start=1)})
        nodes = [self._nodes[index - 1] for index in kept]
        used = sorted({p for node in nodes for p in node.parameters if p is not None})
        rows = {row: place for place, row in enumerate(used)}
        graph = {
            "version": _VERSION,
            "input": list(self.input.shape) or [1],
            "parameters": [self._parameters[row] for row in used],
            "nodes": [
                {
                    "kind": node.kind,
                    "inputs": [places[index] for index in node.inputs],
                    "parameters": [None if p is None else rows[p] for p in node.parameters],
                    "options": node.options,
                    "shape": list(node.shape) or [1],
                }
                for node in nodes
            ],
            "output": places[output.index],
        }
        return Lowered(
            graph=json.dumps(graph, allow_nan=False),
            held=np.concatenate([np.empty(0), *self._held]),
            dim=dim,
            dtype=dtype,
            input_shape=self.input.shape,
            output_shape=output.shape,
            batch_norms=tuple(node.module for node in nodes if node.kind == "batch_norm"),
        )


def finite(options: dict[str, Any]) -> bool:
    """Whether strict JSON can hold these options."""
    return all(not isinstance(value, float) or math.isfinite(value) for value in options.values())

"""The lowered graph, built node by node and serialised as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from landscape._export.operands import Constant, Value, Weight

__all__ = ["GraphBuilder", "LoweredModel"]

_VERSION = 1


@dataclass(frozen=True, eq=False)
class LoweredModel:
    """A network as the native engine reads it."""

    graph: str
    """Strict JSON: input, parameters, nodes, output."""
    constants: NDArray[np.float64]
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
    calls as a function is listed under the module that calls it."""


@dataclass(frozen=True)
class _Node:
    kind: str
    inputs: tuple[int, ...]
    parameters: tuple[int | None, ...]
    options: dict[str, Any]
    shape: tuple[int, ...]
    module: str


class GraphBuilder:
    """Nodes and parameters, appended one by one; value 0 is the input, node i makes value i + 1."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        self.input = Value(0, input_shape)
        self._nodes: list[_Node] = []
        self._parameters: list[dict[str, Any]] = []
        self._rows: dict[Any, int] = {}
        self._constants: list[NDArray[np.float64]] = []
        self._operands: list[Constant] = []  # kept alive, so that their ids are not used again
        self._constants_size = 0

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

    def producer(self, value: Value, kind: str) -> _Node | None:
        """The node that computes a value, if it is of this kind."""
        node = self._nodes[value.index - 1] if value.index > 0 else None
        return node if node is not None and node.kind == kind else None

    def value(self, index: int) -> Value:
        """A value by its index."""
        return Value(index, self._nodes[index - 1].shape) if index > 0 else self.input

    def parameter(self, operand: Weight | Constant, shape: tuple[int, ...]) -> int:
        """The row of a tensor in the table of parameters under these axes, added once."""
        varied = isinstance(operand, Weight)
        key = ((operand.name if isinstance(operand, Weight) else id(operand)), shape, varied)
        if key not in self._rows:
            offset = (
                operand.offset if isinstance(operand, Weight) else self._append_constant(operand)
            )
            self._rows[key] = len(self._parameters)
            self._parameters.append({"shape": list(shape), "offset": offset, "held": not varied})
        return self._rows[key]

    def _append_constant(self, operand: Constant) -> int:
        offset = self._constants_size
        numbers = operand.tensor.detach().to("cpu", torch.float64).reshape(-1).numpy().copy()
        self._constants.append(numbers)
        self._operands.append(operand)
        self._constants_size += numbers.size
        return offset

    def build(self, output: Value, dim: int, dtype: str) -> LoweredModel:
        """Serialise the part of the graph that the output depends on."""
        needed = {output.index}
        for index in range(len(self._nodes), 0, -1):
            if index in needed:
                needed.update(self._nodes[index - 1].inputs)
        positions = {0: 0}
        indices = [i for i in range(1, len(self._nodes) + 1) if i in needed]
        positions.update({index: position for position, index in enumerate(indices, start=1)})
        nodes = [self._nodes[index - 1] for index in indices]
        used = sorted({p for node in nodes for p in node.parameters if p is not None})
        rows = {row: position for position, row in enumerate(used)}
        graph = {
            "version": _VERSION,
            "input": list(self.input.shape) or [1],
            "parameters": [self._parameters[row] for row in used],
            "nodes": [
                {
                    "kind": node.kind,
                    "inputs": [positions[index] for index in node.inputs],
                    "parameters": [None if p is None else rows[p] for p in node.parameters],
                    "options": node.options,
                    "shape": list(node.shape) or [1],
                }
                for node in nodes
            ],
            "output": positions[output.index],
        }
        return LoweredModel(
            graph=json.dumps(graph, allow_nan=False),
            constants=np.concatenate([np.empty(0), *self._constants]),
            dim=dim,
            dtype=dtype,
            input_shape=self.input.shape,
            output_shape=output.shape,
            batch_norms=tuple(node.module for node in nodes if node.kind == "batch_norm"),
        )


def is_finite(options: dict[str, Any]) -> bool:
    """Whether strict JSON can represent these options."""
    return all(not isinstance(value, float) or math.isfinite(value) for value in options.values())

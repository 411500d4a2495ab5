"""One operation as its rule reads it: arguments by name, each validated when it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, TypeAlias

from landscape._export.builder import GraphBuilder, is_finite
from landscape._export.graph import Reference, TracedNode
from landscape._export.operands import Constant, Operand, Value, Weight
from landscape._export.unsupported import Unsupported

__all__ = ["AXES", "Call"]

Parameter: TypeAlias = Weight | Constant

AXES: Mapping[int, tuple[str, ...]] = {
    1: ("channels",),
    2: ("channels", "width"),
    3: ("channels", "height", "width"),
}
"""The names of a sample's axes, by their number."""


class Call:
    """An operation of the traced graph, its operands, and the graph that it is lowered to."""

    def __init__(
        self,
        node: TracedNode,
        operands: Mapping[str, Operand | tuple[Operand, ...]],
        builder: GraphBuilder,
    ) -> None:
        self.node = node
        self.builder = builder
        self._operands = operands

    def unsupported(self, why: str) -> Unsupported:
        """Make the exception with this reason, for the rule to raise."""
        return Unsupported(self.node.op, why, self.node.module)

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes of one sample's result."""
        shape = self.node.sample_shape
        if shape is None:
            raise self.unsupported(
                f"its result {_format_shape(self.node.shape)} is not one row a sample"
            )
        return shape

    def argument(self, name: str) -> Any:
        """An argument: an operand, a plain value, or a tuple of either."""
        return self._resolve(self.node.arguments[name])

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Reference):
            return self._operands[value.name]
        if isinstance(value, tuple):
            return tuple(self._resolve(member) for member in value)
        return value

    def value(self, name: str) -> Value:
        """An argument that depends on the sample."""
        operand = self.argument(name)
        if not isinstance(operand, Value):
            raise self.unsupported(f"{name} does not depend on the sample")
        return operand

    def parameter(self, name: str, shape: tuple[int, ...] | None = None) -> int | None:
        """The row of a tensor that does not depend on the sample; None where there is none."""
        operand = self.argument(name)
        if operand is None:
            return None
        if isinstance(operand, Weight | Constant):
            return self.entry(operand, shape or operand.axes)
        raise self.unsupported(f"{name} depends on the sample")

    def entry(self, operand: Parameter, shape: tuple[int, ...]) -> int:
        """The row of a tensor in the graph's table of parameters."""
        if isinstance(operand, Weight) and operand.transposed:
            raise self.unsupported(f"{operand.name} is read transposed while it varies")
        if prod(shape) != prod(operand.axes):
            raise self.unsupported(f"a parameter of shape {operand.axes} where {shape} is expected")
        return self.builder.parameter(operand, shape)

    def number(self, name: str) -> float:
        """An argument that is a plain number."""
        number = self.argument(name)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise self.unsupported(f"{name} is not a plain number")
        return float(number)

    def integers(self, name: str, count: int, default: Sequence[int] = ()) -> list[int]:
        """Plain integers, one for all or one each; the default where there is none."""
        value = self.argument(name)
        integers = [value] if isinstance(value, int) else list(value or default)
        if not all(type(member) is int for member in integers):
            raise self.unsupported(f"{name} is not made of plain integers")
        integers = integers * count if len(integers) == 1 else integers
        if len(integers) != count:
            raise self.unsupported(f"{name} has {len(integers)} entries, expected {count}")
        return integers

    def axis(self, dim: int, value: Value) -> int:
        """An axis of the batch as an axis of one sample."""
        axis = dim + len(value.shape) + 1 if dim < 0 else dim
        if axis == 0:
            raise self.unsupported("it acts along the batch, so that samples would meet")
        return axis - 1

    def emit(
        self,
        kind: str,
        inputs: Sequence[Value],
        parameters: Sequence[int | None] = (),
        shape: tuple[int, ...] | None = None,
        **options: Any,
    ) -> Value:
        """Add a node to the graph; its shape is by default that of the operation's result."""
        shape = self.shape if shape is None else shape
        if len(shape) > max(AXES) or prod(shape) == 0:
            raise self.unsupported(f"a sample of shape {shape}; one to three axes are supported")
        if not is_finite(options):
            raise self.unsupported(f"{kind} with an infinite option")
        return self.builder.append(
            kind, inputs, parameters, options, shape, module=self.node.module
        )

    def reshape(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Reshape a value; successive reshapes are merged into one, or none."""
        node = self.builder.producer(value, "reshape")
        value = self.builder.value(node.inputs[0]) if node is not None else value
        if prod(shape) != value.features:
            raise self.unsupported(f"{value.shape} has not the size of {shape}")
        return value if value.shape == shape else self.emit("reshape", [value], shape=shape)


def _format_shape(shape: tuple[int | str, ...] | None) -> str:
    return "" if shape is None else f"of shape ({', '.join(map(str, shape))})"

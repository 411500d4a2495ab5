"""One operation as a rule sees it: its arguments by name, checked as they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, TypeAlias, TypeVar

from landscape._export.operands import Held, Operand, Value, Weight
from landscape._export.program import Program, finite
from landscape._export.traced import Reference, TracedNode
from landscape._export.unsupported import Unsupported

__all__ = ["AXES", "Call"]

Parameter: TypeAlias = Weight | Held
Kind = TypeVar("Kind", Value, Weight, Held)

AXES: Mapping[int, tuple[str, ...]] = {
    1: ("channels",),
    2: ("channels", "width"),
    3: ("channels", "height", "width"),
}
"""What the axes of a sample are called, by their number."""


class Call:
    """An operation of the traced graph, its operands, and the program that it is lowered to."""

    def __init__(
        self, node: TracedNode, operands: Mapping[str, Operand | tuple[Operand, ...]], to: Program
    ) -> None:
        self.node = node
        self.program = to
        self._operands = operands

    def refused(self, why: str) -> Unsupported:
        """The exception that says why not; the rule raises it."""
        return Unsupported(self.node.op, why, self.node.module)

    @property
    def shape(self) -> tuple[int, ...]:
        """The axes of one sample's result."""
        shape = self.node.sample_shape
        if shape is None:
            raise self.refused(f"its result {_shown(self.node.shape)} is not one row a sample")
        return shape

    def given(self, name: str) -> Any:
        """An argument: an operand, a plain value, or a tuple of either."""
        return self._resolved(self.node.arguments[name])

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, Reference):
            return self._operands[value.name]
        if isinstance(value, tuple):
            return tuple(self._resolved(member) for member in value)
        return value

    def value(self, name: str) -> Value:
        """An argument that depends on the sample."""
        found = self.given(name)
        if not isinstance(found, Value):
            raise self.refused(f"{name} does not depend on the sample")
        return found

    def parameter(self, name: str, shape: tuple[int, ...] | None = None) -> int | None:
        """A tensor that does not depend on the sample, in the program's table; None for none."""
        found = self.given(name)
        if found is None:
            return None
        if isinstance(found, Weight | Held):
            return self.entry(found, shape or found.axes)
        raise self.refused(f"{name} depends on the sample")

    def entry(self, operand: Parameter, shape: tuple[int, ...]) -> int:
        """The place of a tensor in the program's table."""
        if isinstance(operand, Weight) and operand.transposed:
            raise self.refused(f"{operand.name} is read transposed while it varies")
        if prod(shape) != prod(operand.axes):
            raise self.refused(f"a parameter of shape {operand.axes} where {shape} is expected")
        return self.program.parameter(operand, shape)

    def number(self, name: str) -> float:
        """An argument that is a plain number."""
        found = self.given(name)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise self.refused(f"{name} is not a plain number")
        return float(found)

    def integers(self, name: str, count: int, default: Sequence[int] = ()) -> list[int]:
        """Plain integers, one for all or one each; the default where none is given."""
        found = self.given(name)
        listed = [found] if isinstance(found, int) else list(found or default)
        if not all(type(member) is int for member in listed):
            raise self.refused(f"{name} is not made of plain integers")
        listed = listed * count if len(listed) == 1 else listed
        if len(listed) != count:
            raise self.refused(f"{name} has {len(listed)} entries, expected {count}")
        return listed

    def axis(self, dim: int, value: Value) -> int:
        """An axis of the batch as an axis of one sample."""
        axis = dim + len(value.shape) + 1 if dim < 0 else dim
        if axis == 0:
            raise self.refused("it acts along the batch, so that samples would meet")
        return axis - 1

    def emit(
        self,
        kind: str,
        inputs: Sequence[Value],
        parameters: Sequence[int | None] = (),
        shape: tuple[int, ...] | None = None,
        **options: Any,
    ) -> Value:
        """Add a node to the program; its shape is that of the operation's result unless given."""
        shape = self.shape if shape is None else shape
        if len(shape) > max(AXES) or prod(shape) == 0:
            raise self.refused(f"a sample of shape {shape}; one to three axes are supported")
        if not finite(options):
            raise self.refused(f"{kind} with an infinite option")
        return self.program.append(
            kind, inputs, parameters, options, shape, module=self.node.module
        )

    def reshape(self, value: Value, shape: tuple[int, ...]) -> Value:
        """The same numbers under other axes; reshapes of reshapes are one, or none."""
        made = self.program.maker(value, "reshape")
        value = self.program.value(made.inputs[0]) if made is not None else value
        if prod(shape) != value.features:
            raise self.refused(f"{value.shape} has not the size of {shape}")
        return value if value.shape == shape else self.emit("reshape", [value], shape=shape)


def _shown(shape: tuple[int | str, ...] | None) -> str:
    return "" if shape is None else f"of shape ({', '.join(map(str, shape))})"

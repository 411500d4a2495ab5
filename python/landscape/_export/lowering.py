"""From the traced graph to the native one, operation by operation, through a closed list.

Depends on the parameter layout. What does not depend on the sample is computed on the spot, so
that rules see constants; what writes in place takes the place of what it overwrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from landscape._export.call import Call
from landscape._export.memory import Memory
from landscape._export.operands import Held, Operand, Size, Value, Weight
from landscape._export.program import Lowered, Program
from landscape._export.rules import RULES
from landscape._export.traced import Reference, TracedGraph, TracedNode, sample_shape
from landscape._export.unsupported import Unsupported
from landscape._parameters import ParameterLayout

__all__ = ["lowered"]

_DTYPES = ("float32", "float64")


def lowered(traced: TracedGraph, layout: ParameterLayout, model: nn.Module) -> Lowered:
    """Lower a traced model to the layers that run natively.

    Args:
        traced: The model's graph.
        layout: Which parameters vary, and where they lie in theta.
        model: The same model: parameters that do not vary, and buffers, are read from it.

    Returns:
        The graph as JSON, with the numbers that do not vary.

    Raises:
        Unsupported: An operation, an input, the output or a dtype is not on the list.
    """
    source = _input(traced)
    output = _output(traced)
    program = Program(sample_shape(source.shape) or ())
    operands = _leaves(traced, layout, model, program)
    memory = Memory(traced)
    for node in memory.needed:
        operands[node.name] = _operand(node, operands, program, memory, source.dtype)
        for name in node.overwrites:
            for alias in memory.overwritten(node, name, operands):
                operands[alias] = operands[node.name]
    found = operands[output.name]
    if not isinstance(found, Value):
        raise Unsupported("output", "it does not depend on the input")
    return program.finished(found, layout.size, source.dtype)


def _input(traced: TracedGraph) -> Any:
    """The one tensor that the model takes."""
    if len(traced.inputs) != 1:
        raise Unsupported("input", f"the model takes {len(traced.inputs)} tensors, expected one")
    (source,) = traced.inputs
    shape = sample_shape(source.shape)
    if source.dtype not in _DTYPES:
        raise Unsupported("input", f"its dtype is {source.dtype}, expected float32 or float64")
    if shape is None or len(shape) > 3:
        raise Unsupported("input", f"samples have {len(source.shape) - 1} axes, expected 1 to 3")
    return source


def _output(traced: TracedGraph) -> Reference:
    """The one tensor that the model returns."""
    if traced.structure is not None:
        kind = " ".join(traced.structure.split())
        raise Unsupported("output", f"the model returns {kind}, expected one tensor")
    (output,) = traced.outputs
    if not isinstance(output, Reference):
        raise Unsupported("output", f"the model returns {output!r}, expected a tensor")
    return output


def _leaves(
    traced: TracedGraph, layout: ParameterLayout, model: nn.Module, program: Program
) -> dict[str, Operand | tuple[Operand, ...]]:
    varied = {entry.name: entry for entry in layout.entries}
    found: dict[str, Operand | tuple[Operand, ...]] = {}
    for leaf in traced.leaves:
        entry = varied.get(leaf.target) if leaf.kind == "parameter" else None
        if leaf.kind == "input":
            found[leaf.name] = program.input
        elif entry is not None:
            if entry.dtype not in _DTYPES:
                raise Unsupported("parameter", f"{entry.name} is {entry.dtype}")
            found[leaf.name] = Weight(entry.name, entry.offset, entry.shape)
        elif leaf.kind == "parameter":
            found[leaf.name] = Held(_own(model.get_parameter(leaf.target)))
        elif leaf.kind == "buffer":
            found[leaf.name] = Held(_own(model.get_buffer(leaf.target)))
        else:
            found[leaf.name] = Held(_own(traced.constants[leaf.target]))
    return found


def _own(tensor: Tensor) -> Tensor:
    tensor = tensor.clone() if tensor.is_inference() else tensor
    return tensor.detach().cpu()


def _operand(
    node: TracedNode,
    operands: Mapping[str, Operand | tuple[Operand, ...]],
    program: Program,
    memory: Memory,
    dtype: str,
) -> Operand | tuple[Operand, ...]:
    """What an operation's name stands for."""
    if node.dtype == "size" or node.op == "get_attr":
        return Size()
    if any(memory.is_leaf(name) for name in node.overwrites):
        raise Unsupported(node.op, "it changes an input or the model's tensors", node.module)
    if node.op == "getitem":
        parts = operands[node.references[0]]
        return parts[node.arguments["1"]] if isinstance(parts, tuple) else parts
    if all(isinstance(operands[name], Held) for name in node.references) and not node.draws:
        return _computed(node, operands)
    rule = RULES.get(_functional(node))
    if rule is None:
        raise Unsupported(node.op, "this operation is not supported", node.module)
    result = rule(Call(node, operands, program))
    if isinstance(result, Value) and (node.dtype != dtype or node.sample_shape != result.shape):
        wanted = f"{dtype} with one row a sample"
        raise Unsupported(node.op, f"its result is {node.dtype}, expected {wanted}", node.module)
    return result


def _functional(node: TracedNode) -> str:
    """The form that returns a new tensor: "aten.relu_.default" abbreviates "aten.relu.default"."""
    if not node.overwrites:
        return node.op
    library, _, rest = node.op.partition(".")
    name, _, overload = rest.partition(".")
    return f"{library}.{name.removesuffix('_')}.{overload}"


def _computed(
    node: TracedNode, operands: Mapping[str, Operand | tuple[Operand, ...]]
) -> Operand | tuple[Operand, ...]:
    """A result that is the same for every sample and at every point, computed by PyTorch."""
    library, _, rest = node.op.partition(".")
    name, _, overload = rest.partition(".")
    try:
        operation = getattr(getattr(getattr(torch.ops, library), name), overload)
        arguments = {key: _real(value, operands) for key, value in node.arguments.items()}
        positional = [
            arguments.pop(argument.name)
            for argument in operation._schema.arguments
            if not argument.kwarg_only
        ]
        with torch.inference_mode(mode=False), torch.no_grad():
            found = operation(*positional, **arguments)
    except Exception as error:
        raise Unsupported(node.op, "this operation is not supported", node.module) from error
    if isinstance(found, Tensor):
        return Held(found)
    if isinstance(found, list | tuple) and all(isinstance(part, Tensor) for part in found):
        return tuple(Held(part) for part in found)
    raise Unsupported(node.op, "its result is not a tensor", node.module)


def _real(value: Any, operands: Mapping[str, Operand | tuple[Operand, ...]]) -> Any:
    if isinstance(value, Reference):
        operand = operands[value.name]
        assert isinstance(operand, Held)
        return operand.tensor
    if isinstance(value, tuple):
        return [_real(member, operands) for member in value]
    return value

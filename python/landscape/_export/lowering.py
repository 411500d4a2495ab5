"""Lowering of a traced graph to the core's layers, operation by operation.

Operations that are not on a closed list are refused. Results that do not depend on the sample are
computed at once, so that rules see constants; the
result of an in-place operation replaces the operands that it overwrote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from landscape._export.aliasing import Aliasing
from landscape._export.builder import GraphBuilder, LoweredModel
from landscape._export.call import Call
from landscape._export.graph import Reference, TracedGraph, TracedNode, sample_shape
from landscape._export.operands import Constant, Operand, Size, Value, Weight
from landscape._export.rules import RULES
from landscape._export.unsupported import Unsupported
from landscape._parameters import ParameterLayout

__all__ = ["lower"]

_DTYPES = ("float32", "float64")


def lower(traced: TracedGraph, layout: ParameterLayout, model: nn.Module) -> LoweredModel:
    """Lower a traced model to the layers that run natively.

    Args:
        traced: The model's graph.
        layout: The parameters that vary, and their offsets in theta.
        model: The same model: parameters that do not vary, and buffers, are read from it.

    Returns:
        The graph as JSON, with the parameters that do not vary.

    Raises:
        Unsupported: An operation, an input, the output or a dtype is not supported.
    """
    source = _find_input(traced)
    output = _find_output(traced)
    builder = GraphBuilder(sample_shape(source.shape) or ())
    operands = _read_leaves(traced, layout, model, builder)
    aliasing = Aliasing(traced)
    for node in aliasing.needed:
        operands[node.name] = _lower_node(node, operands, builder, aliasing, source.dtype)
        for name in node.overwrites:
            for alias in aliasing.names_of_result(node, name, operands):
                operands[alias] = operands[node.name]
    value = operands[output.name]
    if not isinstance(value, Value):
        raise Unsupported("output", "it does not depend on the input")
    return builder.build(value, layout.size, source.dtype)


def _find_input(traced: TracedGraph) -> Any:
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


def _find_output(traced: TracedGraph) -> Reference:
    """The one tensor that the model returns."""
    if traced.structure is not None:
        kind = " ".join(traced.structure.split())
        raise Unsupported("output", f"the model returns {kind}, expected one tensor")
    (output,) = traced.outputs
    if not isinstance(output, Reference):
        raise Unsupported("output", f"the model returns {output!r}, expected a tensor")
    return output


def _read_leaves(
    traced: TracedGraph, layout: ParameterLayout, model: nn.Module, builder: GraphBuilder
) -> dict[str, Operand | tuple[Operand, ...]]:
    varied = {entry.name: entry for entry in layout.entries}
    operands: dict[str, Operand | tuple[Operand, ...]] = {}
    for leaf in traced.leaves:
        entry = varied.get(leaf.target) if leaf.kind == "parameter" else None
        if leaf.kind == "input":
            operands[leaf.name] = builder.input
        elif entry is not None:
            if entry.dtype not in _DTYPES:
                raise Unsupported("parameter", f"{entry.name} is {entry.dtype}")
            operands[leaf.name] = Weight(entry.name, entry.offset, entry.shape)
        elif leaf.kind == "parameter":
            operands[leaf.name] = Constant(_detach(model.get_parameter(leaf.target)))
        elif leaf.kind == "buffer":
            operands[leaf.name] = Constant(_detach(model.get_buffer(leaf.target)))
        else:
            operands[leaf.name] = Constant(_detach(traced.constants[leaf.target]))
    return operands


def _detach(tensor: Tensor) -> Tensor:
    tensor = tensor.clone() if tensor.is_inference() else tensor
    return tensor.detach().cpu()


def _lower_node(
    node: TracedNode,
    operands: Mapping[str, Operand | tuple[Operand, ...]],
    builder: GraphBuilder,
    aliasing: Aliasing,
    dtype: str,
) -> Operand | tuple[Operand, ...]:
    """Lower one operation to the operand that its name refers to."""
    if node.dtype == "size" or node.op == "get_attr":
        return Size()
    if any(aliasing.is_leaf(name) for name in node.overwrites):
        raise Unsupported(node.op, "it changes an input or the model's tensors", node.module)
    if node.op == "getitem":
        parts = operands[node.references[0]]
        return parts[node.arguments["1"]] if isinstance(parts, tuple) else parts
    if all(isinstance(operands[name], Constant) for name in node.references) and not node.is_random:
        return _compute_constant(node, operands)
    rule = RULES.get(_functional_form(node))
    if rule is None:
        raise Unsupported(node.op, "this operation is not supported", node.module)
    result = rule(Call(node, operands, builder))
    if isinstance(result, Value) and (node.dtype != dtype or node.sample_shape != result.shape):
        expected = f"{dtype} with one row a sample"
        raise Unsupported(node.op, f"its result is {node.dtype}, expected {expected}", node.module)
    return result


def _functional_form(node: TracedNode) -> str:
    """The form that returns a new tensor: "aten.relu.default" for "aten.relu_.default"."""
    if not node.overwrites:
        return node.op
    library, _, rest = node.op.partition(".")
    name, _, overload = rest.partition(".")
    return f"{library}.{name.removesuffix('_')}.{overload}"


def _compute_constant(
    node: TracedNode, operands: Mapping[str, Operand | tuple[Operand, ...]]
) -> Operand | tuple[Operand, ...]:
    """A result that is the same for every sample and at every point, computed by PyTorch."""
    library, _, rest = node.op.partition(".")
    name, _, overload = rest.partition(".")
    try:
        operation = getattr(getattr(getattr(torch.ops, library), name), overload)
        arguments = {key: _to_tensor(value, operands) for key, value in node.arguments.items()}
        positional = [
            arguments.pop(argument.name)
            for argument in operation._schema.arguments
            if not argument.kwarg_only
        ]
        with torch.inference_mode(mode=False), torch.no_grad():
            result = operation(*positional, **arguments)
    except Exception as error:
        raise Unsupported(node.op, "this operation is not supported", node.module) from error
    if isinstance(result, Tensor):
        return Constant(result)
    if isinstance(result, list | tuple) and all(isinstance(part, Tensor) for part in result):
        return tuple(Constant(part) for part in result)
    raise Unsupported(node.op, "its result is not a tensor", node.module)


def _to_tensor(value: Any, operands: Mapping[str, Operand | tuple[Operand, ...]]) -> Any:
    if isinstance(value, Reference):
        operand = operands[value.name]
        assert isinstance(operand, Constant)
        return operand.tensor
    if isinstance(value, tuple):
        return [_to_tensor(member, operands) for member in value]
    return value

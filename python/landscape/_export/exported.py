"""A program of `torch.export` as a traced graph."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from landscape._export.graph import (
    BATCH,
    Reference,
    TracedGraph,
    TracedLeaf,
    TracedNode,
    describe_operation,
    name_type,
)
from landscape._export.unsupported import Unsupported

__all__ = ["read_program"]

_KINDS: Mapping[InputKind, Literal["input", "parameter", "buffer", "constant"]] = {
    InputKind.USER_INPUT: "input",
    InputKind.PARAMETER: "parameter",
    InputKind.BUFFER: "buffer",
    InputKind.CONSTANT_TENSOR: "constant",
}


def read_program(program: ExportedProgram, model: nn.Module) -> TracedGraph:
    """Read a program that `torch.export` made of a model.

    Raises:
        Unsupported: Something flows in that is no tensor, or the model's code depends on the batch
            size.
    """
    placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    batch = _batch_symbol(placeholders.values(), program)
    first_names = {id(p): name for name, p in model.named_parameters()}
    leaves = []
    for spec in program.graph_signature.input_specs:
        name = getattr(spec.arg, "name", None)
        kind = _KINDS.get(spec.kind)
        if kind is None or name is None:
            raise Unsupported("input", f"{spec.kind.name.lower()} is not a tensor")
        shape, dtype = _describe_value(placeholders[name].meta.get("val"), batch)
        if shape is None or dtype is None:
            continue  # a plain value, which is written into the graph where it is used
        target = spec.target or name
        if kind == "parameter":
            target = first_names[id(model.get_parameter(target))]
        leaves.append(TracedLeaf(name, kind, target, shape, dtype))
    nodes = tuple(
        _read_node(node, batch)
        for node in program.graph.nodes
        if node.op not in ("placeholder", "output")
    )
    (output,) = (node for node in program.graph.nodes if node.op == "output")
    output_spec = program.call_spec.out_spec
    is_bare = output_spec is None or output_spec.is_leaf()
    return TracedGraph(
        leaves=tuple(leaves),
        nodes=nodes,
        outputs=tuple(_to_plain(value) for value in output.args[0]),
        structure=None if is_bare else str(output_spec),
        constants=MappingProxyType(
            {name: c for name, c in program.constants.items() if isinstance(c, Tensor)}
        ),
    )


def _batch_symbol(placeholders: Any, program: ExportedProgram) -> str:
    """The tracer's symbol for the number of samples."""
    inputs = set(program.graph_signature.user_inputs)
    for node in placeholders:
        value = node.meta.get("val")
        if node.name in inputs and isinstance(value, Tensor) and value.dim() > 0:
            if isinstance(value.shape[0], int):
                raise Unsupported("torch.export", "the model's code depends on the batch size")
            return str(value.shape[0])
    raise Unsupported("input", "the model takes no tensor")


def _describe_value(value: Any, batch: str) -> tuple[tuple[int | str, ...] | None, str | None]:
    """Shape and dtype of a traced value."""
    if isinstance(value, Tensor):
        shape = tuple(
            size if isinstance(size, int) else BATCH if str(size) == batch else str(size)
            for size in value.shape
        )
        return shape, str(value.dtype).removeprefix("torch.")
    if isinstance(value, torch.SymInt | torch.SymFloat | torch.SymBool):
        return None, "size"
    return None, None


def _read_node(node: fx.Node, batch: str) -> TracedNode:
    shape, dtype = _describe_value(node.meta.get("val"), batch)
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = next(((p, k) for p, k in reversed(stack) if not p.startswith("_empty")), ("", ""))
    common: dict[str, Any] = {
        "name": node.name,
        "shape": shape,
        "dtype": dtype,
        "module": path,
        "module_type": name_type(kind),
    }
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return TracedNode(**describe_operation(target, node.args, node.kwargs, _to_plain), **common)
    # getitem, arithmetic of sizes, or a higher-order operation and its subgraph
    name = node.op if isinstance(target, str) else getattr(target, "__name__", str(target))
    unnamed = {str(index): _to_plain(value) for index, value in enumerate(node.args)}
    return TracedNode(op=name, arguments=MappingProxyType(unnamed), **common)


def _to_plain(value: Any) -> Any:
    """Arguments without PyTorch's graph classes."""
    if isinstance(value, fx.Node):
        return Reference(value.name)
    if isinstance(value, list | tuple):
        return tuple(_to_plain(member) for member in value)
    return value

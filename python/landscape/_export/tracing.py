"""A traced graph: the operations that `torch.export` records, as plain data.

One kind of leaf for every tensor that flows in, one kind of node for every operation; arguments go
by the names in PyTorch's schemas, defaults included, so that readers never count positions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from landscape._export.torch_export import export_model
from landscape._export.unsupported import Unsupported

__all__ = ["BATCH", "Reference", "TracedGraph", "TracedLeaf", "TracedNode", "trace"]

BATCH = "batch"
"""Stands in a shape for the number of samples."""

# these may return their input itself, which their schemas do not declare
_MAY_ALIAS = {"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "type_as"}

_KINDS: Mapping[InputKind, Literal["input", "parameter", "buffer", "constant"]] = {
    InputKind.USER_INPUT: "input",
    InputKind.PARAMETER: "parameter",
    InputKind.BUFFER: "buffer",
    InputKind.CONSTANT_TENSOR: "constant",
}


@dataclass(frozen=True)
class Reference:
    """Another leaf's or node's value, by its name in the graph."""

    name: str


@dataclass(frozen=True)
class TracedLeaf:
    """A tensor that flows into the graph."""

    name: str
    """Its name in the graph."""
    kind: Literal["input", "parameter", "buffer", "constant"]
    target: str
    """A parameter's first name in ``named_parameters()`` (tied weights share one), a buffer's or a
    constant's name in the model; for an input its name in the graph."""
    shape: tuple[int | str, ...]
    """The axes; :data:`BATCH` stands for the number of samples."""
    dtype: str


@dataclass(frozen=True)
class TracedNode:
    """One operation."""

    name: str
    """Its value's name in the graph."""
    op: str
    """Such as ``"aten.conv2d.default"``; ``"getitem"`` takes one of several results."""
    arguments: Mapping[str, Any]
    """By the schema's names; tensors and sizes of the graph are :class:`Reference`, lists are
    tuples."""
    shape: tuple[int | str, ...] | None
    """The result's axes, with :data:`BATCH` for the number of samples and other expressions of it
    spelt out; None for a result that is not one tensor."""
    dtype: str | None
    """The result's dtype; ``"size"`` for a number that depends on the batch size; None for a
    result that is not one tensor."""
    module: str
    """The path of the module that calls the operation; "" is the model itself."""
    module_type: str
    shares: tuple[str, ...] = ()
    """The values whose memory the result may share."""
    overwrites: tuple[str, ...] = ()
    """The values that the operation changes in place."""
    is_random: bool = False
    """Whether the result is random."""

    @cached_property
    def references(self) -> tuple[str, ...]:
        """The names of all values that the operation reads, in the arguments' order."""
        return tuple(_references(tuple(self.arguments.values())))

    @property
    def sample_shape(self) -> tuple[int, ...] | None:
        """The axes of one sample's result; None unless the first axis, alone, counts samples."""
        return sample_shape(self.shape)


@dataclass(frozen=True)
class TracedGraph:
    """A model in evaluation mode: leaves, operations in the order of computation, outputs."""

    leaves: tuple[TracedLeaf, ...]
    nodes: tuple[TracedNode, ...]
    outputs: tuple[Any, ...]
    """:class:`Reference` for tensors; other values that the model returns as they are."""
    structure: str | None
    """How the outputs are nested; None where the model returns a single tensor."""
    constants: Mapping[str, Tensor] = field(repr=False)
    """Tensors of the model's code and attributes that are neither parameters nor buffers."""

    @property
    def inputs(self) -> tuple[TracedLeaf, ...]:
        """What the user passes."""
        return tuple(leaf for leaf in self.leaves if leaf.kind == "input")

    @cached_property
    def users(self) -> Mapping[str, tuple[TracedNode, ...]]:
        """The operations that read each value."""
        users: dict[str, list[TracedNode]] = {leaf.name: [] for leaf in self.leaves}
        for node in self.nodes:
            users[node.name] = []
            for name in dict.fromkeys(node.references):
                users[name].append(node)
        return MappingProxyType({name: tuple(nodes) for name, nodes in users.items()})


def trace(model: nn.Module, example_inputs: Sequence[Any] | Tensor) -> TracedGraph:
    """Trace a model in evaluation mode, for batches of any size.

    Args:
        model: The module. It is neither copied nor changed.
        example_inputs: The positional arguments of its forward; the first axis of every
            tensor counts samples. Values do not matter, shapes and dtypes do.

    Returns:
        The graph, before any decomposition: ``F.relu(x)`` and ``nn.ReLU()(x)`` look the same.

    Raises:
        Unsupported: The model cannot be traced, or its code depends on the batch size.
    """
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    program = export_model(model, inputs)
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


def sample_shape(shape: tuple[int | str, ...] | None) -> tuple[int, ...] | None:
    """The axes after the first; None unless the first axis, alone, counts samples."""
    if not shape or shape[0] != BATCH:
        return None
    rest = tuple(size for size in shape[1:] if isinstance(size, int))
    return rest if len(rest) == len(shape) - 1 else None


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
        "module_type": kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}",
    }
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        # getitem, arithmetic of sizes, or a higher-order operation and its subgraph
        name = node.op if isinstance(target, str) else getattr(target, "__name__", str(target))
        unnamed = {str(index): _to_plain(value) for index, value in enumerate(node.args)}
        return TracedNode(op=name, arguments=MappingProxyType(unnamed), **common)
    arguments: dict[str, Any] = {}
    shares: list[str] = []
    overwrites: list[str] = []
    for index, argument in enumerate(target._schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        passed = node.args[index] if index < len(node.args) else node.kwargs.get(argument.name)
        is_passed = index < len(node.args) or argument.name in node.kwargs
        value = _to_plain(passed if is_passed else default)
        arguments[argument.name] = value
        if argument.alias_info is not None:
            shares.extend(_references(value))
            if argument.alias_info.is_write:
                overwrites.extend(_references(value))
    if target._schema.name.removeprefix("aten::") in _MAY_ALIAS:
        shares.extend(_references(next(iter(arguments.values()))))
    return TracedNode(
        op=str(target),
        arguments=MappingProxyType(arguments),
        shares=tuple(shares),
        overwrites=tuple(overwrites),
        is_random=torch.Tag.nondeterministic_seeded in target.tags,
        **common,
    )


def _to_plain(value: Any) -> Any:
    """Arguments without PyTorch's graph classes."""
    if isinstance(value, fx.Node):
        return Reference(value.name)
    if isinstance(value, list | tuple):
        return tuple(_to_plain(member) for member in value)
    return value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Reference):
        yield value.name
    elif isinstance(value, tuple):
        for member in value:
            yield from _references(member)

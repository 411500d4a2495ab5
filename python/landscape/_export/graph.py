"""A traced graph: the operations of a model's forward pass, as plain data.

One kind of leaf for every tensor that flows in, one kind of node for every operation; arguments go
by the names in PyTorch's schemas, defaults included, so that readers never count positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

__all__ = [
    "BATCH",
    "Reference",
    "TracedGraph",
    "TracedLeaf",
    "TracedNode",
    "describe_operation",
    "iter_references",
    "name_type",
    "sample_shape",
]

BATCH = "batch"
"""Stands in a shape for the number of samples."""

# these may return their input itself, which their schemas do not declare
_MAY_ALIAS = {"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "type_as"}


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
        return tuple(iter_references(tuple(self.arguments.values())))

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


def sample_shape(shape: tuple[int | str, ...] | None) -> tuple[int, ...] | None:
    """The axes after the first; None unless the first axis, alone, counts samples."""
    if not shape or shape[0] != BATCH:
        return None
    rest = tuple(size for size in shape[1:] if isinstance(size, int))
    return rest if len(rest) == len(shape) - 1 else None


def describe_operation(
    operation: torch._ops.OpOverload,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    to_plain: Callable[[Any], Any],
) -> dict[str, Any]:
    """The fields of a node that PyTorch's schema of its operation determines.

    Args:
        operation: The operation.
        args: What it is called with, by position.
        kwargs: The same by name.
        to_plain: Converts an argument: tensors and sizes to references, lists to tuples.
    """
    arguments: dict[str, Any] = {}
    shares: list[str] = []
    overwrites: list[str] = []
    for index, argument in enumerate(operation._schema.arguments):
        default = argument.default_value if argument.has_default_value() else None
        passed = args[index] if index < len(args) else kwargs.get(argument.name)
        is_passed = index < len(args) or argument.name in kwargs
        value = to_plain(passed if is_passed else default)
        arguments[argument.name] = value
        if argument.alias_info is not None:
            shares.extend(iter_references(value))
            if argument.alias_info.is_write:
                overwrites.extend(iter_references(value))
    if operation._schema.name.removeprefix("aten::") in _MAY_ALIAS:
        shares.extend(iter_references(next(iter(arguments.values()))))
    return {
        "op": str(operation),
        "arguments": MappingProxyType(arguments),
        "shares": tuple(shares),
        "overwrites": tuple(overwrites),
        "is_random": torch.Tag.nondeterministic_seeded in operation.tags,
    }


def name_type(kind: type | str) -> str:
    """A module's class by its full name."""
    return kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def iter_references(value: Any) -> Iterator[str]:
    """The names in an argument, in their order."""
    if isinstance(value, Reference):
        yield value.name
    elif isinstance(value, tuple):
        for member in value:
            yield from iter_references(member)

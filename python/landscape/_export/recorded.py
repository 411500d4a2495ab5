"""Two recordings of a model as one traced graph, for batches of any size."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from landscape._export.graph import (
    BATCH,
    Reference,
    TracedGraph,
    TracedLeaf,
    TracedNode,
    describe_operation,
)
from landscape._export.recorder import NotRecorded, Recording, Step, record_call

__all__ = ["NotRecorded", "record_graph"]

_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31)
_FEW = 2  # samples of the second recording
_SCALE = 1.25  # of the inputs in the second recording

Kind = Literal["input", "parameter", "buffer", "constant"]
Sizes = tuple[int, int]


def record_graph(
    model: nn.Module, twins: tuple[nn.Module, nn.Module], inputs: Sequence[Any]
) -> TracedGraph:
    """Call a model on two batches of different sizes and values, and join what they call.

    What is the same in both is a constant, what is the batch size in both is the batch size.

    Args:
        model: The module, which is not called.
        twins: Two copies of it for the tracer.
        inputs: The arguments of its forward; the first axis of every tensor counts samples.

    Raises:
        NotRecorded: The recorder does not follow the model, or the batch size decides what it calls
            in another way than by the sizes of tensors.
    """
    if not any(isinstance(value, Tensor) for value in inputs):
        raise NotRecorded("the model takes no tensor")
    sizes = _choose_size(model, inputs), _FEW
    kinds = _name_leaves(model, inputs)
    recordings = []
    # in the first one nothing may depend on the batch size, so that the second takes it as it is
    for twin, size, watched, scale in zip(twins, sizes, (True, False), (1.0, _SCALE), strict=True):
        resized = tuple(_resize(value, size, scale) for value in inputs)
        leaves = {
            name: resized[int(target)] if kind == "input" else _find(model, kind, target)
            for name, (kind, target) in kinds.items()
        }
        recordings.append(record_call(twin, resized, leaves, size if watched else None))
    return _Joined(recordings[0], recordings[1], sizes).build(model, inputs, kinds)


def _choose_size(model: nn.Module, inputs: Sequence[Any]) -> int:
    """A batch size that divides no size of the model's or of a sample's."""
    tensors = [*model.parameters(), *model.buffers()]
    known = {size for tensor in tensors for size in tensor.shape}
    known |= {s for value in inputs if isinstance(value, Tensor) for s in value.shape[1:]}
    for prime in _PRIMES:
        if all(size == 0 or size % prime for size in known):
            return prime
    raise NotRecorded("every batch size could be taken for another size of the model's")


def _name_leaves(model: nn.Module, inputs: Sequence[Any]) -> dict[str, tuple[Kind, str]]:
    """The leaves by their names in the graph: kind, and name in the model or index of the input."""
    leaves: dict[str, tuple[Kind, str]] = {}
    for target, _ in model.named_parameters():
        leaves[_free_name(f"p_{target}", leaves)] = "parameter", target
    for target, _ in model.named_buffers():
        leaves[_free_name(f"b_{target}", leaves)] = "buffer", target
    names = [p.name for p in inspect.signature(model.forward).parameters.values()]
    for index, value in enumerate(inputs):
        if isinstance(value, Tensor):
            name = names[index] if index < len(names) else f"input_{index}"
            leaves[_free_name(name, leaves)] = "input", str(index)
        elif value is not None and type(value) not in (bool, int, float, str):
            raise NotRecorded(f"an input is of type {type(value).__name__}")
    return leaves


def _free_name(stem: str, taken: Mapping[str, Any]) -> str:
    name = stem.replace(".", "_")
    return _free_name(f"{name}_", taken) if name in taken else name


def _find(model: nn.Module, kind: Kind, target: str) -> Tensor:
    return model.get_parameter(target) if kind == "parameter" else model.get_buffer(target)


def _resize(value: Any, size: int, scale: float) -> Any:
    """The same samples again and again, or those of another value."""
    if not isinstance(value, Tensor):
        return value
    rows = torch.arange(size, device=value.device) % len(value)
    rows = rows if scale == 1.0 else rows.flip(0)
    resized = value[rows]
    return resized * scale if resized.is_floating_point() else resized


class _Joined:
    """Two recordings, compared value by value."""

    def __init__(self, first: Recording, second: Recording, sizes: Sizes) -> None:
        self._first, self._second, self._sizes = first, second, sizes
        self._sizes_read: dict[int, str] = {}
        """The names of the nodes of multiples of the batch size."""

    def build(
        self, model: nn.Module, inputs: Sequence[Any], kinds: Mapping[str, tuple[Kind, str]]
    ) -> TracedGraph:
        """The graph.

        Raises:
            NotRecorded: The recordings differ by more than the batch size.
        """
        first, second = self._first, self._second
        self._compare_constants()
        if len(first.steps) != len(second.steps):
            raise NotRecorded("the batch size or values decide which operations are called")
        pairs = zip(first.steps, second.steps, strict=True)
        nodes = [self._join_steps(*pair) for pair in pairs]
        outputs, structure = torch.utils._pytree.tree_flatten(first.outputs)
        if torch.utils._pytree.tree_flatten(second.outputs) != (outputs, structure):
            raise NotRecorded("two calls return different things")
        used = {name for node in nodes for name in node.references}
        used |= {value.name for value in outputs if isinstance(value, Reference)}
        leaves = list(self._list_leaves(model, inputs, kinds))
        source = next(leaf.name for leaf in leaves if leaf.kind == "input")
        return TracedGraph(
            leaves=tuple(leaves),
            nodes=(
                *self._make_sizes(source),
                *(node for node in nodes if node.op != "getitem" or node.name in used),
            ),
            outputs=tuple(outputs),
            structure=None if structure.is_leaf() else str(structure),
            constants=MappingProxyType(dict(first.constants)),
        )

    def _compare_constants(self) -> None:
        """A tensor that no operation made must not depend on the input."""
        first, second = self._first.constants, self._second.constants
        if first.keys() != second.keys() or not all(
            _are_equal(tensor, second[name]) for name, tensor in first.items()
        ):
            raise NotRecorded("a tensor is the result of no operation")

    def _list_leaves(
        self, model: nn.Module, inputs: Sequence[Any], kinds: Mapping[str, tuple[Kind, str]]
    ) -> Iterator[TracedLeaf]:
        """Parameters and buffers, then constants, then inputs."""
        for name, (kind, target) in kinds.items():
            if kind != "input":
                yield _make_leaf(name, kind, target, _find(model, kind, target))
        for name, tensor in self._first.constants.items():
            yield _make_leaf(name, "constant", name, tensor)
        for name, (kind, target) in kinds.items():
            if kind == "input":
                value = inputs[int(target)]
                shape = (BATCH, *value.shape[1:])
                yield TracedLeaf(name, kind, name, shape, _name_dtype(value))

    def _join_steps(self, first: Step, second: Step) -> TracedNode:
        same = ("name", "operation", "dtype", "module", "module_type")
        if any(getattr(first, name) != getattr(second, name) for name in same):
            raise NotRecorded("the batch size or values decide which operations are called")
        common: dict[str, Any] = {
            "name": first.name,
            "shape": self._join_shapes(first.shape, second.shape),
            "dtype": first.dtype,
            "module": first.module,
            "module_type": first.module_type,
        }
        args = self._join(first.args, second.args)
        if first.operation is None:
            unnamed = {str(index): value for index, value in enumerate(args)}
            return TracedNode(op="getitem", arguments=MappingProxyType(unnamed), **common)
        if first.kwargs.keys() != second.kwargs.keys():
            raise NotRecorded("the batch size or values decide what operations are passed")
        kwargs = {name: self._join(v, second.kwargs[name]) for name, v in first.kwargs.items()}
        return TracedNode(**describe_operation(first.operation, args, kwargs, _to_plain), **common)

    def _join_shapes(
        self, first: tuple[int, ...] | None, second: tuple[int, ...] | None
    ) -> tuple[int | str, ...] | None:
        if first is None or second is None or len(first) != len(second):
            if first is None and second is None:
                return None
            raise NotRecorded("the batch size or values decide the shape of a result")
        shape: list[int | str] = []
        for pair in zip(first, second, strict=True):
            if pair[0] == pair[1]:
                shape.append(pair[0])
            else:
                factor = self._divide(pair)
                shape.append(BATCH if factor == 1 else f"{factor}*{BATCH}")
        return tuple(shape)

    def _join(self, first: Any, second: Any) -> Any:
        """An argument: what is the same in both, or a reference to the batch size."""
        if isinstance(first, tuple) and isinstance(second, tuple) and len(first) == len(second):
            return tuple(self._join(*pair) for pair in zip(first, second, strict=True))
        if type(first) is type(second) and _are_same(first, second):
            return first
        if type(first) is int and type(second) is int:
            return self._refer_to_size(self._divide((first, second)))
        raise NotRecorded("the batch size or values decide what operations are passed")

    def _divide(self, pair: Sizes) -> int:
        """The factor by which two integers are multiples of the two batch sizes."""
        factors = {divmod(value, size) for value, size in zip(pair, self._sizes, strict=True)}
        factor, remainder = factors.pop()
        if factors or remainder or factor < 1:
            raise NotRecorded("a size depends on the batch size in another way than by a factor")
        return factor

    def _refer_to_size(self, factor: int) -> Reference:
        for value in (1, factor):
            self._sizes_read.setdefault(value, f"batch_size_{value}")
        return Reference(self._sizes_read[factor])

    def _make_sizes(self, source: str) -> Iterator[TracedNode]:
        """Nodes of the batch size and its multiples, as `torch.export` has them."""
        for factor, name in self._sizes_read.items():
            arguments: dict[str, Any] = {"self": Reference(source), "dim": 0}
            if factor != 1:
                arguments = {"0": Reference(self._sizes_read[1]), "1": factor}
            yield TracedNode(
                name=name,
                op="aten.sym_size.int" if factor == 1 else "mul",
                arguments=MappingProxyType(arguments),
                shape=None,
                dtype="size",
                module="",
                module_type="",
            )


def _make_leaf(name: str, kind: Kind, target: str, tensor: Tensor) -> TracedLeaf:
    return TracedLeaf(name, kind, target, tuple(tensor.shape), _name_dtype(tensor))


def _name_dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _are_same(first: Any, second: Any) -> bool:
    return bool(first == second or (first != first and second != second))  # noqa: PLR0124 - NaN


def _are_equal(first: Tensor, second: Tensor) -> bool:
    if first is second:
        return True
    same = first.shape == second.shape and first.dtype == second.dtype
    return same and torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)


def _to_plain(value: Any) -> Any:
    return tuple(map(_to_plain, value)) if isinstance(value, (tuple, list)) else value

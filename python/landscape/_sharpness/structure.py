"""The structure of a network: its layers, activations and poolings, from its traced graph.

What is not understood is refused by name: a bound of another network would be wrong in silence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention

from landscape._export import Reference, Unsupported, trace
from landscape._sharpness.definition import NotApplicable
from landscape._sharpness.linear_map import LinearMap

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from landscape._export import TracedGraph, TracedNode
    from landscape._objective import Objective
    from landscape._sharpness.context import Context

__all__ = ["Activation", "Pooling", "Step", "Structure", "read_structure"]

StepKind = Literal[
    "layer", "activation", "average", "maximum", "rearrangement", "sum", "multiple", "concatenation"
]


@dataclass(frozen=True)
class Activation:
    """A function of single numbers with f(0) = 0."""

    lipschitz: float
    is_homogeneous: bool = False
    """Whether f(c x) = c f(x) for c > 0."""
    breakpoints: int | None = None
    """Of a piecewise linear function; None for another one."""


@dataclass(frozen=True)
class Pooling:
    """An average or a maximum over windows of equal size."""

    size: int
    """The number of entries in a window."""
    overlap: int
    """The largest number of windows that an entry is in."""
    sum_windows: Callable[[Tensor], Tensor]
    """The sum over each window, of shape (1, *input_shape) to (1, *output_shape)."""


@dataclass(frozen=True, eq=False)
class Step:
    """One operation on the values of one sample."""

    name: str
    """That of its result."""
    op: str
    kind: StepKind
    inputs: tuple[str, ...]
    """The values that it reads."""
    shape: tuple[int, ...]
    """Of one sample's result."""
    layer: LinearMap | None = None
    activation: Activation | None = None
    pooling: Pooling | None = None
    factor: float = 1.0
    """Of a multiple."""
    rearrange: Callable[..., Tensor] | None = None
    """What a rearrangement, which may leave entries out, or a concatenation does to values of shape
    (1, ...)."""


@dataclass(frozen=True, eq=False)
class Structure:
    """The operations in the order of computation, from the one input to the one output."""

    input: str
    input_shape: tuple[int, ...]
    steps: tuple[Step, ...]
    output: str

    def fold_batch_norms(self) -> Structure:
        """The same network with every batch norm multiplied into the layer before it, if any."""
        users = [name for step in self.steps for name in step.inputs]
        steps: dict[str, Step] = {}
        renamed: dict[str, str] = {}
        for step in self.steps:
            inputs = tuple(renamed.get(name, name) for name in step.inputs)
            before = steps.get(inputs[0])
            folded = None
            if before is not None and users.count(step.inputs[0]) == 1:
                folded = _fold(before, step)
            if folded is None:
                steps[step.name] = replace(step, inputs=inputs)
            else:
                steps[folded.name] = folded
                renamed[step.name] = folded.name
        output = renamed.get(self.output, self.output)
        return Structure(self.input, self.input_shape, tuple(steps.values()), output)

    def iter_chain(self) -> Iterator[Step]:
        """The steps of a network in which every operation reads the one before it.

        Raises:
            NotApplicable: There are branches, such as residual connections.
        """
        last = self.input
        for step in self.steps:
            if step.inputs != (last,):
                raise NotApplicable(
                    f"the network is no chain of layers: {step.op} does not read the result before "
                    "it alone"
                )
            yield step
            last = step.name


def _fold(before: Step, step: Step) -> Step | None:
    """A layer and the batch norm behind it as one layer; None where they are none."""
    layer, norm = before.layer, step.layer
    if layer is None or norm is None or norm.kind != "scaling" or norm.bias is None:
        return None
    if layer.kind == "scaling" or (layer.kind == "linear" and len(before.shape) > 1):
        return None
    return replace(before, layer=layer.scale_outputs(norm.weight, norm.bias))


def read_structure(
    context: Context, theta: NDArray[Any] | None = None, *, statistics: str = "model"
) -> Structure:
    """The structure of the model.

    Args:
        context: Of the model; it keeps what is traced.
        theta: Its parameters, shape (d,); the model's own when None.
        statistics: "model" for the running statistics of its batch norms, "new" for mean 0 and
            variance 1, which they have before training.

    Raises:
        NotApplicable: The network, or the function around it, has something that is not understood.
    """
    objective = context.objective
    graph = context.share("graph", lambda: _trace(objective))
    if theta is None and statistics == "model":
        return context.share("structure", lambda: _read(graph, _tensors(objective, context.theta)))
    tensors = _tensors(objective, context.theta if theta is None else theta)
    if statistics == "new":
        fresh = {"running_mean": torch.zeros_like, "running_var": torch.ones_like}
        for name, tensor in tensors.items():
            if make := fresh.get(name.rpartition(".")[2]):
                tensors[name] = make(tensor)
    return _read(graph, tensors)


def _trace(objective: Objective) -> TracedGraph:
    policy = objective.policy
    if policy["batch_norm"] == "batch":
        raise NotApplicable("batch_norm='batch' makes outputs depend on other samples")
    if policy["dropout"] != "off":
        raise NotApplicable(f"dropout={policy['dropout']!r} is no fixed layer")
    try:
        graph = trace(objective.model_at(), objective.example_inputs())
    except (Unsupported, ValueError) as reason:
        raise NotApplicable(f"the structure is unknown: {reason}") from None
    if len(graph.inputs) != 1 or not graph.inputs[0].dtype.startswith(("float", "bfloat")):
        raise NotApplicable("the structure is unknown: the input is not one tensor of real numbers")
    if len(graph.outputs) != 1 or not isinstance(graph.outputs[0], Reference):
        raise NotApplicable("the structure is unknown: the output is not one tensor")
    return graph


def _tensors(objective: Objective, theta: NDArray[Any]) -> dict[str, Tensor]:
    model = objective.model_at(theta)
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach().cpu() for name, tensor in named}


def _read(graph: TracedGraph, tensors: Mapping[str, Tensor]) -> Structure:
    reader = _Reader(graph, tensors)
    for node in graph.nodes:
        reader.read(node)
    (leaf,) = graph.inputs
    output = reader.resolve_name(graph.outputs[0].name)
    steps = reader.steps
    needed = {output}
    for step in reversed(steps):
        if step.name in needed:
            needed.update(step.inputs)
    kept = tuple(step for step in steps if step.name in needed)
    return Structure(leaf.name, tuple(int(size) for size in leaf.shape[1:]), kept, output)


@dataclass(frozen=True)
class _Operation:
    """A node of the graph, with sizes resolved."""

    name: str
    """Such as "conv2d", without the mark of an operation in place."""
    full: str
    """With its overload, such as "view.default"."""
    node: TracedNode
    arguments: Mapping[str, Any]
    inputs: tuple[str, ...]
    source: tuple[int, ...]
    """The shape of the first input, for one sample."""
    shape: tuple[int, ...]


class _Reader:
    """Steps from nodes; sizes are those of a batch of one sample."""

    def __init__(self, graph: TracedGraph, tensors: Mapping[str, Tensor]) -> None:
        self.graph = graph
        self.steps: list[Step] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.stored: dict[str, tuple[str, Tensor]] = {}
        self.parameters: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.same: dict[str, str] = {}
        self.nodes = {node.name: node for node in graph.nodes}
        for leaf in graph.leaves:
            if leaf.kind == "input":
                self.shapes[leaf.name] = tuple(int(size) for size in leaf.shape[1:])
            elif leaf.target in tensors:
                self.stored[leaf.name] = leaf.target, tensors[leaf.target]
                if leaf.kind == "parameter":
                    self.parameters.add(leaf.target)

    def read(self, node: TracedNode) -> None:
        """Add the step of one operation."""
        full = node.op.removeprefix("aten.")
        name = full.split(".")[0].removesuffix("_")
        if full == "sym_size.int":
            source = self.resolve_name(node.arguments["self"].name)
            axis = node.arguments["dim"]
            self.sizes[node.name] = (1, *self.shapes[source])[axis]
        elif node.dtype == "size":
            values = [self._resolve(value) for value in node.arguments.values()]
            self.sizes[node.name] = _SIZE_OPERATIONS[node.op](*values)
        elif name == "_assert_tensor_metadata":
            return
        else:
            self._refuse_overwritten(node)
            self._read_operation(name, full, node)

    def _read_operation(self, name: str, full: str, node: TracedNode) -> None:
        arguments = {key: self._resolve(value) for key, value in node.arguments.items()}
        names = tuple(self.resolve_name(name) for name in node.references)
        inputs = tuple(name for name in names if name in self.shapes)
        shape = node.sample_shape
        if shape is None or not inputs:
            self._refuse(node)
        if name in _IDENTITIES or (name in _DROPOUTS and not arguments["train"]):
            self.same[node.name] = inputs[0]
            return
        operation = _Operation(name, full, node, arguments, inputs, self.shapes[inputs[0]], shape)
        readers = (self._read_layer, _read_function, _read_pool, _read_rearrangement, _read_join)
        for reader in readers:
            details = reader(operation)
            if details is not None:
                self.steps.append(Step(node.name, name, inputs=inputs, shape=shape, **details))
                self.shapes[node.name] = shape
                return
        self._refuse(node)

    def _read_layer(self, operation: _Operation) -> dict[str, Any] | None:
        if operation.name in _LAYERS:
            return {"kind": "layer", "layer": self._read_map(operation)}
        if operation.name == "batch_norm":
            return {"kind": "layer", "layer": self._read_batch_norm(operation)}
        return None

    def _read_map(self, operation: _Operation) -> LinearMap:
        node = operation.node
        weight, bias = (self._read_stored(node, key) for key in ("weight", "bias"))
        if weight is None:
            self._refuse(node)
        return LinearMap(
            weight[0],
            operation.name,  # type: ignore[arg-type]  # one of its kinds
            weight[1].double(),
            None if bias is None else bias[1].double(),
            operation.source,
            operation.shape,
            {key: node.arguments[key] for key in _LAYERS[operation.name]},
            tuple(t[0] for t in (weight, bias) if t is not None and t[0] in self.parameters),
        )

    def _read_batch_norm(self, operation: _Operation) -> LinearMap:
        node = operation.node
        keys = ("weight", "bias", "running_mean", "running_var")
        weight, bias, mean, variance = (self._read_stored(node, key) for key in keys)
        if mean is None or variance is None or node.arguments["training"]:
            raise NotApplicable("a batch norm has no running statistics")
        scale = (variance[1].double() + node.arguments["eps"]).rsqrt()
        scale = scale if weight is None else scale * weight[1].double()
        shift = -mean[1].double() * scale
        shift = shift if bias is None else shift + bias[1].double()
        return LinearMap(
            (weight or mean)[0],
            "scaling",
            scale,
            shift,
            operation.source,
            operation.source,
            parameters=tuple(t[0] for t in (weight, bias) if t is not None),
        )

    def _read_stored(self, node: TracedNode, key: str) -> tuple[str, Tensor] | None:
        value = node.arguments[key]
        if value is None:
            return None
        if value.name not in self.stored:
            self._refuse(node)
        return self.stored[value.name]

    def resolve_name(self, name: str) -> str:
        """The value that a name stands for, behind operations that change nothing."""
        return self.same.get(name, name)

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Reference):
            return self.sizes.get(value.name, value)
        if isinstance(value, tuple):
            return tuple(self._resolve(part) for part in value)
        return value

    def _refuse_overwritten(self, node: TracedNode) -> None:
        """Refuse a change in place of a value that something else reads."""
        for name in node.overwrites:
            source: TracedNode | None = self.nodes.get(name)
            while source is not None:
                if len(self.graph.users[source.name]) > 1:
                    raise NotApplicable(f"the structure is unknown: {node.op} overwrites a value")
                source = self.nodes.get(source.shares[0]) if source.shares else None

    def _refuse(self, node: TracedNode) -> NoReturn:
        where = node.module or "the model"
        raise NotApplicable(f"the structure is unknown: {node.op} in {where} is not understood")


_LAYERS: Mapping[str, tuple[str, ...]] = {
    "linear": (),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), ("stride", "padding", "dilation", "groups")),
}
_IDENTITIES = frozenset(
    ("alias", "contiguous", "clone", "detach", "lift_fresh_copy", "to", "_to_copy", "identity")
)
_DROPOUTS = frozenset(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"))
_REARRANGEMENTS = frozenset(
    (
        *("view.default", "reshape.default", "flatten.using_ints", "unflatten.int"),
        *("squeeze.dim", "squeeze.dims", "unsqueeze.default", "transpose.int", "permute.default"),
        *("slice.Tensor", "select.int", "narrow.default"),
    )
)
_AVERAGES = frozenset(("avg_pool1d", "avg_pool2d", "avg_pool3d"))
_ADAPTIVE_AVERAGES = frozenset(f"adaptive_{name}" for name in _AVERAGES)
_MAXIMA = frozenset(("max_pool1d", "max_pool2d", "max_pool3d"))
_SIZE_OPERATIONS: Mapping[str, Callable[[int, int], int]] = {
    "mul": lambda a, b: a * b,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "floordiv": lambda a, b: a // b,
}


def _relu6(_: Mapping[str, Any]) -> Activation:
    return Activation(1.0, breakpoints=2)


def _hardtanh(arguments: Mapping[str, Any]) -> Activation | None:
    fits = arguments["min_val"] <= 0 <= arguments["max_val"]
    return Activation(1.0, breakpoints=2) if fits else None


def _leaky_relu(arguments: Mapping[str, Any]) -> Activation:
    slope = abs(float(arguments["negative_slope"]))
    return Activation(max(1.0, slope), is_homogeneous=True, breakpoints=1)


def _elu(arguments: Mapping[str, Any]) -> Activation | None:
    alpha, scale, inner = (float(arguments[k]) for k in ("alpha", "scale", "input_scale"))
    return Activation(abs(scale) * max(1.0, abs(alpha * inner)))


_ACTIVATIONS: Mapping[str, Callable[[Mapping[str, Any]], Activation | None]] = {
    "relu": lambda _: Activation(1.0, is_homogeneous=True, breakpoints=1),
    "leaky_relu": _leaky_relu,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "tanh": lambda _: Activation(1.0),
    "elu": _elu,
    "gelu": lambda _: Activation(1.13),  # the largest slope is 1.1289, of its tanh form 1.1290
    "silu": lambda _: Activation(1.1),  # the largest slope is 1.0998
}


def _read_function(operation: _Operation) -> dict[str, Any] | None:
    if operation.name not in _ACTIVATIONS or len(operation.inputs) != 1:
        return None
    activation = _ACTIVATIONS[operation.name](operation.arguments)
    return None if activation is None else {"kind": "activation", "activation": activation}


def _read_pool(operation: _Operation) -> dict[str, Any] | None:
    """A pooling whose windows all count the same number of entries; None for another one."""
    name = operation.name
    if name == "mean":
        pooling = _read_mean(operation.arguments, operation.source)
    elif name in _ADAPTIVE_AVERAGES:
        pooling = _read_adaptive(operation)
    elif name in _AVERAGES or name in _MAXIMA:
        pooling = _read_windows(operation)
    else:
        return None
    kind = "maximum" if name in _MAXIMA else "average"
    return None if pooling is None else {"kind": kind, "pooling": pooling}


def _read_rearrangement(operation: _Operation) -> dict[str, Any] | None:
    is_plain = operation.full in _REARRANGEMENTS and len(operation.inputs) == 1
    if not is_plain and not _is_zero_padding(operation):
        return None
    operator, overload = operation.full.split(".")
    function: Callable[..., Tensor] = getattr(getattr(torch.ops.aten, operator), overload)
    rest = [list(v) if isinstance(v, tuple) else v for v in list(operation.arguments.values())[1:]]
    return {"kind": "rearrangement", "rearrange": lambda value: function(value, *rest)}


def _is_zero_padding(operation: _Operation) -> bool:
    arguments = operation.arguments
    if operation.name not in ("pad", "constant_pad_nd"):
        return False
    plain = arguments.get("mode", "constant") == "constant" and not arguments.get("value")
    return plain and all(isinstance(p, int) and p >= 0 for p in arguments["pad"])


def _read_join(operation: _Operation) -> dict[str, Any] | None:
    """A sum or a concatenation of values, or a multiple of one."""
    name, arguments = operation.name, operation.arguments
    reads_values_alone = len(operation.inputs) == len(operation.node.references)
    other = operation.node.arguments.get("other")  # a size of the batch is no constant
    if name in ("mul", "div") and isinstance(other, int | float):
        factor = float(other)
        return {"kind": "multiple", "factor": factor if name == "mul" else 1 / factor}
    if name in ("add", "sub") and len(operation.inputs) == 2 and reads_values_alone:
        return {"kind": "sum"} if arguments["alpha"] == 1 else None
    if name == "cat" and reads_values_alone:
        axis = arguments["dim"]
        return {"kind": "concatenation", "rearrange": lambda *values: torch.cat(values, axis)}
    return None


def _read_windows(operation: _Operation) -> Pooling | None:
    arguments, axes = operation.arguments, int(operation.name[-2])
    kernel, stride, padding, dilation = (
        _fill(arguments.get(key, ()), axes, default)
        for key, default in (("kernel_size", 1), ("stride", 0), ("padding", 0), ("dilation", 1))
    )
    stride = tuple(s or k for s, k in zip(stride, kernel, strict=True))
    is_uneven = any(padding) and not arguments.get("count_include_pad", True)
    if arguments["ceil_mode"] or is_uneven or any(d != 1 for d in dilation):
        return None
    if arguments.get("divisor_override") is not None:
        return None
    return _make_pooling(kernel, stride, padding)


def _read_adaptive(operation: _Operation) -> Pooling | None:
    axes = int(operation.name[-2])
    pairs = list(zip(operation.source[-axes:], operation.shape[-axes:], strict=True))
    if any(size % output for size, output in pairs):
        return None
    kernel = tuple(size // output for size, output in pairs)
    return _make_pooling(kernel, kernel, (0,) * axes)


def _make_pooling(
    kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]
) -> Pooling:
    size = math.prod(kernel)
    overlap = math.prod(-(-k // s) for k, s in zip(kernel, stride, strict=True))
    average = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[len(kernel) - 1]
    return Pooling(size, overlap, lambda value: average(value, kernel, stride, padding) * size)


def _fill(value: Any, count: int, default: int) -> tuple[int, ...]:
    """One number an axis, from none, one or all of them."""
    values = tuple(value) if isinstance(value, tuple) else (value,)
    return values * count if len(values) == 1 else values or (default,) * count


def _read_mean(arguments: Mapping[str, Any], source: tuple[int, ...]) -> Pooling | None:
    if not arguments.get("dim"):
        return None
    axes = [axis % (len(source) + 1) for axis in arguments["dim"]]
    if 0 in axes:
        return None
    size = math.prod(source[axis - 1] for axis in axes)
    keep = bool(arguments["keepdim"])
    return Pooling(size, 1, lambda value: value.sum(axes, keepdim=keep))

"""The recorder against `torch.export`: the same graph, or another tracer takes over."""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from _export.test_export_kinds import FORWARDS, MODULES, PRODUCTS
from _export.test_export_models import REWRITTEN
from _export.test_export_refusals import OPERATIONS
from export_models import Calls, digits_cnn, digits_mlp, resnet18_like, resnet20
from models import ConvNet, DropoutNet, TiedAutoencoder, mlp
from torch import Tensor, nn
from untouched import untouched

from landscape._export import TracedGraph, TracedNode, Unsupported, lower, tracing
from landscape._export.recorder import NotRecorded
from landscape._export.tracing import trace, trace_by_export, trace_by_recording
from landscape._parameters import ParameterLayout


def calls(forward: Any, size: int = 6) -> Any:
    """A forward that may read a layer, a parameter, a buffer."""
    w, b = nn.Parameter(torch.ones(4, 6)), torch.zeros(6, 4)
    return Calls(forward, a=nn.Linear(size, size), w=w, b=nn.Parameter(torch.zeros(4)), held=b)


ZOO: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    **{f"module {m}"[:60]: (m, shape) for m, shape, _ in MODULES},
    **{f"forward {name}": (Calls(f), shape) for name, f, shape, _ in FORWARDS},
    **{f"product {name}": (calls(f), (6,)) for name, f, _ in PRODUCTS},
    **{f"in place {name}": (calls(f), (6,)) for name, f in REWRITTEN.items()},
    "digits MLP": (digits_mlp(), (64,)),
    "digits CNN": (digits_cnn(), (1, 8, 8)),
    "ResNet option A": (resnet20(1), (3, 32, 32)),
    "ResNet-18": (resnet18_like(), (3, 32, 32)),
    "ConvNet": (ConvNet(), (1, 6, 6)),
    "dropout": (DropoutNet(), (5,)),
    "MLP": (mlp(), (5,)),
    "tied": (TiedAutoencoder(), (5,)),
    "encoder": (nn.TransformerEncoderLayer(8, 2, 6, batch_first=True), (4, 8)),
    "LSTM": (Calls(lambda m, x: m.a(x)[0][:, -1], a=nn.LSTM(3, 4, batch_first=True)), (5, 3)),
}


def outcome(tracer: Callable[..., TracedGraph], model: nn.Module, x: Tensor) -> Any:
    """The lowered graph, or the refusal without the name of PyTorch's symbol of the batch size."""
    try:
        found = lower(tracer(model, x), ParameterLayout.of(model), model)
    except Unsupported as refusal:
        return re.sub(r"\bs\d+\b", "batch", str(refusal))
    fields = {**vars(found)}
    return {**fields, "constants": fields["constants"].tolist()}


@pytest.mark.parametrize("name", ZOO)
def test_the_same_graph(name: str) -> None:
    model, shape = ZOO[name]
    if not any(True for _ in model.parameters()):  # a layout needs one
        model.spare = nn.Parameter(torch.zeros(1))
    x = torch.randn(3, *shape)
    with untouched(model):
        recorded = outcome(trace_by_recording, model, x)
        assert recorded == outcome(trace_by_export, model, x)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_same_refusal_or_none_of_its_own(name: str) -> None:
    forward, shape, *_ = OPERATIONS[name]
    w = nn.Parameter(torch.ones(4))
    model = Calls(forward, a=nn.Linear(4, 4), w=w, b=torch.ones(4))
    x = torch.randn(3, *shape)
    with untouched(model):
        try:
            recorded = outcome(trace_by_recording, model, x)
        except NotRecorded:
            recorded = None
        assert recorded in (None, outcome(trace_by_export, model, x))


def plain_nodes(graph: TracedGraph) -> list[Any]:
    """The operations by what they are, not by how they are called."""
    targets = {leaf.name: leaf.target for leaf in graph.leaves if leaf.kind != "input"}
    sizes = {node.name for node in graph.nodes if node.dtype == "size"}
    order: dict[str, Any] = {leaf.name: "input" for leaf in graph.inputs} | targets
    order |= dict.fromkeys(sizes, "size")

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(plain, value))
        return order[value.name] if hasattr(value, "name") else value

    nodes: list[Any] = []
    for node in graph.nodes:
        if node.op == "aten.slice.Tensor" and takes_all(node):
            order[node.name] = plain(node.arguments["self"])  # which PyTorch does not even call
        elif node.name not in sizes:
            arguments = {
                name: plain(value)
                for name, value in node.arguments.items()
                if not name.startswith("cudnn")  # which torch.export switches off for its time
            }
            order[node.name] = len(nodes)
            shape = None if node.shape is None else tuple(map(str, node.shape))
            alike = (node.op, node.dtype, node.module, node.module_type, node.is_random)
            shared = [[order[n] for n in names] for names in (node.shares, node.overwrites)]
            nodes.append((alike, arguments, shape, shared))
    return nodes


def takes_all(node: TracedNode) -> bool:
    bounds = [node.arguments[name] for name in ("start", "end", "step")]
    return bounds == [0, 2**63 - 1, 1]


@pytest.mark.parametrize(
    "name", ["digits CNN", "ResNet option A", "ResNet-18", "dropout", "tied", "encoder"]
)
def test_the_same_operations_of_the_same_modules(name: str) -> None:
    model, shape = ZOO[name]
    x = torch.randn(3, *shape)
    ours, theirs = trace_by_recording(model, x), trace_by_export(model, x)
    for (alike, arguments, shape_found, shared), expected in zip(
        plain_nodes(ours), plain_nodes(theirs), strict=True
    ):
        assert (alike, arguments, shared) == (expected[0], expected[1], expected[3])
        assert (shape_found is None) == (expected[2] is None)
        if shape_found is not None and not any("*" in size for size in shape_found):
            sizes = zip(shape_found, expected[2], strict=True)
            assert all(ours == theirs for ours, theirs in sizes if ours != "batch")
    assert [(leaf.kind, leaf.target) for leaf in ours.leaves if leaf.kind != "input"] == list(
        dict.fromkeys((leaf.kind, leaf.target) for leaf in theirs.leaves if leaf.kind != "input")
    )
    assert (len(ours.outputs), ours.structure) == (len(theirs.outputs), theirs.structure)


def _reads_no_grad(m: Any, x: Tensor) -> Tensor:
    with torch.no_grad():
        y = m.a(x)
    found: Tensor = m.a(x) + y
    return found


class Straight(torch.autograd.Function):
    """The identity, with a derivative of its own and without an operation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * gradient


straight = Straight.apply


def _hides_failures(m: Any, x: Tensor) -> Tensor:
    try:
        scale = float(x.amax())
    except Exception:
        scale = 2.0
    found: Tensor = m.a(x) * scale
    return found


NOT_RECORDED: dict[str, Any] = {
    "a value": lambda m, x: m.a(x) * x.amax().item(),
    "a value as a float": lambda m, x: m.a(x) * float(x.amax()),
    "a value that is hidden": _hides_failures,
    "a branch on values": lambda m, x: m.a(x) if x.sum() > 0 else -x,
    "a list of values": lambda m, x: m.a(x) * x.amax().tolist(),
    "memory": lambda m, x: m.a(x) * int(x.data_ptr() > 0),
    "data": lambda m, x: F.linear(x, m.a.weight.data),
    "an array": lambda m, x: torch.from_numpy(x.detach().numpy()) + m.a(x),
    "a branch on the batch": lambda m, x: m.a(x) if x.shape[0] > 3 else -x,
    "an odd batch": lambda m, x: m.a(x) * (1 + x.size(0) % 2),
    "the batch as a float": lambda m, x: m.a(x) / float(x.shape[0]),
    "the batch plus one": lambda m, x: x.new_zeros(x.shape[0] + 1).sum() + m.a(x),
    "the length": lambda m, x: m.a(x).view(len(x), -1),
    "the numbers": lambda m, x: m.a(x) / (x.numel() + 1),
    "a loop over samples": lambda m, x: torch.stack([m.a(row) for row in x]),
    "a view of a parameter": lambda m, x: F.linear(x, m.views[0]),
    "a buffer that is written": lambda m, x: m.a(x) * m.held.add_(1)[0, 0],
    "an input that is written": lambda m, x: m.a(x.mul_(2)),
    "a view of a buffer that is written": lambda m, x: (m.held[0].fill_(3), m.a(x))[1],
    "no gradient": _reads_no_grad,
    "a derivative of its own": lambda m, x: straight(m.a(x)),
    "a gradient": lambda m, x: torch.autograd.grad(m.a(x).sum(), m.a.weight)[0].sum() + x,
    "a functional gradient": lambda m, x: torch.func.grad(lambda y: m.a(y).sum())(x),
    "a vectorised map": lambda m, x: torch.vmap(m.a)(x),
}


@pytest.mark.parametrize("name", NOT_RECORDED)
def test_what_a_list_of_operations_does_not_show(name: str) -> None:
    model = calls(NOT_RECORDED[name])
    model.__dict__["views"] = [model.a.weight.detach()]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x = torch.randn(4, 6)
    with untouched(model), pytest.raises(NotRecorded):
        trace_by_recording(model, x)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_export_takes_over_where_nothing_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[nn.Module] = []

    def export(model: nn.Module, inputs: Any) -> TracedGraph:
        asked.append(model)
        return trace_by_export(model, inputs)

    monkeypatch.setattr(tracing, "trace_by_export", export)
    model = calls(_reads_no_grad)
    trace(model, torch.randn(2, 6))
    assert asked == [model]
    trace(digits_mlp(), torch.randn(2, 64))
    assert asked == [model]


def test_sizes_that_look_like_the_batch_are_told_from_it() -> None:
    """3 and 2 are the batches of the recorder where nothing of the model's is of that size."""
    for features in (2, 3, 4, 5, 6, 15, 35):
        layer = nn.Linear(features, features)
        model = Calls(lambda m, x: m.a(x).view(x.shape[0], x.shape[1]), a=layer)
        graph = trace_by_recording(model, torch.randn(5, features))
        assert graph.nodes[-1].shape == ("batch", features)


def test_multiples_of_the_batch() -> None:
    model = calls(lambda m, x: m.a(x.view(x.shape[0] * 2, 3).view(x.shape[0] * 2 // 2, 6)))
    graph = trace_by_recording(model, torch.randn(4, 6))
    shapes = [node.shape for node in graph.nodes if node.op == "aten.view.default"]
    assert shapes == [("2*batch", 3), ("batch", 6)]
    assert [node.op for node in graph.nodes[:2]] == ["aten.sym_size.int", "mul"]


def test_nothing_that_was_traced_is_kept() -> None:
    model = digits_mlp()
    tensor = weakref.ref(next(model.parameters()))
    graph = trace_by_recording(model, torch.randn(2, 64))
    del model
    assert tensor() is None
    assert len(graph.nodes) == 5


def test_modes_are_left_even_by_an_interrupt() -> None:
    def interrupt(m: Any, x: Tensor) -> Tensor:
        m.a(x)
        raise KeyboardInterrupt

    model, x = calls(interrupt), torch.randn(2, 6)
    with untouched(model), pytest.raises(KeyboardInterrupt):
        trace_by_recording(model, x)
    assert type(torch.randn(3).shape[0]) is int
    assert trace_by_recording(digits_mlp(), torch.randn(2, 64)).nodes[0].op == "aten.linear.default"
    assert not torch._C._dispatch_tls_is_dispatch_key_included(torch._C.DispatchKey.PreDispatch)


def test_recording_imports_no_compiler() -> None:
    program = """
import sys, torch
from torch import nn
from landscape._export import trace
trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.randn(2, 4))
found = [name for name in ("sympy", "torch._dynamo", "torch._inductor") if name in sys.modules]
assert not found, found
"""
    import subprocess  # noqa: PLC0415

    subprocess.run([sys.executable, "-c", program], check=True)

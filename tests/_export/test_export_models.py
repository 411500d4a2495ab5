"""Whole networks: the lowered graph computes the model, which is left untouched."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from export_models import Calls, digits_cnn, digits_mlp, resnet18_like, resnet20
from export_twin import agreed, kinds
from models import ConvNet, DropoutNet, TiedAutoencoder, mlp, seeded
from torch import Tensor, nn
from untouched import untouched

from landscape._export import Unsupported, lower, trace
from landscape._parameters import ParameterLayout


def test_the_digits_mlp_is_five_nodes() -> None:
    found = agreed(digits_mlp(), (64,))
    assert kinds(found) == ["linear", "tanh", "linear", "tanh", "linear"]
    assert (found.dim, found.constants.size) == (64 * 65 * 2 + 650, 0)
    graph = json.loads(found.graph)
    assert (graph["version"], graph["input"], graph["output"]) == (1, [64], 5)
    assert {"shape": [64, 64], "offset": 0, "held": False} in graph["parameters"]


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (digits_cnn(), (1, 8, 8)),
        (resnet20(1), (3, 32, 32)),
        (resnet18_like(), (3, 32, 32)),
        (ConvNet(), (1, 6, 6)),
        (DropoutNet(), (5,)),
        (mlp(), (5,)),
    ],
    ids=["digits CNN", "ResNet option A", "ResNet-18", "ConvNet", "dropout", "MLP"],
)
def test_networks(model: nn.Module, shape: tuple[int, ...]) -> None:
    agreed(model, shape)


def test_resnet20_has_nothing_but_its_layers() -> None:
    model = resnet20()
    found = lower(trace(model, torch.randn(2, 3, 32, 32)), ParameterLayout.of(model), model)
    count = {kind: kinds(found).count(kind) for kind in set(kinds(found))}
    assert count == {
        "conv2d": 19, "batch_norm": 19, "relu": 19, "add": 9, "slice": 2, "pad": 2,
        "avg_pool2d": 1, "reshape": 1, "linear": 1,
    }  # fmt: skip
    assert found.batch_norms[:2] == ("bn1", "layers.0.bn1")
    assert len(found.batch_norms) == 19


def test_tied_weights_share_one_slot() -> None:
    found = agreed(TiedAutoencoder(), (5,))
    graph = json.loads(found.graph)
    first, _, last = graph["nodes"]
    assert first["parameters"][0] == last["parameters"][0]
    assert first["parameters"][1] != last["parameters"][1]
    assert (found.dim, len(graph["parameters"])) == (35, 3)


def test_a_layer_called_twice_and_under_two_names() -> None:
    layer = nn.Linear(6, 6)
    model = Calls(lambda m, x: m.b(torch.tanh(m.a(torch.tanh(m.a(x))))), a=layer, b=layer)
    graph = json.loads(agreed(model, (6,)).graph)
    assert len(graph["parameters"]) == 2


def test_parameters_that_do_not_vary_are_held() -> None:
    model = digits_cnn()
    found = agreed(model, (1, 8, 8), ["0.weight", "10"])
    graph = json.loads(found.graph)
    varied = [row for row in graph["parameters"] if not row["held"]]
    assert sorted(row["offset"] for row in varied) == [0, 72, 72 + 160]
    running = dict(model.named_buffers())["1.running_mean"].numpy()
    row = graph["parameters"][graph["nodes"][1]["parameters"][2]]
    place = slice(row["offset"], row["offset"] + 8)
    assert row["held"]
    assert np.array_equal(found.constants[place], running)
    model.get_parameter("0.bias").requires_grad_(False)
    agreed(model, (1, 8, 8))


def test_numbers_are_held_in_the_models_precision() -> None:
    model = seeded(digits_cnn)
    layout = ParameterLayout.of(model, "10")
    found = lower(trace(model, torch.randn(2, 1, 8, 8)), layout, model)
    assert found.dtype == "float32"
    assert found.constants.dtype == np.float64
    assert np.array_equal(found.constants, found.constants.astype(np.float32))


def test_a_tensor_of_the_models_attributes() -> None:
    scales = [torch.arange(6.0).double()]
    model = Calls(lambda m, x: m.a(x) * m.scales[0], a=nn.Linear(6, 6), scales=scales)
    agreed(model, (6,))


REWRITTEN: dict[str, Any] = {
    "read again": lambda m, x: (y := m.a(x)).relu_() + y,
    "written, then read": lambda m, x: (y := m.a(x), y.tanh_(), y.mul_(2), y + 1)[-1],
    "an alias": lambda m, x: (y := m.a(x), z := F.dropout(y, training=False), z.relu_(), y + z)[-1],
    "a copy": lambda m, x: (y := m.a(x), z := y.clone(), z.relu_(), y + z)[-1],
    "the block's own": lambda m, x: (y := m.a(x) + 1, y.add_(x), y.sub_(1), y)[-1],
    "a view alone": lambda m, x: m.a(x).view(-1, 2, 3).relu_().flatten(1),
}


@pytest.mark.parametrize("forward", REWRITTEN.values(), ids=REWRITTEN.keys())
def test_what_is_written_in_place(forward: Any) -> None:
    agreed(Calls(forward, a=nn.Linear(6, 6)), (6,))


def test_a_view_of_what_is_overwritten_is_refused() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        y = m.a(x)
        view = y.view(-1, 2, 3)
        y.relu_()
        found: Tensor = view.flatten(1)
        return found

    model = Calls(forward, a=nn.Linear(6, 6))
    with pytest.raises(Unsupported, match=r"aten.relu_.default: it overwrites linear"):
        lower(trace(model, torch.randn(2, 6)), ParameterLayout.of(model), model)


def test_the_traced_graph_knows_what_matching_needs() -> None:
    model = Calls(lambda m, x: F.relu(m.a(x)) + x, a=nn.Linear(6, 6))
    graph = trace(model, torch.randn(3, 6))
    weight, bias, x = graph.leaves
    assert (weight.kind, weight.target, weight.shape) == ("parameter", "a.weight", (6, 6))
    assert (x.kind, x.shape, x.dtype) == ("input", ("batch", 6), "float32")
    linear, _, total = graph.nodes
    assert (linear.op, linear.module) == ("aten.linear.default", "a")
    assert linear.references == (x.name, weight.name, bias.name)
    assert (linear.sample_shape, total.arguments["alpha"]) == ((6,), 1)
    assert graph.users[x.name] == (linear, total)
    assert graph.outputs[0].name == total.name


def test_attention_is_traced_though_it_is_not_lowered() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 6, batch_first=True)
    x = torch.randn(2, 4, 8)
    with untouched(layer):
        graph = trace(layer, x)
    named = {node.op for node in graph.nodes}
    assert "aten.scaled_dot_product_attention.default" in named
    assert "aten.layer_norm.default" in named
    with pytest.raises(Unsupported):
        lower(graph, ParameterLayout.of(layer), layer)


def test_several_inputs_are_traced_in_one_batch() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return x + y, x - y

    graph = trace(Two(), (torch.randn(3, 2), torch.randn(3, 2)))
    assert [leaf.shape for leaf in graph.inputs] == [("batch", 2)] * 2
    assert len(graph.outputs) == 2
    assert graph.structure is not None

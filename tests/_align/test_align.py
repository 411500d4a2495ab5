"""Alignment: permuted copies are recovered, functions unchanged, unsupported operations named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import ConvNet, classes, images, mlp, seeded
from native_models import narrow_resnet
from numpy.testing import assert_allclose
from path_models import DATA, two
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from untouched import untouched

import landscape
from landscape import _core


class OptionA(nn.Module):
    """A residual block that halves the picture and pads the channels with zeros."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.widen, stride = outputs - inputs, 2 if outputs > inputs else 1
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.widen:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.widen // 2, self.widen // 2))
        return F.relu(y + x)


def option_a() -> nn.Module:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    stem = (nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    return nn.Sequential(*stem, OptionA(4, 4), OptionA(4, 8), OptionA(8, 8), *head)


class Encoder(nn.Module):
    """A transformer's layer between two linear ones, on a sequence of five."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.place = nn.Parameter(torch.randn(1, 5, 8))
        self.layer = nn.TransformerEncoderLayer(8, 4, 12, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.layer(self.embed(x) + self.place).mean(1))
        return found


class Gated(nn.Module):
    """Halves of one layer multiplied with each other, then depthwise convolution and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 12, 1)
        self.depth = nn.Conv1d(6, 6, 3, padding=1, groups=6)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.first(x).chunk(2, dim=1)
        hidden = self.depth(a * torch.sigmoid(b)).mean(dim=2)
        found: Tensor = self.head(self.norm(hidden))
        return found


SEQUENCES = (torch.randn(20, 5, 3), torch.arange(20) % 3)
SIGNALS = (torch.randn(20, 2, 7), torch.arange(20) % 3)
MODELS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "mlp": (lambda: mlp(nn.ReLU), classes(30)),
    "cnn": (ConvNet, images()),
    "residual": (lambda: narrow_resnet().float(), (torch.randn(8, 3, 8, 8), torch.arange(8) % 4)),
    "option A": (option_a, (torch.randn(8, 1, 8, 8), torch.arange(8) % 3)),
    "encoder": (Encoder, SEQUENCES),
    "gated": (Gated, SIGNALS),
}


def lived(name: str) -> tuple[nn.Module, Any]:
    """A model with weights, scales and statistics of its own everywhere."""
    make, data = MODELS[name]
    model = seeded(make)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    return model.eval(), data


def shuffled(model: nn.Module, data: Any, seed: int = 0) -> tuple[nn.Module, landscape.Alignment]:
    """The same function with its units in another order, by the groups of an alignment."""
    found = landscape.align(model, model, data)
    draw = np.random.default_rng(seed)
    groups = {name: draw.permutation(len(p)) for name, p in found.permutations.items()}
    other = copy.copy(found)
    object.__setattr__(other, "permutations", groups)
    made = copy.deepcopy(model)
    made.load_state_dict(other.apply(model.state_dict()))
    return made, other


@pytest.mark.parametrize("name", MODELS)
def test_a_permuted_copy_is_matched_back_to_the_bit(name: str) -> None:
    model, data = lived(name)
    other, order = shuffled(model, data)
    with torch.no_grad():
        assert_allclose(other(data[0]), model(data[0]), rtol=1e-4, atol=1e-4)
    assert any(
        not torch.equal(a, b) for a, b in zip(other.parameters(), model.parameters(), strict=True)
    )
    with untouched(model), untouched(other):
        found = landscape.align(model, other, data)
    assert found.difference <= 1e-9
    assert found.distances[0] > found.distances[1] == 0
    assert not found.unsupported
    for group, permutation in found.permutations.items():
        assert (order.permutations[group][permutation] == np.arange(len(permutation))).all()
    state = found.model.state_dict()
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["mlp", "cnn", "option A"])
def test_activations_match_a_permuted_copy_back_too(name: str) -> None:
    model, data = lived(name)
    other, _ = shuffled(model, data, 3)
    with untouched(model), untouched(other):
        found = landscape.align(model, other, data, method="activations")
    assert found.distances[1] == pytest.approx(0, abs=1e-6)


def test_what_moves_together_is_one_group() -> None:
    model, data = lived("option A")
    sizes = {name: len(p) for name, p in landscape.align(model, model, data).permutations.items()}
    # the stream of 4 goes on as the middle of the stream of 8; its other 4 are free of it
    assert sizes == {"0": 4, "3.conv1": 4, "4.conv1": 8, "4.conv2": 4, "5.conv1": 8}
    model, data = lived("encoder")
    found = landscape.align(model, model, data).permutations
    assert {name: len(p) for name, p in found.items()} == {
        "embed": 8,
        "layer.linear1": 12,
        "layer.self_attn.in_proj_weight": 4,  # heads
    }


def naive(a: nn.Module, b: nn.Module) -> float:
    """The best inner product of a network with one hidden layer, over all its permutations."""
    best = -np.inf
    (w, c, v, _), (x, d, y, _) = ([p.detach().numpy() for p in m.parameters()] for m in (a, b))
    for order in permutations(range(len(w))):
        rows = list(order)
        value = (w * x[rows]).sum() + (c * d[rows]).sum() + (v * y[:, rows]).sum()
        best = max(best, float(value))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_of_one_hidden_layer_the_best_permutation_is_found(seed: int) -> None:
    a, b = (
        seeded(lambda: nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)), seed + 10 * k)
        for k in (0, 1)
    )
    found = landscape.align(a, b).model
    pairs = zip(list(a.parameters())[:3], list(found.parameters())[:3], strict=True)
    total = sum(float((p * q).detach().sum()) for p, q in pairs)
    assert total == pytest.approx(naive(a, b), rel=1e-5)


def test_no_single_group_can_be_improved_in_the_end() -> None:
    """The naive twin: each hidden layer of three by itself, with SciPy's assignment."""

    def make() -> nn.Module:
        layers = [nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 7), nn.ReLU(), nn.Linear(7, 3)]
        return nn.Sequential(*layers)

    a, b = seeded(make, 1), seeded(make, 2)
    found = landscape.align(a, b).model
    with torch.no_grad():
        for layer, following in ((0, 2), (2, 4)):
            here, then = linear(a, layer), linear(a, following)
            there, after = linear(found, layer), linear(found, following)
            gain = here.weight @ there.weight.T + torch.outer(here.bias, there.bias)
            table = (gain + then.weight.T @ after.weight).numpy()
            rows, columns = linear_sum_assignment(table, maximize=True)
            assert table.trace() == pytest.approx(table[rows, columns].sum(), rel=1e-5)


def linear(model: nn.Module, place: int) -> nn.Linear:
    found = model.get_submodule(str(place))
    assert isinstance(found, nn.Linear)
    return found


def test_identical_and_dead_units_are_no_obstacle() -> None:
    model = seeded(lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)))
    with torch.no_grad():
        for tensor in (linear(model, 0).weight, linear(model, 0).bias):
            tensor[1] = tensor[0]
            tensor[2] = 0
        linear(model, 2).weight[:, 1] = linear(model, 2).weight[:, 0]
        linear(model, 2).weight[:, 2] = 0
    other, _ = shuffled(model, None)
    found = landscape.align(model, other)
    assert found.distances[1] == 0
    data = (torch.randn(30, 4), torch.arange(30) % 3)
    by_use = landscape.align(model, other, data, method="activations")
    assert by_use.difference <= 1e-9


class Odd(nn.Module):
    """Units that go through an operation nobody follows, and some that do not."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.c(torch.relu(self.b(torch.cumsum(self.a(x), dim=1))))
        return found


def test_units_behind_unsupported_operations_are_not_permuted_and_named() -> None:
    a, b = seeded(Odd, 1), seeded(Odd, 2)
    data = (torch.randn(9, 4), torch.arange(9) % 3)
    found = landscape.align(a, b, data)
    assert list(found.permutations) == ["b"]
    assert list(found.unsupported) == ["the model: aten.cumsum.default"]
    assert "not understood" in repr(found)

    class AllOdd(Odd):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.c(self.b(self.a(x).cumsum(1)).cumsum(1))
            return found

    with pytest.raises(ValueError, match="no hidden units that could be permuted"):
        landscape.align(nn.Linear(4, 3), nn.Linear(4, 3))
    with pytest.raises(ValueError, match=r"aten\.cumsum\.default"):
        landscape.align(AllOdd(), AllOdd(), data)


def test_bad_input_is_named() -> None:
    a, b = two()
    with pytest.raises(TypeError, match="flat vectors have no buffers"):
        landscape.align(a, np.zeros(75), DATA)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="do not fit the model"):
        landscape.align(a, nn.Linear(5, 3), DATA)
    with pytest.raises(ValueError, match="method='brute'"):
        landscape.align(a, b, DATA, method="brute")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs data"):
        landscape.align(a, b, method="activations")
    with pytest.raises(ValueError, match="pass data"):
        landscape.align(ConvNet(), ConvNet())


def test_a_file_holds_the_permutations(tmp_path: Path) -> None:
    model, data = lived("cnn")
    other, _ = shuffled(model, data)
    found = landscape.align(model, other, data)
    found.save(tmp_path / "alignment.npz")
    again = landscape.load(tmp_path / "alignment.npz")
    assert isinstance(again, landscape.Alignment)
    assert again.equals(found)
    assert repr(again) == repr(found)
    with pytest.raises(ValueError, match="holds no model"):
        _ = again.model
    state = again.apply(other.state_dict())
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


@pytest.mark.filterwarnings("ignore:the barrier:UserWarning")
def test_paths_between_aligned_models_are_lower() -> None:
    a, b = two()
    plain = landscape.barrier(a, b, DATA)
    near = landscape.barrier(a, b, DATA, align=True)
    assert near.excess < plain.excess
    assert near.distance < plain.distance
    assert near.train.ends == pytest.approx(plain.train.ends)
    assert "aligned by weights" in repr(near)


@pytest.mark.parametrize("size", [1, 2, 9, 60])
@pytest.mark.parametrize("rounded", [False, True])
def test_assignments_are_as_good_as_those_of_scipy(size: int, rounded: bool) -> None:
    for seed in range(20):
        weights = np.random.default_rng(seed).normal(size=(size, size))
        weights = weights.round() if rounded else weights
        found = _core.assignment(weights)
        rows, columns = linear_sum_assignment(weights, maximize=True)
        assert sorted(found) == list(range(size))
        assert weights[rows, found].sum() == pytest.approx(weights[rows, columns].sum())


def test_merged_models_are_the_mean_of_aligned_ones() -> None:
    model, data = lived("cnn")
    others = [shuffled(model, data, seed)[0] for seed in (1, 2)]
    merged = landscape.merge([others[0], model, others[1]], data, reference=1)
    assert len(merged.alignments) == 2
    for name, tensor in model.named_parameters():
        assert_allclose(merged.model.get_parameter(name).detach(), tensor.detach(), rtol=1e-6)
    with pytest.raises(ValueError, match="two models or more"):
        landscape.merge([model], data)


def statistics(model: nn.Module, inputs: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mean and deviation of every hidden preactivation, by hooks."""
    found: list[tuple[Tensor, Tensor]] = []

    def keep(module: nn.Module, given: Any, output: Tensor) -> None:
        rows = output.double().movedim(1, 0).flatten(1)
        found.append((rows.mean(1), rows.std(1, correction=0)))

    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    with torch.no_grad():
        model.eval()(inputs)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(("position", "bias"), list(product([0.5, 0.2], [True, False])))
def test_repair_restores_the_statistics(position: float, bias: bool) -> None:
    def make() -> nn.Module:
        hidden = (nn.Conv2d(1, 6, 3, bias=bias), nn.ReLU(), nn.Flatten())
        return nn.Sequential(*hidden, nn.Linear(96, 7, bias=bias), nn.ReLU(), nn.Linear(7, 3))

    a, b = (seeded(make, seed).double() for seed in (1, 2))
    data = images(40, dtype=torch.float64)
    with untouched(a), untouched(b):
        made = landscape.repair(a, b, data, position=position)
    ends = [statistics(model, data[0]) for model in (a, b)]
    now = statistics(made, data[0])
    for layer in (0, 1):
        for place in (0, 1):  # mean, deviation
            target = (1 - position) * ends[0][layer][place] + position * ends[1][layer][place]
            assert_allclose(now[layer][place], target, rtol=1e-9, atol=1e-10)
    plain = (1 - position) * a[5].weight + position * b[5].weight  # type: ignore[index]
    assert torch.allclose(made[5].weight, plain)  # type: ignore[index]


@pytest.mark.filterwarnings("ignore:the barrier:UserWarning")
def test_repair_re_estimates_batch_norms() -> None:
    a, b = seeded(ConvNet, 1), seeded(ConvNet, 2)
    data = images(30)
    made = landscape.repair(a, b, data)
    path = landscape.barrier(a, b, data, points=3)
    middle = list(path.positions).index(0.5)
    loss = landscape.Objective(made, data).loss()
    assert loss == pytest.approx(path.losses[middle], rel=1e-5)
    with pytest.raises(ValueError, match="position=2"):
        landscape.repair(a, b, data, position=2)

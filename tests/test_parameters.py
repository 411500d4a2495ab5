"""The layout of the flat vector, and the filters of each kind of weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from models import ConvNet, LanguageModel, Recurrent, TiedAutoencoder, Transformer, mlp, seeded
from numpy.testing import assert_array_equal
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from landscape._parameters import ParameterLayout

pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.nn.utils.weight_norm. is deprecated:FutureWarning"
)


class Mixed(nn.Module):
    """All dtypes, a scalar, an empty tensor, a frozen layer and a tied one."""

    def __init__(self) -> None:
        super().__init__()
        self.scalar = nn.Parameter(torch.tensor(3.5))
        self.small = nn.Linear(3, 2, dtype=torch.float16)
        self.brain = nn.Linear(2, 2, dtype=torch.bfloat16)
        self.frozen = nn.Linear(2, 2)
        self.frozen.requires_grad_(False)
        self.empty = nn.Parameter(torch.empty(0, 3))
        self.odd = nn.Parameter(torch.randn(4, 3).T)  # not contiguous
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight


MODELS: list[Callable[[], nn.Module]] = [
    mlp,
    ConvNet,
    Transformer,
    Recurrent,
    LanguageModel,
    TiedAutoencoder,
    Mixed,
    lambda: Mixed().double(),
]


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    found: nn.Module = seeded(request.param)
    return found


def test_tensors_follow_each_other_in_the_models_order(model: nn.Module) -> None:
    layout = ParameterLayout.of(model)
    expected = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    assert [entry.name for entry in layout.entries] == [name for name, _ in expected]
    assert layout.size == sum(p.numel() for _, p in expected)
    flat = torch.cat([p.detach().double().reshape(-1) for _, p in expected])
    theta = layout.flatten(model)
    assert theta.dtype == layout.dtype
    assert layout.dtype == (np.float64 if expected[0][1].dtype == torch.float64 else np.float32)
    assert_array_equal(theta, flat.numpy())
    for entry, (_, parameter) in zip(layout.entries, expected, strict=True):
        assert (entry.shape, entry.size) == (tuple(parameter.shape), parameter.numel())
        assert getattr(torch, entry.dtype) == parameter.dtype
        piece = theta[entry.span].reshape(entry.shape)
        assert_array_equal(piece, parameter.detach().double().numpy())


def test_round_trips(model: nn.Module) -> None:
    layout = ParameterLayout.of(model)
    theta = layout.flatten(model)
    state = layout.unflatten(theta)
    assert_array_equal(layout.flatten(state), theta)
    assert_array_equal(layout.flatten(model.state_dict()), theta)
    assert_array_equal(layout.flatten({k: v.float().numpy() for k, v in state.items()}), theta)
    assert_array_equal(layout.flatten(nn.DataParallel(model)), theta)
    for prefix in ("module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."):
        wrapped = {prefix + name: tensor for name, tensor in model.state_dict().items()}
        assert_array_equal(layout.flatten(wrapped), theta)
        with pytest.raises(ValueError, match="do not fit"):
            layout.flatten({"other": torch.zeros(1), **wrapped})


def test_unflattened_weights_can_be_loaded(model: nn.Module) -> None:
    layout = ParameterLayout.of(model)
    # numbers that half precision can hold
    theta = (np.arange(layout.size) % 200 / 8).astype(layout.dtype)
    state = layout.unflatten(torch.from_numpy(theta))
    result = model.load_state_dict(state, strict=False)
    assert not result.unexpected_keys
    assert_array_equal(layout.flatten(model), theta)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        assert (name in state) is parameter.requires_grad
    theta[:] = 0  # new tensors, not views
    assert any(bool(tensor.any()) for tensor in state.values())


def test_lengths_and_shapes_that_do_not_fit() -> None:
    layout = ParameterLayout.of(mlp())
    with pytest.raises(ValueError, match=r"shape \(74,\), expected \(75,\)"):
        layout.unflatten(np.zeros(74))
    with pytest.raises(ValueError, match=r"shape \(1, 75\), expected \(75,\)"):
        layout.unflatten(np.zeros((1, 75)))
    wrong = mlp(outputs=4).state_dict()
    del wrong["0.bias"]
    text = (
        r"3 of 4.*0.bias: expected \(8,\), got missing; 2.weight: expected \(3, 8\), got \(4, 8\)"
    )
    with pytest.raises(ValueError, match=text):
        layout.flatten(wrong)


def test_differences_in_words() -> None:
    layout = ParameterLayout.of(mlp())
    assert layout.difference(ParameterLayout.of(mlp(nn.ReLU))) is None
    other = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 4), nn.Linear(4, 1))
    found = layout.difference(ParameterLayout.of(other))
    assert found is not None
    assert "2.weight: (3, 8) here, (4, 8) there" in found
    assert "3.bias: missing here, (1,) there" in found
    assert "0.weight" not in found
    deep = nn.Sequential(*(nn.Linear(2, 2) for _ in range(9)))
    found = layout.difference(ParameterLayout.of(deep))
    assert found is not None
    assert found.endswith("; and 13 more")
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    forwards = nn.ModuleDict({"a": one, "b": two})
    backwards = nn.ModuleDict({"b": two, "a": one})
    found = ParameterLayout.of(forwards).difference(ParameterLayout.of(backwards))
    assert found == "the same tensors in another order"


class Conv1D(nn.Module):
    """GPT-2's linear layer in Hugging Face's transformers: (inputs, outputs)."""

    def __init__(self) -> None:
        super().__init__()
        self.nf = 3
        self.weight = nn.Parameter(torch.randn(5, 3))
        self.bias = nn.Parameter(torch.randn(3))


def rows(tensor: Any) -> list[Any]:
    return list(tensor)


def columns(tensor: Any) -> list[Any]:
    return list(tensor.swapaxes(0, 1))


def heads(count: int) -> Callable[[Any], list[Any]]:
    return lambda tensor: list(tensor.reshape(count, -1, tensor.shape[-1]))


def two_groups(tensor: Any) -> list[Any]:
    """A transposed convolution of 4 inputs and 6 outputs in two groups: 2 inputs, 3 outputs."""
    return [tensor[2 * g : 2 * g + 2, f] for g in range(2) for f in range(3)]


def nothing(tensor: Any) -> list[Any]:
    return []


Split = Callable[[Any], list[Any]]
ATTENTION = {"in_proj_weight": heads(6), "out_proj.weight": rows}
UNPACKED = {f"{name}_proj_weight": heads(2) for name in "qkv"} | {"out_proj.weight": rows}
FILTERS: dict[str, tuple[Callable[[], nn.Module], dict[str, Split]]] = {
    "linear": (lambda: nn.Linear(5, 3), {"weight": rows}),
    "one input": (lambda: nn.Linear(1, 3), {"weight": rows}),
    "bilinear": (lambda: nn.Bilinear(2, 3, 4), {"weight": rows}),
    "convolution": (lambda: nn.Conv2d(2, 4, 3), {"weight": rows}),
    "grouped": (lambda: nn.Conv2d(4, 6, 3, groups=2), {"weight": rows}),
    "depthwise": (lambda: nn.Conv1d(4, 4, 3, groups=4), {"weight": rows}),
    "transposed": (lambda: nn.ConvTranspose2d(4, 3, 2), {"weight": columns}),
    "transposed 1d": (lambda: nn.ConvTranspose1d(4, 3, 2), {"weight": columns}),
    "grouped transposed": (
        lambda: nn.ConvTranspose2d(4, 6, (2, 3), groups=2),
        {"weight": two_groups},
    ),
    "embedding": (lambda: nn.Embedding(7, 4), {"weight": rows}),
    "attention": (lambda: nn.MultiheadAttention(8, 2), ATTENTION),
    "attention, unpacked": (lambda: nn.MultiheadAttention(8, 2, kdim=6, vdim=4), UNPACKED),
    "attention, more biases": (lambda: nn.MultiheadAttention(8, 2, add_bias_kv=True), ATTENTION),
    "GPT-2": (Conv1D, {"weight": columns}),
    "LSTM": (lambda: nn.LSTM(3, 2), {"weight_ih_l0": rows, "weight_hh_l0": rows}),
    "layer norm": (lambda: nn.LayerNorm((3, 4)), {}),
    "RMS norm": (lambda: nn.RMSNorm((3, 4)), {}),
    "batch norm": (lambda: nn.BatchNorm2d(3), {}),
    "group norm": (lambda: nn.GroupNorm(2, 4), {}),
    "PReLU": (lambda: nn.PReLU(3), {}),
    "weight norm": (
        lambda: parametrizations.weight_norm(nn.Linear(5, 3)),
        {"parametrizations.weight.original1": rows},
    ),
    "weight norm, other dimension": (
        lambda: parametrizations.weight_norm(nn.ConvTranspose2d(4, 3, 2), dim=1),
        {"parametrizations.weight.original1": columns},
    ),
    "old weight norm": (
        lambda: nn.utils.weight_norm(nn.ConvTranspose2d(4, 3, 2)),
        {"weight_v": columns},
    ),
    "spectral norm": (
        lambda: parametrizations.spectral_norm(nn.ConvTranspose2d(4, 6, (2, 3), groups=2)),
        {"parametrizations.weight.original": two_groups},
    ),
    "old spectral norm": (lambda: nn.utils.spectral_norm(nn.Linear(5, 3)), {"weight_orig": rows}),
}


def filters_of(theta: Any, row: Any) -> list[Any]:
    """The entries of each filter, as a row (offset, blocks, outer, filters, inner) says."""
    offset, blocks, outer, count, inner = row
    size = blocks * outer * count * inner
    grid = theta[offset : offset + size].reshape(blocks, outer, count, inner)
    return [grid[b, :, f].ravel() for b in range(blocks) for f in range(count)]


@pytest.mark.parametrize("name", FILTERS)
def test_filters(name: str) -> None:
    """The table names exactly the entries that feed one output; 1-D tensors are not in it."""
    make, expected = FILTERS[name]
    model = seeded(make)
    layout = ParameterLayout.of(model)
    numbers = np.arange(layout.size)  # every entry knows its place
    table = list(layout.filter_table())
    names = {entry.offset: entry for entry in layout.entries if entry.filters is not None}
    assert {entry.name for entry in names.values()} == set(expected)
    assert [row[0] for row in table] == list(names)
    for row in table:
        entry = names[int(row[0])]
        assert int(np.prod(row[1:])) == entry.size
        wanted = expected[entry.name](numbers[entry.span].reshape(entry.shape))
        found = filters_of(numbers, row)
        assert [list(f) for f in found] == [list(w.ravel()) for w in wanted]
    included = layout.filter_table("include")
    assert len(included) == len(layout.entries)
    assert int(np.prod(included[:, 1:], axis=1).sum()) == layout.size
    ones = [tuple(row[1:4]) for row in included if int(row[0]) not in names]
    assert set(ones) <= {(1, 1, 1)}  # a 1-D tensor is one filter, not one an entry


def test_a_tied_weight_is_split_as_its_first_owner_splits_it() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 2)
            self.back = nn.ConvTranspose2d(4, 3, 2)
            self.back.weight = self.conv.weight

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.back(self.conv(x))
            return found

    layout = ParameterLayout.of(Tied())
    assert [(e.name, e.aliases) for e in layout.entries] == [
        ("conv.weight", ("back.weight",)),
        ("conv.bias", ()),
        ("back.bias", ()),
    ]
    assert layout.filter_table().tolist() == [[0, 1, 1, 4, 12]]

"""Tied tensors, computed weights and normalisation over groups: permuted as a whole, or refused."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from align_models import find_groups, shuffle_all
from models import seeded
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from untouched import untouched

import landscape
from landscape._align.permutation import UnitGroup

pytestmark = pytest.mark.filterwarnings("ignore:the barrier:UserWarning")
Make = Callable[[], nn.Module]
TOKENS = seeded(lambda: (torch.randint(11, (20, 6)), torch.arange(20) % 11))
IMAGES = seeded(lambda: (torch.randn(18, 2, 4, 4), torch.arange(18) % 3))
ROWS = seeded(lambda: (torch.randn(20, 4), torch.arange(20) % 3))


class TiedHead(nn.Module):
    """An embedding whose weight is the head's."""

    def __init__(self, *, tied: bool = True) -> None:
        super().__init__()
        self.e, self.h, self.l = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 11, bias=False)
        if tied:
            self.l.weight = self.e.weight

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.l(torch.tanh(self.h(self.e(x)))).mean(1)
        return found


class SharedBlock(nn.Module):
    """One block under two names, called twice, and a layer that is called twice under one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.block = nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 6))
        self.again, self.twice, self.head = self.block, nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.first(x))
        x = x + self.again(x + self.block(x))
        found: Tensor = self.head(self.twice(torch.tanh(self.twice(x))))
        return found


class TiedMiddle(nn.Module):
    """Two layers of other units with one weight: their units are permuted alike."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 3)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(torch.tanh(self.a(x)) * torch.sigmoid(self.b(x)))
        return found


TIED: dict[str, tuple[Make, Any]] = {
    "head": (TiedHead, TOKENS),
    "block": (SharedBlock, ROWS),
    "middle": (TiedMiddle, ROWS),
}


def loss(model: nn.Module, data: Any) -> float:
    with torch.no_grad():
        return nn.functional.cross_entropy(model(data[0]), data[1]).item()


@pytest.mark.parametrize("name", TIED)
def test_tied_tensors_are_permuted_as_one(name: str) -> None:
    make, data = TIED[name]
    a, b = seeded(make), seeded(make, 1)
    other, order = shuffle_all(a, data)
    assert any((p != np.arange(len(p))).any() for p in order.values())
    with untouched(a), untouched(other), untouched(b):
        found = landscape.align(a, other, data)
        apart = landscape.align(a, b, data)
    assert found.distances[0] > found.distances[1] == pytest.approx(0, abs=1e-6)
    for model in (found.model, apart.model):
        names = [n for n, _ in model.named_parameters(remove_duplicate=False)]
        assert len(names) > len(dict(model.named_parameters()))
    assert loss(apart.model, data) == pytest.approx(loss(b, data), rel=1e-5)
    assert apart.distances[1] < apart.distances[0]


@pytest.mark.parametrize("name", TIED)
def test_tied_models_are_joined_and_merged(name: str) -> None:
    make, data = TIED[name]
    a, b = seeded(make), seeded(make, 1)
    path = landscape.connect(
        a, b, data, method=landscape.AutoNEB(cycles=[(3, 0.02)]), points=5, align=True
    )
    for index in (0, 2, -1):
        model = path.model_at(path.positions[index])
        assert loss(model, data) == pytest.approx(path.losses[index], rel=1e-5)
    other, _ = shuffle_all(a, data)
    merged = landscape.merge([a, other], data)
    assert loss(merged.model, data) == pytest.approx(loss(a, data), rel=1e-5)


class Transposed(nn.Module):
    """An encoder and a decoder of one matrix, the decoder's transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.head = nn.Parameter(torch.randn(6, 4)), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(nn.functional.linear(x, self.w))
        found: Tensor = self.head(torch.tanh(nn.functional.linear(hidden, self.w.t())))
        return found


class Products(nn.Module):
    """Matrices that are scaled, masked, cast and multiplied without a layer."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.w, self.v = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(3, 6))
        self.b = nn.Parameter(torch.randn(6))
        self.register_buffer("mask", torch.ones(3, 6))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(x @ (self.w * 2) + self.b * 3)
        return nn.functional.linear(hidden, (self.v * self.mask).to(x.dtype))


class Cumulated(Products):
    """A bias that is computed by what nobody follows: its units are not permuted."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(nn.functional.linear(x, self.w.t(), self.b.cumsum(0)))
        return nn.functional.linear(hidden, self.v)


@pytest.mark.parametrize("make", [Transposed, Products])
def test_matrices_without_a_layer_are_followed(make: Make) -> None:
    model = seeded(make)
    other, order = shuffle_all(model, ROWS)
    assert loss(other, ROWS) == pytest.approx(loss(model, ROWS), rel=1e-5)
    (permutation,) = order.values()
    assert len(permutation) == 6
    assert landscape.align(model, other, ROWS).distances[1] == pytest.approx(0, abs=1e-6)


def test_units_with_a_computed_bias_are_not_permuted() -> None:
    with pytest.raises(ValueError, match=r"no hidden units that could be permuted.*cumsum"):
        landscape.align(seeded(Cumulated), seeded(Cumulated, 1), ROWS)


@pytest.mark.parametrize("tied_first", [True, False])
def test_of_two_models_that_tie_otherwise_either_tie_is_respected(tied_first: bool) -> None:
    data = TIED["head"][1]
    a = seeded(lambda: TiedHead(tied=tied_first))
    b = seeded(lambda: TiedHead(tied=not tied_first), 1)
    if tied_first:
        with pytest.raises(ValueError, match=r"l\.weight is tied to e\.weight in the first model"):
            landscape.align(a, b, data)
        b.l.load_state_dict(b.e.state_dict())
    found = landscape.align(a, b, data)
    weights = [found.model.get_parameter(name) for name in ("l.weight", "e.weight")]
    assert torch.equal(*weights)
    assert loss(found.model, data) == pytest.approx(loss(b, data), rel=1e-5)


def normed(wrap: Callable[[nn.Module], nn.Module]) -> Make:
    def make() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's own, that some of these are deprecated
            layers = (wrap(nn.Linear(4, 6)), nn.Tanh(), wrap(nn.Linear(6, 5)), nn.Tanh())
            return nn.Sequential(*layers, nn.Linear(5, 3))

    return make


WEIGHT_NORMS: dict[str, Make] = {
    "legacy": normed(nn.utils.weight_norm),
    "legacy, whole": normed(lambda m: nn.utils.weight_norm(m, dim=-1)),
    "parametrised": normed(parametrizations.weight_norm),
    "parametrised, columns": normed(lambda m: parametrizations.weight_norm(m, dim=1)),
}


@pytest.mark.parametrize("name", WEIGHT_NORMS)
def test_weight_norm_works_throughout(name: str) -> None:
    a, b = (seeded(WEIGHT_NORMS[name], k) for k in (0, 1))
    a(ROWS[0])  # a weight with a graph, which PyTorch refuses to copy
    with untouched(a), untouched(b):
        path = landscape.connect(
            a, b, ROWS, method=landscape.AutoNEB(cycles=[(3, 0.02)]), points=5, align=True
        )
        middle = path.model_at(0.5)
        index = int(np.flatnonzero(path.positions == 0.5)[0])
    assert loss(middle, ROWS) == pytest.approx(path.losses[index], rel=1e-5)
    again = copy.deepcopy(middle)  # its weight has no graph
    assert torch.equal(again[0].weight, middle[0].weight)  # type: ignore[index]
    other, order = shuffle_all(a, ROWS)
    assert set(order) == {"0", "2"}
    found = landscape.align(a, other, ROWS)
    assert found.distances[1] == pytest.approx(0, abs=1e-6)
    merged = landscape.merge([a, other], ROWS).model
    assert loss(merged, ROWS) == pytest.approx(loss(a, ROWS), rel=1e-5)


@pytest.mark.parametrize(
    "wrap",
    [nn.utils.spectral_norm, parametrizations.spectral_norm, parametrizations.orthogonal],
)
def test_weights_computed_by_buffers_are_refused_before_a_search(
    wrap: Any, monkeypatch: Any
) -> None:
    """Such a buffer, as the singular vectors of spectral norm, belongs to one model."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a search was paid for")

    monkeypatch.setattr("landscape._path.connection.search_path", refuse)
    a, b = (seeded(normed(wrap), k) for k in (0, 1))
    with untouched(a), untouched(b):
        with pytest.raises(ValueError, match="fold it into them in both models"):
            landscape.connect(a, b, ROWS)
        with pytest.raises(ValueError, match=r"fold (the hook into 0|it into the weight)"):
            landscape.connect(a, b, ROWS, align=True)
        path = landscape.barrier(a, b, ROWS, points=3, outside="first")
        middle = path.model_at(0.5)
    assert loss(middle.eval(), ROWS) == pytest.approx(
        path.losses[list(path.positions).index(0.5)], rel=1e-5
    )


class GroupNormNet(nn.Module):
    """Two convolutions with group norms on one residual stream."""

    def __init__(self, groups: int = 3, second: int | None = None) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(2, 6, 3, padding=1), nn.GroupNorm(groups, 6)
        self.conv, self.mid = nn.Conv2d(6, 6, 3, padding=1), nn.GroupNorm(second or groups, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = x + torch.relu(self.mid(self.conv(x)))
        found: Tensor = self.head(torch.relu(self.norm(x)).mean((2, 3)))
        return found


class LayerNormNet(nn.Module):
    def __init__(self, *, affine: bool = True) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.norm = nn.LayerNorm(6, elementwise_affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(torch.relu(self.norm(self.b(torch.tanh(self.a(x))))))
        return found


class Hourglass(nn.Module):
    """Down and up again: pooling, up-sampling by a rule and by a transposed convolution."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.down, self.mode = nn.Conv2d(2, 6, 3, padding=1), mode
        self.norm = nn.InstanceNorm2d(6, affine=True, track_running_stats=True)
        self.up, self.head = nn.ConvTranspose2d(6, 5, 2, stride=2), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.down(x))), 2)
        x = nn.functional.interpolate(x, scale_factor=2, mode=self.mode)
        found: Tensor = self.head(torch.relu(self.up(x)).mean((2, 3)))
        return found


class Volumes(nn.Module):
    """Three-dimensional convolutions and pooling, and a norm by the root mean square."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv3d(1, 6, 2), nn.Conv3d(6, 5, 2)
        self.norm, self.head = nn.RMSNorm(5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool3d(torch.relu(self.first(x)), 2, stride=1)
        x = nn.functional.avg_pool3d(torch.relu(self.second(x)), 2, stride=1)
        found: Tensor = self.head(self.norm(nn.functional.adaptive_avg_pool3d(x, 1).flatten(1)))
        return found


VOLUMES = seeded(lambda: (torch.randn(12, 1, 5, 5, 5), torch.arange(12) % 3))
NORMS: dict[str, tuple[Make, Any]] = {
    "instance norm, nearest": (lambda: Hourglass("nearest"), IMAGES),
    "instance norm, bilinear": (lambda: Hourglass("bilinear"), IMAGES),
    "volumes": (Volumes, VOLUMES),
    "one group": (lambda: GroupNormNet(1), IMAGES),
    "two groups": (lambda: GroupNormNet(2), IMAGES),
    "three groups": (lambda: GroupNormNet(3), IMAGES),
    "a group for each channel": (lambda: GroupNormNet(6), IMAGES),
    "two partitions": (lambda: GroupNormNet(3, 2), IMAGES),
    "layer norm": (LayerNormNet, ROWS),
    "layer norm without scale": (lambda: LayerNormNet(affine=False), ROWS),
}


def block_of(cells: list[int], order: tuple[int, ...], cell: int) -> set[int]:
    """The cells that a cell's units go to."""
    return {cells[order[i]] for i in range(len(cells)) if cells[i] == cell}


def lived(make: Make) -> nn.Module:
    """A model with scales of its own everywhere."""
    model = seeded(make)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize("method", ["weights", "activations"])
@pytest.mark.parametrize("name", NORMS)
def test_a_permuted_copy_is_found_and_has_no_barrier(name: str, method: Any) -> None:
    make, data = NORMS[name]
    model, moved = lived(make), 0
    for seed in range(2):
        other, _ = shuffle_all(model, data, seed)
        assert loss(other, data) == pytest.approx(loss(model, data), rel=1e-5)
        found = landscape.align(model, other, data, method=method)
        assert not found.unsupported
        assert found.distances[1] == pytest.approx(0, abs=1e-6)
        moved += found.moved
    assert moved > 0
    # the head is moved a little, so that there are two ends
    nudged = copy.deepcopy(found.model)
    with torch.no_grad():
        nudged.get_submodule("head").get_parameter("bias").add_(1e-3)
    path = landscape.barrier(model, nudged, data, points=3)
    assert path.barrier == pytest.approx(0, abs=1e-6)


def test_group_norm_restricts_permutations_to_those_of_two_levels() -> None:
    model = lived(lambda: GroupNormNet(3))
    (group,) = find_groups(model, IMAGES)
    draw, seen = np.random.default_rng(0), set()
    for _ in range(60):
        permutation = group.best_permutation(draw.normal(size=(6, 6)))
        blocks = (permutation // 2).reshape(3, 2)
        assert (blocks == blocks[:, :1]).all()  # pairs stay pairs
        seen.add(tuple(blocks[:, 0]))
    assert seen == set(permutations(range(3)))  # and all orders of them occur


@pytest.mark.parametrize("seed", range(3))
def test_the_best_permutation_of_two_levels_is_the_best_of_all(seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=(6, 6))
    for cells, moves in (([0, 0, 1, 1, 2, 2], True), ([0, 1, 0, 1, 0, 2], False)):
        group = UnitGroup("", {("w", 0): np.arange(6)[:, None]}, np.array(cells), moves)
        best = -np.inf
        for order in permutations(range(6)):
            mapped = [
                {cells[order[i]] for i in range(6) if cells[i] == c} for c in sorted(set(cells))
            ]
            whole = all(len(target) == 1 for target in mapped)
            same = all(cells[i] == cells[order[i]] for i in range(6))
            if whole if moves else same:
                best = max(best, float(weights[np.arange(6), list(order)].sum()))
        found = group.best_permutation(weights)
        assert sorted(found) == list(range(6))
        assert weights[np.arange(6), found].sum() == pytest.approx(best)


def test_crossing_partitions_are_permuted_within_common_blocks_alone() -> None:
    model = lived(lambda: GroupNormNet(3, 2))
    _, order = shuffle_all(model, IMAGES, 1)
    (permutation,) = order.values()
    assert (permutation // 2 == np.arange(6) // 2).all()
    assert (permutation // 3 == np.arange(6) // 3).all()

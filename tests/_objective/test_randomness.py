"""Dropout, noise and state: L is a function of theta alone."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import DropoutNet, Transformer, classes, cut, mlp, seeded, sequences
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn

from landscape import Objective
from landscape._objective import Strategy

DATA = classes()


def points(objective: Objective, count: int = 4) -> Any:
    noise = np.random.default_rng(0).standard_normal((count, objective.dim))
    return (objective.theta + 0.2 * noise).astype(objective.dtype)


@pytest.mark.parametrize(
    ("make", "data"), [(DropoutNet, DATA), (lambda: Transformer(dropout=0.5), sequences())]
)
def test_dropout_is_off_by_default(make: Callable[[], nn.Module], data: Any) -> None:
    model = seeded(make).train()
    with torch.no_grad():
        expected = F.cross_entropy(copy.deepcopy(model).eval()(data[0]), data[1]).item()
    assert Objective(model, data).loss() == pytest.approx(expected, rel=1e-5)


def masked_loss(model: DropoutNet, theta: Any, masks: tuple[Tensor, Tensor]) -> float:
    """The network by hand, under given masks."""
    twin = copy.deepcopy(model)
    nn.utils.vector_to_parameters(torch.from_numpy(theta), list(twin.parameters()))
    with torch.no_grad():
        hidden = torch.tanh(twin.first(DATA[0])) * masks[0] / 0.6
        hidden = torch.tanh(twin.second(hidden)) * masks[1] / 0.6
        return F.cross_entropy(twin.last(hidden), DATA[1]).item()


def test_seeded_dropout_has_the_same_masks_at_every_point() -> None:
    """The masks that one evaluation used explain every other one."""
    model, masks = seeded(DropoutNet), []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        masks.append(inputs[0].detach().clone())

    hooks = [layer.register_forward_pre_hook(watch) for layer in (model.second, model.last)]
    objective = Objective(model, DATA, dropout="seeded", seed=5)
    thetas = points(objective)
    masks.clear()
    found = objective.losses(thetas)[0]
    used = tuple((hidden != 0).float() for hidden in masks[-2:])
    for hook in hooks:
        hook.remove()
    assert 0.4 < float(torch.cat(used).mean()) < 0.8
    expected = [masked_loss(model, theta, (used[0], used[1])) for theta in thetas]
    assert found == pytest.approx(expected[0], rel=1e-5)
    assert_allclose(objective.losses(thetas), expected, rtol=1e-5)
    assert_allclose(objective.gradients(thetas)[0], expected, rtol=1e-5)
    assert_allclose(objective.sample_losses(thetas).mean(1), expected, rtol=1e-5)
    assert objective.loss() != Objective(model, DATA).loss()


def test_the_seed_chooses_the_masks() -> None:
    losses = [
        Objective(seeded(DropoutNet), DATA, dropout="seeded", seed=seed).loss()
        for seed in (0, 0, 1)
    ]
    assert losses[0] == losses[1] != losses[2]


def test_batches_have_masks_of_their_own() -> None:
    x, y = DATA
    twice = [(x, y), (x, y)]
    objective = Objective(seeded(DropoutNet), twice, dropout="seeded")
    here = objective.theta[None]
    first, second = (objective.gradients_on(here, [batch])[0][0] for batch in (0, 1))
    both = objective.sample_losses(here)[0]
    assert not np.array_equal(both[:20], both[20:])
    assert objective.loss() == pytest.approx(both.mean(), rel=1e-6)
    assert np.isfinite([first, second]).all()


class Noise(nn.Module):
    """Draws from one of the program's random streams in every forward pass."""

    def __init__(self, draw: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.net = mlp()
        self.draw = draw

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x) * (1 + self.draw(x))
        return found


DRAWS: dict[str, Callable[[Tensor], Any]] = {
    "torch": lambda x: torch.rand(len(x), 1),
    "torch, one number": lambda x: torch.rand(()),
    "numpy": lambda x: float(np.random.rand()),  # noqa: NPY002 - the global stream is the point
    "python": lambda x: random.random(),
}


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("batches", [(20,), (6, 14)])
def test_noise_is_the_same_at_every_point(draw: str, batches: tuple[int, ...]) -> None:
    objective = Objective(Noise(DRAWS[draw]), cut(DATA, batches))
    thetas = points(objective)
    expected = np.array([objective.loss(theta) for theta in thetas])
    assert_allclose(objective.losses(thetas), expected, rtol=1e-6)
    assert_allclose(objective.losses(thetas[::-1]), expected[::-1], rtol=1e-6)
    assert_allclose(objective.gradients(thetas)[0], expected, rtol=1e-6)
    assert_allclose(objective.sample_losses(thetas).mean(1), expected, rtol=1e-6)
    for strategy in (Strategy(), Strategy(block=3)):  # batches that see noise are never cut
        plane = objective.subspace(thetas[0], [thetas[1] - thetas[0]], strategy=strategy)
        assert_allclose(plane.losses([[0.0], [1.0]]), expected[:2], rtol=1e-6)
    with pytest.raises(ValueError, match="a model that draws random numbers"):
        objective.subspace(None, [thetas[1]], strategy=Strategy("vmap", points=3)).losses([[0.0]])
    assert any("draws random numbers" in note for note in objective.notes)
    quiet = Objective(mlp(), DATA).loss()
    assert abs(objective.loss() - quiet) > 1e-3


class Stateful(nn.Module):
    """What a pass leaves behind must not be found by the next."""

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.steps: Tensor
        self.scale: Tensor
        self.memory: Tensor | None = None
        self.history: list[Tensor] = []
        self.cache: dict[int, Tensor] = {}
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        self.scale = self.scale * 1.1
        self.calls += 1
        outputs: Tensor = self.net(x) * (self.scale + self.steps + self.calls)
        if self.memory is not None:
            outputs = outputs + self.memory
        outputs = outputs + len(self.history) + len(self.cache)
        self.memory = outputs.detach().mean(0)
        self.history.append(self.memory)
        self.cache[len(self.cache)] = self.memory
        return outputs


@pytest.mark.parametrize("make", [lambda: Noise(DRAWS["torch"]), Stateful])
def test_measuring_a_strategy_changes_nothing(make: Callable[[], nn.Module]) -> None:
    """3,000 samples may be cut in many ways; noise and state must not depend on the clock."""
    x, y = classes(3000)
    objective = Objective(make(), (x, y))
    before = objective.loss()
    objective.strategy  # noqa: B018 - measured here
    assert objective.loss() == pytest.approx(before, rel=1e-9)


def opaque(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss whose batches are evaluated as they came."""
    return F.cross_entropy(outputs, targets)


def test_state_is_forgotten_between_points_and_calls() -> None:
    model = Stateful()
    objective = Objective(model, cut(DATA, (6, 14)), opaque, check="off")  # memory is detached
    twin = copy.deepcopy(model)
    with torch.no_grad():  # the state does pass from batch to batch
        means = [F.cross_entropy(twin(x), y).item() for x, y in cut(DATA, (6, 14))]
    expected = np.average(means, weights=(6, 14))
    thetas = np.repeat(objective.theta[None], 3, axis=0)
    for _ in range(2):
        assert objective.losses(thetas) == pytest.approx(expected, rel=1e-6)
        assert objective.gradients(thetas)[0] == pytest.approx(expected, rel=1e-6)
    once, twice = (objective.hessian_product(thetas[0]) for _ in range(2))
    assert_array_equal(once, twice)
    assert (model.calls, model.memory, model.history, model.cache) == (0, None, [], {})
    assert (float(model.steps), float(model.scale)) == (0, 1)


@pytest.fixture(autouse=True)
def own_streams() -> Iterator[None]:
    """The tests themselves leave the program's streams where they were."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002

"""The three batch-norm policies, against statistics computed by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import ConvNet, Pair, cut, images, seeded
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from landscape import Objective

DOUBLE = torch.float64
DATA = images(12, dtype=DOUBLE)
BATCHES = cut(DATA, (5, 7))


def flat(model: nn.Module) -> np.ndarray[Any, Any]:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy()


def moved(model: nn.Module, theta: np.ndarray[Any, Any]) -> nn.Module:
    """A copy of the model at other parameters."""
    twin = copy.deepcopy(model)
    nn.utils.vector_to_parameters(torch.from_numpy(theta), list(twin.parameters()))
    return twin


def off_centre(model: nn.Module) -> np.ndarray[Any, Any]:
    return flat(model) + 0.2 * np.random.default_rng(0).standard_normal(len(flat(model)))


def mean_loss(model: nn.Module, batches: Iterable[Pair]) -> Tensor:
    """The mean over samples of the cross-entropy, batch by batch."""
    found = [(F.cross_entropy(model(x), y, reduction="sum"), len(y)) for x, y in batches]
    return torch.stack([total for total, _ in found]).sum() / sum(n for _, n in found)


def with_own_statistics(model: nn.Module, batches: list[Pair]) -> nn.Module:
    """The model with statistics of its own parameters.

    Each batch's mean and unbiased variance in every layer, averaged with the batch sizes as
    weights; a layer that is called twice in a batch averages its two calls first.
    """
    twin = copy.deepcopy(model).train()
    layers = [m for m in twin.modules() if isinstance(m, _BatchNorm)]
    seen: dict[int, list[tuple[Tensor, Tensor]]] = {}

    def look(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        channels = inputs[0].transpose(0, 1).flatten(1)
        seen.setdefault(id(layer), []).append((channels.mean(1), channels.var(1, unbiased=True)))

    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    none = torch.zeros((), dtype=DOUBLE)
    sums = {id(layer): [none, none] for layer in layers}
    with torch.no_grad():
        for x, _ in batches:
            seen.clear()
            twin(x)
            for key, calls in seen.items():
                for part in (0, 1):
                    mean = torch.stack([call[part] for call in calls]).mean(0)
                    sums[key][part] = sums[key][part] + len(x) * mean
    for hook in hooks:
        hook.remove()
    total = sum(len(x) for x, _ in batches)
    for layer in layers:
        if layer.running_mean is not None:
            layer.running_mean = sums[id(layer)][0] / total
            layer.running_var = sums[id(layer)][1] / total
    return twin.eval()


class Shared(nn.Module):
    """One batch-norm layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 5)
        self.norm = nn.BatchNorm1d(5)
        self.outer = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.norm(self.inner(x)))
        found: Tensor = self.outer(self.norm(self.inner(hidden)))
        return found


def synchronised() -> nn.Module:
    found: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(ConvNet())  # type: ignore[no-untyped-call]
    return found


def one_dimensional() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)
    )


def shared() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 5), Shared())


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "2d": ConvNet,
    "1d": one_dimensional,
    "synchronised": synchronised,
    "momentum None": lambda: ConvNet(momentum=None),
    "shared": shared,
    "not affine": lambda: nn.Sequential(
        nn.BatchNorm2d(1, affine=False), nn.Flatten(), nn.Linear(36, 3)
    ),
}


@pytest.fixture(params=MAKERS)
def model(request: pytest.FixtureRequest) -> nn.Module:
    return seeded(MAKERS[request.param]).double()


def test_frozen_reads_stored_statistics(model: nn.Module) -> None:
    objective = Objective(model.train(), BATCHES)
    for theta in (flat(model), off_centre(model)):
        with torch.no_grad():
            expected = mean_loss(moved(model, theta).eval(), [DATA]).item()
        assert objective.loss(theta) == pytest.approx(expected, rel=1e-12)
    assert objective.policy["batch_norm"] == "frozen"


def test_recalibrated(model: nn.Module) -> None:
    objective = Objective(model, BATCHES, batch_norm="recalibrated")
    points = [off_centre(model), flat(model)]
    expected = []
    for theta in points:
        with torch.no_grad():
            expected.append(mean_loss(with_own_statistics(moved(model, theta), BATCHES), [DATA]))
    assert_allclose(objective.losses(points), torch.stack(expected).numpy(), rtol=1e-11)
    assert_allclose(objective.sample_losses(points).mean(1), expected, rtol=1e-11)
    plane = objective.subspace(points[1], [points[0] - points[1]])
    assert_allclose(plane.losses([[1.0], [0.0]]), expected, rtol=1e-11)
    frozen = Objective(model, BATCHES, batch_norm="frozen").losses(points)
    assert np.all(abs(frozen - objective.losses(points)) > 1e-3)  # the policies differ here


def test_batch(model: nn.Module) -> None:
    objective = Objective(model, BATCHES, batch_norm="batch")
    theta = off_centre(model)
    twin = moved(model, theta).train()
    loss = mean_loss(twin, BATCHES)
    slopes = torch.autograd.grad(loss, list(twin.parameters()), create_graph=True)
    slope = torch.cat([s.reshape(-1) for s in slopes])
    vector = torch.from_numpy(np.random.default_rng(1).standard_normal(len(theta)))
    product = torch.autograd.grad(slope @ vector, list(twin.parameters()))
    assert objective.loss(theta) == pytest.approx(loss.item(), rel=1e-12)
    assert_allclose(objective.gradient(theta), slope.detach().numpy(), rtol=1e-9, atol=1e-12)
    assert_allclose(
        objective.hessian_product(vector.numpy(), theta),
        torch.cat([p.reshape(-1) for p in product]).numpy(),
        rtol=1e-8,
        atol=1e-10,
    )
    assert_allclose(objective.sample_losses(theta[None]).mean(), loss.item(), rtol=1e-12)


@pytest.mark.parametrize("size", [4, 6, None])
def test_batches_are_those_of_the_fixed_split(size: int | None) -> None:
    """A seeded split for data without batches: its batches cover the samples once."""
    model = seeded(ConvNet).double()
    objective = Objective(model, DATA, batch_norm="batch", batch_size=size, seed=3)
    here = objective.theta[None]
    losses = [objective.gradients_on(here, [b])[0][0] for b in range(objective.batches)]
    sizes = [size or 12] * objective.batches
    assert objective.loss() == pytest.approx(np.average(losses, weights=sizes), rel=1e-12)
    again = Objective(model, DATA, batch_norm="batch", batch_size=size, seed=3)
    assert again.loss() == objective.loss()
    if size:
        other = Objective(model, DATA, batch_norm="batch", batch_size=size, seed=4)
        assert other.loss() != objective.loss()
    else:
        with torch.no_grad():
            expected = mean_loss(copy.deepcopy(model).train(), [DATA]).item()
        assert objective.loss() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("policy", ["frozen", "recalibrated", "batch"])
def test_layers_without_statistics_use_the_batch_under_every_policy(policy: Any) -> None:
    model = seeded(lambda: ConvNet(track=False)).double()
    objective = Objective(model, BATCHES, batch_norm=policy)
    with torch.no_grad():
        expected = mean_loss(model, BATCHES).item()
    assert objective.loss() == pytest.approx(expected, rel=1e-12)
    assert any("2 batch-norm layers without running statistics" in n for n in objective.notes)


def test_test_data_are_normalised_by_statistics_of_the_first_data() -> None:
    model, test = seeded(ConvNet).double(), images(9, seed=8, dtype=DOUBLE)
    objective = Objective(model, BATCHES, batch_norm="recalibrated")
    theta = off_centre(model)
    twin = with_own_statistics(moved(model, theta), BATCHES)
    with torch.no_grad():
        expected = mean_loss(twin, [test]).item()
    assert objective.with_data(test).loss(theta) == pytest.approx(expected, rel=1e-11)
    other = Objective(model, test, batch_norm="frozen")
    assert objective.with_data(other).loss(theta) == pytest.approx(expected, rel=1e-11)


def test_derivatives_are_refused_under_recalibration() -> None:
    objective = Objective(seeded(ConvNet), images(), batch_norm="recalibrated")
    theta = objective.theta
    calls: list[Callable[[], Any]] = [
        objective.gradient,
        lambda: objective.gradients(theta[None]),
        lambda: objective.gradients_on(theta[None], [0]),
        lambda: objective.hessian_product(theta),
        lambda: objective.subspace(None, [theta]).gradients([[0.0]]),
    ]
    for call in calls:
        with pytest.raises(
            ValueError, match=r"not defined under batch_norm='recalibrated'.*'batch'"
        ):
            call()


def test_recalibration_means_nothing_without_batch_norm() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    objective = Objective(model, images(), batch_norm="recalibrated")
    assert objective.policy["batch_norm"] == "none in the model"
    assert objective.gradient().shape == (objective.dim,)
    assert objective.loss() == Objective(model, images()).loss()


def test_resolved_settles_what_was_left_open() -> None:
    model = seeded(ConvNet)
    left_open = Objective(model, images())
    frozen, recalibrated = (
        left_open.with_default_batch_norm("frozen"),
        left_open.with_default_batch_norm("recalibrated"),
    )
    assert left_open.batch_norm is None
    assert recalibrated.batch_norm == recalibrated.policy["batch_norm"] == "recalibrated"
    assert frozen.loss() == left_open.loss() != recalibrated.loss()
    assert recalibrated.loss() == Objective(model, images(), batch_norm="recalibrated").loss()
    chosen = Objective(model, images(), batch_norm="batch")
    assert chosen.with_default_batch_norm("recalibrated") is chosen

"""The choice of the engine: requested or measured, and the reason where it is PyTorch."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from export_models import Calls
from models import DropoutNet, Recurrent, Transformer, classes, mlp, regression, seeded, sequences
from native_models import ENGINES, drawn, normalised_cnn, off_centre
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from untouched import untouched

import landscape
from landscape import Objective, batch_loss
from landscape._objective import engine as engines
from landscape._objective.native_backend import build
from landscape._objective.native_backend.network import NativeNetwork
from landscape._objective.torch_backend.batch_norm import BatchNormPolicy
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.trials import Trials

DATA = classes(40)


def fake_clock(
    monkeypatch: pytest.MonkeyPatch, *, native: float, torch: float, slowness: float
) -> None:
    """Let every call of an engine take as long as it is told to."""
    clock = [0.0]
    monkeypatch.setattr(build, "predict_slowness", lambda _: slowness)

    def timed(owner: Any, name: str, seconds: float) -> None:
        own = getattr(owner, name)

        def call(*given: Any) -> Any:
            clock[0] += seconds * len(given[1])
            return own(*given)

        monkeypatch.setattr(owner, name, call)

    for name in ("sums", "gradients"):
        timed(NativeNetwork, name, native)
    timed(Evaluator, "sums", torch)
    timed(engines, "compute_gradients", torch)

    def trials(points: float, **_: Any) -> Trials:
        return Trials(points, wall=lambda: clock[0], process=lambda: clock[0])

    monkeypatch.setattr(engines, "Trials", trials)


SLOWER = "torch: the native network took more than twice the processor time in a short measurement."


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"native": 1e-3, "torch": 1e-2, "slowness": 3}, "native"),
        ({"native": 1e-2, "torch": 1e-3, "slowness": 3}, SLOWER),
        ({"native": 1.8e-3, "torch": 1e-3, "slowness": 3}, "native"),
        ({"native": 1e-2, "torch": 1e-3, "slowness": 1.5}, "native"),  # as nothing predicts
    ],
)
def test_auto_leaves_the_native_network_on_strong_evidence_alone(
    seconds: dict[str, float], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_clock(monkeypatch, **seconds)
    model = mlp()
    surface = landscape.surface(model, DATA, points=12)
    assert surface.run.engine == expected
    assert landscape.surface(model, DATA, points=4).run.engine == expected  # known by now
    assert landscape.surface(mlp(), DATA, points=4).run.engine == "native"  # no time for a choice
    objective = Objective(model, DATA)
    assert objective.engine == "auto"
    points = np.stack([objective.theta, off_centre(objective)])
    slopes = objective.gradients(points)[1]
    assert objective.derivative_engine.name == expected
    by_torch = Objective(model, DATA, engine="torch").gradients(points)[1]
    assert np.array_equal(slopes, by_torch) == (expected != "native")
    assert_allclose(slopes, by_torch, rtol=1e-4, atol=1e-6)


def test_one_point_is_not_worth_a_measurement() -> None:
    model = mlp()
    auto, ours = Objective(model, DATA), Objective(model, DATA, engine="torch")
    assert auto.loss() == ours.loss()
    assert_array_equal(auto.gradient(), ours.gradient())
    assert "_loss_engine" not in auto.__dict__


def test_what_was_asked_for_is_taken() -> None:
    for engine in ENGINES:
        surface = landscape.surface(mlp(), DATA, points=3, engine=engine)
        assert surface.run.engine == engine


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        out: Tensor = self.layer(x) + self.layer(y)
        return out


def mixing() -> nn.Module:
    return Calls(lambda m, x: m.f(x - x.mean(0)), f=nn.Linear(5, 3))


def opaque(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, targets).exp()


SORT = Calls(lambda m, x: torch.sort(m.f(x))[0], f=nn.Linear(5, 3))
LOADER = DataLoader(TensorDataset(*DATA), batch_size=8)
UNSUPPORTED: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "operation": (SORT, DATA, {}, r"aten\.sort"),
    "operation in a module": (nn.Sequential(nn.Linear(5, 5), nn.LogSoftmax(1)), DATA,
                              {"loss": nn.NLLLoss()}, r"aten\.log_softmax.* in 1"),
    "opaque loss": (mlp(), DATA, {"loss": opaque}, "opaque: the loss is known only by its batch"),
    "batch loss": (mlp(), DATA, {"loss": batch_loss(lambda m, b: m(b[0]).square().mean())},
                   "the loss is known only by its batch means"),
    "streamed": (mlp(), LOADER, {"memory_budget": 1}, "data: they are not held"),
    "seeded dropout": (seeded(DropoutNet), DATA, {"dropout": "seeded"}, "dropout: seeded dropout"),
    "samples that meet": (mixing(), DATA, {}, "model: an output depends on the other samples"),
    "several inputs": (Two(), [(DATA[0], DATA[0], DATA[1])], {}, "data: they are not"),
    "tokens": (seeded(Transformer), sequences(), {}, "data: the inputs are not one tensor of fl"),
    "recurrent": (seeded(Recurrent), sequences(), {}, "data: the inputs are not"),
    "two dtypes": (nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3)).bfloat16(),
                   (DATA[0].bfloat16(), DATA[1]), {}, "dtype: parameters are torch.bfloat16"),
    "no running statistics": (
        nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3, track_running_stats=False)),
        LOADER, {}, "batch norm: it has no running statistics"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_native_is_named(name: str) -> None:
    model, data, options, text = UNSUPPORTED[name]
    model.eval()
    with untouched(model):
        surface = landscape.surface(model, data, points=2, **options)
    assert surface.run.engine.startswith("torch: the native network does not support ")

    assert re.search(text, surface.run.engine), surface.run.engine
    with untouched(model), pytest.raises(ValueError, match=text):
        Objective(model, data, engine="native", **options)


def test_a_users_metric_needs_pytorch() -> None:
    def largest(outputs: Tensor, _: Tensor) -> Tensor:
        return outputs.amax()

    model = mlp()
    surface = landscape.surface(model, DATA, points=3, metrics=[largest, "accuracy"])
    assert surface.run.engine == (
        "torch: the native network does not support metrics: a user's function needs PyTorch's "
        "outputs."
    )
    with pytest.raises(ValueError, match="metrics: a user's function needs PyTorch's outputs"):
        landscape.surface(model, DATA, points=3, metrics=largest, engine="native")


def test_other_data_and_policies_share_what_they_can() -> None:
    model = normalised_cnn()
    data = drawn((30, 1, 8, 8), 1), torch.arange(30) % 5
    test = drawn((19, 1, 8, 8), 2), torch.arange(19) % 5
    ours, theirs = (Objective(model, data, engine=e) for e in ENGINES)
    policies: tuple[BatchNormPolicy, ...] = ("frozen", "recalibrated", "batch")
    for policy in policies:
        here, there = ours.with_default_batch_norm(policy), theirs.with_default_batch_norm(policy)
        theta = off_centre(here, 0.05)
        assert_allclose(
            here.with_data(test).loss(theta), there.with_data(test).loss(theta), rtol=1e-10
        )
        assert_allclose(here.loss(theta), there.loss(theta), rtol=1e-10)


def test_what_is_held_may_change_between_calls() -> None:
    model = normalised_cnn()
    data = drawn((30, 1, 8, 8), 1), torch.arange(30) % 5
    ours, theirs = (Objective(model, data, engine=e, parameters="9") for e in ENGINES)
    plane = ours.subspace(None, [0 * ours.theta + 0.01])
    for change in (
        lambda: model[1].running_var.mul_(2),  # type: ignore[index]
        lambda: model[0].weight.data.mul_(2),  # type: ignore[index]
        lambda: model[5].running_mean.data.add_(1),  # type: ignore[index]
        lambda: setattr(model[4], "bias", nn.Parameter(model[4].bias * 3)),  # type: ignore[index]
    ):
        before = ours.loss()
        with torch.no_grad():
            change()
        assert ours.loss() != before
        assert_allclose(ours.loss(), theirs.loss(), rtol=1e-10)
        assert_allclose(plane.losses([[0.0]])[0], ours.loss(), rtol=1e-12)


def test_dtypes_of_arrays_and_of_the_objective() -> None:
    """What the Objective converts for PyTorch it converts for the native engine too."""
    x, y = regression(30)
    for inputs, dtype in ((x, None), (x.double().numpy(), None), (x.numpy(), "float64")):
        ours, theirs = (
            Objective(mlp(outputs=2), (inputs, y), engine=engine, dtype=dtype) for engine in ENGINES
        )
        assert ours.gradient().dtype == theirs.gradient().dtype
        assert_allclose(ours.loss(), theirs.loss(), rtol=1e-6 if dtype is None else 1e-12)

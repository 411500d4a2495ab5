"""The check of L against the user's own program: it fires on every kind of fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn
from untouched import untouched

import landscape
from landscape import Objective, batch_loss
from landscape._objective import Curvature
from landscape._objective.data.batches import ResidentBatches
from landscape._objective.verify import take_probe

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(30, 4, generator=GENERATOR)
Y = torch.randint(3, (30,), generator=GENERATOR)
DATA = (X, Y)
GAUSS_NEWTON = Curvature("gauss_newton")


def mlp(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)


def cast(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return X.to(dtype), Y


# L is another function than the user's


def captured_penalty(model: nn.Module) -> Any:
    parameters = list(model.parameters())
    return lambda z, y: F.cross_entropy(z, y) + 1e-2 * sum(p.square().sum() for p in parameters)


def captured_layer(model: nn.Module) -> Any:
    weight = model.get_parameter("2.weight")
    return lambda z, y: F.cross_entropy(z + 0.1 * weight.sum(), y) + weight.square().mean()


def captured_state(model: nn.Module) -> Any:
    state = dict(model.state_dict())
    return lambda z, y: F.cross_entropy(z, y) + sum(v.abs().mean() for v in state.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [captured_penalty, captured_layer, captured_state])
def test_parameters_that_a_loss_captured(make: Callable[[Any], Any], dtype: torch.dtype) -> None:
    model = mlp(dtype)
    loss = make(model)
    with untouched(model), pytest.raises(ValueError, match="captured list"):
        Objective(model, cast(dtype), loss)
    wrong = Objective(model, cast(dtype), loss, check="off")
    assert wrong.check == {"mode": "off"}


def test_a_penalty_read_from_the_model_is_right() -> None:
    model = mlp(torch.float64)

    def loss(net: nn.Module, batch: Any) -> Tensor:
        penalty = torch.stack([p.square().sum() for p in net.parameters()]).sum()
        return F.cross_entropy(net(batch[0]), batch[1]) + penalty

    objective = Objective(model, cast(torch.float64), batch_loss(loss))
    theta = 2 * objective.theta
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
        assert objective.loss(theta) == pytest.approx(float(loss(model, cast(torch.float64))))


class Listed(nn.Module):
    """A weight that is used through a list."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.weights = [self.first.weight, self.first.bias]

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, *self.weights)


class Copied(nn.Module):
    """A weight that is used through a function of a copy of the module."""

    run: Callable[[Tensor], Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        own = nn.Linear(4, 3)
        own.weight, own.bias = self.first.weight, self.first.bias
        object.__setattr__(self, "run", own.forward)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.run(x)
        return found


@pytest.mark.parametrize("make", [Listed, Copied])
def test_weights_that_are_used_by_another_way(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(ValueError, match="Parameters reach the loss by another way"):
        Objective(make(), DATA)


class OwnGenerator(nn.Module):
    """Noise from a generator of its own, which nothing can set back."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.random = torch.Generator()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.first(x + torch.randn(x.shape, generator=self.random))
        return found


def test_noise_and_state_that_cannot_be_restored() -> None:
    with pytest.raises(ValueError, match=r"not a function|differs from your own program"):
        Objective(OwnGenerator(), DATA)
    calls = []

    def loss(z: Tensor, y: Tensor) -> Tensor:
        calls.append(len(z))
        return F.cross_entropy(z, y) + 0.01 * len(calls)

    with pytest.raises(ValueError, match=r"not a function|differs from your own program"):
        Objective(mlp(), DATA, loss)


class Centred(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(3))
        self.register_buffer("calls", torch.zeros(()))
        self.centre: Tensor
        self.calls: Tensor
        self.largest = 0.0

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        self.centre = 0.9 * self.centre + 0.1 * z.mean(0).detach()
        self.calls += 1
        self.largest = max(self.largest, float(z.detach().max()))
        return F.cross_entropy(z - self.centre + 0.1 * self.calls, y) * (1 + self.largest)


def test_the_state_of_a_loss_is_restored() -> None:
    model, loss = mlp(), Centred()
    objective = Objective(model, DATA, loss)
    with torch.no_grad():
        expected = float(Centred()(model(X), Y))
    found = [objective.loss() for _ in range(3)]
    assert found == [pytest.approx(expected, rel=1e-6)] * 3
    assert_allclose(objective.losses(np.stack([objective.theta] * 4)), expected, rtol=1e-6)
    assert (loss.centre.tolist(), float(loss.calls), loss.largest) == ([0, 0, 0], 0, 0)


def test_the_state_of_a_loss_passes_from_batch_to_batch() -> None:
    model, batches = mlp(), [(X[:12], Y[:12]), (X[12:], Y[12:])]
    with torch.no_grad():
        twin = Centred()
        means = [float(twin(model(x), y)) for x, y in batches]
    objective = Objective(model, batches, Centred())
    assert objective.loss() == pytest.approx(np.average(means, weights=(12, 18)), rel=1e-6)


# Derivatives that are none


@torch.no_grad()
def without_graph(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y)


def half_detached(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z, y) + z.detach().square().mean()


class Rounded(torch.autograd.Function):
    """A straight-through estimator."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x * 4).round() / 4

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Doubled(torch.autograd.Function):
    """A backward pass that is wrong by a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        found: Tensor = 2.2 * x * gradient
        return found


class Detached(torch.autograd.Function):
    """A right first derivative, and no second one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.x = x.detach()
        return x * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        found: Tensor = 2 * ctx.x * gradient
        return found


class Between(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.a, self.b, self.function = nn.Linear(4, 5), nn.Linear(5, 3), function

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.b(self.function(self.a(x)))
        return found


WRONG_GRADIENTS: dict[str, tuple[nn.Module, Any]] = {
    "no_grad": (mlp(), without_graph),
    "half detached": (mlp(), half_detached),
    "straight through": (Between(Rounded.apply), None),
    "wrong factor": (Between(Doubled.apply), None),
    "detached inside": (Between(lambda x: x * torch.sigmoid(x).detach()), None),
    "bfloat16 inside": (Between(lambda x: x.bfloat16().to(x.dtype)), None),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", WRONG_GRADIENTS)
def test_gradients_that_are_none(name: str, dtype: torch.dtype) -> None:
    model, loss = WRONG_GRADIENTS[name]
    objective = Objective(model.to(dtype), cast(dtype), loss)
    assert np.isfinite(objective.loss())  # surfaces need no derivative
    for call in (objective.gradient, objective.hessian_at):
        with pytest.raises(ValueError, match="gradient of L is not its derivative"):
            call()
    with pytest.raises(ValueError, match="gradient of L is not its derivative"):
        landscape.hessian(objective).eigenvalues(k=1)
    assert objective.check["gradient"] == "differs"


def test_an_embedding_that_renormalises_its_rows() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(7, 4, max_norm=0.5), nn.Flatten(), nn.Linear(12, 3))
    data = (torch.randint(7, (20, 3)), torch.randint(3, (20,)))
    with untouched(model), pytest.raises(ValueError, match=r"max_norm|own program"):
        Objective(model, data).gradient()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_backward_pass_without_a_derivative(dtype: torch.dtype) -> None:
    wrong = Objective(Between(Detached.apply).to(dtype), cast(dtype), engine="torch")
    right = Objective(Between(torch.square).to(dtype), cast(dtype), engine="torch")
    assert_allclose(wrong.gradient(), right.gradient(), rtol=1e-5)
    with pytest.raises(ValueError, match="Hessian product is not the derivative"):
        wrong.hessian_product(np.ones(wrong.dim))
    assert np.isfinite(right.hessian_product(np.ones(right.dim))).all()
    assert right.check["product"] == "agrees in float64"
    assert np.isfinite(wrong.curvature_at(curvature=GAUSS_NEWTON)(wrong.theta)).all()


# What is no fault


class Upcasting(nn.Module):
    """Layer norm in float32 whatever the dtype, as language models have it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.a(x)
        normal = F.layer_norm(hidden.float(), (5,)).to(hidden.dtype)
        found: Tensor = self.b(normal)
        return found


class PlainTensor(nn.Module):
    """A float32 constant that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.basis, self.b = torch.randn(5, 4), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.b(torch.tanh(x @ self.basis.T))
        return found


def convolution() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)),
        nn.Conv2d(1, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


def relu() -> nn.Module:
    torch.manual_seed(6)
    return nn.Sequential(
        nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)
    )


RIGHT: dict[str, Callable[[], nn.Module]] = {
    "smooth": mlp,
    "ReLU": relu,
    "max-pooling": convolution,
    "float32 inside": Upcasting,
    "float32 constant": PlainTensor,
    "zeros": lambda: nn.Sequential(*[zeroed(layer) for layer in mlp()]),
    "bfloat16": lambda: mlp(torch.bfloat16),
}


def zeroed(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


@pytest.mark.parametrize("name", RIGHT)
def test_right_functions_pass(name: str) -> None:
    model = RIGHT[name]()
    dtype = next(model.parameters()).dtype
    objective = Objective(model, cast(dtype), engine="torch")
    with untouched(model):
        objective.gradient()
        objective.hessian_product(np.ones(objective.dim))
    found = objective.check
    assert found["own_program"] == "agrees at two points"
    assert found["gradient"].startswith("agrees in")
    assert not found["product"].startswith("differs")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stored", [torch.float32, torch.float64])
def test_another_dtype_than_the_models(stored: torch.dtype, dtype: str) -> None:
    objective = Objective(mlp(stored), cast(stored), dtype=dtype)
    assert objective.check["own_program"] == "agrees at two points"


@pytest.mark.parametrize(
    ("data", "loss"),
    [
        ([(X[:9], Y[:9]), (X[9:], Y[9:])], None),
        ((X, torch.randn(30, 3)), nn.MSELoss()),
        ((X.double().numpy(), np.random.default_rng(0).random((30, 3))), nn.BCEWithLogitsLoss()),
        ((X, Y.int()), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2, 3]), label_smoothing=0.1)),
        ((X, Y), F.multi_margin_loss),
        ((X, torch.where(torch.arange(30) < 12, Y, -100)), None),
    ],
)
def test_losses_and_forms_of_data(data: Any, loss: Any) -> None:
    assert Objective(mlp(), data, loss).check["own_program"] == "agrees at two points"


def test_a_parameter_outside_its_domain_at_the_second_point() -> None:
    class Definite(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.eye(3, dtype=torch.float64) - 0.3)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = x[:, :3] @ torch.linalg.cholesky(
                self.matrix @ self.matrix.T * 0 + self.matrix
            )
            return found

    found = Objective(Definite(), cast(torch.float64)).check["own_program"]
    assert found.startswith("agrees at")


# Batch norm, cost and record


def test_stale_batch_norm_is_noticed() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    data = (100 * torch.randn(64, 4) + 40, torch.randint(3, (64,)))
    with untouched(model):
        (note,) = (n for n in Objective(model, data).notes if "stale batch norm" in n)
    stored = Objective(model, data).loss()
    estimated = Objective(model, data, batch_norm="recalibrated").loss()
    assert f"{stored:.4g} with them and {estimated:.4g} with" in note
    model.train()
    for _ in range(100):
        model(data[0])
    assert not any("stale" in note for note in Objective(model, data).notes)


@pytest.mark.parametrize("cut", [(2000,), (300, 200, 1500), (900, 1100), (1,) * 40])
def test_the_cost_is_bounded(cut: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(sum(cut), 4), torch.randint(3, (sum(cut),))
    batches = list(zip(torch.split(x, list(cut)), torch.split(y, list(cut)), strict=True))
    model = nn.Sequential(mlp(), nn.BatchNorm1d(3))
    calls: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
    objective = Objective(model, batches, nn.CrossEntropyLoss(), engine="torch")
    probe = take_probe(objective._evaluator.batches, 512)
    assert probe.samples <= 512
    assert len(probe.sizes) <= 2
    # the first run of the model sees 64 samples, and again in two parts
    assert sum(calls) <= 8 * probe.samples + 64 + 64
    assert objective.check["forward_passes"] <= 8
    calls.clear()
    objective._check.require_gradient(objective._evaluator)
    assert sum(calls) <= 3 * probe.samples
    calls.clear()
    objective._check.require_product(objective._evaluator)
    assert len(calls) <= 3
    calls.clear()
    objective._check.require_product(objective._evaluator)
    assert calls == []


def test_large_samples_make_a_small_probe() -> None:
    """512 photographs at once would take tens of gigabytes of activations."""
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    objective = Objective(model, (torch.rand(200, 3, 224, 224), torch.arange(200) % 3))
    probe = take_probe(objective._evaluator.batches, 512)
    assert probe.samples == (1 << 26) // (3 * 224 * 224 * 4 + 8 + 1)


def test_the_probe_takes_the_users_batches() -> None:
    objective = Objective(mlp(), DATA, batch_size=7, seed=3)
    probe, whole = take_probe(objective._evaluator.batches, 512), objective._evaluator.batches
    assert isinstance(probe, ResidentBatches)
    for index in range(2):
        assert_array_equal(probe.batch(index).content[0], whole.batch(index).content[0])


def test_the_record_goes_with_results(tmp_path: Any) -> None:
    line = landscape.line(mlp(), DATA, points=3, progress="off")
    assert line.run.check["own_program"] == "agrees at two points"
    assert line.run.check["forward_passes"] == 5
    line.save(tmp_path / "line.npz")
    assert landscape.load(tmp_path / "line.npz").run.check == line.run.check
    off = landscape.line(mlp(), DATA, points=3, progress="off", check="off")
    assert dict(off.run.check) == {"mode": "off"}
    with pytest.raises(ValueError, match="check='maybe'"):
        landscape.line(mlp(), DATA, points=3, check="maybe")  # type: ignore[arg-type]


def test_kinks_of_a_deep_relu_network_are_no_fault() -> None:
    """Some of its many kinks lie within any step: differences and slope are 0.1% apart."""
    width, layers = 32, list[nn.Module]()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(40):
            linear = nn.Linear(width, width)
            nn.init.normal_(linear.weight, std=1.4 / width**0.5)
            layers += [linear, nn.ReLU()]
        model = nn.Sequential(*layers, nn.Linear(width, 3))
        data = torch.randn(200, width), torch.arange(200) % 3
    objective = Objective(model, data)
    assert np.isfinite(objective.gradient()).all()
    assert objective.check["gradient"] == "agrees in float64"

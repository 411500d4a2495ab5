"""Models of many architectures: evaluated as by plain PyTorch, and left untouched."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import ConvNet, Recurrent, Transformer, classes, cut, images, mlp, seeded, sequences
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint
from untouched import untouched

from landscape import Objective

DOUBLE = torch.float64
pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.nn.utils.weight_norm. is deprecated:FutureWarning"
)


class Checkpointed(nn.Module):
    """Runs its body again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(checkpoint(self.body, x, use_reentrant=False))
        return found


class SharedModule(nn.Module):
    """The same child under two names, three times in the computation."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Linear(5, 5)
        self.again = nn.Sequential(self.block, nn.Tanh())
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.again(self.again(torch.tanh(self.block(x)))))
        return found


class ByAttribute(nn.Module):
    """Keeps its weights in a ParameterList and a ParameterDict, and a plain tensor beside."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([torch.randn(5, 5) / 2 for _ in range(2)])
        self.scales = nn.ParameterDict({"out": torch.ones(())})
        self.shift = torch.randn(5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        for weight in self.weights:
            x = torch.tanh(x @ weight + self.shift.to(x.dtype))
        found: Tensor = self.head(x) * self.scales["out"]
        return found


def old_weight_norm() -> nn.Module:
    return nn.Sequential(
        nn.utils.weight_norm(nn.Linear(5, 8)),
        nn.Tanh(),
        nn.Linear(8, 3),
    )


def weight_norm() -> nn.Module:
    first = parametrizations.weight_norm(nn.Linear(5, 8))
    return nn.Sequential(first, nn.Tanh(), parametrizations.spectral_norm(nn.Linear(8, 3)))


def orthogonal() -> nn.Module:
    return nn.Sequential(parametrizations.orthogonal(nn.Linear(5, 5)), nn.Linear(5, 3))


def normalised_cell() -> nn.Module:
    model = Recurrent()
    parametrizations.weight_norm(model.cell, "weight_hh_l0")
    return model


def old_normalised_cell() -> nn.Module:
    model = Recurrent()
    nn.utils.weight_norm(model.cell, "weight_hh_l0")
    return model


def old_spectral_norm() -> nn.Module:
    return nn.Sequential(
        nn.utils.spectral_norm(nn.Linear(5, 8)),
        nn.Tanh(),
        nn.Linear(8, 3),
    )


MAKERS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "LSTM": (Recurrent, sequences),
    "GRU": (lambda: Recurrent(nn.GRU), sequences),
    "weight_norm": (weight_norm, classes),
    "old weight_norm": (old_weight_norm, classes),
    "old spectral_norm": (old_spectral_norm, classes),
    "orthogonal": (orthogonal, classes),
    "LSTM under weight_norm": (normalised_cell, sequences),
    "LSTM under old weight_norm": (old_normalised_cell, sequences),
    "checkpointed": (Checkpointed, classes),
    "shared": (SharedModule, classes),
    "by attribute": (ByAttribute, classes),
    "convolutions": (ConvNet, images),
    "encoder": (Transformer, sequences),
    "a child called module": (lambda: WithChild("module"), classes),
    "a child called _orig_mod": (lambda: WithChild("_orig_mod_"), classes),
}


class WithChild(nn.Module):
    """All of its layers in one child, whose name wrappers use too."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, mlp())

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.get_submodule(self.name)(x)
        return found


def plain_losses(model: nn.Module, data: Any, points: Any) -> tuple[list[float], Any]:
    """Losses, and the gradient at the first point, on the model itself with its weights written."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    losses, slope = [], None
    for theta in points:
        nn.utils.vector_to_parameters(torch.from_numpy(theta), parameters)
        loss = F.cross_entropy(model(data[0]), data[1])
        losses.append(loss.item())
        if slope is None:
            slopes = torch.autograd.grad(loss, parameters)
            slope = torch.cat([s.reshape(-1) for s in slopes]).numpy()
    return losses, slope


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", MAKERS)
def test_any_model(name: str, mode: str) -> None:
    make, data_of = MAKERS[name]
    model, (x, y) = seeded(make).double(), data_of()
    data = (x.double() if x.is_floating_point() else x), y
    model.train(mode == "train")
    with untouched(model):
        objective = Objective(model, data)
        rng = np.random.default_rng(0)
        noise = 0.1 * rng.standard_normal((3, objective.dim))
        points = objective.theta + noise
        losses = objective.losses(points)
        singly = [objective.loss(point) for point in points]
        _, slopes = objective.gradients(points)
        vector = rng.standard_normal(objective.dim)
        product = objective.hessian_product(vector, points[0])
        plane = objective.subspace(points[0], [points[1] - points[0]])
        on_plane = plane.losses([[0.0], [1.0]])
    expected, slope = plain_losses(seeded(make).double().eval(), data, points)
    assert_allclose(losses, expected, rtol=1e-11)
    assert_allclose(singly, expected, rtol=1e-11)
    assert_allclose(on_plane, expected[:2], rtol=1e-11)
    assert_allclose(slopes[0], slope, rtol=1e-8, atol=1e-11)
    ahead, behind = (objective.gradient(points[0] + s * 1e-5 * vector) for s in (1, -1))
    error = product - (ahead - behind) / 2e-5
    assert np.linalg.norm(error) < 1e-6 * np.linalg.norm(product)


def compiled() -> nn.Module:
    found: Any = torch.compile(mlp(), backend="eager")
    assert isinstance(found, nn.Module)
    return found


def compiled_inside() -> nn.Module:
    model = mlp()
    model.compile(backend="eager")
    return model


WRAPPERS: dict[str, Callable[[], nn.Module]] = {
    "DataParallel": lambda: nn.DataParallel(mlp()),
    "compiled": compiled,
    "compiled DataParallel": lambda: nn.DataParallel(compiled()),
    "compiled in place": compiled_inside,
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_are_looked_through(name: str) -> None:
    model, data = WRAPPERS[name](), classes()
    plain = Objective(mlp(), data)
    with untouched(model):
        objective = Objective(model, data)
        found = objective.loss(), objective.gradient()
    assert type(objective.model) is nn.Sequential
    assert objective.layout.entries[0].name == "0.weight"
    assert found[0] == plain.loss()
    assert_allclose(found[1], plain.gradient())


def test_a_layer_that_is_compiled() -> None:
    """Only the outermost wrapper is taken off; one inside runs as PyTorch runs it."""
    model = mlp()
    model[0] = torch.compile(model[0], backend="eager")  # type: ignore[assignment]
    objective, plain = Objective(model, classes()), Objective(mlp(), classes())
    points = np.stack([plain.theta, plain.theta + np.float32(0.1)])
    assert_allclose(objective.losses(points), plain.losses(points), rtol=1e-6)
    assert_allclose(objective.gradients(points)[1], plain.gradients(points)[1], atol=1e-6)
    vector = points[1]
    assert_allclose(objective.hessian_product(vector), plain.hessian_product(vector), atol=1e-5)
    torch.compiler.reset()


def test_the_users_hooks_run_and_stay() -> None:
    """A hook that changes the output is part of the function."""
    model, data = mlp(), classes()
    seen: list[torch.Size] = []

    def double(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        seen.append(output.shape)
        return 2 * output

    handle = model[2].register_forward_hook(double)
    with torch.no_grad():
        expected = F.cross_entropy(model(data[0]), data[1]).item()
    with untouched(model):
        objective = Objective(model, data)
        assert objective.loss() == pytest.approx(expected, rel=1e-6)
        assert objective.losses(np.stack([objective.theta] * 9)) == pytest.approx(expected)
    assert seen
    handle.remove()


CONTEXTS: dict[str, Callable[[], Any]] = {
    "nothing": nullcontext,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
}


@pytest.mark.parametrize("built", CONTEXTS)
@pytest.mark.parametrize("used", CONTEXTS)
@pytest.mark.parametrize("budget", [1 << 20, 1])
def test_surrounding_modes_do_not_matter(built: str, used: str, budget: int) -> None:
    reference = Objective(mlp(), cut(classes(), (6, 14)))
    theta, vector = reference.theta, np.ones(reference.dim)
    with CONTEXTS[built]():
        model = mlp()
        batches = [(x.clone(), y.clone()) for x, y in cut(classes(), (6, 14))]
        objective = Objective(model, batches, memory_budget=budget)
    with CONTEXTS[used]():
        assert objective.loss() == pytest.approx(reference.loss(), rel=1e-6)
        assert_allclose(objective.gradient(), reference.gradient(), rtol=1e-4, atol=1e-6)
        slopes = objective.gradients_on(theta[None], [1])[1]
        assert_allclose(slopes, reference.gradients_on(theta[None], [1])[1], rtol=1e-4, atol=1e-6)
        expected = reference.hessian_product(vector)
        assert_allclose(objective.hessian_product(vector), expected, rtol=1e-3, atol=1e-5)
        assert objective.sample_losses(theta[None]).mean() == pytest.approx(reference.loss())
        assert objective.metrics("accuracy") == reference.metrics("accuracy")
        plane = objective.subspace(None, [vector])
        expected = reference.subspace(None, [vector]).losses([[0.1]])
        assert_allclose(plane.losses([[0.1]]), expected, rtol=1e-5)
        assert_allclose(plane.gradients([[0.1]])[0], expected, rtol=1e-5)


@pytest.fixture(autouse=True)
def own_default_dtype() -> Iterator[None]:
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


def test_another_default_dtype() -> None:
    expected = Objective(mlp(), classes()).loss()
    model, data = mlp(), classes()
    frozen = copy.deepcopy(seeded(ConvNet))
    torch.set_default_dtype(DOUBLE)
    objective = Objective(model, data)
    assert objective.dtype == np.float32
    assert objective.loss() == expected
    recalibrated = Objective(frozen, images(dtype=torch.float32), batch_norm="recalibrated")
    assert np.isfinite(recalibrated.loss())

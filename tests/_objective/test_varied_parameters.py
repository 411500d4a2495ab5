"""Selection of the varied parameters, and dtypes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import (
    ConvNet,
    LanguageModel,
    TiedAutoencoder,
    classes,
    images,
    mlp,
    regression,
    seeded,
    sequences,
)
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn

from landscape import Objective

DOUBLE = torch.float64
NAMES = ["features.0.weight", "features.0.bias", "features.1.weight", "features.1.bias"]
NAMES += [name.replace("features.0", "features.4") for name in NAMES[:2]]
NAMES += [name.replace("features.1", "features.5") for name in NAMES[2:4]]
NAMES += ["head.weight", "head.bias"]


def names(objective: Objective) -> list[str]:
    return [entry.name for entry in objective.layout.entries]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (None, NAMES),
        ("head", NAMES[-2:]),
        ("head.weight", ["head.weight"]),
        (["head.bias", "features.0"], [*NAMES[:2], "head.bias"]),  # in the model's own order
        ("*.bias", [name for name in NAMES if name.endswith("bias")]),
        ("features.[15].*", [name for name in NAMES if ".1." in name or ".5." in name]),
        (("features", "features.0.weight"), NAMES[:-2]),
    ],
)
def test_names_prefixes_and_patterns(chosen: Any, expected: list[str]) -> None:
    model = seeded(ConvNet)
    objective = Objective(model, images(), parameters=chosen)
    assert names(objective) == expected
    parameters = dict(model.named_parameters())
    flat = torch.cat([parameters[name].detach().reshape(-1) for name in expected])
    assert_array_equal(objective.theta, flat.numpy())
    assert objective.dim == len(flat) == objective.policy["parameters"]


def test_the_rest_is_held() -> None:
    model, data = mlp().double(), classes(dtype=DOUBLE)
    full = Objective(model, data)
    head = Objective(model, data, parameters="2", weight_decay=0.5)
    start = full.dim - head.dim
    point = np.random.default_rng(0).standard_normal(head.dim)
    whole = np.concatenate([full.theta[:start], point])
    penalty = 0.25 * (point**2).sum()  # weight decay counts what varies
    assert head.loss(point) == pytest.approx(full.loss(whole) + penalty, rel=1e-12)
    assert_allclose(head.gradient(point), full.gradient(whole)[start:] + 0.5 * point, rtol=1e-10)
    vector = np.random.default_rng(1).standard_normal(head.dim)
    padded = np.concatenate([np.zeros(start), vector])
    assert_allclose(
        head.hessian_product(vector, point),
        full.hessian_product(padded, whole)[start:] + 0.5 * vector,
        rtol=1e-9,
    )


@pytest.mark.parametrize("pattern", ["haed", "head.*.weight", "hea", "features.3"])
def test_a_pattern_that_matches_nothing(pattern: str) -> None:
    with pytest.raises(ValueError, match=rf"{pattern[:4]}.*matches no.*{NAMES[0]}.*head.bias"):
        Objective(seeded(ConvNet), images(), parameters=["head", pattern])


def test_frozen_parameters_are_held_and_said_so() -> None:
    model = mlp()
    model[0].requires_grad_(False)
    objective = Objective(model, classes())
    assert names(objective) == ["2.weight", "2.bias"]
    assert any("2 parameters" in n and "0.weight among them" in n for n in objective.notes)
    with pytest.raises(ValueError, match=r"'0' matches no trainable parameter"):
        Objective(model, classes(), parameters="0")
    model.requires_grad_(False)
    with pytest.raises(ValueError, match=r"no trainable parameter.*requires_grad_\(True\)"):
        Objective(model, classes())
    assert not any("requires_grad" in n for n in Objective(mlp(), classes()).notes)


def test_no_parameters_at_all() -> None:
    with pytest.raises(ValueError, match="no trainable parameter"):
        Objective(nn.Tanh(), regression())
    with pytest.raises(ValueError, match="parameters is empty"):
        Objective(mlp(), classes(), parameters=[])


def test_tied_weights_count_once_and_move_together() -> None:
    x = classes(dtype=DOUBLE)[0]
    model = seeded(TiedAutoencoder).double()
    objective = Objective(model, (x, x))
    assert names(objective) == ["encoder.weight", "encoder.bias", "decoder.bias"]
    assert objective.dim == 25 + 5 + 5
    theta = objective.theta + 0.1
    matrix, b, c = (torch.from_numpy(t) for t in np.split(theta, [25, 30]))
    matrix = matrix.view(5, 5)
    expected = F.mse_loss(torch.tanh(x @ matrix.T + b) @ matrix.T + c, x).item()
    assert objective.loss(theta) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["embedding", "unembedding", "unembedding.weight", "*.weight"])
def test_tied_weights_are_chosen_by_any_of_their_names(name: str) -> None:
    class Channels(LanguageModel):
        def forward(self, tokens: Tensor) -> Tensor:
            return super().forward(tokens).transpose(1, 2)

    tokens = sequences()[0]
    objective = Objective(Channels(), (tokens, tokens), parameters=name)
    assert "embedding.weight" in names(objective)
    assert names(objective).count("embedding.weight") == 1


class Mixed(nn.Module):
    """A float64 head on a float32 body, with a half-precision layer between."""

    def __init__(self, middle: torch.dtype, last: torch.dtype) -> None:
        super().__init__()
        self.first = nn.Linear(5, 6)
        self.middle = nn.Linear(6, 6, dtype=middle)
        self.last = nn.Linear(6, 3, dtype=last)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x.to(self.first.weight.dtype)))
        hidden = torch.tanh(self.middle(hidden.to(self.middle.weight.dtype)))
        found: Tensor = self.last(hidden.to(self.last.weight.dtype))
        return found


@pytest.mark.parametrize("middle", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("last", [torch.float32, torch.float64])
def test_mixed_dtypes(middle: torch.dtype, last: torch.dtype) -> None:
    """Every layer computes in its own dtype; the flat vector takes the widest."""
    model, data = seeded(lambda: Mixed(middle, last)), classes()
    with torch.no_grad():
        expected = F.cross_entropy(model(data[0]).double(), data[1]).item()
    objective = Objective(model, data)
    assert objective.dtype == (np.float64 if last == DOUBLE else np.float32)
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    loss = F.cross_entropy(model(data[0]).double(), data[1])
    slopes = torch.autograd.grad(loss, list(model.parameters()))
    flat = torch.cat([slope.reshape(-1).double() for slope in slopes])
    assert_allclose(objective.gradient(), flat.numpy(), rtol=2e-3, atol=2e-5)
    assert np.isfinite(objective.hessian_product(objective.theta)).all()
    plane = objective.subspace(None, [np.ones(objective.dim)])
    assert plane.losses([[0.0]])[0] == pytest.approx(expected, rel=1e-3)
    assert [p.dtype for p in model.parameters()] == [torch.float32] * 2 + [middle] * 2 + [last] * 2


@pytest.mark.parametrize("dtype", [DOUBLE, "float64"])
def test_another_dtype_than_the_models(dtype: Any) -> None:
    """A float32 model evaluated in float64, its buffers and data with it."""
    model, (x, y) = seeded(ConvNet), images()
    before = copy.deepcopy(model.state_dict())
    twin = copy.deepcopy(model).double().eval()
    loss = F.cross_entropy(twin(x.double()), y)
    slopes = torch.autograd.grad(loss, list(twin.parameters()))
    objective = Objective(model, (x, y), dtype=dtype)
    assert objective.dtype == np.float64
    assert objective.policy["dtype"] == "float64"
    assert objective.loss() == pytest.approx(loss.item(), rel=1e-12)
    flat = torch.cat([slope.reshape(-1) for slope in slopes])
    assert_allclose(objective.gradient(), flat.numpy(), rtol=1e-9, atol=1e-13)
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])


def test_a_narrower_dtype() -> None:
    model, (x, y) = mlp(), classes()
    objective = Objective(model, (x, y), dtype=torch.bfloat16)
    with torch.no_grad():
        expected = F.cross_entropy(copy.deepcopy(model).bfloat16()(x.bfloat16()).double(), y)
    assert objective.dtype == np.float32
    assert objective.loss() == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.int64, "float63", "load", 64, torch.bool])
def test_what_is_no_floating_dtype(dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a floating-point dtype"):
        Objective(mlp(), classes(), dtype=dtype)


def test_theta_follows_the_model() -> None:
    """Training goes on, and None means the parameters as they are now."""
    model, data = mlp(), classes()
    first = model[0]
    assert isinstance(first, nn.Linear)
    objective = Objective(model, data)
    before, loss = objective.theta, objective.loss()
    with torch.no_grad():
        first.weight.add_(0.3)
        expected = F.cross_entropy(model(data[0]), data[1]).item()
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    assert objective.loss(before) == loss
    assert not np.shares_memory(objective.theta, first.weight.detach().numpy())

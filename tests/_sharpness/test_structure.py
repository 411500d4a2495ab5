"""Structures of traced networks, and layers as linear maps, against PyTorch and dense matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from models import CLASSES, DropoutNet, classes, mlp, seeded
from numpy.testing import assert_allclose
from sharpness_networks import Residual, chain, dense, make_context, pictures, randomise
from torch import Tensor, nn

from landscape._sharpness.chain import compute_input_norm, read_chain
from landscape._sharpness.definition import NotApplicable
from landscape._sharpness.linear_map import LinearMap
from landscape._sharpness.structure import Step, Structure, read_structure


def run(structure: Structure, inputs: Tensor) -> Tensor:
    """The network by its steps, one sample after the other."""
    outputs = []
    for sample in inputs:
        values = {structure.input: sample[None].double()}
        for step in structure.steps:
            values[step.name] = run_step(step, [values[name] for name in step.inputs])
        outputs.append(values[structure.output])
    return torch.cat(outputs)


def run_step(step: Step, inputs: list[Tensor]) -> Tensor:
    first = inputs[0]
    if step.layer is not None:
        result = step.layer.apply(first) + step.layer.expand_bias()
    elif step.activation is not None:
        result = F.leaky_relu(first, 0.1 if step.op == "leaky_relu" else 0.0)
    elif step.kind == "maximum":
        result = F.max_pool2d(first, 2, stride=1)
    elif step.pooling is not None:
        result = step.pooling.sum_windows(first) / step.pooling.size
    elif step.kind == "sum":
        result = first + inputs[1]
    elif step.rearrange is not None:
        result = step.rearrange(*inputs)
    else:
        result = first * step.factor
    return result


class Shortcut(nn.Module):
    """The shortcut of option A in residual networks: every second position, and new channels."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 1, 0)).flatten(1))
        return found


@pytest.mark.parametrize("make", [Residual, Shortcut, chain, partial(chain, groups=2)])
@pytest.mark.parametrize("folded", ["folded", "as it is"])
def test_the_steps_compute_the_network(make: Callable[[], nn.Module], folded: str) -> None:
    model = seeded(make).eval()
    inputs, _ = data = pictures(5)
    structure = read_structure(make_context(model, data))
    if folded == "folded":
        norms = len([s for s in structure.steps if s.op == "batch_norm"])
        structure = structure.fold_batch_norms()
        kept = len([s for s in structure.steps if s.op == "batch_norm"])
        expected: dict[Any, tuple[int, int]] = {Residual: (2, 1), Shortcut: (0, 0)}
        assert (norms, kept) == expected.get(make, (1, 0))
    assert_allclose(run(structure, inputs), model(inputs).detach(), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "weight", "shape", "output", "options"),
    [
        ("linear", (3, 5), (5,), (3,), {}),
        ("linear", (3, 5), (2, 5), (2, 3), {}),
        ("conv1d", (4, 2, 3), (2, 7), (4, 3), {"stride": (2,)}),
        ("conv2d", (4, 2, 3, 2), (2, 4, 5), (4, 4, 6), {"padding": (1, 1)}),
        ("conv2d", (4, 1, 3, 3), (2, 5, 5), (4, 3, 3), {"groups": 2}),
        ("conv2d", (2, 1, 2, 2), (1, 5, 4), (2, 3, 2), {"dilation": (2, 2)}),
        ("conv3d", (2, 1, 2, 2, 2), (1, 3, 3, 2), (2, 2, 2, 1), {}),
        ("scaling", (3,), (3, 2, 2), (3, 2, 2), {}),
    ],
)
def test_norms_of_layers_are_those_of_dense_matrices(
    kind: str,
    weight: tuple[int, ...],
    shape: tuple[int, ...],
    output: tuple[int, ...],
    options: dict[str, object],
) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(weight, generator=generator, dtype=torch.float64)
    bias = torch.randn(weight[0], generator=generator, dtype=torch.float64)
    layer = LinearMap("w", kind, weights, bias, shape, output, options)  # type: ignore[arg-type]
    matrix = dense(layer.apply, shape)
    assert_allclose(dense(layer.apply_transposed, output), matrix.T, atol=1e-12)
    column = layer.expand_bias().reshape(-1, 1).numpy()
    with_bias = np.hstack([matrix, column])
    assert_allclose(layer.row_squares().reshape(-1), np.square(with_bias).sum(1))
    assert_allclose(layer.spectral_norm(), np.linalg.norm(with_bias, 2), rtol=1e-9)
    last = np.zeros((1, with_bias.shape[1]))
    last[0, -1] = 1
    constant = np.linalg.norm(np.vstack([with_bias, last]), 2)
    assert_allclose(layer.spectral_norm(keeps_constant=True), constant, rtol=1e-9)
    plain = LinearMap("w", kind, weights, None, shape, output, options)  # type: ignore[arg-type]
    assert_allclose(plain.spectral_norm(), np.linalg.norm(matrix, 2), rtol=1e-9)


def test_a_chain_has_the_constants_of_what_follows_each_layer() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, bias=False), nn.AvgPool2d(2), nn.Conv2d(2, 2, 2, bias=False),
        nn.MaxPool2d(2, stride=1), nn.Flatten(), nn.Linear(2, 2, bias=False),
    )  # fmt: skip
    data = pictures(6, size=8)
    context = make_context(model, data)
    layers = read_chain(read_structure(context))
    assert [layer.lipschitz for layer in layers] == [0.5, 2.0, 1.0]
    assert_allclose(compute_input_norm(context, layers), torch.linalg.norm(data[0].double()))
    assert [layer.width for layer in layers] == [72, 18, 2]


def test_biases_are_columns_of_a_constant_that_is_passed_on() -> None:
    model, data = mlp(nn.ReLU), classes(6)
    context = make_context(model, data)
    first, last = read_chain(read_structure(context))
    assert (first.takes_constant, first.keeps_constant) == (True, True)
    assert (last.takes_constant, last.keeps_constant) == (True, False)
    weight, bias = (p.detach().double().numpy() for p in list(model.parameters())[:2])
    augmented = np.block([[weight, bias[:, None]], [np.zeros((1, 5)), np.ones((1, 1))]])
    assert_allclose(first.spectral_norm, np.linalg.norm(augmented, 2), rtol=1e-9)
    assert_allclose(first.frobenius_norm, np.linalg.norm(augmented), rtol=1e-12)
    inputs = np.hstack([data[0].double().numpy(), np.ones((6, 1))])
    assert_allclose(compute_input_norm(context, (first, last)), np.linalg.norm(inputs))


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(x.softmax(-1))
        return found


class Overwriting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 5), nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        view = x.view(x.shape[0], 5)
        F.relu_(view)
        found: Tensor = self.last(view + x)
        return found


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Attending(), "aten.softmax.int in the model is not understood"),
        (Overwriting(), "aten.relu_.default overwrites a value"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(model: nn.Module, reason: str) -> None:
    with pytest.raises(NotApplicable, match=reason):
        read_structure(make_context(model, classes(4)))


def test_branches_are_no_chain_and_dropout_is_off() -> None:
    structure = read_structure(make_context(seeded(Residual), pictures(4)))
    with pytest.raises(NotApplicable, match="no chain of layers: add"):
        read_chain(structure)
    assert len(read_chain(read_structure(make_context(DropoutNet(), classes(4))))) == 3


def test_new_statistics_are_zero_and_one() -> None:
    model = randomise(nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Flatten()))
    context = make_context(model.append(nn.Linear(18, 2)), pictures(4))
    norm = next(s for s in read_structure(context, statistics="new").steps if s.op == "batch_norm")
    assert norm.layer is not None
    weight, bias = (p.detach() for p in model[1].parameters())
    assert_allclose(norm.layer.weight, weight / np.sqrt(1 + 1e-5), rtol=1e-6)
    assert_allclose(norm.layer.expand_bias()[0, :, 0, 0], bias, rtol=1e-6)

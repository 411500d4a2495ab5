"""Edge cases of the native network: ragged blocks, overflow, vanishing losses."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_models import shaken
from native_models import DOUBLE, ENGINES, compared, difference, drawn, normalised_cnn, off_centre
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn

import landscape
from landscape import Objective, _core

SINGLE = torch.float32
_POWERS = {SINGLE: (3, 19, 35, 38), DOUBLE: (3, 154, 305, 308)}


def mlp() -> nn.Module:
    return shaken(nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)))


def labelled(samples: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    return drawn((samples, 5), seed), torch.arange(samples) % 3


def pair(model: nn.Module, data: Any, loss: Any = None, **options: Any) -> list[Objective]:
    """Both engines, native first."""
    return [Objective(model, data, loss, engine=engine, **options) for engine in ENGINES]


@pytest.mark.parametrize("samples", [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 129, 257])
def test_numbers_of_samples(samples: int) -> None:
    """Around one and several panels of 8 or 16 samples, and around a block of panels."""
    compared(mlp(), labelled(samples))
    ours, theirs = pair(mlp(), labelled(samples), dtype=DOUBLE)
    points = np.stack([ours.theta, off_centre(ours)])
    assert_allclose(ours.sample_losses(points), theirs.sample_losses(points), rtol=1e-9)
    plane = ours.subspace(None, [points[1] - points[0]])
    assert_allclose(plane.losses([[1.0]])[0], theirs.losses(points)[1], rtol=1e-10)


@pytest.mark.parametrize("samples", [1, 15, 16, 17])
def test_numbers_of_images(samples: int) -> None:
    data = drawn((samples, 1, 8, 8), 1), torch.arange(samples) % 5
    compared(normalised_cnn(), data)


class Reshaped(nn.Module):
    """A convolution whose images are seen with other sides before they are pooled."""

    def __init__(self, seen: tuple[int, int]) -> None:
        super().__init__()
        self.seen = seen
        self.convolution = nn.Conv2d(8, 16, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Linear(16 * (seen[0] // 2) * (seen[1] // 2), 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolution(x).reshape(-1, 16, *self.seen)
        return self.last(torch.flatten(self.pool(y), 1))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("sides", "seen"), [((4, 9), (6, 6)), ((6, 6), (3, 12)), ((2, 32), (8, 8)), ((6, 6), (6, 6))]
)
def test_pooling_of_reshaped_images(sides: tuple[int, int], seen: tuple[int, int]) -> None:
    data = drawn((20, 8, *sides), 1), torch.arange(20) % 3
    compared(shaken(Reshaped(seen)), data)


def test_no_points() -> None:
    for objective in pair(mlp(), labelled(20)):
        none = np.empty((0, objective.dim))
        assert objective.losses(none).shape == (0,)
        losses, slopes = objective.gradients(none)
        assert (losses.shape, slopes.shape) == ((0,), (0, objective.dim))
        assert objective.sample_losses(none).shape == (0, 20)
        plane = objective.subspace(None, [objective.theta], metrics="accuracy")
        assert plane.evaluate(np.empty((0, 1))).shape == (0, 2)
        assert objective.hessian_at()(np.empty((0, objective.dim))).shape == (0, objective.dim)
        assert objective.gradients_on(none, [])[1].shape == (0, objective.dim)


ACTIVATIONS = [
    nn.ReLU(), nn.LeakyReLU(0.1), nn.ELU(), nn.SiLU(), nn.GELU(), nn.GELU("tanh"), nn.Tanh(),
    nn.Sigmoid(), nn.Softplus(), nn.MaxPool1d(2), nn.AvgPool1d(2), nn.GroupNorm(1, 4),
]  # fmt: skip


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=["float32", "float64"])
def test_extreme_weights(layer: nn.Module, dtype: torch.dtype) -> None:
    """NaN where PyTorch has NaN, inf where it has inf; every sample and every size of theta."""
    model = shaken(
        nn.Sequential(nn.Conv1d(2, 4, 3), copy.deepcopy(layer), nn.Conv1d(4, 3, 1), Mean())
    )
    data = drawn((19, 2, 6), 1), torch.arange(19) % 3
    ours, theirs = pair(model, data, dtype=dtype)
    # squares overflow long before values do, and at which sum of them is an engine's own affair
    powers = (3, 7, 9, 12) if isinstance(layer, nn.GroupNorm) else _POWERS[dtype]
    scales = [10.0**power for power in powers]
    points = np.stack([(s * off_centre(ours, 0.1)).astype(ours.dtype) for s in scales])
    points = np.concatenate([points, points[:2]])
    points[4, :] = np.inf
    points[5, 7] = np.nan
    same_kind(ours.sample_losses(points), theirs.sample_losses(points))
    same_kind(ours.losses(points), theirs.losses(points))
    plane, expected = (o.subspace(None, [off_centre(o)]) for o in (ours, theirs))
    coords = [[s] for s in scales]
    same_kind(plane.losses(coords), expected.losses(coords))


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(2)


def same_kind(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    """The same NaN, the same infinities, and numbers that agree."""
    assert_array_equal(np.isnan(found), np.isnan(expected))
    assert_array_equal(np.isinf(found), np.isinf(expected))
    finite = np.isfinite(expected)
    scale = abs(expected[finite]).max(initial=1e-300)
    assert_allclose(found[finite] / scale, expected[finite] / scale, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_inputs_that_are_not_finite(value: float) -> None:
    x, y = labelled(20)
    x[3, 2], x[17, 0] = value, -value
    for data in ((x, y), (x, drawn((20, 3), 2))):
        for layer in (nn.Tanh(), nn.ReLU()):
            model = shaken(nn.Sequential(nn.Linear(5, 7), layer, nn.Linear(7, 3)))
            ours, theirs = pair(model, data, dtype=DOUBLE)
            points = np.stack([ours.theta, off_centre(ours)])
            found, expected = ours.sample_losses(points), theirs.sample_losses(points)
            same_kind(found, expected)
            assert np.isfinite(found).sum() >= 2 * 18
            same_kind(ours.losses(points), theirs.losses(points))
            same_kind(ours.gradients(points)[1], theirs.gradients(points)[1])
            metric = {} if data[1] is not y else ours.metrics("accuracy")
            assert metric == ({} if data[1] is not y else theirs.metrics("accuracy"))


def test_targets_that_are_not_finite() -> None:
    x, _ = labelled(20)
    targets = drawn((20, 3), 2)
    targets[5, 1] = np.nan
    ours, theirs = pair(mlp(), (x, targets), dtype=DOUBLE)
    same_kind(ours.sample_losses(ours.theta[None]), theirs.sample_losses(ours.theta[None]))


@pytest.mark.parametrize("scale", [8.0, 12.0, 20.0, 30.0])
def test_minima_that_are_trained_well(scale: float) -> None:
    """Losses from 1e-3 down to 1e-12 in float32, with gradient and curvature."""
    model, data = saturated(scale)
    ours = Objective(model, data, engine="native")
    exact = Objective(model, data, engine="torch", dtype=DOUBLE)
    expected = float(np.log1p(5 * np.exp(-scale)))
    assert ours.loss() == pytest.approx(expected, rel=1e-6, abs=0)
    rounding = 1e-15 / expected  # of PyTorch's own probabilities, which are nearly one
    assert difference(ours.gradient(), exact.gradient()) < 1e-5 + rounding
    vector = np.random.default_rng(0).standard_normal(ours.dim)
    expected_product = exact.hessian_product(vector)
    assert difference(ours.hessian_product(vector), expected_product) < 1e-5 + rounding
    plane, wanted = (o.subspace(None, [o.theta]) for o in (ours, exact))
    coords = [[-0.05], [0.0], [0.05]]
    assert_allclose(plane.losses(coords), wanted.losses(coords), rtol=1e-5, atol=1e-15)


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=["float32", "float64"])
@pytest.mark.parametrize("scale", [20.0, 40.0, 100.0, 1000.0])
def test_minima_below_what_rounding_leaves_are_native_too(scale: float, dtype: Any) -> None:
    """There PyTorch's loss is the rounding of its own numbers, and no measure of another's."""
    model, data = saturated(scale)
    ours, theirs = pair(model, data, dtype=dtype)
    assert_allclose(ours.loss(), theirs.loss(), rtol=1e-10, atol=1e-14)
    assert_allclose(ours.gradient(), theirs.gradient(), rtol=1e-5, atol=1e-13)


def saturated(scale: float) -> tuple[nn.Sequential, tuple[Tensor, Tensor]]:
    """Logits of 0, and of `scale` for the right one of 6 classes."""
    inputs = torch.eye(6).repeat(5, 1)
    model = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 6))
    with torch.no_grad():
        for parameter, size in zip(model.parameters(), (1.0, scale, 0.0), strict=True):
            parameter.copy_(size * torch.eye(6) if parameter.ndim == 2 else torch.zeros(6))
    return model, (inputs, inputs.argmax(1))


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=["float32", "float64"])
def test_regressions_that_fit_to_the_last_bits(dtype: torch.dtype) -> None:
    model = mlp().to(dtype)
    inputs = drawn((50, 5), 1).to(dtype)
    with torch.no_grad():
        targets = model(inputs)
    ours, theirs = pair(model, (inputs, targets), dtype=dtype)
    assert_allclose(ours.loss(), theirs.loss(), atol=100 * torch.finfo(dtype).eps ** 2)


@pytest.fixture
def _threads() -> Iterator[None]:
    before = _core.threads()
    yield
    landscape.set_threads(before)


def bits() -> list[bytes]:
    """Everything that the engine computes, at a few hundred points, as bytes."""
    found = []
    images = drawn((75, 1, 8, 8), 1), torch.arange(75) % 5
    for model, data in ((mlp(), labelled(150)), (normalised_cnn(), images)):
        for policy in ("frozen", "batch", "recalibrated"):
            objective = Objective(
                model.float(), (data[0].float(), data[1]), engine="native", batch_norm=policy,
                batch_size=40, samples=70,
            )  # fmt: skip
            theta = objective.theta
            other = off_centre(objective, 0.1)
            plane = objective.subspace(None, [other - theta], metrics="accuracy")
            arrays = [
                objective.losses(np.stack([theta, other, theta])),
                objective.sample_losses(other[None]),
                plane.evaluate(np.linspace(-1, 1, 21)[:, None]),
            ]
            if policy != "recalibrated":
                arrays += [
                    *objective.gradients(np.stack([theta, other])),
                    *objective.gradients_on(np.stack([theta, other]), [1, 0]),
                    objective.hessian_at(other)(np.stack([theta, other, theta - other])),
                ]
            found += [array.tobytes() for array in arrays]
    return found


@pytest.mark.usefixtures("_threads")
def test_any_number_of_threads_gives_the_same_bits() -> None:
    expected = bits()
    for count in (1, 2, 3, 7):
        landscape.set_threads(count)
        assert _core.threads() == count
        assert bits() == expected


def test_the_environments_number_of_threads_gives_the_same_bits() -> None:
    script = "import sys, zlib; sys.path.insert(0, sys.argv[1]); import torch; "
    script += (
        "torch.set_num_threads(1); from _objective.native_backend.test_native_edges import bits; "
    )
    script += "from landscape import _core; print(_core.threads(), zlib.crc32(b''.join(bits())))"
    found = [
        subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parents[2])],
            check=True, capture_output=True, text=True,
            env={**os.environ, "RAYON_NUM_THREADS": threads},
        ).stdout.split()
        for threads in ("1", "3")
    ]  # fmt: skip
    assert [threads for threads, _ in found] == ["1", "3"]
    assert found[0][1] == found[1][1]


class PlainTensor(nn.Module):
    """A float32 constant that is no buffer, so that the model has no twin in float64."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.basis, self.layer = torch.randn(8, 2), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(torch.tanh(x @ self.basis.T))
        return found


def test_a_model_without_a_twin_in_float64_falls_back() -> None:
    data = (torch.rand(60, 2), torch.randn(60, 1))
    model = PlainTensor()
    by_torch = landscape.surface(model, data, points=3, engine="torch", progress="off")
    chosen = landscape.surface(model, data, points=3, progress="off")
    assert_allclose(chosen.losses, by_torch.losses, rtol=1e-5)
    if chosen.run.engine.startswith("torch"):
        assert "float64" in chosen.run.engine


def test_near_ties_of_pooling_are_rounding() -> None:
    """Photographs have flat areas, whose maxima float32 finds elsewhere."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    ).eval()
    flat = torch.rand(40, 3, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    inputs = flat + 1e-7 * torch.randn(40, 3, 16, 16)
    objective = Objective(model, (inputs, torch.randint(5, (40,))), engine="native")
    assert objective.derivative_engine.name == "native"

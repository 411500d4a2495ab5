"""Simplicial complexes: volumes, naive twins of search and samples, both engines."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import seeded
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from path_models import DATA, two
from torch import nn
from untouched import untouched

import landscape
from landscape import _core, _store
from landscape._runs import checkpoint

Array = NDArray[np.float64]
SHORT: dict[str, Any] = {"cycles": [(6, 0.05), (4, 0.01)], "points": 12, "batch_size": 16}


def log_volume(corners: torch.Tensor) -> torch.Tensor:
    """By the edges' Gram matrix, in PyTorch."""
    edges = corners[1:] - corners[0]
    return torch.logdet(edges @ edges.T) / 2 - math.lgamma(len(corners))


class TestVolumes:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_right_and_regular_simplices(self, dtype: Any) -> None:
        for order in range(1, 7):
            right = np.vstack([np.zeros(order + 2), 2 * np.eye(order, order + 2)]).astype(dtype)
            wanted = order * math.log(2) - math.lgamma(order + 1)
            assert _core.simplex_log_volume(right) == pytest.approx(wanted)
            regular = np.eye(order + 1, dtype=dtype)
            wanted = math.log(order + 1) / 2 - math.lgamma(order + 1)
            assert _core.simplex_log_volume(regular) == pytest.approx(wanted)

    def test_flat_ones_have_none(self) -> None:
        flat = np.array([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]])
        assert _core.simplex_log_volume(flat) == -math.inf
        with pytest.raises(ValueError, match="without corners"):
            _core.simplex_log_volume(np.zeros((0, 3)))


class Spied:
    """|x - c|^2 / 2 with a centre c for each of three batches, and where it was asked."""

    batches = 3

    def __init__(self) -> None:
        self.asked: list[tuple[Array, list[int]]] = []

    def losses(self, points: Array) -> Array:
        raise AssertionError(points)

    def gradients_on(self, points: Array, batches: Sequence[int]) -> tuple[Array, Array]:
        self.asked.append((points.copy(), list(batches)))
        off = points - 0.3 * np.array(batches)[:, None]
        return (off**2).sum(1) / 2, off


def test_a_naive_search_goes_the_same_way() -> None:
    """PyTorch's derivative of the volume, and plain loops; weights from normals, as documented."""
    minima = np.random.default_rng(2).normal(size=(3, 5))
    spied = Spied()
    options: dict[str, Any] = {"cycles": [(9, 0.1), (6, 0.03)], "rule": 0.9, "samples": 2}
    search = _core.SimplexTraining(
        spied, minima, connectors=3, volume=0.4, spread=0.3, seed=5, **options
    )
    search.run(spied, lambda *_: True)
    vertices, asked, drawn = [*minima], iter(spied.asked), 0
    for connector in range(3):
        theta, weight = _begun(vertices, connector), 0.0
        if connector:
            weight = 0.4 / max(1, abs(_log_sum(vertices, theta).item()))
        velocity = np.zeros(5)
        for rate in [0.1] * 9 + [0.03] * 6:
            points, batches = next(asked)
            weights = _exponentials(connector, drawn, 6, connector + 2)
            drawn += 6
            corners = [[minima[i // 2], *vertices[3:], theta] for i in range(6)]
            assert_allclose(
                points, [w @ np.array(c) for w, c in zip(weights, corners, strict=True)]
            )
            slopes = points - 0.3 * np.array(batches)[:, None]
            leaf = torch.tensor(theta, requires_grad=True)
            force = -(weights[:, -1:] * slopes).mean(0)
            if connector:
                (growth,) = torch.autograd.grad(_log_sum(vertices, leaf), leaf)
                force += weight * growth.numpy()
            velocity = 0.9 * velocity + force
            theta = theta + rate * velocity
        vertices.append(theta)
    assert_allclose(search.vertices(), vertices, rtol=1e-9, atol=1e-11)
    assert search.simplices() == [[i, 3, 4, 5] for i in range(3)]
    assert search.evaluations == drawn


def _log_sum(vertices: list[Array], theta: Any) -> torch.Tensor:
    last = torch.as_tensor(theta)
    fixed = [torch.tensor(vertex) for vertex in vertices]
    logs = [log_volume(torch.stack([fixed[i], *fixed[3:], last])) for i in range(3)]
    return torch.logsumexp(torch.stack(logs), 0)


def _begun(vertices: list[Array], connector: int) -> Array:
    centre: Array = np.mean(vertices, axis=0)
    if not connector:
        return centre
    minima = np.array(vertices[:3])
    extent = np.sqrt(((minima - minima.mean(0)) ** 2).sum(1).mean())
    way = _core.gaussian(5, seed=5, stream=(1 << 43) + connector, dtype="float64")
    found: Array = centre + 0.3 * extent * way / np.linalg.norm(way)
    return found


def _exponentials(connector: int, first: int, count: int, corners: int) -> Array:
    stream, numbers = (1 << 42) + connector + 1, 2 * (first + count) * corners
    normals = _core.gaussian(numbers, seed=5, stream=stream, dtype="float64")
    found = (normals.reshape(-1, corners, 2) ** 2).sum(2)[first:]
    weights: Array = found / found.sum(1, keepdims=True)
    return weights


def test_both_engines_find_the_same_complex() -> None:
    models = two()
    found = [landscape.simplex(models, DATA, engine=e, **SHORT) for e in ("torch", "native")]
    assert [r.run.engine for r in found] == ["torch", "native"]
    assert_allclose(found[0].vertices, found[1].vertices, rtol=1e-7, atol=1e-9)
    assert_allclose(found[0].losses, found[1].losses, rtol=1e-8)
    assert_allclose(found[0].log_volumes, found[1].log_volumes, rtol=1e-9)


def test_samples_are_those_of_a_naive_evaluation() -> None:
    models = two()
    with untouched(models[0]), untouched(models[1]):
        found = landscape.simplex(models, DATA, seed=3, connectors=3, test=DATA, **SHORT)
    function = landscape.Objective(models[0], DATA, engine="torch")
    assert found.simplices == ((0, 2, 3, 4), (1, 2, 3, 4))
    assert_allclose(found.vertices[:2], [landscape.Objective(m, DATA).theta for m in models])
    assert_allclose(found.vertex_losses, function.losses(found.vertices), rtol=1e-12)
    for place, corners in enumerate(found.simplices):
        weights = found.sample(12, seed=3, simplex=place)
        assert (weights[:, 1 - place] == 0).all()
        assert_allclose(weights.sum(1), 1)
        losses = np.array([function.loss(w @ found.vertices) for w in weights])
        assert_allclose(found.losses[place], losses, rtol=1e-10)
        assert found.means[place] == pytest.approx(losses.mean())
        assert found.mean_errors[place] == pytest.approx(losses.std(ddof=1) / math.sqrt(12))
        assert found.highest[place] == pytest.approx(losses.max())
        assert_allclose(found.theta_at(weights[0]), weights[0] @ found.vertices)
        wanted = log_volume(torch.tensor(found.vertices[list(corners)])).item()
        assert found.log_volumes[place] == pytest.approx(wanted)
    first, second = (found.sample(12, seed=3, simplex=place)[:, 2:] for place in range(2))
    assert not np.isclose(first, second).any()
    assert found.volume == pytest.approx(np.exp(found.log_volumes).sum())
    assert found.log_volume == pytest.approx(math.log(found.volume))
    assert found.test_losses is not None
    assert_allclose(found.test_losses, found.losses, rtol=1e-12)


def valley() -> tuple[list[NDArray[Any]], nn.Module, Any]:
    """12 weights fitted to 4 samples: minima of loss 0 fill 8 dimensions."""
    inputs = seeded(lambda: torch.randn(4, 12, dtype=torch.float64), 0)
    model = nn.Linear(12, 1, bias=False).double()
    targets = torch.ones(4, 1, dtype=torch.float64)
    random = np.random.default_rng(0)
    pseudo = np.linalg.pinv(inputs.numpy())
    minima = []
    for _ in range(3):
        x = random.normal(size=12)
        minima.append(x - pseudo @ (inputs.numpy() @ x - 1))
    with torch.no_grad():
        model.weight.copy_(torch.tensor(minima[0])[None])
    return minima, model, (inputs, targets)


def test_in_a_degenerate_valley_a_volume_opens_while_losses_stay_small() -> None:
    minima, model, data = valley()
    given: dict[str, Any] = {
        "connectors": 3,
        "cycles": [(150, 0.05), (150, 0.01)],
        "points": 200,
    }
    models = [model, *minima[1:]]
    opened = landscape.simplex(models, data, volume_weight=0.05, **given)
    closed = landscape.simplex(models, data, volume_weight=0.0, **given)
    assert opened.dimension == 3
    assert (opened.log_volumes > closed.log_volumes + 2).all()
    # three connecting points, each of which may cost half of lambda
    assert (opened.means < 3 * 0.05 / 2).all()
    typical = landscape.Objective(model, data).losses(
        np.random.default_rng(1).normal(size=(50, 12))
    )
    assert opened.highest.max() < 0.1 * typical.mean()


def test_points_of_the_complex_go_by_volume() -> None:
    minima, model, data = valley()
    found = landscape.simplex([model, 5 * minima[1], minima[2]], data, **SHORT)
    weights = found.sample(4000, seed=1)
    assert_allclose(weights.sum(1), 1)
    assert ((weights[:, :3] > 0).sum(1) == 1).all()
    shares = found.volumes / found.volume
    counted = (weights[:, :3] > 0).mean(0)
    assert (np.abs(counted - shares) < 4 * np.sqrt(shares * (1 - shares) / 4000)).all()
    assert_allclose(weights[:, 3:].mean(0), 1 / 3, atol=0.02)
    assert np.array_equal(found.sample(4000, seed=1), weights)
    with pytest.raises(ValueError, match="simplex=3, expected None or an index from 0 to 2"):
        found.sample(1, simplex=3)


def test_one_model_spans_a_simplex_of_its_own() -> None:
    a, _ = two()
    found = landscape.simplex(a, DATA, connectors=2, points=20, batch_size=20)
    assert found.simplices == ((0, 1, 2),)
    assert found.highest[0] < found.vertex_losses[0] + 0.05
    assert "1 minimum, 2 connecting points" in repr(found)


def test_batch_norm_is_descended_by_batch_and_recalibrated_in_the_end() -> None:
    def made() -> nn.Module:
        layers = nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3)
        return nn.Sequential(*layers).double()

    models = [seeded(made, seed) for seed in range(2)]
    with untouched(models[0]):
        found = landscape.simplex(models, DATA, **SHORT)
    assert found.run.policy["batch_norm"] == "recalibrated"
    assert any("batch_norm='batch'" in note for note in found.run.notes)
    function = landscape.Objective(models[0], DATA, batch_norm="recalibrated", batch_size=16)
    wanted = function.losses(found.sample(12, simplex=1) @ found.vertices)
    assert_allclose(found.losses[1], wanted, rtol=1e-9)
    chosen = landscape.simplex(models, DATA, batch_norm="frozen", **SHORT)
    assert chosen.run.policy["batch_norm"] == "frozen"


def test_a_subset_of_samples_brings_standard_errors() -> None:
    found = landscape.simplex(two(), DATA, samples=30, **{**SHORT, "batch_size": None})
    assert found.standard_errors is not None
    assert found.standard_errors.shape == found.losses.shape
    assert (found.standard_errors > 0).all()


@pytest.mark.parametrize("stop", [1, 6, 10, 14])
@pytest.mark.parametrize("engine", ["torch", "native"])
def test_a_killed_run_goes_on_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Any, stop: int
) -> None:
    monkeypatch.setattr(checkpoint.Checkpoint, "due", True)
    models = two()
    options: dict[str, Any] = {"engine": engine, **SHORT}
    whole = landscape.simplex(models, DATA, **options)

    def kill(done: int, most: int) -> None:
        if done == stop:
            raise ZeroDivisionError

    file = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        landscape.simplex(models, DATA, **options, resume=file, progress=kill)
    again = landscape.simplex(models, DATA, **options, resume=file)
    assert again.vertices.tobytes() == whole.vertices.tobytes()
    assert again.losses.tobytes() == whole.losses.tobytes()
    with pytest.raises(ValueError, match="connectors"):
        landscape.simplex(models, DATA, **options, resume=file, connectors=3)
    with pytest.raises(ValueError, match="minima"):
        landscape.simplex(models[::-1], DATA, **options, resume=file)


def test_ctrl_c_can_return_the_complex_so_far() -> None:
    def stop(done: int, most: int) -> None:
        if (done, most) == (13, 20):
            signal.raise_signal(signal.SIGINT)

    found = landscape.simplex(two(), DATA, interrupt="return", progress=stop, **SHORT)
    assert found.status == "interrupted after 13 of 20 steps"
    assert len(found.vertices) == 4
    with pytest.raises(KeyboardInterrupt):
        landscape.simplex(two(), DATA, progress=stop, **SHORT)


def test_numbers_that_are_not_finite_stop_the_search() -> None:
    class Steep(nn.Module):
        def __init__(self, x: float) -> None:
            super().__init__()
            self.x = nn.Parameter(torch.tensor([x, 0.5], dtype=torch.float64))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return ((self.x[0] ** 2 - 1) ** 2 + self.x[1] ** 2).expand(len(inputs), 1)

    data = torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64)
    given: dict[str, Any] = {"cycles": [(80, 1e3)], "optimizer": "sgd", "points": 3}
    models = [Steep(-1.0), Steep(1.0)]
    with pytest.raises(FloatingPointError, match=r"the simplex of minimum \d and 1 connecting"):
        landscape.simplex(models, data, _first, **given)
    found = landscape.simplex(models, data, _first, interrupt="return", **given)
    assert found.status.startswith("stopped: at a point of the simplex of minimum")
    assert np.isfinite(found.vertices).all()


def _first(outputs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return outputs.mean()


def test_bad_input_is_refused() -> None:
    a, b = two()
    wrong: Any = b.state_dict()
    with pytest.raises(TypeError, match="models is a OrderedDict; pass a list of models"):
        landscape.simplex(wrong, DATA)
    with pytest.raises(TypeError, match=r"models\[0\] is a OrderedDict; pass a module"):
        landscape.simplex([b.state_dict(), a], DATA)
    with pytest.raises(ValueError, match="models is empty"):
        landscape.simplex([], DATA)
    with pytest.raises(ValueError, match=r"models\[2\] has the same weights as models\[1\]"):
        landscape.simplex([a, b, b.state_dict()], DATA)
    with pytest.raises(ValueError, match=r"models\[1\] has shape \(3,\), expected \(75,\)"):
        landscape.simplex([a, np.zeros(3)], DATA)
    with pytest.raises(ValueError, match="connectors=0 and draws=4"):
        landscape.simplex([a, b], DATA, connectors=0)
    with pytest.raises(ValueError, match="connectors=76 for 75 parameters"):
        landscape.simplex([a, b], DATA, connectors=76)
    with pytest.raises(ValueError, match="volume_weight=-1, expected"):
        landscape.simplex([a, b], DATA, volume_weight=-1)
    with pytest.raises(ValueError, match="spread=0, expected"):
        landscape.simplex([a, b], DATA, spread=0)
    with pytest.raises(ValueError, match=r"cycles=\[\], expected pairs"):
        landscape.simplex([a, b], DATA, cycles=[])
    with pytest.raises(ValueError, match="points=1, expected 2 or more"):
        landscape.simplex([a, b], DATA, points=1)
    with pytest.raises(ValueError, match=r"more than memory_budget"):
        landscape.simplex([a, b], DATA, memory_budget=9000)


def test_a_complex_is_saved_and_loaded(tmp_path: Path) -> None:
    further: dict[str, Any] = {"test": DATA, "connectors": 1}
    for options in ({}, further):
        found = landscape.simplex(two(), DATA, **options, **SHORT)
        found.save(tmp_path / "complex.npz")
        again = landscape.load(tmp_path / "complex.npz")
        assert isinstance(again, landscape.SimplicialComplex)
        assert found.equals(again)
        assert again.simplices == found.simplices
        assert np.array_equal(again.sample(5), found.sample(5))
        assert all(len(line) <= 100 for line in repr(found).splitlines())


def test_large_vertices_stay_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "MAPPED", 16)
    found = landscape.simplex(two(), DATA, **SHORT)
    found.save(tmp_path / "complex.npz")
    again = landscape.load(tmp_path / "complex.npz")
    assert isinstance(again, landscape.SimplicialComplex)
    assert isinstance(again.vertices, np.memmap)
    assert found.equals(again)
    weights = found.sample(1)[0]
    assert np.array_equal(again.theta_at(weights), found.theta_at(weights))

"""Straight paths against hand-written loops, and the evidence at the ends of every path."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import ConvNet, classes, images, mlp, regression, seeded
from numpy.testing import assert_allclose
from path_models import DATA, two
from torch import nn
from untouched import untouched

import landscape

HELD_OUT = classes(24, seed=5, dtype=torch.float64)
pytestmark = pytest.mark.filterwarnings("ignore:the barrier:UserWarning")


def between(a: nn.Module, b: nn.Module, share: float) -> nn.Module:
    """The model at a position on the straight line, naively."""
    made = copy.deepcopy(a)
    with torch.no_grad():
        for p, x, y in zip(made.parameters(), a.parameters(), b.parameters(), strict=True):
            p.copy_((1 - share) * x + share * y)
    return made


def outputs(a: nn.Module, b: nn.Module, share: float, data: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = between(a, b, share)(data[0])
    return found


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_the_straight_path_is_what_a_loop_finds(engine: Any) -> None:
    a, b = two()
    path = landscape.barrier(
        a, b, DATA, test=HELD_OUT, metrics=("accuracy", "error"), points=9, engine=engine
    )
    assert path.method == "linear"
    assert len(path.points) == 2
    assert set(np.linspace(0, 1, 9)) <= set(path.positions)
    for part, data in ((path.train, DATA), (path.test, HELD_OUT)):
        assert part is not None
        found = [outputs(a, b, share, data) for share in part.positions]
        losses = np.array([F.cross_entropy(o, data[1]).item() for o in found])
        accuracy = np.array([(o.argmax(1) == data[1]).double().mean().item() for o in found])
        assert_allclose(part.losses, losses, rtol=1e-10)
        assert_allclose(part.metrics["accuracy"], accuracy, atol=1e-12)
        assert_allclose(part.metrics["error"], 1 - accuracy, atol=1e-12)
        chord = (1 - part.positions) * losses[0] + part.positions * losses[-1]
        assert part.barrier == pytest.approx(losses.max() - max(losses[0], losses[-1]))
        assert part.excess == pytest.approx((losses - chord).max())
        errors = 1 - accuracy
        rise = errors - (1 - part.positions) * errors[0] - part.positions * errors[-1]
        assert part.rise("error") == pytest.approx(rise.max())


def test_pairs_of_models_are_what_softmax_says() -> None:
    a, b = two()
    names = ("disagreement", "ensemble_accuracy")
    path = landscape.barrier(a, b, DATA, test=HELD_OUT, metrics=names, points=5)
    for part, data in ((path.train, DATA), (path.test, HELD_OUT)):
        assert part is not None
        first = outputs(a, b, 0.0, data)
        for place, share in enumerate(part.positions):
            here = outputs(a, b, share, data)
            differ = (first.argmax(1) != here.argmax(1)).double().mean().item()
            mean = (first.softmax(1) + here.softmax(1)).argmax(1)
            right = (mean == data[1]).double().mean().item()
            assert part.metrics["disagreement"][place] == pytest.approx(differ)
            assert part.metrics["ensemble_accuracy"][place] == pytest.approx(right)
    assert path.metrics["disagreement"][0] == 0
    assert path.test is not None
    assert path.test.metrics["disagreement"][-1] > 0
    line, other = seeded(lambda: nn.Linear(5, 2)), seeded(lambda: nn.Linear(5, 2), 1)
    with pytest.raises(ValueError, match="disagreement need classes"):
        landscape.barrier(line, other, regression(), metrics="disagreement")


def test_the_highest_loss_is_looked_for_between_the_points() -> None:
    a, b = two()
    coarse = landscape.barrier(a, b, DATA, points=4)
    dense = landscape.barrier(a, b, DATA, points=2001)
    assert coarse.barrier == pytest.approx(dense.barrier, rel=1e-2)
    assert abs(dense.barrier - coarse.barrier) <= 2 * coarse.train.between + 1e-9
    assert coarse.train.resolution == pytest.approx(1 / 48)


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_models_on_the_path_have_its_losses_and_statistics(engine: Any) -> None:
    data = images(24)
    a: nn.Module = seeded(ConvNet)
    b: nn.Module = seeded(ConvNet, 4)
    for model in (a, b):
        model.train()
        model(data[0] * 1.5)
        model.eval()
    with untouched(a), untouched(b):
        path = landscape.barrier(a, b, data, points=5, engine=engine)
        for place in (0, 3, -1):
            model = path.model_at(path.positions[place])
            assert not model.training
            loss = F.cross_entropy(model(data[0]).double(), data[1]).item()
            assert loss == pytest.approx(path.losses[place], rel=1e-5)
    own = [F.cross_entropy(model(data[0]), data[1]).item() for model in (a, b)]
    assert path.stored_losses == pytest.approx(own, rel=1e-5)
    assert path.run.policy["batch_norm"] == "recalibrated"
    assert "own statistics" in repr(path)


def test_an_end_of_weights_alone_has_no_statistics_of_its_own() -> None:
    a, b = seeded(ConvNet), seeded(ConvNet, 4)
    weights = {name: p.detach() for name, p in b.named_parameters()}
    stored = landscape.barrier(a, weights, images(), points=3).stored_losses
    assert stored is not None
    assert np.isfinite(stored[0])
    assert np.isnan(stored[1])
    whole = landscape.barrier(a, b.state_dict(), images(), points=3).stored_losses
    assert whole == landscape.barrier(a, b, images(), points=3).stored_losses
    assert landscape.barrier(a, b, images(), points=3, batch_norm="batch").stored_losses is None


def test_ends_that_are_no_minima_are_reported() -> None:
    a, b = mlp().double(), two()[0]
    with pytest.warns(UserWarning, match="so low a barrier says little"):
        path = landscape.barrier(a, b, DATA, points=3)
    objective = landscape.Objective(a, DATA)
    ends = [objective.theta, objective.layout.flatten(b)]
    assert path.gradient_norms is not None
    assert_allclose(
        path.gradient_norms, [np.linalg.norm(objective.gradient(end)) for end in ends], rtol=1e-10
    )
    assert path.descent_gain is not None
    for end, slack in zip(ends, path.descent_gain, strict=True):
        slope = objective.gradient(end)
        steps = np.geomspace(1e-4, 1e2, 200)
        best = objective.loss(end) - min(objective.loss(end - step * slope) for step in steps)
        assert 0.3 * best < slack <= 1.01 * best


def test_random_subsets_bring_errors_of_their_barrier() -> None:
    """Over many subsets the barrier scatters by as much as each of them says."""
    a, b = two()
    data = classes(400, dtype=torch.float64)
    whole = landscape.barrier(a, b, data, points=9)
    assert whole.train.barrier_error is None
    off, told = [], []
    for seed in range(60):
        path = landscape.barrier(a, b, data, points=9, samples=100, seed=seed, engine="native")
        assert path.train.standard_error is not None
        assert path.train.barrier_error is not None
        off.append(path.barrier)
        told.append(path.train.barrier_error)
        assert "+-" in repr(path)
    assert np.std(off) == pytest.approx(np.mean(told), rel=0.4)


def test_a_path_is_resumed_and_survives_its_file(tmp_path: Path) -> None:
    a, b = two()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    file = tmp_path / "run"
    options: dict[str, Any] = {"points": 7, "metrics": "accuracy", "engine": "torch"}
    whole = landscape.barrier(a, b, DATA, **options)
    with pytest.raises(KeyboardInterrupt):
        landscape.barrier(a, b, DATA, **options, resume=file, progress=stop)
    again = landscape.barrier(a, b, DATA, **options, resume=file)
    assert_allclose(again.losses, whole.losses, rtol=0, atol=0)
    with pytest.raises(ValueError, match="another computation"):
        landscape.barrier(b, a, DATA, **options, resume=file)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model_b": nn.Linear(5, 3)}, ValueError, "do not fit the model"),
        ({"model_b": two()[0]}, ValueError, r"distance zero"),
        ({"model_b": 3}, TypeError, "model_b is a int"),
        ({"points": 2}, ValueError, "points=2"),
        ({"method": "straight"}, ValueError, "method='straight'"),
        ({"data": None}, TypeError, "data is missing"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], error: Any, message: str) -> None:
    given: dict[str, Any] = {"model_b": two()[1], "data": DATA, "method": "linear", **change}
    with pytest.raises(error, match=message):
        landscape.connect(two()[0], **given)


class Tilted(nn.Module):
    """L(w) = 1 + 4 w + sin(pi w): it only rises from w = 0 to w = 1, with an excess of 1."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight], dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(1 + 4 * self.weight + torch.sin(torch.pi * self.weight)).expand_as(x)


def test_the_excess_is_refined_at_its_own_maximum() -> None:
    """The rise above the chord is largest at 1/2, the loss at the end."""
    data = (torch.zeros(3, 1, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64))
    path = landscape.barrier(Tilted(0.0), Tilted(1.0), data, points=6)
    assert path.saddle == len(path.positions) - 1
    assert path.barrier == 0
    assert 1 - path.excess < (np.pi / 160) ** 2 / 2 + 1e-12  # half a step of 1/80 from the peak
    assert 1 - np.sin(0.4 * np.pi) > 0.04  # of the points alone

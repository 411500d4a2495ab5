"""The three batch-norm policies by the native engine are PyTorch's, on several ragged batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from export_models import Calls, shaken
from models import ConvNet, cut, seeded
from native_models import DOUBLE, ENGINES, difference, drawn, off_centre
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import landscape
from landscape import Objective
from landscape._objective.torch_backend.batch_norm import BatchNormPolicy

POLICIES: tuple[BatchNormPolicy, ...] = ("frozen", "recalibrated", "batch")
SAMPLES = 45
IMAGES = drawn((SAMPLES, 1, 6, 6), 1) * 2 + 0.5, torch.arange(SAMPLES) * 7 % 3
FEATURES = drawn((SAMPLES, 5), 2), torch.arange(SAMPLES) * 7 % 3
SEQUENCES = drawn((SAMPLES, 3, 7), 3), torch.arange(SAMPLES) * 7 % 3


def flat() -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm1d(5), nn.Linear(5, 6), nn.BatchNorm1d(6, eps=0.01), nn.Tanh(), nn.Linear(6, 3)
    )


def sequence() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4, affine=False), nn.SiLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip


def rectified() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3),
    )  # fmt: skip


class Shortcut(nn.Module):
    """Normalised values that are used twice, and a sum that is normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        self.second = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Tanh())
        self.last, self.head = nn.BatchNorm2d(2), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        found: Tensor = self.head(self.last(hidden + self.second(hidden)).flatten(1))
        return found


NETWORKS: dict[str, tuple[Any, tuple[Tensor, Tensor]]] = {
    "2d": (ConvNet, IMAGES),
    "1d": (flat, FEATURES),
    "sequence": (sequence, SEQUENCES),
    "rectified": (rectified, IMAGES),
    "shortcut": (Shortcut, IMAGES),
}


def splits(data: tuple[Tensor, Tensor]) -> dict[str, tuple[Any, dict[str, Any]]]:
    loader: Any = DataLoader(TensorDataset(*data), batch_size=17)
    return {
        "one batch": (data, {}),
        "loader": (loader, {}),
        "ragged": (cut(data, (1 + 6, 21, 17)), {}),
        "batch_size": (data, {"batch_size": 16, "seed": 3}),
    }


def pair(name: str, split: str, **options: Any) -> tuple[Objective, Objective]:
    make, data = NETWORKS[name]
    model = shaken(seeded(make)).eval()
    batches, more = splits(data)[split]
    ours, theirs = (
        Objective(model, batches, engine=engine, dtype=DOUBLE, **options, **more)
        for engine in ENGINES
    )
    return ours, theirs


@pytest.mark.parametrize("split", ["one batch", "loader", "ragged", "batch_size"])
@pytest.mark.parametrize("name", NETWORKS)
def test_losses(name: str, split: str) -> None:
    frozen = None
    for policy in POLICIES:
        ours, theirs = pair(name, split, batch_norm=policy)
        points = np.stack([ours.theta, off_centre(ours), off_centre(ours, 0.5, 4)])
        expected = theirs.losses(points)
        assert_allclose(ours.losses(points), expected, rtol=1e-10)
        found = ours.sample_losses(points)
        assert_allclose(found, theirs.sample_losses(points), rtol=1e-9, atol=1e-13)
        basis = [points[1] - points[0], points[2] - points[0]]
        coords = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
        columns = ours.subspace(None, basis, metrics="accuracy").evaluate(coords)
        assert_allclose(columns[:, 0], expected, rtol=1e-10)
        assert_allclose(
            columns, theirs.subspace(None, basis, metrics="accuracy").evaluate(coords), rtol=1e-10
        )
        frozen = expected if frozen is None else frozen
        assert policy == "frozen" or np.all(abs(expected - frozen) > 1e-6)


@pytest.mark.parametrize("policy", ["frozen", "batch"])
@pytest.mark.parametrize("split", ["one batch", "ragged", "batch_size"])
@pytest.mark.parametrize("name", NETWORKS)
def test_derivatives(name: str, split: str, policy: BatchNormPolicy) -> None:
    ours, theirs = pair(name, split, batch_norm=policy, weight_decay=0.1)
    theta = off_centre(ours)
    vectors = np.random.default_rng(2).standard_normal((3, ours.dim))
    assert difference(ours.gradient(theta), theirs.gradient(theta)) < 1e-10
    found, expected = ours.hessian_at(theta)(vectors), theirs.hessian_at(theta)(vectors)
    assert difference(found, expected) < 1e-9
    assert_allclose(vectors @ found.T, found @ vectors.T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("policy", ["frozen", "batch"])
@pytest.mark.parametrize("split", ["loader", "ragged", "batch_size"])
def test_gradients_on_batches(split: str, policy: BatchNormPolicy) -> None:
    ours, theirs = pair("2d", split, batch_norm=policy, loss=nn.CrossEntropyLoss(
        torch.tensor([1.0, 2.0, 0.5])
    ))  # fmt: skip
    assert ours.batches == theirs.batches == 3
    points = np.stack([ours.theta, off_centre(ours), off_centre(ours, 0.3, 5), ours.theta])
    for batches in ([0, 1, 2, 2], [1, 1, 0, 2]):
        losses, slopes = ours.gradients_on(points, batches)
        expected, steps = theirs.gradients_on(points, batches)
        assert_allclose(losses, expected, rtol=1e-10)
        assert difference(slopes, steps) < 1e-10


def test_single_precision() -> None:
    make, data = NETWORKS["rectified"]
    model = shaken(seeded(make)).float().eval()
    batches = cut((data[0].float(), data[1]), (7, 21, 17))
    for policy in POLICIES:
        ours = Objective(model, batches, engine="native", batch_norm=policy)
        theirs = Objective(model, batches, engine="torch", batch_norm=policy, dtype=DOUBLE)
        theta = off_centre(ours, 0.05)
        assert_allclose(ours.loss(theta), theirs.loss(theta.astype(np.float64)), rtol=1e-5)
        if policy != "recalibrated":
            expected = theirs.gradient(theta.astype(np.float64))
            assert difference(ours.gradient(theta), expected) < 1e-5


def test_recalibrated_has_no_derivatives() -> None:
    ours, theirs = pair("1d", "ragged", batch_norm="recalibrated")
    calls: tuple[Callable[[Objective], Any], ...] = (
        lambda o: o.gradient(),
        lambda o: o.gradients_on(o.theta[None], [0]),
        lambda o: o.hessian_product(o.theta),
        lambda o: o.subspace(None, [o.theta]).gradients([[0.0]]),
    )
    for call in calls:
        texts = []
        for objective in (ours, theirs):
            with pytest.raises(ValueError, match="not defined under batch_norm='recalibr") as error:
                call(objective)
            texts.append(str(error.value))
        assert texts[0] == texts[1]


def test_without_batch_norm_the_policies_are_one() -> None:
    model = shaken(nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)))
    objectives = [
        Objective(model, FEATURES, engine="native", batch_norm=p, batch_size=16) for p in POLICIES
    ]
    theta = off_centre(objectives[0])
    for objective in objectives[1:]:
        assert objective.loss(theta) == objectives[0].loss(theta)
        assert_array_equal(objective.gradient(theta), objectives[0].gradient(theta))


class Shared(nn.Module):
    """One layer of batch norm that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(5, 5), nn.Linear(5, 3)
        self.norm = self.again = nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.norm(self.inner(x)))
        found: Tensor = self.outer(self.again(self.inner(hidden)))
        return found


def test_a_layer_that_is_used_twice() -> None:
    model = shaken(Shared()).eval()
    for policy in ("frozen", "batch"):
        ours, theirs = (
            Objective(model, FEATURES, engine=e, batch_norm=policy, batch_size=20) for e in ENGINES
        )
        theta = off_centre(ours)
        assert_allclose(ours.loss(theta), theirs.loss(theta), rtol=1e-10)
        assert difference(ours.gradient(theta), theirs.gradient(theta)) < 1e-10
    text = "batch norm: one layer is used several times"
    with pytest.raises(ValueError, match=text):
        Objective(model, FEATURES, engine="native", batch_norm="recalibrated")
    other = shaken(Shared(), seed=5).state_dict()
    with pytest.raises(ValueError, match=text):
        landscape.line(model, FEATURES, to=other, points=3, engine="native")
    for objective in (Objective(model, FEATURES), Objective(model, FEATURES, engine="torch")):
        line = landscape.line(objective.with_default_batch_norm("recalibrated"), points=3)
        assert line.run.engine.startswith("torch")
    assert (
        "used several times"
        in landscape.line(model, FEATURES, points=3, batch_norm="recalibrated").run.engine
    )


def test_statistics_of_a_function_stay_as_they_are() -> None:
    model = shaken(
        Calls(
            lambda m, x: F.batch_norm(m.layer(x), m.mean, m.var),
            layer=nn.Linear(5, 3), mean=torch.zeros(3), var=torch.ones(3),
        )
    )  # fmt: skip
    ours, theirs = (Objective(model, FEATURES, engine=e) for e in ENGINES)
    assert_allclose(ours.gradient(), theirs.gradient(), rtol=1e-9)
    for policy in ("recalibrated", "batch"):
        with pytest.raises(ValueError, match="batch norm: a call of torch's function"):
            Objective(model, FEATURES, engine="native", batch_norm=policy)


def test_test_data_are_normalised_by_the_training_data() -> None:
    make, data = NETWORKS["2d"]
    model = shaken(seeded(make)).eval()
    test = drawn((23, 1, 6, 6), 9) + 1, torch.arange(23) % 3
    for policy in POLICIES:
        found, expected = (
            landscape.surface(
                model, cut(data, (20, 25)), test=cut(test, (3, 20)), points=4, span=0.2,
                batch_norm=policy, engine=engine,
            )
            for engine in ENGINES
        )  # fmt: skip
        assert_allclose(found.losses, expected.losses, rtol=1e-10)
        assert found.test is not None
        assert expected.test is not None
        assert_allclose(found.test.losses, expected.test.losses, rtol=1e-10)

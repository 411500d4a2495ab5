"""Where no subset is calibrated, and the reason that is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from models import ConvNet, DropoutNet, images, seeded
from subset_cases import HIGH, LOW, case
from torch import nn

import landscape
from landscape._calibration import SubsetUnavailable, calibrate_subset, explain_unavailable
from landscape._calibration.pilots import iter_pilots


def refuse(objective: landscape.Objective, match: str, **options: Any) -> SubsetUnavailable:
    basis = list(np.random.default_rng(0).standard_normal((2, objective.dim)).astype(np.float32))
    arguments: dict[str, Any] = {"points": 2601, "full_evaluations": 2601, **options}
    subspace = objective.subspace(None, basis)
    with pytest.raises(SubsetUnavailable, match=match) as caught:
        calibrate_subset(objective, subspace, LOW, HIGH, **arguments)
    return caught.value


@pytest.mark.parametrize("policy", ["recalibrated", "batch"])
def test_batch_statistics(policy: Any) -> None:
    objective = landscape.Objective(
        seeded(ConvNet), images(400), batch_norm=policy, engine="torch", batch_size=100
    )
    refuse(objective, f"batch_norm='{policy}' computes statistics from whole batches")
    frozen = objective.with_batch_norm("frozen")
    assert explain_unavailable(frozen) is None


def test_masks_drawn_for_batches() -> None:
    data = torch.randn(400, 5), torch.randint(3, (400,))
    objective = landscape.Objective(seeded(DropoutNet), data, dropout="seeded", engine="torch")
    refuse(objective, "dropout='seeded' draws masks")


def test_losses_known_by_their_batch_means() -> None:
    known = case("mixture")

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(outputs, targets) ** 2

    objective = landscape.Objective(known.model, known.data, loss, engine="torch", batch_size=500)
    refuse(objective, "not known to be a mean of independent sample losses")


def test_streamed_data() -> None:
    known = case("mixture")
    loader = list(zip(*(torch.split(part, 500) for part in known.data), strict=True))
    objective = landscape.Objective(known.model, loader, engine="torch", memory_budget=1000)
    refuse(objective, "not kept in memory")


def test_random_subsets_and_metrics() -> None:
    known = case("mixture")
    refuse(known.objective("torch", samples=1000), "has chosen a random subset already")
    refuse(known.objective("torch"), "metrics are not estimated", metrics="accuracy")
    refuse(known.objective("torch"), "metrics are not estimated", metrics=["error"])
    assert explain_unavailable(known.objective("torch", samples=range(1000))) is None


def test_what_is_not_cheaper() -> None:
    known = case("mixture")
    early = refuse(known.objective("torch"), "at least 99 evaluations", full_evaluations=95)
    assert len(early.losses) == 0
    small = landscape.Objective(known.model, tuple(part[:200] for part in known.data))
    assert len(refuse(small, "200 samples are too few").losses) == 0
    late = refuse(
        known.objective("torch"), "not cheaper: 24 pilots leave an error of", tolerance=1e-6
    )
    assert len(late.losses) == len(late.pilots) == 24
    beaten = refuse(
        known.objective("torch"),
        "not cheaper: (it would take .* instead of 33|24 pilots leave)",
        points=300,
        full_evaluations=33,
        tolerance=0.02,
    )
    assert len(beaten.pilots) >= 24
    assert late.reason == str(late)


def test_losses_that_do_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_memory(what: str, sizes: list[int], width: int) -> None:
        raise MemoryError(f"{what} would take {sizes[0] * sizes[1] * width} bytes")

    monkeypatch.setattr("landscape._calibration.pilots._core.require_memory", refuse_memory)
    refuse(
        case("mixture").objective("torch"), "24 pilots' losses of 5000 samples would take 480000"
    )


def test_a_loss_that_is_not_positive_has_no_relative_error() -> None:
    model = nn.Linear(3, 1, bias=False)
    data = torch.ones(1000, 3), torch.zeros(1000, 1)
    objective = landscape.Objective(model, data, nn.MSELoss(), engine="torch")
    zero = np.zeros(3, np.float32)
    basis = [np.eye(3, dtype=np.float32)[0], np.eye(3, dtype=np.float32)[1]]
    subspace = objective.subspace(zero, basis)
    with pytest.raises(SubsetUnavailable, match="the loss is 0 at a pilot"):
        calibrate_subset(objective, subspace, LOW, HIGH, points=500, full_evaluations=500)
    subset = calibrate_subset(
        objective,
        subspace,
        LOW,
        HIGH,
        points=500,
        full_evaluations=500,
        tolerance_of="range",
    )
    losses, _ = subset.evaluate([(0.3, 0.4)])
    assert losses[0] == pytest.approx(0.49, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tolerance": 0}, "tolerance=0"),
        ({"tolerance_of": "mean"}, "tolerance_of='mean'"),
        ({"points": 0}, "points=0"),
        ({"low": (-1,)}, "expected one pair of ends"),
        ({"low": (2, 0)}, "the lower first"),
        ({"high": (np.inf, 1)}, "expected finite ends"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], match: str) -> None:
    known = case("mixture")
    arguments: dict[str, Any] = {"low": LOW, "high": HIGH, "points": 9, "full_evaluations": 9}
    arguments |= options
    objective = known.objective("torch")
    subspace = objective.subspace(None, known.basis)
    with pytest.raises(ValueError, match=match) as caught:
        calibrate_subset(objective, subspace, **arguments)
    assert not isinstance(caught.value, SubsetUnavailable)


def test_pilots_are_distinct_nodes_and_spread() -> None:
    points = np.array([p for p, _ in zip(iter_pilots((-1, -2), (1, 2)), range(200), strict=False)])
    assert points[0].tolist() == [0, 0]
    assert len(np.unique(points, axis=0)) == 200
    nodes = (points - [-1, -2]) / [2 / 32, 4 / 32]
    np.testing.assert_allclose(nodes, np.round(nodes), atol=1e-12)
    counts, *_ = np.histogram2d(points[:, 0], points[:, 1], bins=4)
    assert counts.min() >= 7
    assert counts.max() <= 18
    outside = [p for p, _ in zip(iter_pilots((1.0,), (2.0,)), range(3), strict=False)]
    assert outside[:2] == [[1.0], [2.0]]
    assert sum(1 for _ in iter_pilots((0.0,), (1.0,))) == 257
    given = iter_pilots((-1, -1), (1, 1), [(0.1, 0.2)])
    assert [next(given), next(given)] == [[0.1, 0.2], [0.0, 0.0]]

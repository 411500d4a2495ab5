"""The same function of other data: a test set, or the data of another Objective."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import DropoutNet, classes, cut, mlp, seeded
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from landscape import Objective, batch_loss

TRAIN, TEST = classes(20), classes(13, seed=9)
WEIGHTS = torch.tensor([0.2, 1.0, 3.0])


@pytest.mark.parametrize("form", ["pair", "loader", "ragged", "streamed", "objective"])
def test_the_loss_goes_with_the_function_and_not_with_the_data(form: str) -> None:
    """Its weights too: the other data's own denominator would be another one."""
    model = mlp()
    loss = nn.CrossEntropyLoss(WEIGHTS, ignore_index=1)
    budget = 1 if form == "streamed" else 1 << 20
    objective = Objective(model, TRAIN, loss, memory_budget=budget)
    data: Any = {
        "pair": TEST,
        "loader": DataLoader(TensorDataset(*TEST), batch_size=5),
        "ragged": cut(TEST, (3, 10)),
        "streamed": cut(TEST, (3, 10)),
        "objective": Objective(model, TEST),
    }[form]
    test = objective.with_data(data)
    with torch.no_grad():
        expected = loss(model(TEST[0]), TEST[1]).item()
        before = loss(model(TRAIN[0]), TRAIN[1]).item()
    assert (test.samples, objective.samples) == (13, 20)
    assert test.loss() == pytest.approx(expected, rel=1e-6)
    assert objective.loss() == pytest.approx(before, rel=1e-6)
    assert test.policy["loss"] == "cross-entropy"
    assert test.policy["data"] != objective.policy["data"]


def test_options_are_kept() -> None:
    objective = Objective(
        seeded(DropoutNet),
        TRAIN,
        dropout="seeded",
        weight_decay=0.5,
        parameters="last",
        dtype="float64",
        batch_size=4,
    )
    test = objective.with_data(TEST)
    assert test.batches == 4  # 13 samples in batches of 4
    for name in ("dropout", "weight_decay", "parameters", "dtype"):
        assert test.policy[name] == objective.policy[name]
    alone = Objective(
        objective.model,
        TEST,
        dropout="seeded",
        weight_decay=0.5,
        parameters="last",
        dtype="float64",
        batch_size=4,
    )
    assert test.loss() == alone.loss()


def test_a_subset_stays_one() -> None:
    objective = Objective(mlp(), TRAIN)
    subset = Objective(mlp(), TEST, samples=8)
    found = objective.with_data(subset)
    assert found.loss() == subset.loss()
    assert found.standard_error() == subset.standard_error()
    everything = subset.with_data(TRAIN)  # samples= speaks of the first data
    assert everything.samples == 20
    with pytest.raises(ValueError, match="random subset"):
        everything.standard_error()


def test_notes_are_those_of_the_data() -> None:
    dropping = DataLoader(TensorDataset(*TRAIN), batch_size=6, drop_last=True)
    objective = Objective(mlp(), dropping)
    assert any("drops 2 of 20" in note for note in objective.notes)
    assert not any("drops" in note for note in objective.with_data(TEST).notes)
    assert any("drops 2 of 20" in note for note in Objective(mlp(), TEST).with_data(dropping).notes)


def test_data_of_another_dtype_are_refused() -> None:
    objective = Objective(mlp(), TRAIN)
    other = Objective(mlp(), TEST, dtype="float64")
    with pytest.raises(ValueError, match=r"expected .*float32; pass the data themselves"):
        objective.with_data(other)


def test_recalibration_of_a_loss_that_differentiates() -> None:
    """Statistics are re-estimated by running the loss, which needs its graph."""
    model = seeded(
        lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
    ).double()

    def slope(net: nn.Module, batch: Any) -> Tensor:
        points = batch[0].requires_grad_()
        (found,) = torch.autograd.grad(net(points).sum(), points, create_graph=True)
        squares: Tensor = found.square()
        return squares.mean() + F.mse_loss(net(points)[:, 0], batch[1].double())

    x, y = classes(20, dtype=torch.float64)
    objective = Objective(model, (x, y), batch_loss(slope), batch_norm="recalibrated")
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm1d)
    hidden = model[0](x).detach()
    norm.running_mean, norm.running_var = hidden.mean(0), hidden.var(0)
    expected = slope(model.eval(), (x.clone(), y)).item()
    assert objective.loss() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("form", ["pair", "ragged", "objective"])
@pytest.mark.parametrize("engine", ["torch", "native"])
def test_other_inputs_keep_targets_and_policy(form: str, engine: Any) -> None:
    model, (inputs, targets) = mlp(), TRAIN
    ragged = cut(TRAIN, (8, 12))
    if form == "ragged" and engine == "native":
        pytest.skip("the native network needs one tensor")
    objective = Objective(model, ragged if form == "ragged" else TRAIN, engine=engine)
    other = objective.with_inputs(lambda x: 2 * x)
    expected = Objective(model, (2 * inputs, targets))
    assert other.loss() == pytest.approx(expected.loss(), rel=1e-6)
    assert other.loss() != pytest.approx(objective.loss(), rel=1e-3)
    assert other.policy["data"] != objective.policy["data"]
    if form == "pair":
        assert other.policy["data"] == expected.policy["data"]
    if form == "objective":
        joined = objective.with_data(other)
        assert joined.loss() == pytest.approx(expected.loss(), rel=1e-6)


def test_inputs_that_cannot_be_changed_are_refused() -> None:
    objective = Objective(mlp(), TRAIN)
    with pytest.raises(ValueError, match=r"shape \(3, 5\), expected \(20, 5\)"):
        objective.with_inputs(lambda x: x[:3])
    streamed = Objective(mlp(), DataLoader(TensorDataset(*TRAIN), batch_size=5), memory_budget=1)
    with pytest.raises(ValueError, match="raise memory_budget"):
        streamed.with_inputs(lambda x: x)
    tokens = nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Linear(6, 3))
    data = torch.randint(7, (8, 2)), torch.randint(3, (8,))
    with pytest.raises(ValueError, match="no input is a floating-point tensor"):
        Objective(tokens, data).with_inputs(lambda x: x)

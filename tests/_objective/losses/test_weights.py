"""`weight=`, and losses that are inferred: refused where they could be others."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import classes, cut, mlp, seeded
from torch import Tensor, nn

import landscape
from landscape import Objective, batch_loss

X, Y = classes()
SIZES = (3, 6, 2, 9)
BATCHES = cut((X, Y), SIZES)


def spread(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss that nobody knows, whose batch means are not the mean of all."""
    found: Tensor = (outputs.max() - outputs.mean()).exp() + F.cross_entropy(outputs, targets)
    return found


def on_batch(model: nn.Module, batch: Any) -> Tensor:
    return spread(model(batch[0]), batch[1])


def count_ones(batch: Any) -> Tensor:
    found: Tensor = (batch[1] == 1).sum()
    return found


@pytest.mark.parametrize("loss", [spread, batch_loss(on_batch)])
@pytest.mark.parametrize("budget", [1 << 20, 1])
def test_batches_have_the_weights_that_are_given(loss: Any, budget: int) -> None:
    model = mlp()
    weights = [float(count_ones(batch)) for batch in BATCHES]
    assert len(set(weights)) > 1
    values = [on_batch(model, batch).item() for batch in BATCHES]
    expected = np.average(values, weights=weights)
    objective = Objective(model, BATCHES, loss, weight=count_ones, memory_budget=budget)
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    assert objective.losses(np.stack([objective.theta] * 3)) == pytest.approx(expected, rel=1e-6)
    leaf = [p.detach().clone().requires_grad_() for p in model.parameters()]
    names = [name for name, _ in model.named_parameters()]
    total = sum(
        w * spread(torch.func.functional_call(model, dict(zip(names, leaf, strict=True)), x), y)
        for w, (x, y) in zip(weights, BATCHES, strict=True)
    ) / sum(weights)
    slopes = torch.autograd.grad(total, leaf)  # type: ignore[arg-type]
    expected_gradient = torch.cat([slope.reshape(-1) for slope in slopes]).numpy()
    np.testing.assert_allclose(objective.gradient(), expected_gradient, rtol=1e-4, atol=1e-6)
    assert objective.batch_weights() == pytest.approx(weights)
    losses, _ = objective.gradients_on(np.stack([objective.theta] * 4), [0, 1, 2, 3])
    counted = np.flatnonzero(weights)
    assert losses[counted] == pytest.approx(np.array(values)[counted], rel=1e-6)


def test_metrics_of_the_users_have_the_same_weights() -> None:
    def largest(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.max()

    model = mlp()
    weights = [float(count_ones(batch)) for batch in BATCHES]
    expected = np.average([model(x).max().item() for x, _ in BATCHES], weights=weights)
    objective = Objective(model, BATCHES, spread, weight=count_ones)
    assert objective.metrics(largest)["largest"] == pytest.approx(expected, rel=1e-6)


def test_the_split_of_data_without_batches() -> None:
    """The weight is that of each batch that the loss is called on."""
    seen: list[int] = []

    def weigh(batch: Any) -> int:
        seen.append(len(batch[0]))
        return len(batch[0]) ** 2

    model = mlp()
    objective = Objective(model, (X, Y), spread, batch_size=8, weight=weigh)
    batches = [objective._evaluator.batches.batch(i).content for i in range(3)]
    values = [on_batch(model, batch).item() for batch in batches]
    assert objective.loss() == pytest.approx(np.average(values, weights=(64, 64, 16)), rel=1e-6)
    assert set(seen) <= {8, 4}
    other = objective.with_data((X[:10], Y[:10]))
    values = [on_batch(model, other._evaluator.batches.batch(i).content).item() for i in range(2)]
    assert other.loss() == pytest.approx(np.average(values, weights=(64, 4)), rel=1e-6)


def test_a_model_that_writes_into_its_inputs() -> None:
    """The weight is that of the batch as it was."""

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp()

        def forward(self, x: Tensor) -> Tensor:
            x.mul_(0)
            found: Tensor = self.net(x)
            return found

    weights = [float(x.abs().sum()) for x, _ in BATCHES]
    model = InPlace()
    values = [spread(model(x.clone()), y).item() for x, y in BATCHES]
    objective = Objective(model, BATCHES, spread, weight=lambda batch: batch[0].abs().sum())
    assert objective.loss() == pytest.approx(np.average(values, weights=weights), rel=1e-5)


@pytest.mark.parametrize("loss", [None, nn.CrossEntropyLoss(), F.cross_entropy])
def test_losses_with_exact_weights_take_no_others(loss: Any) -> None:
    with pytest.raises(ValueError, match="weight= does not apply to cross-entropy, whose sum"):
        Objective(mlp(), BATCHES, loss, weight=len)


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "not a function": (3, TypeError, "weight is a int, expected a function of a batch"),
    "a tensor": (lambda batch: batch[1], ValueError, r"weight= returned a value of shape \(3,\)"),
    "negative": (lambda batch: -1, ValueError, "weight= returned -1.0, expected one number"),
    "NaN": (lambda batch: float("nan"), ValueError, "weight= returned nan, expected one number"),
    "a text": (lambda batch: "three", TypeError, "weight= returned a str, expected one number"),
    "nothing": (lambda batch: 0, ValueError, "total weight of the data is 0.0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_weights(name: str) -> None:
    weight, error, text = WRONG[name]
    with pytest.raises(error, match=text):
        Objective(mlp(), BATCHES, spread, weight=weight)


def test_a_resume_with_another_weight_is_refused(tmp_path: Any) -> None:
    file = tmp_path / "run"

    def run(weight: Any) -> Any:
        return landscape.line(
            mlp(), BATCHES, spread, points=3, weight=weight, resume=file, progress="off"
        )

    first = run(count_ones)
    assert "count_ones" in first.run.policy["reduction"]
    run(count_ones)
    for weight in (lambda batch: len(batch[1]), functools.partial(count_ones)):
        with pytest.raises(ValueError, match="reduction"):
            run(weight)


# Losses that are inferred


def test_targets_of_zeros_and_ones_are_ambiguous() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (20, 3), generator=random).float()
    one_hot = F.one_hot(Y, 3).float()
    text = r"float targets of shape \(\d+, 3\) .*BCEWithLogitsLoss.*CrossEntropyLoss.*MSELoss"
    for targets in (labels, one_hot):
        for data in ((X, targets), cut((X, targets), SIZES)):
            with pytest.raises(ValueError, match=text):
                Objective(mlp(), data)
        for loss in (nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss()):
            expected = loss(mlp()(X), targets).item()
            assert Objective(mlp(), (X, targets), loss).loss() == pytest.approx(expected, rel=1e-6)
    labels[17, 1] = 0.5  # one that is neither decides, wherever it stands
    for data in ((X, labels), cut((X, labels), SIZES)):
        assert Objective(mlp(), data).policy["loss"] == "MSE"
    for constant in (torch.zeros(20, 3), torch.ones(20, 3)):
        assert Objective(mlp(), (X, constant)).policy["loss"] == "MSE"
    with pytest.raises(ValueError, match=r"If the targets are one-hot, pass targets.argmax\(1\)"):
        Objective(mlp(), (X, F.one_hot(Y, 3)))


class Tagger(nn.Module):
    """Classes last, (samples, positions, classes), as linear layers leave them."""

    def __init__(self, *, first: bool = False) -> None:
        super().__init__()
        self.net = seeded(lambda: nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 7)))
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found.movedim(-1, 1) if self.first else found


@pytest.mark.parametrize("positions", [5, 7])
def test_classes_on_the_last_axis(positions: int) -> None:
    """With as many positions as classes both readings are possible, and give other numbers."""
    x, y = seeded(lambda: (torch.randint(7, (6, positions)), torch.randint(7, (6, positions))))
    text = r"takes the classes on axis 1.*outputs.movedim\(-1, 1\).*F.cross_entropy\("
    with pytest.raises(ValueError, match=text):
        Objective(Tagger(), (x, y))
    expected = F.cross_entropy(Tagger()(x).flatten(0, 1), y.flatten()).item()
    moved = Objective(Tagger(first=True), (x, y), nn.CrossEntropyLoss())
    assert moved.loss() == pytest.approx(expected, rel=1e-6)

    def last(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())

    assert Objective(Tagger(), (x, y), last).loss() == pytest.approx(expected, rel=1e-6)
    if positions != 7:
        with pytest.raises(ValueError, match=text):
            Objective(Tagger(), (x, y), nn.CrossEntropyLoss())
        assert Objective(Tagger(first=True), (x, y)).loss() == pytest.approx(expected, rel=1e-6)
    else:  # the user says so
        chosen = Objective(Tagger(), (x, y), nn.CrossEntropyLoss())
        assert chosen.loss() == pytest.approx(F.cross_entropy(Tagger()(x), y).item(), rel=1e-6)


def test_probabilities_on_the_last_axis() -> None:
    x = seeded(lambda: torch.randint(7, (6, 7)))
    p = seeded(lambda: torch.randn(6, 7, 7).softmax(-1))
    with pytest.raises(ValueError, match="takes the classes on axis 1"):
        Objective(Tagger(), (x, p), nn.CrossEntropyLoss())
    expected = F.cross_entropy(Tagger(first=True)(x), p.movedim(-1, 1)).item()
    found = Objective(Tagger(first=True), (x, p.movedim(-1, 1)), nn.CrossEntropyLoss())
    assert found.loss() == pytest.approx(expected, rel=1e-6)


def test_targets_that_broadcast_in_a_later_batch() -> None:
    """Of a shape that PyTorch would broadcast in silence."""
    x, y = X, X[:, :3].clone()
    for targets, text in ((y[:1], "6 inputs and 1 targets"), (y[6:12, :1], r"MSE .*\(6, 1\)")):
        for budget in (1 << 20, 1):
            with pytest.raises(ValueError, match=text):
                Objective(
                    mlp(), [(x[:6], y[:6]), (x[6:12], targets)], nn.MSELoss(), memory_budget=budget
                ).loss()

"""The criterion: losses that are inferred, recognised, opaque or refused."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import (
    HuggingFaceLike,
    LanguageModel,
    classes,
    cut,
    mlp,
    regression,
    seeded,
    sequences,
)
from torch import Tensor, nn
from untouched import untouched

from landscape import Objective, batch_loss

RAGGED = (3, 6, 2, 9)


def weighted_mean(values: list[Tensor], sizes: tuple[int, ...]) -> float:
    return float(sum(v.item() * n for v, n in zip(values, sizes, strict=True))) / sum(sizes)


def margin(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss nobody knows, whose batch means do not average to the mean of all."""
    return (outputs.max() - outputs.mean()).exp() + F.cross_entropy(outputs, targets)


@dataclass
class Scaled:
    """A loss with value equality, hence without a hash."""

    scale: float

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.scale * F.cross_entropy(outputs, targets)


class OwnCrossEntropy(nn.CrossEntropyLoss):
    """Not PyTorch's: a subclass may compute anything."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 - PyTorch's name
        return 3 * super().forward(input, target)


@pytest.mark.parametrize(
    "loss",
    [
        margin,
        Scaled(2.0),
        OwnCrossEntropy(),
        functools.partial(F.cross_entropy, label_smoothing=0.3),
        nn.MultiMarginLoss(),
        lambda outputs, targets: F.cross_entropy(outputs, targets)[None],  # one entry is a number
    ],
)
def test_opaque_loss_is_weighted_by_batch_size(loss: Callable[..., Tensor]) -> None:
    model, data = mlp(), classes()
    batches = cut(data, RAGGED)
    with torch.no_grad():
        expected = weighted_mean([loss(model(x), y) for x, y in batches], RAGGED)
        whole = loss(model(data[0]), data[1]).item()
    for budget in (1 << 20, 1):
        objective = Objective(model, batches, loss, memory_budget=budget)
        assert objective.loss() == pytest.approx(expected, rel=1e-6)
        assert "weighted by their sizes" in objective.policy["reduction"]
    assert Objective(model, data, loss).loss() == pytest.approx(whole, rel=1e-6)


def test_kl_divergence_with_batchmean_is_a_mean_over_samples() -> None:
    model = mlp().append(nn.LogSoftmax(1))
    x, _ = classes()
    targets = seeded(lambda: torch.randn(20, 3).softmax(1))
    with torch.no_grad():
        expected = F.kl_div(model(x), targets, reduction="sum").item() / 20
    loss = nn.KLDivLoss(reduction="batchmean")
    for data in ((x, targets), cut((x, targets), RAGGED)):
        assert Objective(model, data, loss).loss() == pytest.approx(expected, rel=1e-6)


def test_model_with_its_own_loss() -> None:
    """A mean over all tokens that count, not of the batches' means."""
    model = seeded(HuggingFaceLike)
    tokens, _ = sequences()
    labels = torch.where(tokens > 4, -100, tokens)
    batches = [
        {"input_ids": tokens[rows], "labels": labels[rows]} for rows in (slice(0, 5), slice(5, 9))
    ]
    with torch.no_grad():
        expected = model(tokens, labels).loss.item()
        means = weighted_mean([model(**batch).loss for batch in batches], (5, 4))
    objective = Objective(model, batches)
    assert objective.policy["loss"] == "cross-entropy (the model's own .loss, token)"
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    assert abs(means - expected) > 1e-3


def test_recognised_loss_reads_logits_and_labels_of_a_mapping() -> None:
    class Classifier(HuggingFaceLike):
        def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> Any:
            found = super().forward(input_ids)
            found.logits = found.logits.mean(1)
            return found

    model, (tokens, labels) = seeded(Classifier), sequences()
    with torch.no_grad():
        expected = F.cross_entropy(model(tokens).logits, labels).item()
    batches = [
        {"input_ids": tokens[rows], "labels": labels[rows]} for rows in (slice(0, 2), slice(2, 9))
    ]
    for loss in (None, nn.CrossEntropyLoss()):
        objective = Objective(model, batches, loss)
        assert objective.loss() == pytest.approx(expected, rel=1e-6)
        assert objective.policy["loss"] == "cross-entropy"


def next_token(model: nn.Module, batch: Any) -> Tensor:
    logits = model(batch[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def test_batch_loss_of_data_without_targets() -> None:
    model, (tokens, _) = seeded(LanguageModel), sequences()
    with torch.no_grad():
        expected = next_token(model, tokens).item()
    found = Objective(model, tokens, batch_loss(next_token))
    assert (found.samples, found.policy["loss"]) == (9, "next_token")
    assert found.loss() == pytest.approx(expected, rel=1e-6)


def heat_equation(model: nn.Module, batch: Any) -> Tensor:
    """u_t - u_xx at the points of the batch, which the loss differentiates with respect to."""
    points = batch[0].requires_grad_()
    u = model(points)
    (first,) = torch.autograd.grad(u.sum(), points, create_graph=True)
    (second,) = torch.autograd.grad(first[:, 0].sum(), points, create_graph=True)
    residual: Tensor = first[:, 1] - second[:, 0]
    return residual.square().mean() + F.mse_loss(u, batch[1])


@pytest.mark.parametrize("chunk", [None, 5])
def test_physics_informed_loss(chunk: int | None) -> None:
    model = mlp(outputs=1).double()
    x, y = regression(dtype=torch.float64)
    data: Any = (x, y[:, :1])
    expected = heat_equation(model, (x.clone(), y[:, :1])).detach().item()
    objective = Objective(model, data, batch_loss(heat_equation), batch_size=chunk)
    theta = objective.theta
    if chunk is None:
        assert objective.loss() == pytest.approx(expected, rel=1e-12)
    assert not x.requires_grad  # the user's own tensor
    probe = np.random.default_rng(0).standard_normal(objective.dim)
    step = 1e-6
    up, down = objective.losses(np.stack([theta + step * probe, theta - step * probe]))
    assert objective.gradient() @ probe == pytest.approx((up - down) / (2 * step), rel=1e-6)
    before, after = (objective.gradient(theta + s * step * probe) for s in (-1, 1))
    np.testing.assert_allclose(
        objective.hessian_product(probe), (after - before) / (2 * step), rtol=1e-5, atol=1e-7
    )


def test_adversarial_loss_that_calls_backward() -> None:
    """Gradients that the loss accumulates on its way stay out of the user's parameters."""

    def attacked(net: nn.Module, batch: Any) -> Tensor:
        inputs = batch[0].requires_grad_()
        torch.autograd.backward(F.cross_entropy(net(inputs), batch[1]))
        assert inputs.grad is not None
        return F.cross_entropy(net(inputs.detach() + 0.1 * inputs.grad.sign()), batch[1])

    model, (x, y) = mlp(), classes()
    expected = attacked(mlp(), (x.clone(), y)).item()
    with untouched(model):
        objective = Objective(model, (x, y), batch_loss(attacked), parameters="2")
        for _ in range(2):
            assert objective.loss() == pytest.approx(expected, rel=1e-6)
            assert np.isfinite(objective.gradient()).all()


def test_model_that_differentiates_its_own_output() -> None:
    """Forces from an energy: a recognised loss, and yet the forward pass needs a graph."""

    class Forces(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.energy = mlp(outputs=1)

        def forward(self, x: Tensor) -> Tensor:
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                slope: Tensor
                (slope,) = torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)
            return slope

    model, (x, _) = Forces(), classes()
    expected = F.mse_loss(model(x), torch.zeros_like(x)).detach().item()
    objective = Objective(model, (x, torch.zeros_like(x)))
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    twice = np.stack([objective.theta] * 2)
    np.testing.assert_allclose(objective.losses(twice), expected, rtol=1e-6)
    np.testing.assert_allclose(objective.sample_losses(twice).mean(1), expected, rtol=1e-6)


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "sum": (nn.CrossEntropyLoss(reduction="sum"), ValueError, "reduction='mean'"),
    "none": (nn.MSELoss(reduction="none"), ValueError, r"MSELoss\(reduction='none'\)"),
    "sum of an unknown": (nn.SoftMarginLoss(reduction="sum"), ValueError, "SoftMarginLoss"),
    "bound sum": (
        functools.partial(F.cross_entropy, reduction="sum"),
        ValueError,
        r"cross_entropy\(reduction='sum'\) is not a mean",
    ),
    "own sum": (OwnCrossEntropy(reduction="sum"), ValueError, "OwnCrossEntropy"),
    "vector": (
        lambda outputs, targets: F.cross_entropy(outputs, targets, reduction="none"),
        ValueError,
        r"shape \(20,\).*one number",
    ),
    "vector of a batch loss": (
        batch_loss(lambda model, batch: model(batch[0])),
        ValueError,
        r"shape \(20, 3\).*one number",
    ),
    "Python float": (lambda outputs, targets: 1.0, TypeError, "returned a float"),
    "not callable": ("cross-entropy", TypeError, "loss is a str"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    loss, error, text = REFUSED[name]
    with pytest.raises(error, match=text):
        Objective(mlp(), classes(), loss)


class UserError(RuntimeError):
    """The user's own."""


@pytest.mark.parametrize("good_calls", [0, 1, 2])
@pytest.mark.parametrize("error", [UserError("mine"), KeyboardInterrupt()])
def test_loss_that_raises(good_calls: int, error: BaseException) -> None:
    """The same object comes out, with the frame that raised it."""
    calls = 0

    def failing(outputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > good_calls:
            raise error
        return F.cross_entropy(outputs, targets)

    def measure() -> None:
        objective = Objective(mlp(), classes(), failing)
        objective.gradient(objective.theta)
        objective.loss()

    with pytest.raises(type(error)) as caught:
        measure()
    assert caught.value is error
    assert "failing" in [frame.name for frame in traceback.extract_tb(caught.tb)]

"""Gradients and Hessian products over blocks, points and mini-batches, and with weight decay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import ConvNet, DropoutNet, Transformer, classes, cut, images, mlp, seeded, sequences
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn

from landscape import Objective, batch_loss

DOUBLE = torch.float64
DATA = classes(dtype=DOUBLE)


def model() -> nn.Module:
    return mlp().double()


def points(objective: Objective, count: int = 3) -> Any:
    noise = np.random.default_rng(0).standard_normal((count, objective.dim))
    return (objective.theta + 0.3 * noise).astype(objective.dtype)


def plain_gradient(theta: Any, x: Tensor, y: Tensor) -> Any:
    twin = model()
    nn.utils.vector_to_parameters(torch.from_numpy(theta), list(twin.parameters()))
    loss = F.cross_entropy(twin(x), y)
    slopes = torch.autograd.grad(loss, list(twin.parameters()))
    return loss.item(), torch.cat([slope.reshape(-1) for slope in slopes]).numpy()


def test_losses_and_gradients_at_several_points() -> None:
    objective = Objective(model(), DATA, engine="torch")
    thetas = points(objective)
    losses, slopes = objective.gradients(thetas)
    for theta, loss, slope in zip(thetas, losses, slopes, strict=True):
        expected_loss, expected = plain_gradient(theta, *DATA)
        assert loss == pytest.approx(expected_loss, rel=1e-12)
        assert_allclose(slope, expected, rtol=1e-10, atol=1e-14)
        assert_array_equal(objective.gradient(theta), slope)
    assert objective.losses(thetas) == pytest.approx(losses, rel=1e-12)
    empty = objective.gradients(np.empty((0, objective.dim)))
    assert (empty[0].shape, empty[1].shape) == ((0,), (0, objective.dim))


def test_mini_batches_are_a_seeded_split_that_covers_the_data_once() -> None:
    """The samples that each batch really contains are written down by the loss."""
    seen: list[Tensor] = []

    def loss(net: nn.Module, batch: Any) -> Tensor:
        seen.append(batch[0].detach().clone())
        return F.cross_entropy(net(batch[0]), batch[1])

    splits = []
    for seed in (0, 0, 1):
        objective = Objective(model(), DATA, batch_loss(loss), batch_size=6, seed=seed)
        assert objective.batches == 4
        thetas = points(objective, 4)
        objective.gradient()  # so that the check of derivatives is behind it
        seen.clear()
        losses, slopes = objective.gradients_on(thetas, range(4))
        assert [len(rows) for rows in seen] == [6, 6, 6, 2]
        rows = torch.cat(seen)
        order = (rows[:, None] == DATA[0]).all(-1).nonzero()[:, 1]
        assert sorted(order.tolist()) == list(range(20))
        assert order.tolist() != list(range(20))  # sorted data would make unusual batches
        splits.append(order.tolist())
        for i, part in enumerate(torch.split_with_sizes(order, [6, 6, 6, 2])):
            expected = plain_gradient(thetas[i], DATA[0][part], DATA[1][part])
            assert losses[i] == pytest.approx(expected[0], rel=1e-12)
            assert_allclose(slopes[i], expected[1], rtol=1e-10, atol=1e-14)
    assert splits[0] == splits[1] != splits[2]


def test_mini_batches_average_to_the_whole() -> None:
    weights = torch.tensor([0.2, 1.0, 3.0], dtype=DOUBLE)
    y = DATA[1]
    objective = Objective(model(), cut(DATA, (3, 9, 8)), nn.CrossEntropyLoss(weights))
    here = np.repeat(objective.theta[None], 3, axis=0)
    losses, slopes = objective.gradients_on(here, [0, 1, 2])
    shares = [float(weights[part].sum()) for part in torch.split_with_sizes(y, [3, 9, 8])]
    assert np.average(losses, weights=shares) == pytest.approx(objective.loss(), rel=1e-12)
    found = np.average(slopes, axis=0, weights=shares)
    assert_allclose(found, objective.gradient(), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("batches", [[0], [0, 4], [-1, 0], [0, 1, 2]])
def test_batches_that_do_not_exist(batches: list[int]) -> None:
    objective = Objective(model(), DATA, batch_size=5)
    two = np.zeros((2, objective.dim))
    with pytest.raises(ValueError, match=r"2 points, expected one index from 0 to 3"):
        objective.gradients_on(two, batches)


BLOCKED: dict[str, Any] = {
    "mlp": (model, DATA, {}),
    "batch norm": (
        lambda: seeded(ConvNet).double(),
        images(dtype=DOUBLE),
        {"batch_norm": "batch"},
    ),
    "attention": (lambda: seeded(Transformer).double(), sequences(), {}),
    "dropout": (lambda: seeded(DropoutNet).double(), DATA, {"dropout": "seeded"}),
}


@pytest.mark.parametrize("name", BLOCKED)
def test_products_with_and_without_a_retained_graph(name: str) -> None:
    """Several blocks, whose graphs are kept, or built anew in every product."""
    make, data, options = BLOCKED[name]
    batches = cut(data, (2, 4, len(data[1]) - 6))
    net = make()
    kept, rebuilt = (
        Objective(net, batches, memory_budget=budget, **options) for budget in (1 << 30, 4000)
    )
    theta = points(kept, 1)[0]
    vectors = points(kept, 3)
    operators = [objective.hessian_at(theta) for objective in (kept, rebuilt)]
    assert [operator.retained for operator in operators] == [True, False]
    together = operators[0](vectors)
    assert together.shape == vectors.shape
    for operator in operators:
        for _ in range(2):
            one_by_one = np.stack([operator(vector) for vector in vectors])
            assert_allclose(one_by_one, together, rtol=1e-9, atol=1e-12)
    assert_allclose(operators[1](vectors), together, rtol=1e-9, atol=1e-12)
    gram = together @ vectors.T
    assert_allclose(gram, gram.T, rtol=1e-8, atol=1e-11)
    step = 1e-5
    ahead, behind = (kept.gradient(theta + s * step * vectors[0]) for s in (1, -1))
    assert_allclose(together[0], (ahead - behind) / (2 * step), rtol=1e-4, atol=1e-7)


def test_operator_keeps_its_point() -> None:
    """Evaluating elsewhere, or training the model, does not move a Hessian that was asked for."""
    net = model()
    objective = Objective(net, DATA)
    vector = points(objective, 1)[0]
    operator = objective.hessian_at()
    before = operator(vector)
    objective.loss(vector)
    objective.hessian_product(vector, theta=vector)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    assert_array_equal(operator(vector), before)
    assert abs(objective.hessian_product(vector) - before).max() > 1e-3


def test_weight_decay() -> None:
    """(lambda / 2) |theta|^2 in the loss, lambda theta in the gradient, lambda v in the product."""
    decay = 0.7
    plain = Objective(model(), DATA)
    decayed = Objective(model(), DATA, weight_decay=decay)
    thetas, vector = points(plain), points(plain, 1)[0]
    penalties = decay / 2 * (thetas**2).sum(1)
    assert_allclose(decayed.losses(thetas), plain.losses(thetas) + penalties, rtol=1e-13)
    losses, slopes = decayed.gradients(thetas)
    assert_allclose(losses, plain.losses(thetas) + penalties, rtol=1e-13)
    assert_allclose(slopes, plain.gradients(thetas)[1] + decay * thetas, rtol=1e-12)
    found = decayed.hessian_product(vector, thetas[0])
    assert_allclose(found, plain.hessian_product(vector, thetas[0]) + decay * vector, rtol=1e-12)
    on_batch = decayed.gradients_on(thetas[:1], [0])
    assert_allclose(on_batch[1], slopes[:1], rtol=1e-12)
    assert decayed.policy["weight_decay"] == decay


def test_parameters_that_do_not_reach_the_loss_have_no_slope() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.idle = nn.Linear(2, 2)
            self.net = model()

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.net(x)
            return found

    objective = Objective(Unused().double(), DATA)
    assert_array_equal(objective.gradient()[:6], 0)
    assert abs(objective.gradient()[6:]).max() > 0
    product = objective.hessian_product(np.ones(objective.dim))
    assert_array_equal(product[:6], 0)
    alone = Objective(Unused().double(), DATA, parameters="idle")
    assert_array_equal(alone.gradient(), np.zeros(6))
    assert_array_equal(alone.hessian_product(np.ones(6)), np.zeros(6))


def test_float32() -> None:
    objective = Objective(mlp(), (DATA[0].float(), DATA[1]))
    exact = Objective(model(), DATA)
    assert objective.gradient().dtype == objective.hessian_product(objective.theta).dtype
    assert objective.gradient().dtype == np.float32
    assert_allclose(objective.gradient(), exact.gradient(), rtol=1e-4, atol=1e-6)
    vector = points(exact, 1)[0]
    assert_allclose(
        objective.hessian_product(vector), exact.hessian_product(vector), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 1, 75)])
def test_vectors_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    objective = Objective(model(), DATA)
    with pytest.raises(ValueError, match=r"expected \(75,\) or \(k, 75\)"):
        objective.hessian_product(np.zeros(shape))
    with pytest.raises(ValueError, match=r"expected \((points, )?75,?\)"):
        objective.gradients(np.zeros(shape))
    with pytest.raises(ValueError, match=r"theta has shape .*, expected \(75,\)"):
        objective.gradient(np.zeros(shape))

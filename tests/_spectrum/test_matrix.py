"""The Hessian as a matrix, against torch.func.hessian of plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import ConvNet, TiedAutoencoder, classes, cut, images, mlp, regression, seeded
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.func import functional_call
from torch.func import hessian as dense_hessian
from torch.utils.data import DataLoader, TensorDataset
from untouched import untouched

import landscape
from landscape import Objective

ENGINES = ("torch", "native")


def reference(model: nn.Module, loss: Callable[[Any], Tensor]) -> Any:
    """The dense Hessian of loss(the model as a function), by double backward row by row."""
    names = dict(model.named_parameters())
    sizes = [p.numel() for p in names.values()]

    def of_flat(flat: Tensor) -> Tensor:
        pieces = torch.split(flat, sizes)
        parameters = {
            name: piece.view(p.shape)
            for (name, p), piece in zip(names.items(), pieces, strict=True)
        }
        return loss(lambda *args: functional_call(model, parameters, args))

    flat = torch.cat([p.detach().reshape(-1) for p in names.values()])

    def gradient(at: Tensor) -> Tensor:
        return torch.autograd.grad(of_flat(at), at, create_graph=True)[0]

    flat.requires_grad_()
    rows = [torch.autograd.grad(slope, flat, retain_graph=True)[0] for slope in gradient(flat)]
    return torch.stack(rows).numpy()


def doubled(model: nn.Module, data: tuple[Tensor, Tensor]) -> tuple[nn.Module, Any]:
    inputs, targets = data
    return model.double(), (inputs.double(), targets)


# forward mode loads PyTorch's scripted derivatives
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")
@pytest.mark.parametrize("engine", ENGINES)
def test_all_entries_are_those_of_torch_func(engine: Any) -> None:
    model, (inputs, targets) = doubled(mlp(), classes(20))
    found = landscape.hessian(model, (inputs, targets), engine=engine)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    nested = dense_hessian(
        lambda p: F.cross_entropy(functional_call(model, p, (inputs,)), targets)
    )(parameters)
    names = list(parameters)
    wanted = torch.cat(
        [
            torch.cat(
                [nested[a][b].reshape(parameters[a].numel(), parameters[b].numel()) for b in names],
                dim=1,
            )
            for a in names
        ]
    )
    assert_allclose(found.dense(), wanted.numpy(), atol=1e-12)


@pytest.mark.parametrize("policy", ["frozen", "batch"])
def test_batch_norm_under_its_policies(policy: Any) -> None:
    model, (inputs, targets) = doubled(seeded(ConvNet), images(12))
    found = landscape.hessian(model, (inputs, targets), batch_norm=policy, engine="torch")
    model.train(policy == "batch")
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    wanted = reference(model, lambda f: F.cross_entropy(f(inputs), targets))
    model.load_state_dict(buffers, strict=False)
    assert_allclose(found.dense(), wanted, atol=1e-10)


def test_recalibrated_statistics_have_no_hessian() -> None:
    hessian = landscape.hessian(seeded(ConvNet), images(12), batch_norm="recalibrated")
    with pytest.raises(ValueError, match="recalibrated"):
        hessian.matvec(np.ones(hessian.dim))


def test_tied_weights_and_ragged_and_dict_batches_are_the_same_function() -> None:
    model = seeded(TiedAutoencoder).double()
    inputs, targets = (part.double() for part in regression(11))
    del targets
    whole = landscape.hessian(model, (inputs, inputs)).dense()
    loader = DataLoader(TensorDataset(inputs, inputs), batch_size=4)
    assert_allclose(landscape.hessian(model, loader).dense(), whole, atol=1e-12)
    batches = [{"x": x, "y": y} for x, y in cut((inputs, inputs), [4, 4, 3])]
    by_dict = landscape.hessian(
        model,
        batches,
        landscape.batch_loss(lambda m, batch: F.mse_loss(m(batch["x"]), batch["y"])),
    )
    assert_allclose(by_dict.dense(), whole, atol=1e-12)
    wanted = reference(model, lambda f: F.mse_loss(f(inputs), inputs))
    assert_allclose(whole, wanted, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_blocks_are_parts_of_the_matrix(engine: Any) -> None:
    model, data = doubled(mlp(), classes(20))
    hessian = landscape.hessian(model, data, engine=engine, weight_decay=0.3)
    dense = hessian.dense()
    blocks = hessian.blocks()
    assert list(blocks) == ["0", "2"]
    edge = blocks["0"].dim
    assert_allclose(blocks["0"].dense(), dense[:edge, :edge], atol=1e-12)
    assert_allclose(blocks["2"].dense(), dense[edge:, edge:], atol=1e-12)
    chosen = hessian.block(["*.bias"])
    assert chosen.names == ("0.bias", "2.bias")
    rows = [i for i, n in enumerate(_row_names(hessian)) if n.endswith("bias")]
    assert_allclose(chosen.dense(), dense[np.ix_(rows, rows)], atol=1e-12)
    within = chosen.block("2.*")  # a block of a block
    assert_allclose(within.dense(), dense[-3:, -3:], atol=1e-12)
    held = landscape.hessian(model, data, engine=engine, weight_decay=0.3, parameters="*.bias")
    assert_allclose(held.dense(), chosen.dense(), atol=1e-12)


def test_a_block_of_a_rebuilt_graph() -> None:
    model, data = doubled(mlp(), classes(20))
    objective = Objective(model, data, engine="torch", memory_budget=60_000)
    rebuilt = landscape.hessian(objective)
    kept = landscape.hessian(model, data, engine="torch")
    objective.memory_budget = 1
    assert kept.retained
    assert not rebuilt.retained
    vector = np.linspace(-1, 1, rebuilt.block("2.*").dim)
    assert_allclose(rebuilt.block("2.*") @ vector, kept.block("2.*") @ vector, atol=1e-13)


def _row_names(hessian: landscape.Hessian) -> list[str]:
    return [e.name for e in hessian.layout.entries for _ in range(e.size)]


def test_products_of_vectors_columns_and_scipy() -> None:
    linalg = pytest.importorskip("scipy.sparse.linalg")
    model, data = doubled(mlp(), classes(20))
    hessian = landscape.hessian(model, data)
    dense = hessian.dense()
    block = np.random.default_rng(0).normal(size=(hessian.dim, 3))
    assert hessian.shape == (75, 75)
    assert_allclose(hessian @ block, dense @ block, atol=1e-12)
    assert_allclose(hessian @ block[:, 0], dense @ block[:, 0], atol=1e-12)
    operator = hessian.to_scipy()
    assert_allclose(operator @ block, dense @ block, atol=1e-12)
    top = linalg.eigsh(operator, k=2, return_eigenvectors=False)
    assert_allclose(sorted(top), np.linalg.eigvalsh(dense)[-2:], atol=1e-10)


def test_another_point_than_the_models_own() -> None:
    model, data = doubled(mlp(), classes(20))
    objective = Objective(model, data)
    theta = objective.theta + 0.5
    vector = np.linspace(-1, 1, objective.dim)
    found = landscape.hessian(objective, theta=theta) @ vector
    assert_allclose(found, objective.hessian_product(vector, theta), atol=1e-13)


def test_bad_input_is_refused_with_advice() -> None:
    model, data = mlp(), classes(20)
    hessian = landscape.hessian(model, data)
    with pytest.raises(ValueError, match=r"matches no trainable parameter; .*0\.weight, 0\.bias"):
        hessian.block("layer3.*")
    with pytest.raises(ValueError, match="matches no trainable parameter"):
        landscape.hessian(model, data, parameters="layer3.*")
    with pytest.raises(ValueError, match=r"got a vector of shape \(3,\), expected \(75,\)"):
        hessian.matvec([1, 2, 3])
    with pytest.raises(ValueError, match=r"expected \(75, k\)"):
        hessian.matmat(np.ones((3, 75)))
    with pytest.raises(ValueError, match=r"got theta of shape \(2,\), expected \(75,\)"):
        landscape.hessian(model, data, theta=[1.0, 2.0])
    small = landscape.hessian(model, data, memory_budget=10_000)
    with pytest.raises(ValueError, match="a dense matrix of 75 parameters takes"):
        small.dense()


def test_errors_of_drawn_samples_cover_the_whole() -> None:
    """Over many drawings, v'Hv of all data lies within two standard errors about 19 times of 20."""
    model, data = doubled(mlp(), classes(300))
    vector = np.random.default_rng(1).normal(size=(1, 75))
    truth = float(vector[0] @ landscape.hessian(model, data).matvec(vector[0]))
    inside = 0
    for seed in range(60):
        drawn = Objective(model, data, samples=60, seed=seed)
        error = drawn.curvature_errors(vector)
        assert error is not None
        value = float(vector[0] @ drawn.hessian_product(vector[0]))
        inside += abs(value - truth) <= 2 * float(error[0])
    assert 51 <= inside <= 60
    assert Objective(model, data).curvature_errors(vector) is None


def test_curvature_of_samples_is_that_of_each_sample_alone() -> None:
    model, (inputs, targets) = doubled(mlp(), classes(9))
    vector = np.random.default_rng(2).normal(size=75)
    alone = [
        vector @ landscape.hessian(model, (inputs[i : i + 1], targets[i : i + 1])).matvec(vector)
        for i in range(9)
    ]
    subset = Objective(model, (inputs, targets), samples=8, seed=3)
    error = subset.curvature_errors(vector[None])
    drawn = vector @ subset.hessian_product(vector) * 8
    left_out = int(np.argmin(np.abs(sum(alone) - np.array(alone) - drawn)))
    values = np.delete(alone, left_out)
    assert error is not None
    assert_allclose(error[0], np.sqrt((1 - 8 / 9) * values.var(ddof=1) / 8), rtol=1e-9)


def test_the_model_is_untouched() -> None:
    model = seeded(ConvNet).train()
    with untouched(model):
        hessian = landscape.hessian(model, images(12), samples=10)
        hessian.matvec(np.ones(hessian.dim))
        hessian.block("head").dense()
        hessian.objective.curvature_errors(np.ones((1, hessian.dim)))

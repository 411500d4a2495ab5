"""The cache of native networks: copies, threads, other data, replaced modules."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from models import mlp
from torch import nn

import landscape
from landscape._objective.native_backend import build
from landscape._objective.native_backend.cache import NativeCache


def case() -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor]]:
    """A small classifier."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 6), nn.LeakyReLU(), nn.Linear(6, 3))
    return model, (torch.randn(20, 4), torch.randint(0, 3, (20,)))


def test_copies_make_networks_of_their_own() -> None:
    model, data = case()
    objective = landscape.Objective(model, data, engine="native")
    expected = objective.loss()
    assert copy.deepcopy(objective).loss() == expected
    assert pickle.loads(pickle.dumps(NativeCache())) is not None


def test_several_threads_may_ask_at_once() -> None:
    model, data = case()
    objective = landscape.Objective(model, data, engine="native")
    points = np.random.default_rng(0).normal(size=(6, objective.dim)).astype(np.float32)
    expected = objective.losses(points)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: objective.losses(points), range(12)):
            np.testing.assert_array_equal(found, expected)


def test_networks_of_data_that_were_used_long_ago_are_let_go() -> None:
    model, data = case()
    objective = landscape.Objective(model, data, engine="native")
    for seed in range(6):
        other = torch.randn(9, 4, generator=torch.Generator().manual_seed(seed))
        objective.with_data((other, torch.zeros(9, dtype=torch.long))).loss()
    assert len(objective._native_cache._networks) <= 3
    assert objective.loss() == landscape.Objective(model, data, engine="native").loss()


def test_a_module_that_took_anothers_place_is_seen() -> None:
    model, data = case()
    objective = landscape.Objective(model, data, engine="native")
    before = objective.loss()
    assert isinstance(model, nn.Sequential)
    model[1] = nn.Tanh()
    fresh = landscape.Objective(model, data, engine="native").loss()
    assert objective.loss() == fresh != before


def test_channels_last_images_with_outputs_at_positions() -> None:
    torch.manual_seed(6)
    model = nn.Conv2d(2, 3, 3, padding=1)
    images = torch.randn(4, 2, 5, 5).contiguous(memory_format=torch.channels_last)
    data = (images, torch.randint(0, 3, (4, 5, 5)))
    native, by_torch = (
        landscape.Objective(model, data, engine=engine).loss() for engine in ("native", "torch")
    )
    assert native == pytest.approx(by_torch, rel=1e-6)


def test_a_batch_whose_targets_are_all_ignored() -> None:
    model, (inputs, targets) = case()
    targets[:5] = -100
    found = {}
    for engine in ("native", "torch"):
        objective = landscape.Objective(model, (inputs, targets), engine=engine, batch_size=5)
        rows = np.concatenate([objective.theta[None]] * objective.batches)
        batches = range(objective.batches)
        found[engine] = objective.gradients_on(rows, list(batches))
    for native, by_torch in zip(found["native"], found["torch"], strict=True):
        np.testing.assert_allclose(native, by_torch, rtol=1e-4, atol=1e-7)


def test_a_batch_of_one_value_has_no_variance() -> None:
    torch.manual_seed(7)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    data = (torch.randn(5, 4), torch.randint(0, 2, (5,)))
    for engine in ("native", "torch"):
        objective = landscape.Objective(
            model, data, engine=engine, batch_norm="batch", batch_size=2
        )
        with pytest.raises(ValueError, match=r"value per channel|one sample"):
            objective.loss()


def test_other_data_need_no_further_export(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    own = build._export_model

    def count(*arguments: Any) -> Any:
        calls.append(1)
        return own(*arguments)

    monkeypatch.setattr(build, "_export_model", count)
    model, data = mlp(), (torch.randn(30, 5), torch.arange(30) % 3)
    objective = landscape.Objective(model, data, engine="native")
    objective.loss()
    other = objective.with_data((data[0][:20], data[1][:20]))
    expected = landscape.Objective(model, (data[0][:20], data[1][:20]), engine="torch").loss()
    assert other.loss() == pytest.approx(expected, rel=1e-6)
    assert objective.with_batch_size(10).gradients_on(objective.theta[None], [0])[0].shape == (1,)
    assert len(calls) == 1

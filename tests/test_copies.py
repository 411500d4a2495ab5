"""Copies of modules that hold tensors with a graph."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from models import seeded
from torch import nn

from landscape._copies import copy_module, derived_weights, recompute_derived_weights


def legacy(wrap: Any) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, that these are deprecated
        made: nn.Module = seeded(lambda: nn.Sequential(wrap(nn.Linear(3, 4)), nn.Linear(4, 2)))
        return made


@pytest.mark.parametrize("wrap", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_a_copy_computes_the_same_and_is_independent(wrap: Any) -> None:
    model: Any = legacy(wrap).eval()
    x = torch.ones(2, 3)
    before = model(x)
    model.kept = {"outputs": [before], "pair": (before, 1)}
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(model)
    twin: Any = copy_module(model)
    assert torch.equal(twin(x), before)
    assert twin.kept["outputs"][0] is twin.kept["pair"][0]
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(model(x), before)
    assert set(derived_weights(twin[0])) == {"weight"}


@pytest.mark.parametrize("wrap", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_derived_weights_are_those_of_the_next_forward_pass(wrap: Any) -> None:
    model: Any = legacy(wrap).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2).add_(0.1)
    recompute_derived_weights(model)
    weight = model[0].weight.clone()
    model(torch.ones(2, 3))
    assert torch.equal(model[0].weight, weight)
    assert weight.requires_grad is False

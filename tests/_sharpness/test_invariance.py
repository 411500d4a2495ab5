"""Invariance: copies of the same function, and what measures say of themselves on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from models import ConvNet, images, mlp, seeded
from quadratic_models import blobs, relu_mlp
from torch import nn

import landscape
from landscape._align import NoEquivalent, permute_units, rescale_units
from landscape._sharpness.table import TABLE
from landscape.measures import NoiseRise

SLOW = {"learning_coefficient", "log_determinant", "effective_dimension", "pac_bayes_bound"}
"""Tested by themselves on smaller problems."""


class ReluConvNet(nn.Module):
    """Convolutions with and without batch norm, a shortcut, pooling, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 9, 3)
        nn.init.normal_(self.norm.weight)
        nn.init.normal_(self.norm.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(x + self.norm(self.second(x)))
        logits: torch.Tensor = self.head(torch.max_pool2d(x, 2).flatten(1))
        return logits


@pytest.mark.parametrize("kind", [rescale_units, permute_units])
@pytest.mark.parametrize("make", [relu_mlp, lambda: seeded(ReluConvNet)])
def test_copies_have_other_weights_and_the_same_function(kind: Any, make: Any) -> None:
    model = make().eval()
    data = blobs() if isinstance(model, nn.Sequential) else images(12, 6)
    objective = landscape.Objective(model, data)
    before = objective.theta
    for copy in kind(objective, [1, 2]):
        other = objective.with_model(copy)
        assert np.linalg.norm(other.theta - before) > 0.3 * np.linalg.norm(before)
        assert other.sample_losses(other.theta[None]) == pytest.approx(
            objective.sample_losses(before[None]), rel=1e-4, abs=1e-7
        )
    assert np.array_equal(objective.theta, before)


def test_every_hidden_layer_is_rescaled() -> None:
    model = relu_mlp()
    (copy,) = rescale_units(landscape.Objective(model, blobs()), [0])
    for (name, one), (_, other) in zip(
        model.named_parameters(), copy.named_parameters(), strict=True
    ):
        is_last_bias = name == list(dict(model.named_parameters()))[-1]
        assert torch.equal(one, other) == is_last_bias, name


def test_a_group_without_a_scale_is_left_alone() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.c(torch.relu(self.b(torch.tanh(self.a(x)))))
            return logits

    model = seeded(Mixed)
    data = (torch.randn(8, 5), torch.arange(8) % 3)
    (copy,) = rescale_units(landscape.Objective(model, data), [0])
    weights = [dict(m.named_parameters()) for m in (model, copy)]
    same = {name: torch.equal(weights[0][name], weights[1][name]) for name in weights[0]}
    assert same["a.weight"]  # tanh has no scale
    assert not same["b.weight"]


def test_smooth_activations_cannot_be_rescaled() -> None:
    model, data = mlp(nn.Tanh), (torch.randn(8, 5), torch.arange(8) % 3)
    with pytest.raises(NoEquivalent, match="positively homogeneous"):
        rescale_units(landscape.Objective(model, data), [0])
    found = landscape.sharpness(model, data, measures=["sam"], invariance="check")["sam"]
    assert found.rescaling == "not applicable"
    assert "positively homogeneous" in str(found.details["rescaling_reason"])
    assert found.permutation == "exact"
    convolution = landscape.Objective(seeded(ConvNet).eval(), images(12, 6))  # Softplus
    with pytest.raises(NoEquivalent, match="positively homogeneous"):
        rescale_units(convolution, [0])


def test_what_claims_to_be_invariant_does_not_move() -> None:
    """On three rescalings and three permutations, every measure that claims it stays."""
    model, data = relu_mlp(), blobs()
    names = [name for name in TABLE if name not in SLOW]
    found = landscape.sharpness(
        model,
        data,
        measures=names,
        invariance="check",
        test=data,
        initial=np.zeros(sum(p.numel() for p in model.parameters())),
        optimizer=0.1,
    )
    for measure in found.measures:
        if not measure.is_applicable:
            continue
        definition = TABLE[measure.name]()
        for kind in ("rescaling", "permutation"):
            declared, checked = getattr(definition, kind), getattr(measure, kind)
            values = measure.details.get(f"{kind}_values")
            if declared == "exact":
                assert checked == "exact", (measure.name, kind, measure.value, values)
            else:
                assert checked in ("no", "measured"), (measure.name, kind)


def test_plain_sharpness_moves_and_is_found_out() -> None:
    model, data = relu_mlp(), blobs()
    found = landscape.sharpness(
        model, data, measures=["max_eigenvalue", "sam", "noise_rise"], invariance="check"
    )
    for measure in found.measures:
        assert measure.rescaling == "no"
        values = [float(str(v)) for v in measure.details["rescaling_values"]]  # type: ignore[union-attr]
        assert max(abs(v / float(measure)) for v in values) > 2


def test_a_false_claim_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NoiseRise, "rescaling", "exact")
    found = landscape.sharpness(relu_mlp(), blobs(), measures=["noise_rise"], invariance="check")
    assert found["noise_rise"].rescaling == "no"


def test_the_check_is_planned() -> None:
    model, data = relu_mlp(), blobs()
    plain, checked = (
        landscape.plan_sharpness(model, data, measures=["sam"], invariance=kind)
        for kind in ("declared", "check")
    )
    assert checked.cost == pytest.approx(7 * plain.cost)

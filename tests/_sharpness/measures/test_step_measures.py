"""Measures from forward passes along steps: closed forms, statistics and what makes them fail."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from quadratic_models import assert_close, blobs, measure, quadratic, relu_mlp, rotation
from torch import nn

import landscape
from landscape.measures import (
    CriticalSharpness,
    MostCaseBasin,
    NeighbourDensity,
    RelativeCriticalSharpness,
    WorstCaseBasin,
)

VALUES = np.array([4.0, 2.0, 1.0, 0.5])
THETA = np.array([0.3, -0.2, 0.5, 1.0])


@pytest.mark.parametrize("engine", ["torch", "native"])
def test_critical_sharpness_of_a_quadratic_is_that_along_the_gradient(engine: Any) -> None:
    basis = rotation(4)
    hessian = basis @ np.diag(VALUES) @ basis.T
    model, data = quadratic(VALUES, THETA, basis)
    found = measure(CriticalSharpness(tolerance=1e-9), model, data, engine=engine)
    gradient = hessian @ THETA
    truth = gradient @ hessian @ gradient / (gradient @ gradient)
    assert_close(found.value, truth, rtol=1e-8)
    assert_close(found.details["critical_step"], 2 / truth, rtol=1e-8)
    usual = measure("critical_sharpness", model, data)
    assert_close(usual.value, truth, rtol=0.02)
    assert usual.cost <= 1 + 7 / 3
    plan = landscape.plan_sharpness(model, data, measures="fast")
    assert plan.cost < 10


def test_the_critical_step_is_where_the_loss_of_a_network_rises() -> None:
    model, data = relu_mlp(), blobs()
    found = measure(CriticalSharpness(tolerance=1e-3), model, data)
    objective = landscape.Objective(model, data)
    loss, gradient = objective.loss(), objective.gradient()
    step = 2 / float(found)
    assert objective.loss(objective.theta - 1.01 * step * gradient) > loss
    assert objective.loss(objective.theta - 0.99 * step * gradient) < loss


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=0.01),
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, dampening=0.2),
        lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True),
        lambda p: torch.optim.Adam(p, lr=0.01),
        lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, betas=(0.8, 0.95)),
        lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
        lambda p: torch.optim.RMSprop(p, lr=0.01),
    ],
)
@pytest.mark.parametrize("steps", [0, 3])
def test_the_step_of_an_optimizer_is_its_own(make: Any, steps: int) -> None:
    model, (inputs, targets) = relu_mlp(), blobs()
    optimizer = make(model.parameters())
    is_adaptive = not isinstance(optimizer, torch.optim.SGD)
    for _ in range(steps or is_adaptive):
        _step(model, optimizer)
    measured = copy.deepcopy((model, optimizer))
    before = _flatten(model)
    _step(model, optimizer)
    update = (before - _flatten(model)) / 0.01
    found = measure(
        CriticalSharpness("optimizer", tolerance=1e-4),
        measured[0],
        (inputs, targets),
        optimizer=measured[1],
    )
    objective = landscape.Objective(measured[0], (inputs, targets))
    assert_close(found.details["slope"], objective.gradient() @ update, rtol=1e-6)
    step, loss = 2 / float(found), objective.loss()
    assert objective.loss(before - 1.001 * step * update) > loss
    assert objective.loss(before - 0.999 * step * update) < loss


def _step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    inputs, targets = blobs()
    optimizer.zero_grad()
    loss: torch.Tensor = nn.functional.cross_entropy(model(inputs), targets)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _flatten(model: nn.Module) -> NDArray[np.float64]:
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()


def test_relative_sharpness_is_that_along_the_other_task() -> None:
    model, data = quadratic(VALUES, THETA)
    other_values = np.array([0.5, 1.0, 3.0, 2.0])
    _, other = quadratic(other_values, THETA)
    found = measure(RelativeCriticalSharpness(tolerance=1e-9), model, data, test={"math": other})
    own, update = VALUES * THETA, other_values * THETA
    assert_close(found.value, update @ (VALUES * update) / (own @ update), rtol=1e-8)
    assert found.details["task"] == "math"
    own_task = measure(RelativeCriticalSharpness(tolerance=1e-9), model, data, test=data)
    assert_close(own_task.value, float(measure(CriticalSharpness(tolerance=1e-9), model, data)))
    inputs, targets = other
    opposed = inputs, targets + 10 * (inputs @ torch.from_numpy(THETA))[:, None]
    infinite = measure("relative_critical_sharpness", model, data, test=opposed)
    assert infinite.value is None
    assert "raises the loss" in infinite.status
    assert "needs test=" in measure("relative_critical_sharpness", model, data).status
    both = measure("relative_critical_sharpness", model, data, test={"a": data, "b": data})
    assert "name one" in both.status
    named = measure(RelativeCriticalSharpness("b"), model, data, test={"a": other, "b": data})
    assert_close(named.value, own_task.value, rtol=0.02)


def test_steps_without_a_rise_fail_with_a_reason() -> None:
    zero = measure("critical_sharpness", *quadratic(VALUES))
    assert zero.value is None
    assert "update is zero" in zero.status
    model, data = quadratic(VALUES, 1e-3 * THETA)
    inputs, targets = data
    shallow = measure("critical_sharpness", model.float(), (inputs.float(), targets.float() + 1))
    assert shallow.value is not None or "rounding" in shallow.status
    linear = nn.Linear(2, 1, bias=False).double()
    falls = measure(
        "critical_sharpness",
        linear,
        (torch.ones(3, 2, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64)),
        loss=lambda z, t: (z * t).mean(),
    )
    assert falls.value is None
    assert "does not rise" in falls.status
    needs = measure(CriticalSharpness("optimizer"), *quadratic(VALUES, THETA))
    assert "needs optimizer=" in needs.status


def test_basins_of_a_quadratic_have_the_radii_of_an_ellipsoid() -> None:
    values = np.array([3.0, 1.0, 0.5, 0.2])
    model, data = quadratic(values, basis=rotation(4))
    worst = measure(WorstCaseBasin(rise=0.3, tolerance=1e-6), model, data)
    assert_close(worst.value, np.sqrt(2 * 0.3 / 3.0), rtol=1e-4)
    assert str(worst.details["worst"]).startswith("eigenvector")
    assert worst.curves["rises"].shape == (6, 8)
    radii = worst.curves["radii"]
    assert_close(worst.curves["rises"][0], 1.5 * radii**2, rtol=1e-5)
    most = measure(MostCaseBasin(rise=0.3, tolerance=1e-6, directions=200), model, data)
    draws = np.random.default_rng(0).normal(size=(20_000, 4))
    draws /= np.linalg.norm(draws, axis=1, keepdims=True)
    truth = np.quantile(np.sqrt(0.6 / (draws**2 @ values)), 0.1)
    assert most.interval is not None
    assert most.interval[0] <= truth <= most.interval[1]
    assert_close(most.value, truth, rtol=0.1)
    assert_close(np.sort(most.curves["basin_radii"])[19], most.value)
    assert most.curves["rises"].shape == (200, 8)


def test_the_gradient_is_the_worst_direction_on_a_slope() -> None:
    model, data = quadratic(np.full(5, 1e-3), np.array([100.0, 0, 0, 0, 0]))
    found = measure(WorstCaseBasin(rise=0.01, tolerance=1e-6), model, data)
    assert found.details["worst"] == "gradient"
    # 0.1 r + 0.0005 r^2 = 0.01
    assert_close(found.value, (np.sqrt(0.01 + 4 * 0.0005 * 0.01) - 0.1) / 0.001, rtol=1e-5)


def test_basins_of_the_accuracy_and_of_filters() -> None:
    model, (inputs, targets) = relu_mlp(), blobs()
    found = measure(
        MostCaseBasin(0.1, "accuracy", 8, 0.5, "filter", points=2), model, (inputs, targets)
    )
    assert found.value is not None
    assert found.curves["rises"].shape == (8, 2)
    objective = landscape.Objective(model, (inputs, targets))
    seed = int(np.random.SeedSequence([0, zlib.crc32(b"most_case_basin")]).generate_state(1)[0])
    noise = landscape._core.gaussian(objective.dim, seed=seed, stream=3, dtype="float64")
    table = objective.layout.filter_table("include")
    direction = landscape._core.normalise(noise, objective.theta, table, "filter")
    accuracies = [
        float((objective.model_at(point)(inputs).argmax(1) == targets).double().mean())
        for point in (objective.theta, objective.theta + found.curves["radii"][1] * direction)
    ]
    assert_close(found.curves["rises"][3, 1], accuracies[0] - accuracies[1], rtol=1e-12)
    worst = measure(WorstCaseBasin(0.1, "accuracy", points=2), model, (inputs, targets))
    assert worst.value is not None
    flat = measure(MostCaseBasin(directions=4), *quadratic(np.zeros(3), np.ones(3)))
    assert flat.value is None
    assert "stays below" in flat.status


def test_the_density_of_neighbours_is_a_share_with_its_interval() -> None:
    values = np.array([2.0, 0.5])  # on a circle: cos^2 2 + sin^2 0.5 <= 2 r / rho^2
    objective = landscape.Objective(*quadratic(values))
    bound = (2 * 0.5 - 0.5) / 1.5
    truth = 1 - 2 * np.arccos(np.sqrt(bound)) / np.pi
    held = 0
    for seed in range(40):
        found = measure(NeighbourDensity(1.0, 0.5, draws=40, scaling="unit"), objective, seed=seed)
        assert found.interval is not None
        held += found.interval[0] <= truth <= found.interval[1]
    assert 36 <= held <= 40
    none = measure(NeighbourDensity(1.0, 0.0, draws=20, scaling="unit"), objective)
    assert none.value == 0
    assert none.interval is not None
    assert_close(none.interval[1], 1 - 0.025 ** (1 / 20), rtol=1e-9)
    assert "every filter" in measure("neighbour_density", objective).status
    every = measure(NeighbourDensity(0.1, 1.0, draws=20, scaling="unit"), objective)
    assert every.value == 1
    assert every.interval is not None
    assert every.interval[1] == 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: CriticalSharpness("momentum"), "along"),  # type: ignore[arg-type]
        (lambda: CriticalSharpness(tolerance=0.0), "tolerance"),
        (lambda: RelativeCriticalSharpness(tolerance=1.0), "tolerance"),
        (lambda: MostCaseBasin(rise=0.0), "rise"),
        (lambda: MostCaseBasin(quantile=1.0), "quantile"),
        (lambda: MostCaseBasin(directions=1), "directions"),
        (lambda: MostCaseBasin(scaling="layer"), "scaling"),  # type: ignore[arg-type]
        (lambda: WorstCaseBasin(points=0), "points"),
        (lambda: WorstCaseBasin(random=-1), "random"),
        (lambda: WorstCaseBasin(tolerance=2.0), "tolerance"),
        (lambda: NeighbourDensity(distance=0.0), "distance"),
        (lambda: NeighbourDensity(rise=-1.0), "rise"),
        (lambda: NeighbourDensity(draws=0), "draws"),
        (lambda: NeighbourDensity(metric="f1"), "metric"),  # type: ignore[arg-type]
    ],
)
def test_options_out_of_range_are_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()

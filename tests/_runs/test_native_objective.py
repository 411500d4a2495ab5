"""Solvers on the native network itself and through callbacks: the same bits."""

from __future__ import annotations

import copy
import signal
from typing import Any

import numpy as np
import pytest
import torch
from models import classes, mlp
from path_models import DATA, two
from torch import nn

from landscape import Objective, _core
from landscape._runs.problem import (
    BatchedLossFunctions,
    BatchedProblem,
    LossFunctions,
    Problem,
)

CYCLES = [(6, 0.05), (4, 0.01)]


def small_batches(model: nn.Module, **options: Any) -> Objective:
    return Objective(model, DATA, engine="native", batch_size=16, **options)


def both(objective: Objective) -> tuple[Any, Any]:
    """The same function for a solver: callbacks, and the native network."""
    strategy = objective.derivative_engine.strategy
    native = objective.native_objective(strategy, objective.batch_weights())
    assert native is not None
    assert native.batches == objective.batches
    return BatchedLossFunctions(objective, strategy), native


def never(*_: Any) -> bool:
    return True


def run_band(function: Any, ends: Any) -> list[Any]:
    band = _core.AutoNeb(
        function,
        *ends,
        cycles=CYCLES,
        rule=0.9,
        spring=None,
        climb=1,
        tolerance=0.0,
        pivots=3,
        max_pivots=8,
        insertion=0.05,
        between=4,
        seed=1,
    )
    assert band.run(function, never)
    return [band.band(), band.best(), band.memory(), band.record()]


def run_curve(function: Any, ends: Any) -> list[Any]:
    curve = _core.CurveTraining(
        function,
        *ends,
        kind="bezier",
        cycles=CYCLES,
        rule="adam",
        bends=2,
        draws=3,
        between=9,
        seed=1,
    )
    assert curve.run(function, never)
    return [curve.control(), curve.best(), curve.memory(), curve.record()]


def run_simplices(function: Any, ends: Any) -> list[Any]:
    training = _core.SimplexTraining(
        function,
        np.stack(ends),
        connectors=2,
        cycles=CYCLES,
        rule="adam",
        samples=2,
        volume=1e-3,
        spread=0.1,
        seed=1,
    )
    assert training.run(function, never)
    return [training.vertices(), training.memory(), training.record()]


def run_ascent(function: Any, ends: Any) -> list[Any]:
    dim, arrays = len(ends[0]), []
    for batches in (None, [0, 2]):
        ascent = _core.Ascent(
            *(function, ends[0], np.zeros((2, dim), ends[0].dtype)),
            scale=np.abs(ends[0]) + ends[0].dtype.type(0.1),
            method="lbfgs",
            constraint="ball",
            radius=0.5,
            steps=8,
            tolerance=1e-3,
            batches=batches,
        )
        assert ascent.run(function, never)
        arrays += [ascent.displacements(), ascent.history(), ascent.state()[0]]
    return arrays


def run_chains(function: Any, ends: Any) -> list[Any]:
    arrays = []
    for data in ("all", "mini_batch"):
        sampler = _core.Langevin(
            *(function, ends[0]),
            chains=3,
            step=1e-3,
            nbeta=20.0,
            localisation=10.0,
            burn_in=3,
            draws=4,
            thinning=2,
            seed=1,
            preconditioner="rmsprop",
            decay=0.9,
            damping=0.1,
            noise="averaged",
            data=data,
        )
        assert sampler.run(function, never)
        arrays += [sampler.points(), sampler.losses(), sampler.references(), sampler.state()[0]]
    return arrays


def run_search(function: Any, ends: Any) -> list[Any]:
    search = _core.CriticalPointSearch(
        function,
        ends[0],
        method="saddle_free",
        tolerance=1e-8,
        max_steps=4,
        krylov=12,
        negative=1e-3,
        seed=1,
    )
    assert search.run(function, never)
    return [search.theta(), search.gradient(), search.record()]


def run_walk(function: Any, ends: Any) -> list[Any]:
    walk = _core.Walker(
        function,
        ends[0],
        distance=1.0,
        tolerance=0.05,
        flat=0.01,
        stride=0.2,
        max_steps=3,
        krylov=12,
        seed=1,
    )
    assert walk.run(function, never)
    return [walk.points(), walk.direction(), walk.record()]


SOLVERS = [run_band, run_curve, run_simplices, run_search, run_walk, run_ascent, run_chains]


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_same_bits_as_through_callbacks(solve: Any, dtype: torch.dtype) -> None:
    a, b = two()
    objective = small_batches(a, dtype=dtype)
    ends = [objective.theta, objective.with_model(b).theta]
    callbacks, native = both(objective)
    for expected, result in zip(solve(callbacks, ends), solve(native, ends), strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("solve", [run_band, run_search])
def test_batch_statistics(solve: Any) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    data = classes(60, dtype=torch.float64)
    objective = Objective(model.eval(), data, engine="native", batch_size=20, batch_norm="batch")
    ends = [objective.theta, objective.theta + 0.3]
    callbacks, native = both(objective)
    for expected, result in zip(solve(callbacks, ends), solve(native, ends), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_what_only_callbacks_compute() -> None:
    model = two()[0]
    strategy = small_batches(model).derivative_engine.strategy
    penalised = small_batches(model, weight_decay=0.1)
    assert penalised.native_objective(strategy, np.empty(0)) is None
    torch_engine = Objective(copy.deepcopy(model), DATA, engine="torch")
    chosen = torch_engine.derivative_engine.strategy
    assert torch_engine.native_objective(chosen, np.empty(0)) is None


def test_an_unknown_batch_and_another_dtype() -> None:
    objective = small_batches(two()[0])
    _, native = both(objective)
    single = np.zeros(objective.dim, np.float32)
    with pytest.raises(ValueError, match="another dtype"):
        run_walk(native, [single])
    with pytest.raises(ValueError, match="'stored' or 'batch'"):
        _core.NetworkObjective(
            objective._backends.native.network,
            weight=1.0,
            batch_weights=np.ones(1),
            statistics="recalibrated",  # type: ignore[arg-type]
            memory=0,
        )


def test_an_interrupt_between_short_calls() -> None:
    """The whole search is one call of the core, and its steps are short."""
    objective = Objective(mlp().double(), DATA, engine="native")
    _, native = both(objective)
    search = _core.CriticalPointSearch(
        native,
        objective.theta,
        method="newton_mr",
        tolerance=0.0,
        max_steps=10**6,
        krylov=20,
        negative=1e-3,
        seed=0,
    )

    def tick(steps: int, *_: float) -> bool:
        if steps == 2:
            signal.raise_signal(signal.SIGINT)
        return True

    with pytest.raises(KeyboardInterrupt):
        search.run(native, tick)
    assert search.status == "running"


def test_a_problem_hands_out_the_native_network() -> None:
    objective = small_batches(two()[0])
    strategy = objective.derivative_engine.strategy
    theta = objective.theta
    for problem in (Problem(objective, theta), BatchedProblem(objective, theta)):
        assert isinstance(problem.operator(strategy), _core.NetworkObjective)
    penalised = small_batches(two()[0], weight_decay=0.1)
    assert isinstance(Problem(penalised, penalised.theta).operator(strategy), LossFunctions)

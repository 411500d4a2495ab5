"""Ascents in a neighbourhood: naive twins, a native network, mini-batches, resumed runs, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from path_models import DATA, two

from landscape import Objective, _core

Array = NDArray[Any]
METHODS: dict[str, dict[str, Any]] = {"projected": {}, "apgd": {}, "lbfgs": {"tolerance": 1e-6}}


class Quadratic:
    """g'x + x'Hx/2, one batch with H and one with 2 H."""

    batches = 2

    def __init__(self, dim: int, seed: int) -> None:
        generator = np.random.default_rng(seed)
        matrix = generator.standard_normal((dim, dim))
        self.hessian = (matrix + matrix.T) / 2
        self.slope = generator.standard_normal(dim)
        self.starts = generator.standard_normal((3, dim)) * 0.3 / np.sqrt(dim)
        self.evaluated = 0

    def gradients(self, points: Array) -> tuple[Array, Array]:
        return self.gradients_on(points, [0] * len(points))

    def gradients_on(self, points: Array, batches: Any) -> tuple[Array, Array]:
        self.evaluated += len(points)
        curved = points @ self.hessian * (1 + np.array(batches))[:, None]
        losses = points @ self.slope + (points * curved).sum(1) / 2
        return losses.astype(np.float64), (self.slope + curved).astype(points.dtype)


def ascend(function: Any, starts: Array, steps: int = 20, **options: Any) -> _core.Ascent:
    dim = starts.shape[1]
    given: dict[str, Any] = {
        "scale": np.ones(dim),
        "constraint": "ball",
        "radius": 1.0,
        "steps": steps,
        **METHODS[options["method"]],
        **options,
    }
    ascent = _core.Ascent(function, given.pop("origin", np.zeros(dim)), starts, **given)
    assert ascent.run(function, lambda *_: True)
    return ascent


def project_ball(u: Array) -> Array:
    scale: float = max(1.0, float(np.linalg.norm(u)))
    return u / scale


def project_box(u: Array) -> Array:
    return np.clip(u, -1, 1)


def direct_ball(h: Array) -> Array:
    return h / float(np.linalg.norm(h))


GEOMETRY: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "ball": (project_ball, direct_ball),
    "box": (project_box, np.sign),
}


def evaluate(function: Any, u: Array) -> tuple[float, Array]:
    losses, gradients = function.gradients(u[None])
    return losses[0], gradients[0]


def naive_projected(function: Any, u: Array, steps: int, constraint: str) -> list[float]:
    project, direct = GEOMETRY[constraint]
    losses = [evaluate(function, u)[0]]
    for _ in range(steps):
        u = project(u + 2.5 / steps * direct(evaluate(function, u)[1]))
        losses.append(evaluate(function, u)[0])
    return list(np.maximum.accumulate(losses))


def naive_apgd(function: Any, u: Array, steps: int, constraint: str) -> list[float]:
    """Algorithm 1 of Croce and Hein (2020), with a list of all that has happened."""
    project, direct = GEOMETRY[constraint]
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    checkpoints = [int(np.ceil(round(share * steps, 6))) for share in shares]
    eta, previous, (loss, h) = 2.0, u, evaluate(function, u)
    maxima, best, last, etas = [loss], (loss, u, h), 0, {0: eta}
    increased: list[bool] = []
    for k in range(steps):
        if k > 0 and k in checkpoints:
            etas[k] = eta
            few = sum(increased[last:k]) < 0.75 * (k - last)
            if few or (etas[last] == eta and maxima[last] == maxima[k]):
                eta /= 2
                loss, u, h = best
            last = k
        z = project(u + eta * direct(h))
        momentum = 0.75 if k > 0 else 1.0
        moved = u + momentum * (z - u) + (1 - momentum) * (u - previous)
        previous, u, before = u, project(moved), loss
        loss, h = evaluate(function, u)
        increased.append(loss > before)
        best = (loss, u, h) if loss > best[0] else best
        maxima.append(best[0])
    return maxima


@pytest.mark.parametrize("constraint", ["ball", "box"])
@pytest.mark.parametrize(
    ("method", "naive"), [("projected", naive_projected), ("apgd", naive_apgd)]
)
def test_naive_twins(method: str, naive: Any, constraint: str) -> None:
    for seed in range(4):
        function = Quadratic(7, seed)
        ascent = ascend(function, function.starts, 37, method=method, constraint=constraint)
        twins = [naive(function, start, 37, constraint) for start in function.starts]
        np.testing.assert_allclose(ascent.history().T, twins, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_rows_have_their_own_batches(method: str) -> None:
    function = Quadratic(5, 0)
    starts = function.starts
    ascent = ascend(function, starts, method=method, batches=[0, 1, 1])
    for row, batch in enumerate([0, 1, 1]):
        alone = ascend(function, starts[row : row + 1], method=method, batches=[batch])
        np.testing.assert_allclose(ascent.losses()[row], alone.losses()[0], rtol=1e-12)
        point = ascent.displacements()[row : row + 1]
        np.testing.assert_allclose(function.gradients_on(point, [batch])[0], ascent.losses()[row])
    assert not np.isclose(ascend(function, starts, method=method).losses()[1], ascent.losses()[1])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_displacement_is_that_of_the_loss(method: str, dtype: Any) -> None:
    function = Quadratic(6, 3)
    origin, scale = function.starts[0].astype(dtype), np.abs(function.slope).astype(dtype)
    starts = np.zeros((1, 6), dtype)
    ascent = ascend(function, starts, method=method, origin=origin, scale=scale, radius=0.3)
    displacement = ascent.displacements()
    assert displacement.dtype == dtype
    assert function.gradients(origin + displacement)[0] == ascent.losses()
    assert np.linalg.norm(displacement / scale) <= 0.3 * (1 + 1e-6)


def test_at_equal_evaluations_others_are_not_below_projected_ascent_on_a_network() -> None:
    objective = Objective(two()[0], DATA, engine="native")
    native = objective.native_objective(objective.derivative_engine.strategy, np.empty(0))
    generator = np.random.default_rng(0)
    starts = generator.standard_normal((10, objective.dim))
    starts *= 0.1 / np.linalg.norm(starts, axis=1, keepdims=True)
    for constraint, scale in (
        ("ball", np.ones(objective.dim)),
        ("ball", np.abs(objective.theta)),
        ("box", np.abs(objective.theta) + 1),
    ):
        options: dict[str, Any] = {
            "scale": scale,
            "origin": objective.theta,
            "constraint": constraint,
        }
        radius = 0.5 if constraint == "ball" else 1e-2
        inside = starts * scale * radius / 10
        medians = {}
        for method in METHODS:
            ascent = ascend(native, inside, method=method, radius=radius, **options)
            assert ascent.gradients <= 10 * 21
            medians[method] = float(np.median(ascent.losses()))
        assert medians["projected"] > objective.losses(objective.theta[None])[0]
        assert min(medians["apgd"], medians["lbfgs"]) >= medians["projected"] * (1 - 1e-3), medians


@pytest.mark.parametrize("method", METHODS)
def test_resumed_with_the_same_bits(method: str) -> None:
    function = Quadratic(5, 1)
    basis = np.random.default_rng(5).standard_normal((2, 5))
    options: dict[str, Any] = {
        "scale": np.array([1.0, 2.0]),
        "method": method,
        "constraint": "box",
        "radius": 0.4,
        "steps": 9,
        "basis": basis,
        "batches": [0, 1],
        **METHODS[method],
    }
    whole = _core.Ascent(function, function.slope, np.zeros((2, 2)), **options)
    whole.run(function, lambda *_: True)
    assert whole.displacements().shape == (2, 2)
    for stop in (1, 3, 8):
        solver = _core.Ascent(function, function.slope, np.zeros((2, 2)), **options)
        solver.run(function, lambda steps, *_, stop=stop: steps + 1 < stop)
        solver = _core.Ascent.resumed(*solver.state())
        solver.run(function, lambda *_: True)
        assert solver.state()[0] == whole.state()[0]
        for name, array in whole.state()[1].items():
            np.testing.assert_array_equal(solver.state()[1][name], array)


def test_ticks_stop_and_errors_leave_the_solver_as_it_was() -> None:
    function = Quadratic(4, 2)
    ticks: list[tuple[int, float, int]] = []
    starts = function.starts
    solver = _core.Ascent(
        *(function, np.zeros(4), starts),
        scale=np.ones(4),
        method="apgd",
        constraint="ball",
        radius=1.0,
        steps=6,
    )

    def tick(*values: Any) -> bool:
        ticks.append(values)
        return len(ticks) < 2

    assert not solver.run(function, tick)
    assert [tick[::2] for tick in ticks] == [(0, 3), (1, 3)]
    assert ticks[-1][1] == solver.losses().max()
    before = solver.state()[0]

    class Failing(Quadratic):
        def gradients(self, points: Array) -> tuple[Array, Array]:
            raise LookupError(len(points))

    with pytest.raises(LookupError):
        solver.run(Failing(4, 2), lambda *_: True)
    assert solver.state()[0] == before
    assert solver.run(function, lambda *_: True)
    assert function.evaluated == solver.gradients == 3 * 7
    assert (solver.status, solver.steps, solver.history().shape) == ("complete", 6, (7, 3))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"method": "newton"}, 'pass "projected"'),
        ({"method": "lbfgs"}, "which needs one"),
        ({"method": "apgd", "step": 0.1}, "a step only"),
        ({"method": "apgd", "tolerance": 0.1}, "a tolerance to"),
        ({"constraint": "sphere"}, 'pass "ball" or "box"'),
        ({"radius": -1.0}, "radius above 0"),
        ({"steps": 0}, "at least one step"),
        ({"scale": np.ones(3)}, "starts with rows of 4"),
        ({"scale": np.zeros(4)}, "all 0"),
        ({"scale": -np.ones(4)}, "below 0"),
        ({"basis": np.ones((4, 3))}, "a basis with rows of 3"),
        ({"basis": np.ones((3, 4))}, "one scale for each"),
        ({"batches": [0, 1, 2]}, "one index below 2"),
        ({"batches": [0]}, "for every start"),
        ({"starts": np.full((1, 4), 0.7)}, "start 0, which is not in the neighbourhood"),
        ({"starts": np.empty((0, 4))}, "pass one row of 4"),
        ({"origin": np.zeros(4, np.float32)}, "2-D|1-D"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: dict[str, Any], message: str) -> None:
    function = Quadratic(4, 2)
    options: dict[str, Any] = {
        "origin": np.zeros(4),
        "starts": function.starts,
        "scale": np.ones(4),
        "method": "projected",
        "constraint": "ball",
        "radius": 1.0,
        "steps": 3,
        **wrong,
    }
    with pytest.raises(ValueError, match=message):
        _core.Ascent(function, options.pop("origin"), options.pop("starts"), **options)


def test_a_problem_with_other_batches_is_refused() -> None:
    function = Quadratic(4, 2)
    solver = _core.Ascent(
        *(function, np.zeros(4), function.starts),
        scale=np.ones(4),
        method="apgd",
        constraint="ball",
        radius=1.0,
        steps=6,
        batches=[0, 0, 1],
    )
    function.batches = 3
    with pytest.raises(ValueError, match="3 mini-batches"):
        solver.run(function, lambda *_: True)

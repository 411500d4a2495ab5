"""Everything that `resumed` reads: what was changed is refused, or gives a solver that works.

None panics, asks for absurd memory or never ends. `rust/core/tests/suite/resumed.rs` does the same
without Python.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from landscape import _core

VALUES: tuple[Any, ...] = (
    *(None, True, 0, 1, 2, -1, 3.5, 1e308, -1e308, 2**53 + 1, 2**63, 2**64 - 1, 2**70),
    *("Running", "Converged", "Complete", "Exhausted", "Reached", "Stalled", "nonsense", [], {}),
)
NUMBERS = (np.nan, np.inf, -1e300, 0.0)
CYCLES = [(2, 1e-4), (1, 1e-4)]


def list_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from list_places(item, (*path, key))


def changed_records(text: str) -> Iterator[str]:
    yield from ("", "{}", "[", text[: len(text) // 2], text)
    record = json.loads(text)
    for path in list_places(record):
        for value in (*VALUES, "remove"):
            changed = copy.deepcopy(record)
            place = changed
            for key in path[:-1]:
                place = place[key]
            if value == "remove":
                del place[path[-1]]
            else:
                place[path[-1]] = value
            yield json.dumps(changed)


def changed_arrays(array: np.ndarray[Any, Any]) -> Iterator[np.ndarray[Any, Any]]:
    yield from (array[:0], array[..., :-1], np.concatenate([array, array]), array[None])
    yield np.zeros((0, 0))
    for index in {0, array.size // 2, array.size - 1} & set(range(array.size)):
        for number in NUMBERS:
            changed = array.copy()
            changed.reshape(-1)[index] = number
            yield changed


State = tuple[str, Mapping[str, np.ndarray[Any, Any]]]


def survive(
    state: State, resume: Callable[[str, dict[str, Any]], Any], work: Callable[[Any], None]
) -> None:
    text, arrays = state
    states = [(record, dict(arrays)) for record in changed_records(text)]
    for name, array in arrays.items():
        states += [(text, {**arrays, name: other}) for other in changed_arrays(array)]
        states.append((text, {**arrays, name: array.astype(np.float32)}))
    refused = accepted = 0
    for changed, others in states:
        try:
            solver = resume(changed, others)
        except (ValueError, MemoryError):
            refused += 1
            continue
        try:
            with np.errstate(all="ignore"):
                work(solver)
            accepted += 1
        except (ValueError, MemoryError, FloatingPointError):
            accepted += 1
    assert accepted > 0
    assert refused > len(states) // 4


class Function:
    """A quartic valley, split into two equal batches."""

    batches = 2
    scale = np.array([1.0, 2.0, 5.0])

    def losses(self, points: Any) -> Any:
        return (points**4 / 4 + self.scale * points**2 / 2).sum(1)

    def gradients(self, points: Any) -> Any:
        return self.losses(points), points**3 + self.scale * points

    def gradients_on(self, points: Any, _: Any) -> Any:
        return self.gradients(points)

    def curvature_at(self, theta: Any) -> Any:
        return lambda block: block * (3 * theta**2 + self.scale)


FUNCTION = Function()
MATRIX = np.diag(np.arange(1.0, 10.0))
FIRST, LAST = np.array([1.0, 0.5, 0.0]), np.array([-1.0, 0.5, 0.2])


def multiply(block: Any) -> Any:
    return block @ MATRIX


def few_steps(problem: Any, steps: int = 3) -> Callable[[Any], None]:
    def work(solver: Any) -> None:
        left = [steps]

        def tick(*_: Any) -> bool:
            left[0] -= 1
            return left[0] > 0

        solver.run(problem, tick)

    return work


@pytest.mark.parametrize("steps", [3, 9])
def test_lanczos(steps: int) -> None:
    solver = _core.Lanczos(
        *(9, "float64"),
        count=2,
        which="largest",
        tolerance=1e-8,
        relative_to="end",
        basis=6,
        max_products=50,
        seed=0,
    )
    few_steps(multiply, steps)(solver)

    def work(solver: Any) -> None:
        few_steps(multiply)(solver)
        solver.vectors(), solver.bounds(), solver.state()

    survive(solver.state(), _core.Lanczos.resumed, work)


def test_trace() -> None:
    options: dict[str, Any] = {
        "powers": 2,
        "target": 0,
        "logarithm": None,
        "relative": 1e-3,
        "absolute": 0.0,
        "max_products": 1000,
        "level": 0.95,
        "rows": 6,
        "block": 3,
        "seed": 0,
    }
    diagonal = np.arange(1.0, 61.0)

    def apply(block: Any) -> Any:
        return block * diagonal

    solver = _core.Trace(60, "float64", **options)
    few_steps(apply, 8)(solver)

    def work(solver: Any) -> None:
        solver.means()
        few_steps(apply)(solver)
        solver.means(), solver.state()

    survive(
        solver.state(),
        lambda text, arrays: _core.Trace(60, "float64", **options, state=(text, arrays)),
        work,
    )


@pytest.mark.parametrize("method", ["newton_mr", "saddle_free"])
def test_searches(method: Any) -> None:
    solver = _core.CriticalPointSearch(
        *(FUNCTION, FIRST),
        method=method,
        tolerance=1e-12,
        max_steps=20,
        krylov=3,
        negative=1e-3,
        seed=0,
    )
    few_steps(FUNCTION, 2)(solver)
    survive(
        (solver.record(), {"theta": solver.theta(), "gradient": solver.gradient()}),
        lambda text, a: _core.CriticalPointSearch.resumed(text, a["theta"], a["gradient"]),
        few_steps(FUNCTION),
    )


@pytest.mark.parametrize("steps", [0, 2])
def test_walks(steps: int) -> None:
    solver = _core.Walker(
        *(FUNCTION, FIRST * 0.1),
        distance=2.0,
        tolerance=1.0,
        flat=10.0,
        stride=0.1,
        max_steps=50,
        krylov=3,
        seed=0,
    )
    if steps:
        few_steps(FUNCTION, steps)(solver)
    survive(
        (solver.record(), {"points": solver.points(), "direction": solver.direction()}),
        lambda text, a: _core.Walker.resumed(text, a["points"], a["direction"]),
        few_steps(FUNCTION),
    )


@pytest.mark.parametrize("steps", [1, 2, 4, 6])
def test_bands(steps: int) -> None:
    solver = _core.AutoNeb(
        *(FUNCTION, FIRST, LAST),
        cycles=CYCLES,
        rule="adam",
        spring=None,
        climb=1,
        tolerance=0.0,
        pivots=2,
        max_pivots=4,
        insertion=0.1,
        between=2,
        seed=0,
    )
    few_steps(FUNCTION, steps)(solver)
    survive(
        (
            solver.record(),
            {"band": solver.band(), "best": solver.best(), "memory": solver.memory()},
        ),
        lambda text, a: _core.AutoNeb.resumed(text, a["band"], a["best"], a["memory"]),
        few_steps(FUNCTION),
    )


@pytest.mark.parametrize("steps", [1, 2, 4, 6])
def test_curves(steps: int) -> None:
    solver = _core.CurveTraining(
        *(FUNCTION, FIRST, LAST),
        kind="bezier",
        cycles=CYCLES,
        rule=0.5,
        bends=2,
        draws=3,
        between=4,
        seed=0,
    )
    few_steps(FUNCTION, steps)(solver)
    survive(
        (
            solver.record(),
            {"control": solver.control(), "best": solver.best(), "memory": solver.memory()},
        ),
        lambda text, a: _core.CurveTraining.resumed(text, a["control"], a["best"], a["memory"]),
        few_steps(FUNCTION),
    )


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_complexes(steps: int) -> None:
    solver = _core.SimplexTraining(
        *(FUNCTION, np.stack([FIRST, LAST])),
        connectors=2,
        cycles=CYCLES,
        rule="adam",
        samples=2,
        volume=0.1,
        spread=0.3,
        seed=0,
    )
    few_steps(FUNCTION, steps)(solver)
    survive(
        (solver.record(), {"vertices": solver.vertices(), "memory": solver.memory()}),
        lambda text, a: _core.SimplexTraining.resumed(text, a["vertices"], a["memory"]),
        few_steps(FUNCTION),
    )


@pytest.mark.parametrize("method", ["projected", "apgd", "lbfgs"])
def test_ascents(method: Any) -> None:
    solver = _core.Ascent(
        *(FUNCTION, FIRST, np.array([[0.1, 0.0, 0.1], [0.0, -0.1, 0.0]])),
        scale=FUNCTION.scale,
        method=method,
        constraint="ball",
        radius=0.5,
        steps=6,
        tolerance=1e-6 if method == "lbfgs" else None,
        batches=[0, 1],
    )
    few_steps(FUNCTION, 4)(solver)
    survive(solver.state(), _core.Ascent.resumed, few_steps(FUNCTION))


@pytest.mark.parametrize("steps", [2, 5])
def test_samplers(steps: int) -> None:
    solver = _core.Langevin(
        *(FUNCTION, FIRST),
        chains=2,
        step=1e-3,
        nbeta=1.0,
        localisation=1.0,
        burn_in=3,
        draws=3,
        thinning=1,
        seed=0,
        preconditioner="rmsprop",
        decay=0.9,
        damping=0.1,
        noise="averaged",
        data="mini_batch",
    )
    few_steps(FUNCTION, steps)(solver)
    survive(solver.state(), _core.Langevin.resumed, few_steps(FUNCTION))

"""Every field of a checkpoint or a result that is changed is refused with the file's name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import landscape
from landscape import _store
from landscape._objective import Strategy
from landscape._objective.engine import Engine

DATA = (torch.linspace(-1, 1, 120).reshape(20, 6).sin(), torch.arange(20) % 3)
VALUES: tuple[Any, ...] = (None, "text", -1, 2**70, float("nan"), [])


def make_objective() -> landscape.Objective:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 3))
    objective = landscape.Objective(model, DATA, engine="native", batch_norm="frozen")
    strategy = Strategy(kind="native", chunk=2)
    objective.__dict__["_loss_engine"] = Engine(strategy)
    objective.__dict__["_derivative_engine"] = Engine(strategy)
    return objective


CALLS: dict[str, tuple[int, Callable[..., landscape.Result]]] = {
    "surface": (4, lambda o, **k: landscape.surface(o, points=3, **k)),
    "eigenvalues": (5, lambda o, **k: landscape.Hessian(o).eigenvalues(2, basis=6, **k)),
    "density": (40, lambda o, **k: landscape.Hessian(o).density(probes=16, steps=4, **k)),
    "critical point": (2, lambda o, **k: landscape.find_critical_point(o, max_steps=3, **k)),
    "relaxation": (
        1,
        lambda o, **k: landscape.perturb_and_relax(
            o, parameter="0.bias", index=0, shifts=(0.5,), max_steps=2, **k
        ),
    ),
    "curvature map": (1, lambda o, **k: landscape.curvature_map(o, points=2, **k)),
}


def list_places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from list_places(item, (*path, key))


def changed_at(record: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(record)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


@pytest.mark.filterwarnings("ignore:resumed in another environment")
@pytest.mark.parametrize("name", CALLS)
def test_a_changed_checkpoint_is_refused_or_harmless(name: str, tmp_path: Path) -> None:
    limit, call = CALLS[name]
    objective, path = make_objective(), tmp_path / "run.npz"
    whole = call(objective, progress="off")

    def stop(done: int, _: int) -> None:
        if done >= limit:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(objective, resume=path, progress=stop)
    stored = _store.read(path)
    records = [
        changed_at(stored.record, place, value)
        for place in list_places({k: stored.record[k] for k in stored.record if k != "inputs"})
        if place[:2] != ("plan", "environment")  # another one is a warning
        for value in VALUES
    ]
    files = [(record, stored.arrays) for record in records]
    for key, array in stored.arrays.items():
        others = {k: a for k, a in stored.arrays.items() if k != key}
        files.append((stored.record, others))
        replaced = (array[:0], array[..., None], array.astype(np.int8), np.array(1.0))
        files += [(stored.record, {**others, key: other}) for other in replaced]
    texts: list[str] = []
    for record, arrays in files:
        _store.write(path, "partial", record, arrays)
        try:
            again = call(objective, resume=path, progress="off")
        except ValueError as error:
            texts.append(str(error))
            continue
        for key in whole.arrays:
            found, expected = getattr(again, key), getattr(whole, key)
            assert (found is None) == (expected is None)
            if expected is not None:
                np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert len(texts) > len(files) // 3
    assert [text for text in texts if str(path) not in text] == []


def test_a_changed_recipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "line.npz"
    landscape.line(make_objective(), points=3, progress="off").save(path)
    stored = _store.read(path)
    for field, value in (("kind", 3), ("seed", "x"), ("norms", ["a"]), ("labels", None)):
        recipe = {**stored.record["recipe"], field: value}
        _store.write(path, stored.kind, {**stored.record, "recipe": recipe}, stored.arrays)
        with pytest.raises(ValueError, match=r"does not hold a whole line"):
            landscape.load(path)


def test_a_changed_result_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.npz"
    landscape.Hessian(make_objective()).eigenvalues(2, progress="off").save(path)
    stored = _store.read(path)
    for field, value in (
        ("products", "many"),
        ("tolerance", None),
        ("status", 3),
        ("run", None),
        ("another", 1),
    ):
        _store.write(path, stored.kind, {**stored.record, field: value}, stored.arrays)
        with pytest.raises(ValueError, match=r"result\.npz does not hold a whole spectrum"):
            landscape.load(path)
    numbers: tuple[tuple[str, Any], ...] = (
        ("seconds", -1.0),
        ("evaluations", "x"),
        ("seed", 0.5),
        ("notes", [3]),
    )
    for field, value in numbers:
        run = {**stored.record["run"], field: value}
        _store.write(path, stored.kind, {**stored.record, "run": run}, stored.arrays)
        with pytest.raises(ValueError, match=r"does not hold a whole spectrum"):
            landscape.load(path)

"""What was found out about a model serves later calls on it, and nothing that changed does."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from export_models import Calls, digits_cnn
from numpy.testing import assert_allclose
from torch import Tensor, nn

import landscape
from landscape import Objective
from landscape._objective.engine import Engine
from landscape._objective.native_backend import build, findings
from landscape._objective.torch_backend.model_print import UnreadableModelError, print_model


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_data(samples: int = 30) -> tuple[Tensor, Tensor]:
    return drawn(samples, 1, 8, 8), torch.arange(samples) % 10


@dataclass
class Counts:
    """How often a model was traced, compared in full, and how often an engine was chosen."""

    traced: int = 0
    compared: int = 0
    chosen: int = 0


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    counted = Counts()

    def count(owner: Any, name: str, what: str) -> None:
        own = getattr(owner, name)

        def call(*given: Any, **named: Any) -> Any:
            setattr(counted, what, getattr(counted, what) + 1)
            return own(*given, **named)

        monkeypatch.setattr(owner, name, call)

    count(build, "_export_model", "traced")
    count(build, "find_disagreement", "compared")
    count(Engine, "for_losses", "chosen")
    count(Engine, "for_derivatives", "chosen")
    return counted


def test_a_second_call_neither_traces_nor_chooses(counts: Counts) -> None:
    model, data = digits_cnn(), make_data()
    first = landscape.surface(model, data, points=12, seed=3)
    assert (counts.traced, counts.compared, counts.chosen) == (1, 1, 1)
    landscape.hessian(model, data).eigenvalues(1)
    landscape.sharpness(model, data, measures=["sam", "noise_rise"])
    chosen = counts.chosen
    again = landscape.surface(model, data, points=12, seed=3)
    landscape.hessian(model, data).eigenvalues(1)
    assert (counts.traced, counts.compared) == (1, 1)
    assert counts.chosen == chosen
    assert again.run.engine == "native"
    np.testing.assert_array_equal(first.losses, again.losses)


def test_other_data_of_the_same_shape_are_chosen_for_once(counts: Counts) -> None:
    model = digits_cnn()
    for seed in range(3):
        data = drawn(30, 1, 8, 8, seed=seed), torch.arange(30) % 10
        assert Objective(model, data).strategy.kind == "native"
    assert (counts.traced, counts.compared, counts.chosen) == (1, 1, 1)


def set_hook(model: Any) -> None:
    model[2].register_forward_hook(lambda *_: None)


def replace_class_forward(model: Any) -> None:
    model[-1].forward = lambda x: 2 * nn.Linear.forward(model[-1], x)


CHANGES: dict[str, Callable[[Any], object]] = {
    "a buffer": lambda m: m[1].running_var.mul_(2),
    "a buffer's data": lambda m: m[1].running_var.data.mul_(2),
    "a frozen parameter": lambda m: m[0].weight.data.mul_(1.5),
    "another frozen parameter": lambda m: setattr(m[0], "weight", nn.Parameter(m[0].weight * 2)),
    "a module": lambda m: m.__setitem__(2, nn.Tanh()),
    "an attribute": lambda m: setattr(m[3], "kernel_size", 1),
    "a hook": set_hook,
    "train mode": lambda m: m.train(not m.training),
    "a forward of its own": replace_class_forward,
    "what is frozen": lambda m: m[4].weight.requires_grad_(False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen(name: str, counts: Counts) -> None:
    model, data = digits_cnn(), make_data()
    model.get_parameter("0.weight").requires_grad_(False)
    model.get_parameter("0.bias").requires_grad_(False)
    landscape.surface(model, data, points=10)
    with torch.no_grad():
        CHANGES[name](model)
    surface = landscape.surface(model, data, points=10)
    assert (counts.traced, counts.chosen) == (2, 2)
    by_torch = landscape.surface(model, data, points=10, engine="torch")
    assert_allclose(surface.losses, by_torch.losses, rtol=1e-4)


OTHERS: dict[str, dict[str, Any]] = {
    "dtype": {"dtype": "float64"},
    "loss": {"loss": nn.CrossEntropyLoss(label_smoothing=0.3)},
    "class weights": {"loss": nn.CrossEntropyLoss(torch.arange(1.0, 11))},
    "policy": {"batch_norm": "batch"},
    "parameters": {"parameters": "10"},
    "samples": {"samples": 20},
    "engine": {"engine": "torch"},
    "split": {"batch_size": 10},
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_function_is_chosen_for_anew(name: str, counts: Counts) -> None:
    model, data = digits_cnn(), make_data()
    assert Objective(model, data).strategy
    assert counts.chosen == 1
    assert Objective(model, data, **OTHERS[name]).strategy
    assert counts.chosen == 2
    assert Objective(model, data, **OTHERS[name]).strategy
    assert counts.chosen == 2


def test_samples_of_another_shape_are_traced_anew(counts: Counts) -> None:
    model = digits_cnn()
    Objective(model, make_data(), engine="native")
    Objective(model, (drawn(30, 1, 10, 10), torch.arange(30) % 10), engine="native")
    assert (counts.traced, counts.compared) == (2, 2)


def test_threads_are_part_of_the_machine(counts: Counts) -> None:
    model, data = digits_cnn(), make_data()
    assert Objective(model, data).strategy
    torch.set_num_threads(2)
    try:
        assert Objective(model, data).strategy
    finally:
        torch.set_num_threads(1)
    assert (counts.traced, counts.chosen) == (1, 2)


SCALES = [1.0]


def test_what_no_print_shows_is_found_by_a_loss(counts: Counts) -> None:
    """A global that the forward pass reads: the old graph is another function than the model."""
    model = Calls(lambda m, x: m.a(x) * SCALES[0], a=nn.Linear(4, 3))
    data = drawn(20, 4), torch.arange(20) % 3
    before = Objective(model, data, engine="native").loss()
    SCALES[0] = 3.0
    try:
        objective = Objective(model, data, engine="native")
        assert objective.loss() == pytest.approx(Objective(model, data, engine="torch").loss())
        assert objective.loss() != pytest.approx(before)
    finally:
        SCALES[0] = 1.0
    assert counts.traced == 2


def test_a_refusal_is_kept_too(counts: Counts) -> None:
    model = Calls(lambda m, x: m.a(x).sort(1)[0], a=nn.Linear(4, 3))
    data = drawn(20, 4), torch.arange(20) % 3
    for _ in range(2):
        with pytest.raises(landscape.Unsupported, match=r"aten\.sort"):
            Objective(model, data, engine="native")
    assert counts.traced == 1


def test_neither_model_nor_data_is_kept() -> None:
    model, data = digits_cnn(), make_data()
    kept = [weakref.ref(value) for value in (model, next(model.parameters()), *data)]
    landscape.surface(model, data, points=12)
    assert id(model) in findings._FINDINGS
    key = id(model)
    del model, data
    gc.collect()
    assert [reference() for reference in kept] == [None] * 4
    assert key not in findings._FINDINGS


def test_several_threads_use_what_one_of_them_found(counts: Counts) -> None:
    model, data = digits_cnn(), make_data()
    expected = Objective(model, data, engine="torch").loss()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: Objective(model, data, engine="native").loss(), range(8)):
            assert found == pytest.approx(expected, rel=1e-5)
    assert counts.traced <= 4


class Slotted:
    """An object that nothing can refer to weakly."""

    __slots__ = ("value",)


@dataclass
class Settings:
    scale: float = 1.0
    names: list[str] = field(default_factory=list)


@contextmanager
def changed(model: nn.Module) -> Iterator[None]:
    before = print_model(model)
    assert print_model(model) == before
    yield
    assert print_model(model) != before


def test_the_print_of_a_model() -> None:
    own = Settings()
    scale = torch.ones(3)
    model: Any = Calls(lambda m, x: m.a(x) * own.scale, a=nn.Linear(3, 3), settings=Settings())
    model.__dict__.update(plain=scale, array=np.ones(3), table={"a": [1, {2}]}, again=model.a)
    with changed(model):
        own.scale = 2.0  # in a closure
    with changed(model):
        model.settings.names.append("x")
    with changed(model):
        scale.add_(1)
    with changed(model):
        model.array[0] = 4
    with changed(model):
        model.table["a"][0] = 2
    with changed(model):
        model.again = nn.Linear(3, 3)
    with changed(model):
        model.a.weight = nn.Parameter(model.a.weight.detach().clone())
    before = print_model(model)
    with torch.no_grad():
        model.a.weight.add_(1)  # theta is passed with every call
    assert print_model(model) == before
    model.slotted = Slotted()
    with pytest.raises(UnreadableModelError):
        print_model(model)
    assert findings.find(model) is not findings.find(model)

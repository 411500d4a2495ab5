"""The contract: every call of an Objective leaves the model untouched, also when it fails."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import torch
from models import cut, images, seeded
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils.data import DataLoader, TensorDataset
from untouched import fingerprint, untouched

from landscape import Objective
from landscape._objective import Strategy

DATA = images(12)


class Fuse:
    """Counts the forward passes and raises, or has the operating system interrupt, in one."""

    def __init__(self) -> None:
        self.calls = 0
        self.burn_at = 0
        self.burn: Callable[[], None] = lambda: None

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self.burn_at:
            self.burn()


FUSE = Fuse()  # outside the model, whose attributes are put back


class Everything(nn.Module):
    """All that a call could leave behind."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3)
        self.norm = nn.BatchNorm2d(3)
        self.frozen = nn.Linear(3, 3)
        self.frozen.requires_grad_(False)
        self.spectral = parametrizations.spectral_norm(nn.Linear(3, 3))
        self.cell = nn.GRU(3, 3, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(3, 3)
        self.tied = nn.Linear(3, 3)
        self.tied.weight = self.head.weight
        self.register_buffer("steps", torch.zeros(()))
        self.steps: Tensor
        self.history: list[Tensor] = []
        self.cache: dict[str, Any] = {"calls": 0}
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        self.cache["calls"] += 1
        x = x.add_(random.random() + float(np.random.rand()))  # noqa: NPY002 - global streams
        hidden = torch.tanh(self.norm(self.conv(x))).flatten(2).mean(2)
        hidden = self.frozen(hidden) + torch.rand(())
        FUSE()
        hidden = self.spectral(hidden) + self.cell(hidden[:, None])[0][:, 0]
        self.last = self.dropout(self.head(hidden))
        self.history.append(self.last)
        found: Tensor = self.tied(self.last)
        return found


def everything() -> Everything:
    model = seeded(Everything).train()
    model.norm.eval()  # flags that differ from module to module
    model.head.weight.grad = torch.ones(3, 3)
    model.norm.register_forward_hook(lambda *_: None)
    model.head.register_full_backward_hook(lambda *_: None)
    return model


OPTIONS: dict[str, dict[str, Any]] = {
    "frozen": {},
    # spectral norm iterates in train mode, under no_grad, so that products are no derivatives
    "batch statistics, seeded dropout": {
        "batch_norm": "batch",
        "dropout": "seeded",
        "check": "off",
    },
    "float64, some parameters": {"dtype": "float64", "parameters": ["head", "cell"]},
    "subset, decay, split": {"samples": 9, "weight_decay": 0.1, "batch_size": 4},
}


def first_axis(o: Objective) -> list[Any]:
    return [np.ones(o.dim)]


def plane(o: Objective) -> Any:
    return o.subspace(None, first_axis(o), metrics="accuracy", strategy=Strategy())


def two(o: Objective) -> Any:
    return np.stack([o.theta, o.theta + 1])


METHODS: dict[str, Callable[[Objective], Any]] = {
    "loss": lambda o: o.loss(),
    "losses": lambda o: o.losses(two(o)),
    "gradient": lambda o: o.gradient(),
    "gradients": lambda o: o.gradients(two(o)),
    "gradients_on": lambda o: o.gradients_on(two(o), [0, 0]),
    "hessian_product": lambda o: o.hessian_product(o.theta),
    "hessian_at": lambda o: [o.hessian_at(o.theta)(v) for v in two(o)],
    "sample_losses": lambda o: o.sample_losses(two(o)),
    "metrics": lambda o: o.metrics(["accuracy", "error"]),
    "strategy": lambda o: o.strategy,
    "subspace, measured": lambda o: o.subspace(None, first_axis(o)).losses([[0.1]]),
    "subspace.evaluate": lambda o: plane(o).evaluate([[0.0], [0.1]]),
    "subspace.metrics": lambda o: plane(o).metrics([[0.0], [0.1]]),
    "subspace.gradients": lambda o: plane(o).gradients([[0.0], [0.1]]),
    "subspace.sample_losses": lambda o: plane(o).sample_losses([[0.0], [0.1]]),
    "with_data": lambda o: o.with_data(images(5)).loss(),
    "with_default_batch_norm": lambda o: o.with_default_batch_norm("recalibrated").losses(two(o)),
}
QUIET: dict[str, Callable[[Objective], Any]] = {
    "attributes": lambda o: (o.dim, o.samples, o.batches, o.dtype, o.theta, o.notes, o.device),
    "policy": lambda o: (o.policy, o.column_names("accuracy"), o.layout.difference(o.layout)),
    "layout": lambda o: o.layout.unflatten(o.theta),
}


@pytest.fixture(autouse=True)
def no_fuse() -> Iterator[None]:
    FUSE.burn_at = 0
    yield
    FUSE.burn_at = 0


def contents(model: Everything) -> tuple[Any, ...]:
    return (list(model.history), dict(model.cache), model.last, float(model.steps))


ALL = METHODS | QUIET


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("method", ALL)
def test_after_success(method: str, options: str) -> None:
    model = everything()
    with untouched(model):
        objective = Objective(model, DATA, **OPTIONS[options])
        with untouched(model):
            before = FUSE.calls
            ALL[method](objective)
    assert (FUSE.calls > before) is (method in METHODS)
    assert contents(model) == ([], {"calls": 0}, None, 0.0)


def raising(error: BaseException) -> Callable[[], None]:
    def burn() -> None:
        raise error

    return burn


ENDS: dict[str, tuple[Callable[[], None], type[BaseException]]] = {
    "exception": (raising(ZeroDivisionError("mine")), ZeroDivisionError),
    "KeyboardInterrupt": (raising(KeyboardInterrupt()), KeyboardInterrupt),
    "Ctrl-C": (lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("method", METHODS)
def test_after_an_end_in_the_nth_forward_pass(method: str, end: str) -> None:
    """At every depth: the first pass, the second batch, the second point, the second call."""
    burn, error = ENDS[end]
    policy: Any = None if method == "resolved" else "batch"
    for budget in (1 << 20, 1):
        model = everything()
        FUSE.burn_at = 0
        objective = Objective(model, cut(DATA, (5, 7)), batch_norm=policy, memory_budget=budget)
        before = objective.loss()
        METHODS[method](objective)  # so that the check of derivatives is behind it
        for position in (1, 2, 3, 6):
            FUSE.calls, FUSE.burn_at, FUSE.burn = 0, position, burn
            ended = False
            with untouched(model):
                try:
                    METHODS[method](objective)
                except error:
                    ended = True
            assert ended is (FUSE.calls >= position)
            assert contents(model) == ([], {"calls": 0}, None, 0.0)
        FUSE.burn_at = 0
        assert objective.loss() == before  # nothing broken stays in the Objective either


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("position", [1, 2, 3])
def test_after_an_end_in_the_constructor(position: int, end: str) -> None:
    model = everything()
    FUSE.calls, FUSE.burn_at, (FUSE.burn, error) = 0, position, ENDS[end]
    loader = DataLoader(TensorDataset(*DATA), batch_size=5, shuffle=True)
    with untouched(model), suppress(error):
        Objective(model, loader)
    assert contents(model) == ([], {"calls": 0}, None, 0.0)


@pytest.mark.parametrize("end", ENDS)
def test_after_an_end_in_the_data(end: str) -> None:
    """Streams stand where they stood when a dataset fails in the middle of a pass."""
    burn, error = ENDS[end]

    class Failing(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            FUSE()
            return tuple(tensor[index] for tensor in self.tensors)

    mine = torch.Generator().manual_seed(7)
    loader = DataLoader(Failing(*DATA), batch_size=5, shuffle=True, generator=mine)
    model, before = everything(), mine.get_state()
    for position in (1, 7, 13, 20):
        FUSE.calls, FUSE.burn_at, FUSE.burn = 0, position, burn
        with untouched(model), suppress(error):
            Objective(model, loader, memory_budget=1).loss()
        assert torch.equal(before, mine.get_state())


def test_an_interrupt_is_not_lost_and_the_handler_is_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    objective = Objective(everything(), DATA)
    FUSE.calls, FUSE.burn_at = 0, 3
    FUSE.burn = lambda: signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        objective.losses(np.stack([objective.theta] * 8))
    assert signal.getsignal(signal.SIGINT) is before


def test_the_inputs_are_the_users() -> None:
    """The model adds noise to its inputs in place, and the user's tensors do not see it."""
    copies = [part.clone() for part in DATA]
    for data in (DATA, [DATA], TensorDataset(*DATA), (DATA[0].numpy(), DATA[1].numpy())):
        Objective(everything(), data, dropout="seeded").gradient()
    assert torch.equal(copies[0], DATA[0])
    assert torch.equal(copies[1], DATA[1])


def test_this_model_would_be_changed_by_running_it() -> None:
    """The tests above can fail."""
    model = everything()
    before = fingerprint(model)
    model(DATA[0].clone()).sum().backward()
    after = fingerprint(model)
    changed = {key for key in before if before[key] != after[key]}
    assert {"steps: bits", "conv.weight: grad", "python random state"} <= changed
    assert {"numpy random state", "torch random state"} <= changed
    assert contents(model) != ([], {"calls": 0}, None, 0.0)

"""Invalid input: errors name the value, the expectation and the remedy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from models import ConvNet, classes, images, mlp, regression, seeded, sequences
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from landscape import Objective, batch_loss

X, Y = classes()
EMPTY = "data yielded 0 samples; pass a non-empty DataLoader, Dataset or"


class NoRows(Dataset[Any]):
    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: int) -> Any:
        raise IndexError(index)


class NoStream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(())


class Odd:
    """Neither data nor a sequence of them."""


DATA: dict[str, tuple[Any, type[Exception], str]] = {
    "empty tensors": ((X[:0], Y[:0]), ValueError, EMPTY),
    "empty list": ([], ValueError, EMPTY),
    "empty dataset": (NoRows(), ValueError, EMPTY),
    "empty TensorDataset": (TensorDataset(X[:0], Y[:0]), ValueError, EMPTY),
    "empty stream": (NoStream(), ValueError, EMPTY),
    "empty loader": (
        DataLoader(TensorDataset(X, Y), batch_size=32, drop_last=True),
        ValueError,
        EMPTY,
    ),
    "generator": (((X, Y) for _ in range(1)), TypeError, r"generator that can be read only once"),
    "iterator": (iter([(X, Y)]), TypeError, r"list_iterator .* only once; .*list\(\.\.\.\)"),
    "iterator of a loader": (iter(DataLoader(TensorDataset(X, Y))), TypeError, "only once"),
    "number": (5, TypeError, r"data is a int; pass \(inputs, targets\)"),
    "path": ("digits.npz", TypeError, "data is a str; pass"),
    "object": (Odd(), TypeError, "data is a Odd; pass"),
    "nothing": (None, TypeError, "data is a NoneType; pass"),
    "lengths": ((X, Y[:-1]), ValueError, "20 inputs and 19 targets; expected one target for each"),
    "lengths in a batch": ([(X, Y[:-1])], ValueError, "20 inputs and 19 targets"),
    "inputs alone": (X, ValueError, r"cannot be inferred .* without targets; pass loss="),
    "inputs alone in tuples": ([(X,)], ValueError, "cannot be inferred .* without targets"),
}


@pytest.mark.parametrize("name", DATA)
def test_data(name: str) -> None:
    data, error, text = DATA[name]
    with pytest.raises(error, match=text):
        Objective(mlp(), data)


def test_lengths_are_compared_for_unknown_losses_too() -> None:
    """They might broadcast."""
    with pytest.raises(ValueError, match="20 inputs and 1 targets"):
        Objective(mlp(), (X, Y[:1]), nn.MultiMarginLoss())


REGRESSION = regression()
TARGETS: dict[str, tuple[nn.Module, Any, Any, str]] = {
    "class too large": (mlp(), (X, Y + 1), None, "got the target 3, expected classes 0 to 2"),
    "class negative": (mlp(), (X, Y - 1), None, "got the target -1, expected classes 0 to 2"),
    "column of classes": (mlp(), (X, Y[:, None]), None, r"targets of shape \(20, 1\), expected"),
    "one-hot integers": (
        mlp(),
        (X, nn.functional.one_hot(Y, 3)),
        None,
        r"cross-entropy got .* targets of shape \(20, 3\), expected",
    ),
    "float classes": (mlp(), (X, Y.float()), nn.CrossEntropyLoss(), r"targets of shape \(20,\)"),
    "float NLL": (mlp(), (X, Y.float()), nn.NLLLoss(), "expected integer classes; pass .*long"),
    "boolean": (mlp(), (X, Y > 1), None, "torch.bool targets; pass loss=.*BCEWithLogitsLoss"),
    "boolean classes": (mlp(), (X, Y > 1), nn.CrossEntropyLoss(), "dtype torch.bool, expected"),
    "complex": (mlp(), (X, Y.to(torch.cfloat)), None, "complex64 targets; pass loss="),
    "a class of its own": (
        mlp(outputs=1),
        (X, Y * 0),
        None,
        "outputs with one class, for which it is always 0; pass .*BCEWithLogitsLoss",
    ),
    "flat regression": (
        mlp(outputs=1),
        (X, REGRESSION[1][:, 0]),
        None,
        r"MSE got outputs of shape \(20, 1\) and targets of shape \(20,\).*unsqueeze\(-1\)",
    ),
    "wide regression": (mlp(outputs=3), REGRESSION, nn.L1Loss(), r"L1 got .*\(20, 3\).*\(20, 2\)"),
    "broadcast BCE": (
        mlp(outputs=2),
        (X, torch.ones(20, 1)),
        nn.BCEWithLogitsLoss(),
        r"BCE with logits got outputs of shape \(20, 2\) and targets of shape \(20, 1\)",
    ),
    "all ignored": (mlp(), (X, Y * 0 - 100), None, "every target is ignored"),
    "no weight": (
        mlp(),
        (X, Y),
        nn.CrossEntropyLoss(torch.zeros(3)),
        "total weight of the data is 0.0: .* check ignore_index and the class weights",
    ),
    "not a tensor": (
        type("Pairs", (nn.Linear,), {"forward": lambda self, x: (x, x)})(5, 3),
        (X, Y),
        nn.CrossEntropyLoss(),
        r"returned a tuple, expected a tensor \(or .logits\); pass landscape.batch_loss",
    ),
}


@pytest.mark.parametrize("name", TARGETS)
def test_targets(name: str) -> None:
    model, data, loss, text = TARGETS[name]
    with pytest.raises((ValueError, TypeError), match=text):
        Objective(model, data, loss)


def test_wrong_targets_are_found_wherever_they_stand() -> None:
    """Not only among the first samples, at which the model is probed."""
    x, y = classes(300)
    y[250] = 7
    for data in ((x, y), DataLoader(TensorDataset(x, y), batch_size=32)):
        for budget in (1 << 20, 1):
            with pytest.raises(ValueError, match="got the target 7"):
                Objective(mlp(), data, memory_budget=budget)
    objective = Objective(mlp(), classes())
    with pytest.raises(ValueError, match="got the target 7"):
        objective.with_data((x, y))


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        found: nn.Module = torch.jit.script(mlp())
    return found


def complex_model() -> nn.Module:
    return nn.Linear(5, 3, dtype=torch.cfloat)


MODELS: dict[str, tuple[Any, type[Exception], str]] = {
    "function": (torch.tanh, TypeError, r"model is a builtin.*, expected a torch.nn.Module"),
    "class": (nn.Linear, TypeError, "model is a type, expected a torch.nn.Module"),
    "state dict": (mlp().state_dict(), TypeError, "model is a OrderedDict, expected"),
    "scripted": (scripted(), TypeError, "ScriptModule.*pass the module that was scripted"),
    "scripted inside": (nn.Sequential(scripted()), TypeError, "0 is a ScriptModule"),
    "lazy": (nn.Sequential(nn.LazyLinear(3)), ValueError, "0.weight is lazy.*run the model once"),
    "meta": (nn.Linear(5, 3, device="meta"), ValueError, "weight is on the meta device"),
    "complex": (complex_model(), ValueError, "weight is complex"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    model, error, text = MODELS[name]
    with pytest.raises(error, match=text):
        Objective(model, (X, Y))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(value: float) -> None:
    model = seeded(ConvNet)
    with torch.no_grad():
        model.head.weight[1, :4] = value
    with pytest.raises(
        ValueError, match=r"head.weight has 4 of 48 values that are NaN or infinite"
    ):
        Objective(model, images())
    Objective(model, images(), parameters="features")  # held values are the user's affair


def test_cached_parametrisations() -> None:
    with parametrize.cached(), pytest.raises(ValueError, match=r"inside parametrize.cached\(\)"):
        Objective(mlp(), (X, Y))


OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "engine": ({"engine": "rust"}, "engine='rust', expected one of 'auto', 'torch', 'native'"),
    "batch_norm": ({"batch_norm": "eval"}, "batch_norm='eval', expected one of None, 'frozen'"),
    "dropout": ({"dropout": "on"}, "dropout='on', expected one of 'off', 'seeded'"),
    "weight_decay": ({"weight_decay": -0.1}, "weight_decay=-0.1, expected a finite number"),
    "NaN decay": ({"weight_decay": float("nan")}, "weight_decay=nan, expected a finite number"),
    "seed": ({"seed": -1}, "seed=-1, expected a whole number"),
    "fraction": ({"seed": 0.5}, "seed=0.5, expected a whole number"),
    "memory_budget": ({"memory_budget": -1}, "memory_budget=-1, expected a number of bytes"),
    "batch_size": ({"batch_size": 0}, "batch_size=0, expected at least 1"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name: str) -> None:
    options, text = OPTIONS[name]
    with pytest.raises(ValueError, match=text):
        Objective(mlp(), (X, Y), **options)


def test_a_batch_size_for_data_with_batches() -> None:
    with pytest.raises(ValueError, match=r"batch_size=4 was given, but .* batches of their own"):
        Objective(mlp(), DataLoader(TensorDataset(X, Y), batch_size=5), batch_size=4)
    ragged = [sequences(n)[0][:, :n] for n in (2, 3, 4)]
    loss = batch_loss(lambda model, batch: model(batch).mean())
    with pytest.raises(ValueError, match=r"batch_size=4 was given, but .* batches of their own"):
        Objective(nn.Embedding(7, 2), ragged, loss, batch_size=4)


def test_a_model_that_raises() -> None:
    """The user's own exception, the same object, also where a second attempt is made."""
    error = RuntimeError("mine")

    class Failing(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise error

    for loss in (None, nn.CrossEntropyLoss(), nn.MultiMarginLoss()):
        with pytest.raises(RuntimeError) as caught:
            Objective(Failing(5, 3), (X, Y), loss)
        assert caught.value is error


def test_infinite_data_give_infinite_losses() -> None:
    """Numbers are never repaired, and never refused."""
    x = X.clone()
    x[3, 2] = float("nan")
    objective = Objective(mlp(), (x, Y))
    assert np.isnan(objective.loss())
    assert np.isnan(objective.sample_losses(objective.theta[None])).sum() == 1

"""Data mean the same whole, in batches or from a loader, or are refused by name."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import classes, cut, mlp, seeded
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from landscape import Objective, batch_loss
from landscape._objective.data import reading

X, Y = classes()
INDEX = torch.arange(20)


def three(model: nn.Module, batch: Any) -> Tensor:
    """A loss of three parts: inputs, targets and a number for each sample."""
    x, y, index = batch
    shares = F.cross_entropy(model(x), y, reduction="none")
    found: Tensor = (shares * (1 + index)).mean()
    return found


def nested(model: nn.Module, batch: Any) -> Tensor:
    x, (y, index) = batch
    return three(model, (x, y, index))


def own(model: nn.Module, batch: Tensor) -> Tensor:
    found: Tensor = model(batch).square().mean()
    return found


THREE: dict[str, Callable[[], Any]] = {
    "whole": lambda: (X, Y, INDEX),
    "arrays": lambda: (X.numpy(), Y.numpy(), INDEX.numpy()),
    "dataset": lambda: TensorDataset(X, Y, INDEX),
    "loader": lambda: DataLoader(TensorDataset(X, Y, INDEX), batch_size=6),
    "one batch": lambda: [(X, Y, INDEX)],
    "batches": lambda: [(X[:4], Y[:4], INDEX[:4]), (X[4:], Y[4:], INDEX[4:])],
}


@pytest.mark.parametrize("form", THREE)
def test_three_parts(form: str) -> None:
    model = mlp()
    expected = three(model, (X, Y, INDEX)).item()
    objective = Objective(model, THREE[form](), batch_loss(three))
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    assert objective.samples == 20


@pytest.mark.parametrize("form", THREE)
def test_three_parts_for_a_loss_of_outputs(form: str) -> None:
    """The last one is the targets, so that the model gets two."""
    with pytest.raises(
        TypeError, match=r"OneInput.forward\(x: .*cannot be called with 2 inputs.*batch_loss"
    ):
        Objective(OneInput(), THREE[form](), nn.CrossEntropyLoss())


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        found: Tensor = self.net(x)
        if labels is not None and labels.is_floating_point():
            raise TypeError("mine")
        return found


class OneInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found


NESTED: dict[str, Callable[[], Any]] = {
    "whole": lambda: (X, (Y, INDEX)),
    "whole list": lambda: [X, (Y, INDEX)],
    "one batch": lambda: [(X, (Y, INDEX))],
    "batches": lambda: [(X[:4], (Y[:4], INDEX[:4])), (X[4:], (Y[4:], INDEX[4:]))],
    "tuple of batches": lambda: ((X[:10], (Y[:10], INDEX[:10])), (X[10:], (Y[10:], INDEX[10:]))),
    "loader": lambda: DataLoader(
        [(x, (y, i)) for x, y, i in zip(X, Y, INDEX, strict=True)],  # type: ignore[arg-type]
        batch_size=6,
    ),
}


@pytest.mark.parametrize("form", NESTED)
def test_nested_targets(form: str) -> None:
    model = mlp()
    expected = three(model, (X, Y, INDEX)).item()
    objective = Objective(model, NESTED[form](), batch_loss(nested))
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match=r"no targets.*last part is a (tuple|list).*batch_loss"):
        Objective(model, NESTED[form](), nn.CrossEntropyLoss())


def test_nested_inputs_and_targets_whole() -> None:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        (x, _), (y, index) = batch
        return three(model, (x, y, index))

    model, data = mlp(), ((X, X), (Y, INDEX))
    expected = three(model, (X, Y, INDEX)).item()
    for form in (data, [data]):
        assert Objective(model, form, batch_loss(loss)).loss() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_list_of_tensors_is_a_list_of_batches(count: int) -> None:
    model = mlp()
    batches = seeded(lambda: [torch.randn(5 + i, 5) for i in range(count)])
    expected = own(model, torch.cat(batches)).item()
    assert Objective(model, batches, batch_loss(own)).loss() == pytest.approx(expected, rel=1e-6)


def test_a_list_of_two_tensors_of_one_form_has_two_meanings() -> None:
    with pytest.raises(ValueError, match=r"may be inputs and targets or two batches; pass a tuple"):
        Objective(mlp(), [X[:5], X[5:]], batch_loss(own))
    pairs = batch_loss(lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]))
    model = mlp()
    expected = F.cross_entropy(model(X), Y).item()
    assert Objective(model, [X, Y], pairs).loss() == pytest.approx(expected, rel=1e-6)
    both = ((X, X), (X, X))
    with pytest.raises(ValueError, match=r"two tuples of one form.*pass a list for batches"):
        Objective(model, both, batch_loss(lambda net, b: own(net, b[0][0])))
    assert Objective(model, list(both), batch_loss(lambda net, b: own(net, b[0]))).batches == 2


def test_a_class_in_place_of_an_instance() -> None:
    for loss in (nn.CrossEntropyLoss, nn.MultiMarginLoss):
        with pytest.raises(
            TypeError, match=rf"loss is the class {loss.__name__}.*{loss.__name__}\(\)"
        ):
            Objective(mlp(), (X, Y), loss)


# Tables and arrays of other libraries


class Column:
    """As a Series of pandas."""

    def __init__(self, values: Any, name: str = "y") -> None:
        self.values = np.asarray(values)
        self.name = name

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    def to_numpy(self) -> Any:
        return self.values


class Frame:
    """As a DataFrame of pandas: columns of several dtypes."""

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = {name: Column(values, name) for name, values in columns.items()}
        self.columns = list(columns)
        self.dtypes = [column.dtype for column in self._columns.values()]

    def __getitem__(self, name: str) -> Column:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self._columns[self.columns[0]].values)

    def to_numpy(self) -> Any:
        kinds = {dtype.kind for dtype in self.dtypes}
        dtype = object if len(kinds) > 1 else None
        parts = [self._columns[name].values.astype(dtype) for name in self.columns]
        return np.stack(parts, axis=1)


FRAME = Frame({str(i): X[:, i].double().numpy() for i in range(5)})
COLUMN = Column(Y.numpy())


def test_frames() -> None:
    model = mlp()
    expected = F.cross_entropy(model(X), Y).item()
    mixed = Frame({**{str(i): X[:, i].numpy() for i in range(4)}, "4": np.zeros(20, np.int64)})
    for data in ((FRAME, COLUMN), [FRAME, COLUMN], [(FRAME, COLUMN)], (FRAME, Y), (X, COLUMN)):
        assert Objective(model, data).loss() == pytest.approx(expected, rel=1e-6)
    x = X.clone()
    x[:, 4] = 0
    expected = F.cross_entropy(model(x), Y).item()
    assert Objective(model, (mixed, COLUMN)).loss() == pytest.approx(expected, rel=1e-6)


def test_real_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame, column = pandas.DataFrame(X.numpy()), pandas.Series(Y.numpy())
    model = mlp()
    expected = F.cross_entropy(model(X), Y).item()
    for data in (
        (frame, column),
        [frame, column],
        [(frame[:8], column[:8]), (frame[8:], column[8:])],
    ):
        assert Objective(model, data).loss() == pytest.approx(expected, rel=1e-6)
    with pytest.raises(TypeError, match=r"DataFrame has columns that are no numbers: 'town'"):
        Objective(model, (frame.assign(town="x"), column))


def test_samples_one_by_one() -> None:
    """A list of samples is a dataset, and not a list of batches."""
    model = mlp()
    expected = F.cross_entropy(model(X), Y).item()
    for samples in (
        list(zip(X, Y, strict=True)),
        [(x, int(y)) for x, y in zip(X, Y, strict=True)],
        [(x.numpy(), np.int64(y)) for x, y in zip(X, Y, strict=True)],
        tuple((x, int(y)) for x, y in zip(X, Y, strict=True)),
        [[x, int(y)] for x, y in zip(X, Y, strict=True)],
    ):
        objective = Objective(model, samples, batch_size=6)
        assert objective.loss() == pytest.approx(expected, rel=1e-6)
        assert (objective.samples, objective.batches) == (20, 4)
    rows = [{"x": x.tolist(), "labels": int(y)} for x, y in zip(X, Y, strict=True)]
    net = Net()
    assert Objective(net, rows).loss() == pytest.approx(F.cross_entropy(net(X), Y).item(), rel=1e-6)


def test_single_samples_that_look_like_batches() -> None:
    """Targets of several numbers: the model refuses them, and a note says how they were read."""
    samples = [(torch.rand(3, 8, 8), torch.rand(4)) for _ in range(4)]
    with pytest.raises(RuntimeError) as caught:
        Objective(nn.Conv2d(5, 4, 8), samples, nn.MSELoss())
    (note,) = [n for n in caught.value.__notes__ if "were read as" in n]
    assert "4 batches, the first with inputs (shape (3, 8, 8)) 3, targets (shape (4,)) 4" in note
    assert "DataLoader(data, batch_size=...)" in note


class Table:
    """As a Dataset of the library datasets: rows of named columns, as lists unless asked."""

    def __init__(self, columns: Mapping[str, Any], kind: str | None = None) -> None:
        self.table, self.kind = columns, kind

    @property
    def column_names(self) -> list[str]:
        return list(self.table)

    @property
    def format(self) -> dict[str, Any]:
        return {"type": self.kind}

    def with_format(self, kind: str) -> Table:
        return Table(self.table, kind)

    def __len__(self) -> int:
        return len(next(iter(self.table.values())))

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = {name: column[index] for name, column in self.table.items()}
        if self.kind is None:
            return row
        return {k: v if isinstance(v, str) else torch.tensor(v) for k, v in row.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))


def test_tables_of_rows() -> None:
    columns = {"x": X.tolist(), "labels": Y.tolist()}
    model = Net()
    expected = F.cross_entropy(model(X), Y).item()
    for table in (Table(columns), Table(columns, "torch")):
        objective = Objective(model, table)
        assert objective.loss() == pytest.approx(expected, rel=1e-6)
        assert objective.samples == 20
        assert Objective(model, table, samples=7).samples == 7
    with pytest.raises(TypeError, match=r"columns 'x', 'labels', 'town'.*leave out the columns"):
        Objective(model, Table({**columns, "town": ["x"] * 20}))
    with pytest.raises(TypeError, match=r"rename 'label', for targets are called 'labels'"):
        Objective(model, Table({"x": X.tolist(), "label": Y.tolist()}))
    with pytest.raises(TypeError, match=r"data is a dict of datasets; pass one of them.*'train'"):
        Objective(model, {"train": Table(columns)})
    ragged = Table({"x": [[1.0], [1.0, 2.0]], "labels": [0, 1]})
    with pytest.raises(RuntimeError) as caught:
        Objective(model, ragged)
    assert "collate_fn" in "".join(caught.value.__notes__)


def test_a_type_error_of_the_model_is_its_own() -> None:
    with pytest.raises(TypeError, match=r"^mine"):
        Objective(Net(), {"x": X, "labels": Y.float()})


REFUSED: dict[str, tuple[Any, str]] = {
    "a frame alone": (FRAME, "data is a Frame, which does not say what are inputs"),
    "texts in a frame": (
        (Frame({"a": np.ones(20), "town": np.array(["x"] * 20, object)}), COLUMN),
        r"a Frame has columns that are no numbers: 'town' \(object\); encode",
    ),
    "a list of targets": (
        (X, Y.tolist()),
        r"the targets are a list of int, expected a tensor; pass torch.tensor\(targets\)",
    ),
    "texts": ((X, np.array(["a"] * 20)), "the targets are an array of <U1, expected numbers"),
    "masked": ((np.ma.masked_array(X.numpy(), X.numpy() > 1), Y), "a masked array, whose mask"),
    "without data": (
        (torch.zeros(20, 5, device="meta"), Y),
        r"shape \(20, 5\) in the data is on the meta device and holds no numbers",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    data, text = REFUSED[name]
    with pytest.raises(TypeError, match=text):
        Objective(mlp(), data)


def test_targets_in_a_list_in_batches() -> None:
    with pytest.raises(ValueError, match=r"last part is a list, expected a tensor"):
        Objective(mlp(), [(X, Y.tolist())])


@pytest.mark.parametrize("make", [lambda a: a.byteswap().view(a.dtype.newbyteorder()), np.flip])
def test_arrays_of_any_layout(make: Callable[[Any], Any]) -> None:
    """Another byte order, and strides backwards."""
    model = mlp()
    array = make(X.numpy())
    expected = F.cross_entropy(model(torch.tensor(array.astype(np.float32))), Y).item()
    assert Objective(model, (array, Y)).loss() == pytest.approx(expected, rel=1e-6)


# Data without an end


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return ((X[i % 20] + i // 20, Y[i % 20]) for i in itertools.count())


class EndlessBatches:
    def __iter__(self) -> Iterator[Any]:
        return ((X[i % 3 : i % 3 + 8], Y[i % 3 : i % 3 + 8]) for i in itertools.count())


def first(count: int) -> tuple[Tensor, Tensor]:
    rows = list(itertools.islice(Endless(), count))
    return torch.stack([x for x, _ in rows]), torch.stack([y for _, y in rows])


@pytest.mark.parametrize(
    "make", [Endless, lambda: DataLoader(Endless(), batch_size=32)], ids=["dataset", "loader"]
)
@pytest.mark.parametrize("count", [1, 32, 300])
def test_the_first_samples_of_endless_data(make: Callable[[], Any], count: int) -> None:
    model = mlp()
    x, y = first(count)
    expected = F.cross_entropy(model(x), y).item()
    objective = Objective(model, make(), samples=count)
    assert objective.samples == count
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    assert not objective.is_random_subset
    assert f"the data have no length: their first {count} samples are used" in objective.notes


def test_the_first_samples_of_endless_batches() -> None:
    model = mlp()
    batches = list(itertools.islice(EndlessBatches(), 3))
    x, y = (torch.cat(parts)[:20] for parts in zip(*batches, strict=True))
    objective = Objective(model, EndlessBatches(), samples=20)
    assert objective.loss() == pytest.approx(F.cross_entropy(model(x), y).item(), rel=1e-6)
    assert objective.batches == 3


def test_a_batch_that_cannot_be_cut() -> None:
    class Lists:
        def __iter__(self) -> Iterator[Any]:
            return (torch.nn.utils.rnn.pack_sequence([X, X]) for _ in itertools.count())

    loss = batch_loss(lambda model, batch: model(batch.data).mean())
    assert Objective(mlp(), Lists(), loss, samples=4).samples == 4
    with pytest.raises(ValueError, match=r"samples=5 ends inside a batch of 2 .*cannot be cut"):
        Objective(mlp(), Lists(), loss, samples=5)


def test_endless_data_that_end_too_early_or_do_not_fit() -> None:
    class Short(Endless):
        def __iter__(self) -> Iterator[Any]:
            return itertools.islice(super().__iter__(), 5)

    with pytest.raises(ValueError, match="samples=6, but the data yielded 5 samples"):
        Objective(mlp(), Short(), samples=6)
    assert Objective(mlp(), Short(), samples=5).samples == 5
    with pytest.raises(ValueError, match=r"first 100 samples .* exceed memory_budget \(10\)"):
        Objective(mlp(), Endless(), samples=100, memory_budget=10)


def test_reading_without_an_end_is_bounded_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_SAMPLES", 1000)
    for budget in (1 << 20, 1):
        with pytest.raises(
            ValueError, match=r"no length, and 1,0\d\d samples .* without an end; pass samples="
        ):
            Objective(mlp(), Endless(), memory_budget=budget)
    shown: list[tuple[int, int]] = []

    def show(done: int, total: int) -> None:
        shown.append((done, total))

    monkeypatch.setattr(reading, "start_up_choice", lambda: show)
    placement = reading.Placement(
        torch.device("cpu"), None, torch.float32, 1 << 20, exact_targets=True
    )
    for samples, last in ((600, (600, 600)), (None, None)):
        shown.clear()
        try:
            reading.read_data(Endless(), placement, batch_size=None, samples=samples, seed=0)
        except ValueError:
            assert samples is None
        assert shown[0] == (256, 600 if samples else 0)
        assert last is None or shown[-1] == last
    long = DataLoader(TensorDataset(*classes(2000)), batch_size=500)  # whose length is known
    assert Objective(mlp(), long).samples == 2000


def test_cut_batches_have_the_sum_of_the_whole() -> None:
    objective = Objective(mlp(), cut((X, Y), (6, 14)))
    assert objective.loss() == pytest.approx(Objective(mlp(), (X, Y)).loss(), rel=1e-12)

"""What an error says of the call that it comes from: batch, mode, missing derivative, option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from numpy.testing import assert_allclose
from torch import Tensor, nn

import landscape
from landscape import Objective, batch_loss

X, Y = torch.linspace(-1, 1, 60).reshape(20, 3), torch.arange(20) % 3


class Detector(nn.Module):
    """Returns losses in train mode and detections in eval mode, as torchvision's detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        z = self.layer(x)
        return {"class": F.cross_entropy(z, y)} if self.training else [z]


def test_a_models_own_error_says_how_it_was_called() -> None:
    loss = batch_loss(lambda model, batch: sum(model(*batch).values()))
    with pytest.raises(AttributeError, match="no attribute 'values'") as caught:
        Objective(Detector(), [(X, Y)], loss)
    (note,) = caught.value.__notes__
    assert "eval mode" in note
    assert "torch.float32 on cpu" in note


def test_the_note_names_the_batch() -> None:
    class Fragile(nn.Module):
        broken = False

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            if Fragile.broken and bool((x == X[12]).all(-1).any()):
                raise RuntimeError("an odd sample")
            found: Tensor = self.layer(x)
            return found

    objective = Objective(Fragile(), [(X[:6], Y[:6]), (X[6:12], Y[6:12]), (X[12:], Y[12:])], F_LOSS)
    Fragile.broken = True
    with pytest.raises(RuntimeError, match="an odd sample") as caught:
        objective.loss()
    assert any("batch 2" in note for note in caught.value.__notes__)


F_LOSS = batch_loss(lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]))


def test_a_last_batch_of_one_sample() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    objective = Objective(model, (X[:17], Y[:17]), batch_norm="batch", batch_size=4, engine="torch")
    with pytest.raises(ValueError, match=r"batch 4 .* one sample.*batch_size="):
        objective.loss()


class Bag(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.embedding = layer
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.embedding(x)
        found: Tensor = self.layer(embedded.mean(1) if embedded.ndim == 3 else embedded)
        return found


WORDS = (torch.arange(100).reshape(20, 5) % 9, Y)


def ctc(model: nn.Module, batch: Any) -> Tensor:
    logits = model(batch[0]).log_softmax(-1).reshape(-1, 1, 3)
    return F.ctc_loss(
        logits, torch.tensor([[1, 2]]), torch.tensor([len(logits)]), torch.tensor([2])
    )


@pytest.mark.parametrize(
    ("make", "data", "loss", "name"),
    [
        (lambda: Bag(nn.EmbeddingBag(9, 4)), WORDS, None, "embedding_bag"),
        (lambda: nn.Linear(3, 3), (X, Y), nn.MultiMarginLoss(), "multi_margin_loss"),
        (lambda: nn.Linear(3, 3), (X, Y), batch_loss(ctc), "ctc_loss"),
    ],
)
def test_second_derivatives_that_do_not_exist(
    make: Callable[[], nn.Module], data: Any, loss: Any, name: str
) -> None:
    hessian = landscape.hessian(make(), data, loss)
    assert np.isfinite(hessian.gradient()).all()
    with pytest.raises(ValueError, match=f"no second derivative of {name}.*parameters="):
        hessian.trace(progress="off")


def test_sparse_gradients_are_those_of_a_dense_embedding() -> None:
    torch.manual_seed(0)
    sparse = Objective(Bag(nn.Embedding(9, 4, sparse=True)), WORDS, engine="torch")
    dense_model = Bag(nn.Embedding(9, 4))
    dense_model.load_state_dict(sparse.model.state_dict())
    dense = Objective(dense_model, WORDS, engine="torch")
    assert_allclose(sparse.gradient(), dense.gradient(), rtol=1e-6)
    vector = np.arange(sparse.dim, dtype=np.float32)
    assert_allclose(sparse.hessian_product(vector), dense.hessian_product(vector), rtol=1e-5)
    embedding = sparse.model.get_submodule("embedding")
    assert isinstance(embedding, nn.Embedding)
    assert embedding.sparse
    with torch.no_grad():
        dense_model.layer.weight.mul_(1.5)
    line = landscape.line(sparse.model, WORDS, to=dense_model, points=5, progress="off")
    assert np.isfinite(line.losses).all()


def test_unknown_options_are_named_at_the_public_call() -> None:
    model = nn.Linear(3, 3)
    calls: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
        (landscape.surface, {"pionts": 3}, "surface.*pionts=.*points="),
        (landscape.hessian, {"curvatur": "fisher"}, "hessian.*curvature="),
        (landscape.plot_surface, {"cmpa": "magma"}, "plot_surface.*cmap="),
        (landscape.line, {"zzz": 1}, "line.*zzz=; it knows"),
    ]
    for call, options, message in calls:
        with pytest.raises(TypeError, match=message):
            call(model, (X, Y), **options)
    options = {"batchsize": 3}
    with pytest.raises(TypeError, match=r"barrier.*batch_size="):
        landscape.barrier(model, model, (X, Y), **options)


def test_the_first_line_says_which_function_it_is() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    inferred = landscape.line(model, (X, Y), points=3, progress="off")
    given = landscape.line(model, (X, Y), nn.CrossEntropyLoss(), points=3, progress="off")

    own = landscape.hessian(model, (X, Y), lambda z, y: 2 * F.cross_entropy(z, y))
    assert repr(inferred).splitlines()[0].endswith("of cross-entropy (inferred), batch norm frozen")
    assert repr(given).splitlines()[0].endswith("of cross-entropy, batch norm frozen")
    first = repr(own.eigenvalues(1, progress="off")).splitlines()[0]
    assert first.endswith("of the loss, batch norm frozen")

"""Language models: a model's own .loss is computed exactly from its logits and labels."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from models import LanguageModel, LanguageOutput, seeded
from torch import Tensor, nn
from untouched import untouched

import landscape
from landscape import Objective

VOCABULARY, LABELS = 7, 4
SIZES = (3, 1, 4)


class Model(nn.Module):
    """As the models of Hugging Face: columns in, an object with .loss and .logits out."""

    outputs = VOCABULARY

    def __init__(self) -> None:
        super().__init__()
        self.body = LanguageModel()
        self.score = nn.Linear(VOCABULARY, self.outputs)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None
    ) -> LanguageOutput:
        hidden = self.body(input_ids)
        if attention_mask is not None:
            hidden = hidden * attention_mask[..., None]
        logits = self.read(self.score(hidden))
        return LanguageOutput(None if labels is None else self.compare(logits, labels), logits)

    def read(self, scores: Tensor) -> Tensor:
        return scores

    def compare(self, logits: Tensor, labels: Tensor) -> Tensor:
        raise NotImplementedError


class Causal(Model):
    def compare(self, logits: Tensor, labels: Tensor) -> Tensor:
        shifted = F.pad(labels, (0, 1), value=-100)[..., 1:]
        return F.cross_entropy(logits.float().reshape(-1, VOCABULARY), shifted.reshape(-1))


class Masked(Model):
    def compare(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.view(-1, VOCABULARY), labels.view(-1))


class Tokens(Masked):
    """A class for each token."""


class Sequence(Model):
    outputs = LABELS

    def read(self, scores: Tensor) -> Tensor:
        return scores.mean(1)

    def compare(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.view(-1, LABELS), labels.view(-1))


class Regression(Sequence):
    outputs = 1

    def compare(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.mse_loss(logits.squeeze(), labels.squeeze())


class MultiLabel(Sequence):
    def compare(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, labels)


class Experts(Causal):
    """With a further term in its loss, as of a router's balance."""

    def compare(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().compare(logits, labels) + 0.01 * self.score.weight.square().sum()


class Smoothed(Model):
    """A loss of the logits that is none of the known ones."""

    def compare(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=0.1)


def text(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Tokens, shape (8, 6), and which of them are no padding: few in some samples."""
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, VOCABULARY, (8, 6), generator=random)
    lengths = torch.tensor([2, 6, 3, 6, 6, 2, 5, 6])
    return tokens, torch.arange(6) < lengths[:, None]


def columns(labels: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Tensor]:
    tokens, mask = text()
    return {"input_ids": tokens, "attention_mask": mask.long(), "labels": labels(tokens, mask)}


def on_some(tokens: Tensor, mask: Tensor) -> Tensor:
    chosen = mask & (torch.rand(mask.shape, generator=torch.Generator().manual_seed(3)) < 0.6)
    return torch.where(chosen, tokens, -100)


HEADS: dict[str, tuple[type[Model], dict[str, Tensor], str]] = {
    "causal": (
        Causal,
        columns(lambda tokens, mask: torch.where(mask, tokens, -100)),
        "cross-entropy (the model's own .loss, next token)",
    ),
    "masked": (Masked, columns(on_some), "cross-entropy (the model's own .loss, token)"),
    "tokens": (
        Tokens,
        columns(lambda tokens, mask: torch.where(mask, tokens % 3, -100)),
        "cross-entropy (the model's own .loss, token)",
    ),
    "sequence": (
        Sequence,
        columns(lambda tokens, _: tokens[:, 0] % LABELS),
        "cross-entropy (the model's own .loss, classification)",
    ),
    "regression": (
        Regression,
        columns(lambda tokens, _: tokens[:, 0] / 3),
        "MSE (the model's own .loss, regression)",
    ),
    "multi-label": (
        MultiLabel,
        columns(lambda tokens, _: (tokens[:, :LABELS] > 3).float()),
        "BCE with logits (the model's own .loss, multi-label)",
    ),
}


def cut(whole: dict[str, Tensor], sizes: tuple[int, ...] = SIZES) -> list[dict[str, Tensor]]:
    stops = accumulate(sizes, initial=0)
    return [{name: column[a:b] for name, column in whole.items()} for a, b in pairwise(stops)]


@pytest.mark.parametrize("name", HEADS)
def test_padded_batches_give_what_one_batch_gives(name: str) -> None:
    make, whole, loss = HEADS[name]
    model = seeded(make)
    with torch.no_grad():
        expected = model(**whole).loss.item()
    with untouched(model):
        for data in (whole, [whole], cut(whole), cut(whole, (1,) * 8), cut(whole, (5, 3))):
            for budget in (1 << 20, 1):
                objective = Objective(model, data, memory_budget=budget)
                assert objective.policy["loss"] == loss
                assert objective.loss() == pytest.approx(expected, rel=2e-7)
                assert objective.samples == 8
                assert not any(".loss" in note for note in objective.notes)


@pytest.mark.parametrize("name", ["causal", "masked"])
def test_the_mean_of_batches_would_differ(name: str) -> None:
    """The test above can fail."""
    make, whole, _ = HEADS[name]
    model = seeded(make)
    with torch.no_grad():
        expected = model(**whole).loss.item()
        means = [model(**batch).loss.item() for batch in cut(whole)]
    assert abs(np.average(means, weights=SIZES) - expected) > 1e-3


@pytest.mark.parametrize("name", HEADS)
def test_everything_that_needs_a_recognised_loss(name: str) -> None:
    make, whole, _ = HEADS[name]
    model = seeded(make).double()
    whole = {k: v.double() if v.is_floating_point() else v for k, v in whole.items()}
    objective = Objective(model, cut(whole))
    leaf = {n: p.detach().clone().requires_grad_() for n, p in model.named_parameters()}
    value = torch.func.functional_call(model, leaf, kwargs=whole).loss
    pieces = torch.autograd.grad(value, list(leaf.values()))
    expected = torch.cat([p.reshape(-1) for p in pieces]).numpy()
    atol = 1e-6 if name == "causal" else 1e-12  # its own loss is in float32
    np.testing.assert_allclose(objective.gradient(), expected, atol=atol)
    here = objective.theta[None]
    assert objective.sample_losses(here).mean() == pytest.approx(objective.loss(), rel=1e-12)
    fisher, gauss_newton = (
        landscape.hessian(model, cut(whole), curvature=kind, engine="torch").dense()
        for kind in ("fisher", "gauss_newton")
    )
    np.testing.assert_allclose(fisher, gauss_newton, atol=1e-12)
    noise = landscape.gradient_noise(model, cut(whole), relative_error=0.3, progress="off")
    assert noise.variance[0] > 0


def test_accuracy_counts_labels_that_are_not_ignored() -> None:
    make, whole, _ = HEADS["causal"]
    model = seeded(make)
    with torch.no_grad():
        predicted = model(**whole).logits[:, :-1].argmax(-1)
    labels = whole["labels"][:, 1:]
    right = float((predicted == labels)[labels >= 0].double().mean())
    objective = Objective(model, cut(whole))
    assert objective.metrics("accuracy")["accuracy"] == pytest.approx(right, rel=1e-12)

    def raw(logits: Tensor, labels: Tensor) -> Tensor:
        assert logits.shape[:2] == labels.shape  # a user's own is given what the model has
        return logits.mean()

    assert np.isfinite(objective.metrics(raw)["raw"])


@pytest.mark.parametrize("where", ["first", "last", "between"])
def test_batches_without_a_label(where: str) -> None:
    """They weigh nothing, and their own loss is NaN."""
    make, whole, loss = HEADS["causal"]
    model = seeded(make)
    whole = {**whole, "labels": whole["labels"].clone()}
    whole["labels"][
        {"first": slice(0, 3), "last": slice(4, 8), "between": slice(3, 4)}[where]
    ] = -100
    with torch.no_grad():
        expected = model(**whole).loss.item()
    objective = Objective(model, cut(whole))
    assert objective.policy["loss"] == loss
    assert objective.loss() == pytest.approx(expected, rel=2e-7)
    assert np.isfinite(objective.gradient()).all()
    assert np.isfinite(objective.hessian_product(np.ones(objective.dim))).all()
    assert (objective.batch_weights() == 0).sum() == 1


def test_all_labels_ignored() -> None:
    whole = {**HEADS["causal"][1], "labels": torch.full((8, 6), -100)}
    with pytest.raises(ValueError, match=r"ignored|different numbers"):
        Objective(seeded(Causal), cut(whole))


def test_heads_of_equal_value_are_told_apart_by_their_gradients() -> None:
    """Logits of 0: every head has the loss log 7."""
    model = seeded(Causal)
    with torch.no_grad():
        model.score.weight.zero_()
        model.score.bias.zero_()
    objective = Objective(model, cut(HEADS["causal"][1]))
    assert objective.policy["loss"].endswith("next token)")


def test_a_further_term_is_weighted_by_the_labels_and_said() -> None:
    whole = HEADS["causal"][1]
    model = seeded(Experts)
    with torch.no_grad():
        expected = model(**whole).loss.item()
    objective = Objective(model, cut(whole))
    assert objective.loss() == pytest.approx(expected, rel=1e-6)
    assert objective.policy["loss"] == "the model's own .loss"
    assert "labels that count" in objective.policy["reduction"]
    assert any("further term" in n and "next token loss counts" in n for n in objective.notes)
    ignored = {**whole, "labels": whole["labels"].clone()}
    ignored["labels"][3] = -100  # a batch that is ignored as a whole weighs nothing
    objective = Objective(model, cut(ignored))
    assert objective.loss() == pytest.approx(model(**ignored).loss.item(), rel=1e-6)
    assert np.isfinite(objective.gradient()).all()


def test_an_unknown_loss_of_labels_needs_a_weight() -> None:
    whole = HEADS["masked"][1]
    model = seeded(Smoothed)
    with pytest.raises(
        ValueError, match=r"own .loss is .*; from its logits and labels: token .*weight=f"
    ):
        Objective(model, cut(whole))
    found = Objective(model, cut(whole), weight=lambda batch: (batch["labels"] != -100).sum())
    assert found.loss() == pytest.approx(model(**whole).loss.item(), rel=1e-6)
    full = {**whole, "labels": whole["input_ids"]}  # all samples count the same, so it is known
    assert Objective(model, cut(full)).loss() == pytest.approx(model(**full).loss.item(), rel=1e-6)
    alone = Objective(model, whole)  # of a single batch too
    assert alone.loss() == pytest.approx(model(**whole).loss.item(), rel=1e-6)


def test_the_model_as_it_is_where_a_weight_is_given() -> None:
    """A user's weight takes the place of ours, here one a sample."""
    make, whole, _ = HEADS["causal"]
    model = seeded(make)
    objective = Objective(model, cut(whole), weight=lambda batch: len(batch["labels"]))
    means = [model(**batch).loss.item() for batch in cut(whole)]
    assert objective.loss() == pytest.approx(np.average(means, weights=SIZES), rel=1e-6)
    assert "weight=" in objective.policy["reduction"]


def test_logits_are_computed_in_blocks_that_fit() -> None:
    """A sample of few tokens has as many logits as its vocabulary is large."""
    make, whole, _ = HEADS["causal"]
    sample = 8 * 6 * VOCABULARY  # bytes of the logits of one sample in float64
    seen: list[int] = []
    model = seeded(make)
    model.register_forward_pre_hook(
        lambda _, __, columns: seen.append(len(columns["input_ids"])), with_kwargs=True
    )
    expected = Objective(model, whole, check="off").loss()
    for data, largest in ((whole, 2), (cut(whole, (1,) * 8), 2), (cut(whole), 4)):
        objective = Objective(model, data, memory_budget=8 * sample, check="off")
        seen.clear()
        assert objective.loss() == pytest.approx(expected, rel=1e-12)
        assert max(seen) == largest
        objective.gradient()
        assert max(seen) == largest


class Columns(nn.Module):
    """As a model of Hugging Face whose output is a mapping, with a cache on request."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 5)
        self.hidden = nn.Linear(5, 8)
        self.score = nn.Linear(8, LABELS)

    def forward(
        self,
        input_ids: Tensor,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool = True,
    ) -> dict[str, Tensor | None]:
        assert position_ids is None
        assert attention_mask is not None
        hidden = torch.tanh(self.hidden(self.embedding(input_ids)))
        logits = self.score(hidden.mean(1))
        found = {"loss": None, "logits": logits, "cache": hidden if use_cache else None}
        if labels is not None:
            found["loss"] = F.cross_entropy(logits, labels)
        return found


@pytest.mark.parametrize("method", ["weights", "activations"])
def test_models_with_named_inputs_are_aligned(method: Any) -> None:
    whole = HEADS["sequence"][1]
    first = seeded(Columns)
    order = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    second = seeded(Columns)
    with torch.no_grad():
        second.hidden.weight.copy_(second.hidden.weight[order])
        second.hidden.bias.copy_(second.hidden.bias[order])
        second.score.weight.copy_(second.score.weight[:, order])
    alignment = landscape.align(first, second, cut(whole), method=method)
    assert alignment.distances[1] == pytest.approx(0, abs=1e-6)
    found = Objective(alignment.model, cut(whole)).loss()
    assert found == pytest.approx(Objective(first, cut(whole)).loss(), rel=1e-6)


def test_a_real_model() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=64, n_positions=64, n_embd=32, n_layer=2, n_head=2)
    model = seeded(lambda: transformers.GPT2LMHeadModel(config)).eval()
    ids = torch.randint(64, (8, 48), generator=torch.Generator().manual_seed(0))
    labels = torch.full_like(ids, -100)
    for i, n in enumerate([1, 1, 1, 1, 40, 40, 40, 40]):
        labels[i, 48 - n :] = ids[i, 48 - n :]
    whole: dict[str, Any] = {"input_ids": ids, "labels": labels}
    with torch.no_grad():
        expected = model(**whole).loss.item()
    for sizes in ((8,), (4, 4), (2,) * 4, (1,) * 8):
        assert Objective(model, cut(whole, sizes)).loss() == pytest.approx(expected, rel=1e-6)

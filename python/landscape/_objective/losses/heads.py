"""Heads of language models: how a model's own .loss reads its logits and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from landscape._objective.losses.recognised import ClassLoss, ElementwiseLoss, RecognisedLoss

__all__ = ["IGNORED", "Head", "Match", "count_labels", "match_head"]

IGNORED = -100
"""The label of positions that do not count."""

_VALUE_TOLERANCE = 2e-5  # relative; a mean over thousands of tokens in float32 is off by 1e-6
_GRADIENT_TOLERANCE = 1e-2  # relative; the heads' gradients differ by all of their size


@dataclass(frozen=True)
class Head:
    """A loss of logits and labels, and how both are arranged for it."""

    name: str
    loss: RecognisedLoss
    arrange_outputs: Callable[[Tensor], Tensor]
    """Logits to (samples, classes, positions...), or to the shape of the labels."""
    arrange_targets: Callable[[Tensor], Tensor]

    def mean(self, logits: Tensor, labels: Tensor) -> Tensor | None:
        """The mean over the labels that count, float64; None where none does."""
        targets = self.arrange_targets(labels)
        weight = float(self.loss.sample_weights(targets).sum())
        return self.loss.total(self.arrange_outputs(logits), targets) / weight if weight else None

    def count(self, labels: Tensor) -> float:
        """The number of labels that count."""
        return float(self.loss.sample_weights(self.arrange_targets(labels)).sum())


@dataclass(frozen=True)
class Match:
    """How a model's own loss compares with that of a head."""

    kind: Literal["exact", "auxiliary", "none"]
    """Equal; equal but for a term that does not depend on the logits; or another loss."""
    head: Head | None
    own: float
    means: dict[str, float]
    """The losses of all heads that fit the shapes."""

    def describe(self) -> str:
        """The values in words."""
        listed = ", ".join(f"{name} {value:.6g}" for name, value in self.means.items())
        return f"the model's own .loss is {self.own:.6g} on its first batch" + (
            f"; from its logits and labels: {listed}" if listed else ""
        )


def match_head(own: Tensor, logits: Tensor, labels: Tensor) -> Match:
    """Find the head whose loss of the logits and labels is the model's own loss.

    The values are compared, and the gradients by the logits, which tell heads apart where their
    values are equal (as all are for logits that are 0), and a further term in the loss from
    another loss.

    Args:
        own: The model's own loss, with its graph.
        logits: The model's logits, from which the loss was computed.
        labels: The labels, of which some count.
    """
    slope = _differentiate(own, logits)
    means: dict[str, float] = {}
    exact: list[Head] = []
    auxiliary: list[Head] = []
    for head in _list_heads(logits, labels):
        leaf = logits.detach().double().requires_grad_()
        with torch.enable_grad():
            mean = head.mean(leaf, labels)
        if mean is None:
            continue
        means[head.name] = float(mean.detach())
        (expected,) = torch.autograd.grad(mean, leaf)
        has_slope = slope is None or _is_close(slope.double(), expected, _GRADIENT_TOLERANCE)
        tolerance = max(_VALUE_TOLERANCE, 2 * torch.finfo(own.dtype).eps)
        if has_slope and _is_close(own.detach().double(), mean.detach(), tolerance):
            exact.append(head)
        elif has_slope and slope is not None:
            auxiliary.append(head)
    value = float(own.detach())
    if len(exact) == 1:
        return Match("exact", exact[0], value, means)
    if not exact and len(auxiliary) == 1:
        return Match("auxiliary", auxiliary[0], value, means)
    return Match("none", None, value, means)


def count_labels(labels: Tensor) -> list[float]:
    """The numbers of labels that heads may count: at every position, and at all but the first."""
    if labels.is_floating_point():
        return [float(labels.numel())]
    counted = labels != IGNORED
    return [float(counted.sum()), float(counted[..., 1:].sum())][: labels.ndim]


def _list_heads(logits: Tensor, labels: Tensor) -> Iterator[Head]:
    """The heads whose shapes and dtypes fit."""
    if not labels.is_floating_point():
        yield from _list_class_heads(logits, labels)
    if labels.is_floating_point() and logits.shape == labels.shape:
        mse, bce = F.mse_loss, F.binary_cross_entropy_with_logits
        yield Head("regression", ElementwiseLoss("MSE", mse), _keep, _keep)
        yield Head("multi-label", ElementwiseLoss("BCE with logits", bce), _keep, _keep)
    elif labels.is_floating_point() and logits.shape == (*labels.shape, 1):
        loss = ElementwiseLoss("MSE", F.mse_loss)
        yield Head("regression", loss, lambda z: z.squeeze(-1), _keep)


def _list_class_heads(logits: Tensor, labels: Tensor) -> Iterator[Head]:
    loss = ClassLoss("cross-entropy", F.cross_entropy, {"ignore_index": IGNORED})
    if logits.ndim == 2 and labels.numel() == len(logits):
        yield Head("classification", loss, _keep, lambda labels: labels.reshape(-1))
    if logits.ndim == 3 and logits.shape[:-1] == labels.shape:
        yield Head("token", loss, _classes_first, _keep)
        yield Head(
            "next token", loss, lambda z: _classes_first(z[:, :-1]), lambda labels: labels[:, 1:]
        )


def _keep(tensor: Tensor) -> Tensor:
    return tensor


def _classes_first(logits: Tensor) -> Tensor:
    return logits.movedim(-1, 1)


def _differentiate(own: Tensor, logits: Tensor) -> Tensor | None:
    """The loss's gradient by the logits; None where no graph joins them."""
    if not (own.requires_grad and logits.requires_grad):
        return None
    (slope,) = torch.autograd.grad(own, logits, retain_graph=True, allow_unused=True)
    return torch.zeros_like(logits) if slope is None else slope


def _is_close(value: Tensor, expected: Tensor, tolerance: float) -> bool:
    size = torch.linalg.vector_norm(expected)
    return bool(torch.linalg.vector_norm(value - expected) <= tolerance * size)

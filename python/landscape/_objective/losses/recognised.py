"""Recognised losses: sums over samples in float64, divided by the total weight of all data.

A mean of batch means is not the mean over samples when batches are ragged, classes are weighted or
targets are ignored; sums and weights are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn

__all__ = [
    "ClassLoss",
    "ElementwiseLoss",
    "RecognisedLoss",
    "make_class_last_error",
    "recognise_loss",
]


@dataclass(frozen=True)
class RecognisedLoss:
    """A loss from model outputs to a sum, computed in float64 from the outputs onward.

    float32 cross-entropy is 7% wrong at a loss of 1e-6, as at a well-trained minimum.
    """

    name: str
    function: Callable[..., Tensor]
    options: dict[str, Any] = field(default_factory=dict)

    def cast_targets(self, targets: Tensor) -> Tensor:
        """Give targets the dtype that the loss takes."""
        return targets.double() if targets.is_floating_point() else targets.long()

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The weighted sum of the losses of a batch, float64, shape ()."""
        return self.function(
            outputs.double(), self.cast_targets(targets), reduction="sum", **self.options
        )

    def per_sample(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The weighted sum of the losses of each sample, float64, shape (batch,)."""
        losses = self.function(
            outputs.double(), self.cast_targets(targets), reduction="none", **self.options
        )
        return _sum_positions(losses)

    def to(self, device: torch.device) -> RecognisedLoss:
        """The same loss with its class or element weights on a device, in float64."""
        options = {
            key: value.to(device=device, dtype=torch.float64)
            if isinstance(value, Tensor)
            else value
            for key, value in self.options.items()
        }
        return type(self)(self.name, self.function, options)

    def sample_weights(self, targets: Tensor) -> Tensor:
        """Each sample's term of the denominator, float64, shape (batch,)."""
        raise NotImplementedError

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse targets that the loss would broadcast or misread.

        Raises:
            ValueError: The targets' shape does not fit the outputs'.
        """
        raise NotImplementedError

    def check_values(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse targets of a dtype or range that the loss does not take.

        Raises:
            ValueError: The targets' dtype or range does not fit.
        """


def _sum_positions(losses: Tensor) -> Tensor:
    """The sum over all axes but the first, which may have no entries."""
    return losses.sum(dim=tuple(range(1, losses.ndim))) if losses.ndim > 1 else losses


class ElementwiseLoss(RecognisedLoss):
    """A loss of elements (MSE, L1, Huber, BCE with logits): the weight is their number."""

    def total(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The weighted sum of the losses of a batch, float64, shape ()."""
        self.check_shapes(outputs, targets)  # those of every batch, for PyTorch broadcasts
        return super().total(outputs, targets)

    def per_sample(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The weighted sum of the losses of each sample, float64, shape (batch,)."""
        self.check_shapes(outputs, targets)
        return super().per_sample(outputs, targets)

    def cast_targets(self, targets: Tensor) -> Tensor:
        """Give targets the dtype that the loss takes."""
        return targets.double()

    def sample_weights(self, targets: Tensor) -> Tensor:
        """Each sample's term of the denominator, float64, shape (batch,)."""
        per_sample = targets[0].numel()
        return torch.full((len(targets),), per_sample, dtype=torch.float64, device=targets.device)

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse targets of another shape, which PyTorch would broadcast."""
        if outputs.shape != targets.shape:
            raise ValueError(
                f"{self.name} got outputs of shape {tuple(outputs.shape)} and targets of shape "
                f"{tuple(targets.shape)}, expected the same; reshape the targets, for example "
                "targets.unsqueeze(-1)"
            )


class ClassLoss(RecognisedLoss):
    """A loss of classes (cross-entropy, NLL): the weight is that of the targets not ignored."""

    def sample_weights(self, targets: Tensor) -> Tensor:
        """Each sample's term of the denominator, float64, shape (batch,)."""
        if targets.is_floating_point():  # class probabilities: every position counts one
            per_sample = targets[0].numel() / targets.shape[1] if len(targets) else 0
            return torch.full((len(targets),), per_sample, dtype=torch.float64)
        counted = targets.long() != self.options["ignore_index"]
        weight: Tensor | None = self.options.get("weight")
        if weight is None:
            weights: Tensor = counted.double()
        else:
            classes = torch.where(counted, targets.long(), 0)
            weights = weight.to(targets.device)[classes].double() * counted
        return _sum_positions(weights)

    def check_shapes(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse targets that are neither classes nor class probabilities of these outputs."""
        probabilities = targets.is_floating_point()
        fits = tuple(targets.shape) == (
            tuple(outputs.shape) if probabilities else (outputs.shape[0], *outputs.shape[2:])
        )
        if not fits and self.is_class_last(outputs, targets):
            raise make_class_last_error(self, outputs, targets)
        if not fits and targets.ndim == outputs.ndim == 2 and targets.shape == outputs.shape:
            raise _make_one_hot_error(self.name, outputs, targets)
        if outputs.ndim < 2 or not fits:
            raise ValueError(
                f"{self.name} got outputs of shape {tuple(outputs.shape)} and targets of shape "
                f"{tuple(targets.shape)}, expected outputs (samples, classes, ...) and targets "
                "(samples, ...) with one integer class each, or class probabilities of the "
                "outputs' shape"
            )
        if outputs.shape[1] == 1:
            raise ValueError(
                f"{self.name} got outputs with one class, for which it is always 0; pass "
                "loss=torch.nn.BCEWithLogitsLoss() with float targets for a binary problem"
            )

    def is_class_last(self, outputs: Tensor, targets: Tensor) -> bool:
        """Whether the last axis of the outputs may be the classes, instead of the second."""
        return outputs.ndim > 2 and tuple(targets.shape) == tuple(outputs.shape[:-1])

    def check_values(self, outputs: Tensor, targets: Tensor) -> None:
        """Refuse targets of another dtype, or classes that the outputs do not have."""
        if targets.is_floating_point() and self.name == "cross-entropy":
            _check_probabilities(self, outputs, targets)
            return
        if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
            raise ValueError(
                f"{self.name} got targets of dtype {targets.dtype}, expected integer classes; "
                "pass targets.long(), or another loss"
            )
        if self.is_class_last(outputs, targets) and outputs.shape[1] != outputs.shape[-1]:
            return  # the shapes will be refused, for a better reason
        classes, ignored = outputs.shape[1] if outputs.ndim > 1 else 1, self.options["ignore_index"]
        wrong = ((targets < 0) | (targets >= classes)) & (targets != ignored)
        if outputs.ndim > 1 and classes > 1 and bool(wrong.any()):
            raise ValueError(
                f"{self.name} got the target {int(targets[wrong][0])}, expected classes 0 to "
                f"{classes - 1} (or ignore_index {ignored}); check the targets or the model's "
                "last layer"
            )


def make_class_last_error(loss: RecognisedLoss, outputs: Tensor, targets: Tensor) -> ValueError:
    """The error of outputs whose classes are, or may be, on the last axis."""
    return ValueError(
        f"{loss.name} got outputs of shape {tuple(outputs.shape)} and targets of shape "
        f"{tuple(targets.shape)}: PyTorch takes the classes on axis 1, and here the last axis "
        "seems to hold them; return outputs.movedim(-1, 1) from the model, or pass "
        "loss=lambda outputs, targets: "
        "F.cross_entropy(outputs.flatten(0, -2), targets.flatten())"
    )


def _make_one_hot_error(name: str, outputs: Tensor, targets: Tensor) -> ValueError:
    return ValueError(
        f"{name} got outputs of shape {tuple(outputs.shape)} and targets of shape "
        f"{tuple(targets.shape)}, expected one class for each sample. If the targets are one-hot, "
        "pass targets.argmax(1) for cross-entropy, or targets.float() with "
        "loss=torch.nn.BCEWithLogitsLoss() or loss=torch.nn.MSELoss()"
    )


def _check_probabilities(loss: RecognisedLoss, outputs: Tensor, targets: Tensor) -> None:
    """Refuse class probabilities whose sum is 1 along the last axis and not along axis 1."""
    if targets.ndim < 3 or targets.shape[1:] != outputs.shape[1:] or not targets.numel():
        return
    along, last = (targets.double().sum(axis) for axis in (1, -1))
    ones = torch.ones((), dtype=torch.float64, device=targets.device)
    if torch.allclose(last, ones, rtol=1e-3) and not torch.allclose(along, ones, rtol=1e-3):
        raise make_class_last_error(loss, outputs, targets)


_CLASS_FUNCTIONS: dict[Callable[..., Tensor], str] = {
    F.cross_entropy: "cross-entropy",
    F.nll_loss: "NLL",
}
_ELEMENT_FUNCTIONS: dict[Callable[..., Tensor], str] = {
    F.mse_loss: "MSE",
    F.l1_loss: "L1",
    F.huber_loss: "Huber",
    F.binary_cross_entropy_with_logits: "BCE with logits",
}


def recognise_loss(loss: Any) -> RecognisedLoss | None:
    """The recognised loss of a torch loss module or function; None for any other.

    Raises:
        ValueError: A known or unknown torch loss does not take the mean.
    """
    if (reduction := _reduction(loss)) in ("sum", "none"):
        name = getattr(getattr(loss, "func", type(loss)), "__name__", "the loss")
        raise ValueError(
            f"{name}(reduction={reduction!r}) is not a mean over samples; "
            "pass the loss with reduction='mean', and the surface is independent of batch size"
        )
    for function, name in _CLASS_FUNCTIONS.items():  # by identity: a loss need not have a hash
        if loss is function:
            return ClassLoss(name, function, {"ignore_index": -100})
    for function, name in _ELEMENT_FUNCTIONS.items():
        if loss is function:
            return ElementwiseLoss(name, function)
    convert = _MODULES.get(type(loss))
    return convert(loss) if convert else None


def _reduction(loss: Any) -> Any:
    """The reduction of a loss module, or of a function with its options bound."""
    bound = loss.keywords if isinstance(loss, functools.partial) else {}
    return bound.get("reduction", getattr(loss, "reduction", None))


def _cross_entropy(loss: Any) -> RecognisedLoss:
    options = {
        "weight": loss.weight,
        "ignore_index": loss.ignore_index,
        "label_smoothing": loss.label_smoothing,
    }
    return ClassLoss("cross-entropy", F.cross_entropy, options)


def _nll(loss: Any) -> RecognisedLoss:
    return ClassLoss("NLL", F.nll_loss, {"weight": loss.weight, "ignore_index": loss.ignore_index})


def _bce(loss: Any) -> RecognisedLoss:
    options = {"weight": loss.weight, "pos_weight": loss.pos_weight}
    return ElementwiseLoss("BCE with logits", F.binary_cross_entropy_with_logits, options)


_MODULES: dict[type, Callable[[Any], RecognisedLoss]] = {
    nn.CrossEntropyLoss: _cross_entropy,
    nn.NLLLoss: _nll,
    nn.MSELoss: lambda _: ElementwiseLoss("MSE", F.mse_loss),
    nn.L1Loss: lambda _: ElementwiseLoss("L1", F.l1_loss),
    nn.HuberLoss: lambda loss: ElementwiseLoss("Huber", F.huber_loss, {"delta": loss.delta}),
    nn.BCEWithLogitsLoss: _bce,
}

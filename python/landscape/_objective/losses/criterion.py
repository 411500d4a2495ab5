"""Criteria: how the model is called on a batch, and how its outputs become a loss."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from landscape._objective.losses.recognised import (
    ClassLoss,
    ElementwiseLoss,
    RecognisedLoss,
    recognise_loss,
)

__all__ = [
    "BatchLoss",
    "Criterion",
    "OpaqueCriterion",
    "RecognisedCriterion",
    "batch_loss",
    "call_model",
    "choose_criterion",
    "identify_function",
]

_SCALAR_ADVICE = "a loss must return one number for the batch, the mean over its samples"


@dataclass(frozen=True)
class BatchLoss:
    """A loss that runs the model itself: ``function(model, batch)``."""

    function: Callable[[nn.Module, Any], Tensor]


def batch_loss(function: Callable[[nn.Module, Any], Tensor]) -> BatchLoss:
    r"""Mark a loss that takes the model and a whole batch.

    L(theta) is the mean of ``function(model, batch)`` over the batches, weighted by their sizes,
    so the function should return a mean over the batch's samples.

    Args:
        function: Called as ``function(model, batch)``; returns a tensor with one element.

    Returns:
        The marked loss, to be passed as ``loss=``.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> reconstruction = landscape.batch_loss(lambda model, x: (model(x) - x).square().mean())
        >>> objective = landscape.Objective(nn.Linear(4, 4), torch.ones(8, 4), reconstruction)
        >>> objective.samples
        8
    """
    return BatchLoss(function)


class Criterion(Protocol):
    """The loss of a batch under the parameters that are installed in the model."""

    @property
    def name(self) -> str:
        """The name of the loss in the run record."""

    @property
    def reduction(self) -> str:
        """How batches are combined, in words."""

    @property
    def options(self) -> dict[str, Any] | str:
        """The options of the loss, as plain data."""

    @property
    def recognised(self) -> RecognisedLoss | None:
        """The recognised loss; None for an opaque one, which has no losses of single samples."""

    def outputs(self, model: nn.Module, content: Any) -> Any:
        """Run the model on a batch (opaque losses that run it themselves return the loss)."""

    def targets(self, content: Any) -> Tensor | None:
        """The batch's targets, where it has any."""

    def total(self, outputs: Any, content: Any, size: int) -> Tensor:
        """The batch's term of the numerator of L, float64, shape ()."""

    def weight(self, content: Any, size: int) -> float:
        """The batch's term of the denominator of L."""


@dataclass(frozen=True)
class RecognisedCriterion:
    """A loss whose sum and weight are known, so that L is exactly a mean over samples."""

    recognised: RecognisedLoss

    @property
    def name(self) -> str:
        """The name of the loss in the run record."""
        return self.recognised.name

    @property
    def reduction(self) -> str:
        """How batches are combined, in words."""
        unit = "elements" if isinstance(self.recognised, ElementwiseLoss) else "target weights"
        return f"sum over all data / sum of {unit}, in float64"

    @property
    def options(self) -> dict[str, Any]:
        """The loss's options, weights as lists."""
        return {
            name: value.tolist() if isinstance(value, Tensor) else value
            for name, value in self.recognised.options.items()
        }

    def outputs(self, model: nn.Module, content: Any) -> Tensor:
        """Run the model on a batch's inputs."""
        return _get_tensor(call_model(model, content))

    def targets(self, content: Any) -> Tensor:
        """The batch's targets."""
        return get_targets(content)

    def total(self, outputs: Tensor, content: Any, size: int) -> Tensor:  # noqa: ARG002
        """The batch's weighted sum of losses."""
        return self.recognised.total(outputs, get_targets(content))

    def weight(self, content: Any, size: int) -> float:  # noqa: ARG002
        """The batch's total weight."""
        return float(self.recognised.sample_weights(get_targets(content)).sum())


@dataclass(frozen=True)
class OpaqueCriterion:
    """A loss known only by its value: a batch's mean, weighted by the batch's size."""

    name: str
    options: str
    """The function's name and checksum."""
    run: Callable[[nn.Module, Any], Any]
    value: Callable[[Any, Any], Any]
    reduction: str = "mean over batches, weighted by their sizes (the loss is opaque)"
    recognised: None = None

    def outputs(self, model: nn.Module, content: Any) -> Any:
        """Run the model on a batch."""
        return self.run(model, content)

    def targets(self, content: Any) -> Tensor | None:
        """The batch's targets, where it is a pair or a mapping with labels."""
        return get_targets(content) if _has_targets(content) else None

    def total(self, outputs: Any, content: Any, size: int) -> Tensor:
        """The batch's mean loss times its size."""
        loss = self.value(outputs, content)
        if not isinstance(loss, Tensor):
            raise TypeError(f"the loss returned a {type(loss).__name__}; {_SCALAR_ADVICE}")
        if loss.numel() != 1:
            raise ValueError(
                f"the loss returned a tensor of shape {tuple(loss.shape)}; {_SCALAR_ADVICE}"
            )
        return loss.reshape(()).double() * size

    def weight(self, content: Any, size: int) -> float:  # noqa: ARG002
        """The batch's size."""
        return float(size)


def choose_criterion(loss: Any, probe: Callable[[], Any], content: Any) -> Criterion:
    """Turn the user's ``loss`` into a criterion.

    Args:
        loss: None (inferred), a torch loss, ``f(outputs, targets)``, or a :func:`batch_loss`.
        probe: Runs the model on the first batch and returns its outputs.
        content: That batch.

    Returns:
        The criterion.

    Raises:
        TypeError: The loss is no callable.
        ValueError: The loss cannot be inferred, or does not take the mean.
    """
    if loss is None:
        return _infer_criterion(probe(), content)
    if isinstance(loss, BatchLoss):
        name = getattr(loss.function, "__name__", type(loss.function).__name__)
        return OpaqueCriterion(
            name, identify_function(loss.function), loss.function, lambda value, _: value
        )
    if not callable(loss):
        raise TypeError(
            f"loss is a {type(loss).__name__}; pass None, a torch loss, f(outputs, targets) or "
            "landscape.batch_loss(f)"
        )
    if not _has_targets(content):
        raise ValueError(
            "the batches have no targets that this loss could be given; pass "
            "landscape.batch_loss(f) with f(model, batch)"
        )
    recognised = recognise_loss(loss)
    if recognised is not None:
        return RecognisedCriterion(recognised)
    name = getattr(loss, "__name__", type(loss).__name__)
    return OpaqueCriterion(
        name,
        identify_function(loss),
        call_model,
        lambda outputs, batch: loss(outputs, get_targets(batch)),
    )


def _infer_criterion(outputs: Any, content: Any) -> Criterion:
    if _get_loss(outputs) is not None:
        name = "the model's own .loss"
        return OpaqueCriterion(name, name, call_model, lambda outputs, _: _get_loss(outputs))
    if not _has_targets(content):
        raise ValueError(
            "the loss cannot be inferred from batches without targets; pass loss=, or "
            "landscape.batch_loss(f) with f(model, batch)"
        )
    targets = get_targets(content)
    if targets.is_floating_point():
        return RecognisedCriterion(ElementwiseLoss("MSE", nn.functional.mse_loss))
    if targets.dtype == torch.bool or targets.is_complex():
        raise ValueError(
            f"the loss cannot be inferred from {targets.dtype} targets; pass loss=, for example "
            "torch.nn.BCEWithLogitsLoss() with float targets"
        )
    return RecognisedCriterion(
        ClassLoss("cross-entropy", nn.functional.cross_entropy, {"ignore_index": -100})
    )


def call_model(model: nn.Module, content: Any) -> Any:
    """Call the model on a batch: ``model(**batch)`` for mappings, ``model(*inputs)`` else."""
    if isinstance(content, Mapping):
        return model(**content)
    if isinstance(content, (tuple, list)):
        inputs = content[:-1] or content  # all of them are inputs where there are no targets
        if len(inputs) == 1:
            only = inputs[0]
            if isinstance(only, Mapping):
                return model(**only)
            return model(*only) if isinstance(only, (tuple, list)) else model(only)
        return model(*inputs)
    return model(content)


def get_targets(content: Any) -> Tensor:
    """The last part of a tuple batch, or the ``labels`` of a mapping."""
    targets: Tensor = content["labels"] if isinstance(content, Mapping) else content[-1]
    return targets


def _has_targets(content: Any) -> bool:
    if isinstance(content, Mapping):
        return isinstance(content.get("labels"), Tensor)
    return (
        isinstance(content, (tuple, list))
        and len(content) > 1
        and isinstance(content[-1], Tensor)
        and content[-1].ndim > 0
    )


def _get_loss(outputs: Any) -> Any:
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
    return loss if loss is not None else getattr(outputs, "loss", None)


def _get_tensor(outputs: Any) -> Tensor:
    tensor = outputs if isinstance(outputs, Tensor) else getattr(outputs, "logits", None)
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"the model returned a {type(outputs).__name__}, expected a tensor (or .logits); pass "
            "landscape.batch_loss(f) with f(model, batch)"
        )
    return tensor


def identify_function(function: Any) -> str:
    """The qualified name of a callable, with a checksum of its code where that is Python's.

    A run is resumed only with the same loss and the same metrics.
    """
    owner = function if hasattr(function, "__qualname__") else type(function)
    name = f"{owner.__module__}.{owner.__qualname__}"
    method = function if hasattr(function, "__code__") else getattr(function, "forward", None)
    code = getattr(method, "__code__", None)
    return f"{name} {_code_checksum(code):08x}" if code is not None else name


def _code_checksum(code: CodeType) -> int:
    value = zlib.crc32(code.co_code)
    for part in (*code.co_consts, *code.co_names):
        nested = _code_checksum(part) if isinstance(part, CodeType) else part
        value = zlib.crc32(repr(nested).encode(), value)
    return value

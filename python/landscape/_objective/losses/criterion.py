"""Criteria: how the model is called on a batch, and how its outputs become a loss."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import CodeType
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from landscape._objective.data.pytree import is_graph
from landscape._objective.losses.arguments import (
    describe_mismatch,
    is_one_argument,
    read_arguments,
)
from landscape._objective.losses.heads import IGNORED, Head, Match, count_labels, match_head
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
    "get_own_loss",
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
    so the function should return a mean over the batch's samples. Where it is a mean over
    something else, such as tokens, ``weight=`` of the Objective says over how many.

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

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the run record."""

    def outputs(self, model: nn.Module, content: Any) -> Any:
        """Run the model on a batch, and arrange its outputs for the loss."""

    def raw_outputs(self, model: nn.Module, content: Any) -> Any:
        """Run the model on a batch (opaque losses that run it themselves return the loss)."""

    def arrange(self, outputs: Any) -> Any:
        """Arrange the model's outputs for the loss."""

    def targets(self, content: Any) -> Tensor | None:
        """The batch's targets, where it has any."""

    def total(self, outputs: Any, content: Any, weight: float) -> Tensor:
        """The batch's term of the numerator of L, float64, shape ().

        Args:
            outputs: Those of the batch.
            content: The batch.
            weight: Its size, or what the user's ``weight=`` says; used by opaque losses.
        """

    def weight(self, content: Any, weight: float) -> float:
        """The batch's term of the denominator of L; see :meth:`total`."""


@dataclass(frozen=True)
class RecognisedCriterion:
    """A loss whose sum and weight are known, so that L is exactly a mean over samples."""

    recognised: RecognisedLoss
    inferred: bool = False
    """Whether the loss was inferred from the targets, not chosen by the user."""
    head: Head | None = None
    """How the model's own .loss reads logits and labels, where this is that loss."""
    sample_outputs: int = 0
    """The number of outputs of a sample, where they were seen."""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the loss in the run record."""
        if self.head is None:
            return self.recognised.name
        return f"{self.recognised.name} (the model's own .loss, {self.head.name})"

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
        """Run the model on a batch's inputs, and arrange its outputs for the loss."""
        return self.arrange(self.raw_outputs(model, content))

    def raw_outputs(self, model: nn.Module, content: Any) -> Tensor:
        """Run the model on a batch's inputs."""
        return _get_tensor(call_model(model, content))

    def arrange(self, outputs: Tensor) -> Tensor:
        """Arrange the model's outputs for the loss: its classes on axis 1."""
        return outputs if self.head is None else self.head.arrange_outputs(outputs)

    def targets(self, content: Any) -> Tensor:
        """The batch's targets."""
        targets = get_targets(content)
        return targets if self.head is None else self.head.arrange_targets(targets)

    def total(self, outputs: Tensor, content: Any, weight: float) -> Tensor:  # noqa: ARG002
        """The batch's weighted sum of losses."""
        return self.recognised.total(outputs, self.targets(content))

    def weight(self, content: Any, weight: float) -> float:  # noqa: ARG002
        """The batch's total weight."""
        return float(self.recognised.sample_weights(self.targets(content)).sum())


@dataclass(frozen=True)
class OpaqueCriterion:
    """A loss known only by its value: a batch's mean, weighted by what it is a mean over."""

    name: str
    options: str
    """The function's name and checksum."""
    run: Callable[[nn.Module, Any], Any]
    value: Callable[[Any, Any], Any]
    reduction: str = "mean over batches, weighted by their sizes (the loss is opaque)"
    recognised: None = None
    kind: Literal["outputs", "batch", "own"] = "outputs"
    """Whether it is a function of outputs and targets, of whole batches, or the model's own."""
    labels: Callable[[Any], float] | None = None
    """Counts the labels of a batch that the loss is a mean over, where that is known."""
    match: Match | None = None
    """How the model's own loss compares with losses of its logits and labels."""
    notes: tuple[str, ...] = ()

    def outputs(self, model: nn.Module, content: Any) -> Any:
        """Run the model on a batch."""
        return self.run(model, content)

    raw_outputs = outputs

    def arrange(self, outputs: Any) -> Any:
        """The outputs as they are."""
        return outputs

    def targets(self, content: Any) -> Tensor | None:
        """The batch's targets, where it is a pair or a mapping with labels."""
        return get_targets(content) if _has_targets(content) else None

    def total(self, outputs: Any, content: Any, weight: float) -> Tensor:
        """The batch's mean loss times its weight."""
        weight = self.weight(content, weight)
        loss = self.value(outputs, content)
        if not isinstance(loss, Tensor):
            raise TypeError(f"the loss returned a {type(loss).__name__}; {_SCALAR_ADVICE}")
        if loss.numel() != 1:
            raise ValueError(
                f"the loss returned a tensor of shape {tuple(loss.shape)}; {_SCALAR_ADVICE}"
            )
        if weight == 0:  # a mean over nothing is NaN
            return torch.zeros((), dtype=torch.float64, device=loss.device)
        return loss.reshape(()).double() * weight

    def weight(self, content: Any, weight: float) -> float:
        """The batch's size, the user's weight, or the number of its labels that count."""
        return weight if self.labels is None else self.labels(content)


def choose_criterion(
    loss: Any,
    probe: Callable[[], Any],
    content: Any,
    weigh: Callable[[Any], Any] | None = None,
) -> Criterion:
    """Turn the user's ``loss`` into a criterion.

    Args:
        loss: None (inferred), a torch loss, ``f(outputs, targets)``, or a :func:`batch_loss`.
        probe: Runs the model on the first batch and returns its outputs.
        content: That batch.
        weigh: The user's weight of a batch, for opaque losses.

    Returns:
        The criterion.

    Raises:
        TypeError: The loss is no callable, or a class.
        ValueError: The loss cannot be inferred, does not take the mean, or has exact weights and
            others were passed.
    """
    criterion = _choose_criterion(loss, probe, content, is_weighted=weigh is not None)
    if weigh is None:
        return criterion
    if isinstance(criterion, RecognisedCriterion):
        raise ValueError(
            f"weight= does not apply to {criterion.name}, whose sum and weights are exact; leave "
            "it out, or pass the loss as landscape.batch_loss(f)"
        )
    by = f"weight={_identify_weight(weigh)}"
    return replace(criterion, reduction=f"mean over batches, weighted by {by} (the loss is opaque)")


def _identify_weight(weigh: Callable[[Any], Any]) -> str:
    if isinstance(weigh, functools.partial):
        bound = [*map(repr, weigh.args), *(f"{k}={v!r}" for k, v in weigh.keywords.items())]
        return f"{identify_function(weigh.func)} with {', '.join(bound)}"
    return identify_function(weigh)


def _choose_criterion(
    loss: Any, probe: Callable[[], Any], content: Any, *, is_weighted: bool
) -> RecognisedCriterion | OpaqueCriterion:
    if loss is None:
        return _infer_criterion(probe(), content, is_weighted=is_weighted)
    if isinstance(loss, BatchLoss):
        name = getattr(loss.function, "__name__", type(loss.function).__name__)
        return OpaqueCriterion(
            name,
            identify_function(loss.function),
            loss.function,
            lambda value, _: value,
            kind="batch",
        )
    if isinstance(loss, type):
        raise TypeError(
            f"loss is the class {loss.__name__}, expected an instance; pass {loss.__name__}()"
        )
    if not callable(loss):
        raise TypeError(
            f"loss is a {type(loss).__name__}; pass None, a torch loss, f(outputs, targets) or "
            "landscape.batch_loss(f)"
        )
    if not _has_targets(content):
        raise ValueError(
            f"the batches have no targets that this loss could be given{_describe_last(content)}; "
            "pass landscape.batch_loss(f) with f(model, batch)"
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


def _infer_criterion(
    outputs: Any, content: Any, *, is_weighted: bool
) -> RecognisedCriterion | OpaqueCriterion:
    if get_own_loss(outputs) is not None:
        return _read_own_loss(outputs, content, is_weighted=is_weighted)
    if not _has_targets(content):
        raise ValueError(
            f"the loss cannot be inferred from batches without targets{_describe_last(content)}; "
            "pass loss=, or landscape.batch_loss(f) with f(model, batch)"
        )
    targets = get_targets(content)
    if targets.is_floating_point():
        return RecognisedCriterion(ElementwiseLoss("MSE", nn.functional.mse_loss), inferred=True)
    if targets.dtype == torch.bool or targets.is_complex():
        raise ValueError(
            f"the loss cannot be inferred from {targets.dtype} targets; pass loss=, for example "
            "torch.nn.BCEWithLogitsLoss() with float targets"
        )
    return RecognisedCriterion(
        ClassLoss("cross-entropy", nn.functional.cross_entropy, {"ignore_index": -100}),
        inferred=True,
    )


_OWN_LOSS = "the model's own .loss"
_AUXILIARY = "it has a further term, and batches are weighted by the labels that its"


def _read_own_loss(
    outputs: Any, content: Any, *, is_weighted: bool
) -> RecognisedCriterion | OpaqueCriterion:
    """A model's own loss: of its logits and labels where it equals one of theirs, else opaque."""
    opaque = OpaqueCriterion(
        _OWN_LOSS, _OWN_LOSS, call_model, lambda outputs, _: get_own_loss(outputs), kind="own"
    )
    own, logits = get_own_loss(outputs), _get_logits(outputs)
    labels = content.get("labels") if isinstance(content, Mapping) else None
    if is_weighted or not (
        isinstance(own, Tensor)
        and own.numel() == 1
        and isinstance(logits, Tensor)
        and isinstance(labels, Tensor)
    ):
        return opaque
    if not any(count_labels(labels)):
        raise ValueError(
            f"every label of the data is {IGNORED} and ignored, so there is nothing to average; "
            "check the labels"
        )
    match = match_head(own.reshape(()), logits, labels)
    head = match.head
    if match.kind == "exact" and head is not None:
        return RecognisedCriterion(head.loss, head=head, sample_outputs=logits[0].numel())
    if match.kind == "auxiliary" and head is not None:
        return replace(
            opaque,
            reduction="mean over batches, weighted by their labels that count",
            labels=lambda content: head.count(content["labels"]),
            notes=(f"{match.describe()}: {_AUXILIARY} {head.name} loss counts",),
        )
    return replace(opaque, match=match)


def call_model(model: nn.Module, content: Any) -> Any:
    """Call the model on a batch: ``model(**batch)`` for mappings, ``model(*inputs)`` else."""
    arguments, keywords = read_arguments(content)
    try:
        return model(*arguments, **keywords)
    except TypeError as error:
        mismatch = describe_mismatch(model, arguments, keywords)
        if mismatch is None:  # the exception is the model's own
            raise
        whole = content[0] if isinstance(content, (tuple, list)) else None
        is_one_list = len(arguments) > 1 and isinstance(whole, (tuple, list))
        if is_one_list and describe_mismatch(model, (whole,), {}) is None:
            return model(whole)  # as many samples as rows: the shapes do not tell
        raise TypeError(mismatch) from error


def get_targets(content: Any) -> Tensor:
    """The last part of a tuple batch, the ``labels`` of a mapping, or the ``y`` of a graph."""
    if is_graph(content):
        graph_targets: Tensor = content.y
        return graph_targets
    targets: Tensor = content["labels"] if isinstance(content, Mapping) else content[-1]
    return targets


def _has_targets(content: Any) -> bool:
    if is_graph(content):
        return isinstance(getattr(content, "y", None), Tensor) and content.y.ndim > 0
    if isinstance(content, Mapping):
        return isinstance(content.get("labels"), Tensor)
    return (
        isinstance(content, (tuple, list))
        and not is_one_argument(content)
        and len(content) > 1
        and isinstance(content[-1], Tensor)
        and content[-1].ndim > 0
    )


def _describe_last(content: Any) -> str:
    """What stands where targets would be, in words."""
    if isinstance(content, Mapping):
        if "labels" in content:
            return f" ('labels' is a {_name_type(content['labels'])}, expected a tensor)"
        return f" (the columns are {', '.join(map(repr, content))}; targets are called 'labels')"
    if isinstance(content, (tuple, list)) and len(content) > 1:
        if isinstance(content[-1], Tensor):
            return " (their last part is a single number, as of a single sample)"
        return f" (their last part is a {_name_type(content[-1])}, expected a tensor)"
    return ""


def _name_type(value: Any) -> str:
    kinds = (kind for kind in (list, tuple) if isinstance(value, kind))
    return next(kinds, type(value)).__name__


def get_own_loss(outputs: Any) -> Any:
    """The ``.loss`` of a model's outputs; None where they have none."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else None
    return loss if loss is not None else getattr(outputs, "loss", None)


def _get_logits(outputs: Any) -> Any:
    logits = outputs.get("logits") if isinstance(outputs, Mapping) else None
    return logits if logits is not None else getattr(outputs, "logits", None)


def _get_tensor(outputs: Any) -> Tensor:
    tensor = outputs if isinstance(outputs, Tensor) else _get_logits(outputs)
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"the model returned a {type(outputs).__name__}, expected a tensor (or .logits); pass "
            "landscape.batch_loss(f) with f(model, batch)"
        )
    return tensor


def identify_function(function: Any) -> str:
    """The qualified name of a callable, with a checksum of its code where that is Python's.

    A run is resumed only with the same loss, the same weights and the same metrics.
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

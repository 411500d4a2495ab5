"""The weights of batches in L, and inferred losses: refused where they could be others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from landscape._objective.data.batches import Batches
from landscape._objective.data.counting import SampleCounts, advise_weight, count_outputs
from landscape._objective.losses.criterion import Criterion, OpaqueCriterion
from landscape._objective.losses.heads import count_labels
from landscape._objective.losses.recognised import (
    ClassLoss,
    RecognisedLoss,
    make_class_last_error,
)

__all__ = ["check_inferred", "check_opaque_weights", "check_output_weights", "has_labels"]


def check_output_weights(
    criterion: Criterion, outputs: Any, counts: SampleCounts, size: int
) -> None:
    """Check that outputs and targets agree on the samples, for losses that are means over them.

    Where they do, what the inputs say does not matter: they may be time-first, a text with
    offsets, or a graph's edges.

    Args:
        criterion: A function of outputs and targets.
        outputs: Those of the first batch whose parts do not agree, or of the probed samples.
        counts: What the batches' parts say.
        size: The number of samples that the outputs are of.

    Raises:
        ValueError: They do not agree, or the loss may be a mean over positions.
    """
    numbers, form = count_outputs(outputs)
    index = counts.disputed
    if index is not None and numbers and size not in numbers:
        parts = counts.batches[index]
        if parts.inputs == size:  # the targets agree with the inputs, and not with the outputs
            raise ValueError(
                f"data has {parts.inputs} inputs and {size} targets, and the model {numbers[0]} "
                f"outputs ({form}); expected one output for each target"
            )
        raise ValueError(
            f"data has {parts.inputs} inputs and {size} targets; expected one target for each "
            f"sample (batch {index}: {parts}, outputs ({form}) {numbers[0]})"
        )
    if criterion.recognised is not None or len(counts.batches) == 1:
        return
    dispute = None
    if not numbers:
        dispute = counts.describe_dispute()
    elif size not in numbers:
        dispute = (
            f"the outputs ({form}) of {size} samples say {numbers[0]}, but their other parts: "
            f"{counts.batches[0]}"
        )
    dispute = dispute or counts.describe_positions()
    if dispute:
        raise advise_weight(dispute)


def check_opaque_weights(
    criterion: OpaqueCriterion, batches: Batches, counts: SampleCounts
) -> None:
    """Check that the batches' weights are known for a loss of whole batches, or a model's own.

    Raises:
        ValueError: They are not.
    """
    if criterion.labels is not None or len(counts.batches) == 1:
        return
    dispute = counts.describe_dispute() or counts.describe_axes()
    if dispute is None and criterion.match is not None:
        dispute = _describe_labels(criterion, batches)
    if dispute:
        raise advise_weight(dispute)


def _describe_labels(criterion: OpaqueCriterion, batches: Batches) -> str | None:
    """Why an unknown mean over labels would be weighted wrongly; None where all ways agree."""
    first: list[float] | None = None
    for batch in batches.iter_batches():
        ways = [float(batch.size), *count_labels(batch.content["labels"])]
        first = first or ways
        same = len(ways) == len(first) and all(
            a * first[0] == b * ways[0] for a, b in zip(ways, first, strict=True)
        )
        if not same and criterion.match is not None:
            return (
                f"{criterion.match.describe()}, so it is not known over which of its labels it "
                "is a mean, and the batches have different numbers of them"
            )
    return None


def check_inferred(
    loss: RecognisedLoss, outputs: Tensor, targets: Tensor, *, is_binary: bool
) -> None:
    """Refuse targets from which more than one loss can be inferred.

    Args:
        loss: The inferred loss.
        outputs: Those of the probed samples.
        targets: Theirs.
        is_binary: Whether all targets of all samples are 0 or 1.

    Raises:
        ValueError: Float targets of several columns are all 0 and 1, or the classes may be on
            either of two axes.
    """
    if isinstance(loss, ClassLoss):
        if loss.is_class_last(outputs, targets):
            error = make_class_last_error(loss, outputs, targets)
            raise ValueError(
                f"{error}. If the classes are on axis 1 indeed, pass "
                "loss=torch.nn.CrossEntropyLoss()"
            )
        return
    columns = targets.shape[1:].numel() if targets.ndim > 1 else 1
    if is_binary and columns > 1 and len(torch.unique(targets)) == 2:
        raise ValueError(
            f"the loss cannot be inferred from float targets of shape {tuple(targets.shape)} that "
            "are all 0 or 1; pass loss=torch.nn.BCEWithLogitsLoss() for independent labels, "
            "loss=torch.nn.CrossEntropyLoss() for one-hot classes, or loss=torch.nn.MSELoss()"
        )


def has_labels(content: Any) -> bool:
    """Whether a batch has a label that counts for any head; True where it has no labels."""
    labels = content.get("labels") if isinstance(content, Mapping) else None
    return not isinstance(labels, Tensor) or all(count_labels(labels))

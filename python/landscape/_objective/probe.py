"""The first look: run the model once, choose the criterion, and refuse data that do not fit.

Depends on the stage, the criterion and the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from landscape._objective.behaviour import Behaviour
from landscape._objective.criterion import (
    Criterion,
    Recognised,
    call_model,
    choose_criterion,
)
from landscape._objective.data import Batch, Batches, checksum
from landscape._objective.randomness import stream_positions
from landscape._objective.stage import PointBuffer, Stage
from landscape._objective.tree import tensors_of

__all__ = ["check_data", "probed_criterion"]

_PROBE_SAMPLES = 64


def probed_criterion(
    stage: Stage, batches: Batches, loss: Any, point: PointBuffer, *, dropout: str
) -> Criterion:
    """Evaluate a few samples at the model's own parameters to learn what its loss is.

    Args:
        stage: The model; its batch norm reads stored statistics here.
        batches: The data.
        loss: The user's loss, or None.
        point: The model's own parameters.
        dropout: Whether dropout is off or seeded.

    Returns:
        The criterion, its weights on the device.

    Raises:
        ValueError: Targets do not fit the outputs or the inputs, or the loss returns no number.
    """
    batch = _first(batches)

    def outputs() -> Any:
        with torch.enable_grad():
            return call_model(stage.model, batch.copied().content)

    with _prepared(stage, point, dropout):
        criterion = choose_criterion(loss, outputs, batch.content)
    if isinstance(criterion, Recognised):
        criterion = Recognised(criterion.head.on(stage.device))
    check_data(criterion, stage, batches, point, dropout=dropout)
    return criterion


def check_data(
    criterion: Criterion, stage: Stage, batches: Batches, point: PointBuffer, *, dropout: str
) -> None:
    """Run the criterion on a few samples, and compare all targets with what came out.

    The stage learns what else the model does.

    Raises:
        ValueError: Targets do not fit the outputs or the inputs, or the loss returns no number.
    """
    batch = _first(batches)
    with _prepared(stage, point, dropout):
        attributes, streams, given = stage.attributes(), stream_positions(), batch.copied()
        outputs, differentiates = _outputs(criterion, stage, given)
        if isinstance(criterion, Recognised):
            _check_targets(criterion, outputs, batch, batches)
        with torch.enable_grad():
            criterion.total(outputs, given.content, given.size)
        marked = any(tensor.requires_grad for tensor in tensors_of(given.content))
        stage.behaviour = Behaviour(
            draws=streams != stream_positions(),
            remembers=attributes.changed() or stage.buffers_changed(),
            overwrites=marked or checksum(given.content) != checksum(batch.content),
            differentiates=differentiates,
        )


def _outputs(criterion: Criterion, stage: Stage, batch: Batch) -> tuple[Any, bool]:
    """Run the model without a graph, or with one where it cannot do without."""

    def outputs() -> Any:
        return criterion.outputs(stage.model, batch.content)

    if isinstance(criterion, Recognised):
        try:
            with torch.inference_mode():
                return outputs(), False
        except RuntimeError:
            with torch.enable_grad(), suppress(Exception):
                return outputs(), True
            raise
    with torch.enable_grad():
        return outputs(), True


def _first(batches: Batches) -> Batch:
    return next(iter(batches.blocks(_PROBE_SAMPLES)))


@contextmanager
def _prepared(stage: Stage, point: PointBuffer, dropout: str) -> Iterator[None]:
    with torch.inference_mode(mode=False), stage.lent(dropout=dropout):
        stage.install(point.tensors)
        yield


def _check_targets(
    criterion: Recognised, outputs: torch.Tensor, probed: Batch, batches: Batches
) -> None:
    """Check shapes where the model was run, and lengths and classes everywhere."""
    for batch in batches.blocks(None):
        targets = criterion.targets(batch.content)
        if len(targets) != batch.size:
            raise ValueError(
                f"data has {batch.size} inputs and {len(targets)} targets; expected one target "
                "for each sample"
            )
        criterion.head.check_values(outputs, targets)
    criterion.head.check_shapes(outputs, criterion.targets(probed.content))

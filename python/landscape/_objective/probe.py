"""The first look: run the model once, choose the criterion, and refuse data that do not fit.

Depends on the stage, the criterion and the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from landscape._objective.criterion import (
    Criterion,
    Opaque,
    Recognised,
    call_model,
    choose_criterion,
)
from landscape._objective.data import Batch, Batches
from landscape._objective.stage import PointBuffer, Stage

__all__ = ["check_data", "probed_criterion"]

_PROBE_SAMPLES = 64


def probed_criterion(stage: Stage, batches: Batches, loss: Any, point: PointBuffer) -> Criterion:
    """Evaluate a few samples at the model's own parameters to learn what its loss is.

    Args:
        stage: The model; its batch norm reads stored statistics here.
        batches: The data.
        loss: The user's loss, or None.
        point: The model's own parameters.

    Returns:
        The criterion, its weights on the device.

    Raises:
        ValueError: Targets do not fit the outputs or the inputs, or the loss returns no number.
    """
    batch = _first(batches)

    def outputs() -> Any:
        with torch.no_grad():
            return call_model(stage.model, batch.content)

    with _prepared(stage, point):
        criterion = choose_criterion(loss, outputs, batch.content)
    if isinstance(criterion, Recognised):
        criterion = Recognised(criterion.head.on(stage.device))
    check_data(criterion, stage, batches, point)
    return criterion


def check_data(criterion: Criterion, stage: Stage, batches: Batches, point: PointBuffer) -> None:
    """Run the criterion on a few samples, and compare all targets with what came out.

    Raises:
        ValueError: Targets do not fit the outputs or the inputs, or the loss returns no number.
    """
    batch = _first(batches)
    with (
        _prepared(stage, point),
        torch.enable_grad() if isinstance(criterion, Opaque) else torch.no_grad(),
    ):
        outputs = criterion.outputs(stage.model, batch.content)
        if isinstance(criterion, Recognised):
            _check_targets(criterion, outputs, batch, batches)
        criterion.total(outputs, batch.content, batch.size)


def _first(batches: Batches) -> Batch:
    return next(iter(batches.blocks(_PROBE_SAMPLES)))


@contextmanager
def _prepared(stage: Stage, point: PointBuffer) -> Iterator[None]:
    with torch.inference_mode(mode=False), stage.lent(dropout="off"):
        stage.install(point.tensors)
        with stage.watching_draws():
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

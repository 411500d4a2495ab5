"""Putting an Objective together: data read, model probed, evaluator built, oddities noted.

Depends on the other rooms of this folder; only the Objective depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from landscape._objective.batch_norm import BatchNormPolicy, BatchNorms
from landscape._objective.evaluate import Evaluator
from landscape._objective.heads import recognise
from landscape._objective.measurement import Measurement
from landscape._objective.options import chosen_device, chosen_dtype
from landscape._objective.points import Rows
from landscape._objective.probe import checked, probed
from landscape._objective.reading import Placement, Reading, has_own_split, read_data
from landscape._objective.stage import PointBuffer, Stage
from landscape._parameters import ParameterLayout

__all__ = ["assembled", "on_other_data", "read_other_data"]


@torch.inference_mode(mode=False)  # what is made here enters graphs later, wherever it is called
def assembled(
    model: nn.Module,
    layout: ParameterLayout,
    data: Any,
    loss: Any,
    *,
    batch_norm: BatchNormPolicy,
    dropout: str,
    device: torch.device | str | None,
    dtype: torch.dtype | str | None,
    samples: int | Sequence[int] | None,
    batch_size: int | None,
    memory_budget: int,
    seed: int,
) -> tuple[Reading, Evaluator]:
    """Read the data, look at the model once, and build the evaluator; see :class:`Objective`."""
    place = chosen_device(device, model)
    working, flat = chosen_dtype(dtype, layout)
    theta = layout.flatten(model)
    _check_finite(theta, layout)
    placement = Placement(
        place,
        working,
        working or _input_dtype(model),
        memory_budget,
        exact_targets=loss is None or recognise(loss) is not None,
    )
    reading = read_data(data, placement, batch_size=batch_size, samples=samples, seed=seed)
    stage = Stage(model, layout, device=place, dtype=working, seed=seed)
    norms = BatchNorms(model)
    here = PointBuffer(layout, stage.dtypes, dtype=flat, device=place)
    here.fill(Rows(torch.from_numpy(theta)[None]), 0)
    criterion, stage.behaviour = probed(stage, reading.batches, loss, here, dropout=dropout)
    evaluator = Evaluator(
        stage=stage,
        layout=layout,
        dtype=flat,
        batches=reading.batches,
        measurement=Measurement(criterion),
        norms=norms,
        statistics=reading.batches,
        batch_norm=batch_norm,
        dropout=dropout,
    )
    return reading, evaluator


@torch.inference_mode(mode=False)
def read_other_data(
    evaluator: Evaluator, data: Any, *, batch_size: int | None, memory_budget: int, seed: int
) -> Reading:
    """Read further data as the first ones were read, in batches of their own if they have any."""
    stage = evaluator.stage
    placement = Placement(
        stage.device,
        stage.dtype,
        stage.dtype or _input_dtype(stage.model),
        memory_budget,
        exact_targets=evaluator.measurement.criterion.head is not None,
    )
    size = None if has_own_split(data) else batch_size
    return read_data(data, placement, batch_size=size, samples=None, seed=seed)


@torch.inference_mode(mode=False)
def on_other_data(evaluator: Evaluator, reading: Reading) -> Evaluator:
    """The same function of other data; its batch statistics still come from the first ones."""
    stage = evaluator.stage
    theta = evaluator.layout.flatten(stage.model)
    here = evaluator.buffer()
    here.fill(Rows(torch.from_numpy(theta)[None]), 0)
    criterion = evaluator.measurement.criterion
    found = checked(criterion, stage, reading.batches, here, dropout=evaluator.dropout)
    stage.behaviour = stage.behaviour.joined(found)
    return replace(evaluator, batches=reading.batches)


def _check_finite(theta: NDArray[Any], layout: ParameterLayout) -> None:
    for entry in layout.entries:
        piece = theta[entry.span]
        if not np.isfinite(piece).all():
            count = int((~np.isfinite(piece)).sum())
            raise ValueError(
                f"the model's {entry.name} has {count} of {entry.size} values that are NaN or "
                "infinite; nothing can be measured around them: load finite weights"
            )


def _input_dtype(model: nn.Module) -> torch.dtype:
    """The dtype that floating NumPy inputs take: the parameters' own."""
    found = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return found.pop() if len(found) == 1 else torch.float32

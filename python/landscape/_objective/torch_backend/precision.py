"""The same function in another dtype: float64, to tell rounding from a fault."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from landscape._objective.data.batches import (
    Batches,
    RaggedBatches,
    ResidentBatches,
    StreamedBatches,
)
from landscape._objective.data.pytree import map_tensors
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.torch_backend.model_state import SwappedModel

__all__ = ["to_double"]


def to_double(evaluator: Evaluator) -> Evaluator:
    """The function with parameters, buffers and floating-point data in float64.

    Tensors that the model keeps outside its parameters and buffers stay as they are, so that the
    twin of such a model may raise where it is evaluated.
    """
    model = evaluator.model
    double = SwappedModel(
        model.module, evaluator.layout, device=model.device, dtype=torch.float64, seed=model.seed
    )
    double.behaviour = model.behaviour
    batches = _cast_batches(evaluator.batches)
    is_same = evaluator.statistics is evaluator.batches
    statistics = batches if is_same else _cast_batches(evaluator.statistics)
    return replace(
        evaluator, model=double, dtype=torch.float64, batches=batches, statistics=statistics
    )


def _cast_batches(batches: Batches) -> Batches:
    if isinstance(batches, ResidentBatches):
        return replace(batches, content=map_tensors(_cast, batches.content))
    if isinstance(batches, (RaggedBatches, StreamedBatches)):
        place = batches.placement
        return replace(batches, placement=lambda tree: map_tensors(_cast, place(tree)))
    raise TypeError(f"batches are a {type(batches).__name__}, of no known kind")


def _cast(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor

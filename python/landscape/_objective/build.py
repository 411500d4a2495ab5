"""Building the parts of an Objective: validated options and model, data, and evaluator.

The record of which function L is (:func:`describe_policy`) is built here as well, from those parts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import parameter as nn_parameter
from torch.nn.utils import parametrize

from landscape._objective.data.batches import ResidentBatches, WeightFunction
from landscape._objective.data.reading import Placement, Reading, is_batched, read_data
from landscape._objective.losses.criterion import (
    BatchLoss,
    Criterion,
    OpaqueCriterion,
    RecognisedCriterion,
)
from landscape._objective.losses.recognised import recognise_loss
from landscape._objective.losses.reductions import Reductions, SubsetStandardError
from landscape._objective.points import PointBuffer, Rows
from landscape._objective.torch_backend.batch_norm import BatchNormPolicy, BatchNorms
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.torch_backend.loss_state import LossState
from landscape._objective.torch_backend.model_state import SwappedModel
from landscape._objective.torch_backend.probe import probe_model, probe_other_data
from landscape._parameters import ParameterLayout
from landscape._turns import undisturbed

__all__ = [
    "DataSummary",
    "build_evaluator",
    "describe_policy",
    "read_other_data",
    "replace_data",
    "replace_loss",
    "summarise_data",
    "validate_model",
    "validate_numbers",
    "validate_option",
]


def validate_option(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Refuse a value that is not allowed for an option.

    Raises:
        ValueError: The value is not among the allowed ones.
    """
    if value not in allowed:
        listed = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{name}={value!r}, expected one of {listed}")


def validate_numbers(*, weight_decay: float, seed: int, memory_budget: int) -> None:
    """Refuse numbers outside their range.

    Raises:
        ValueError: A number is negative, not finite, or not whole where it must be.
    """
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise ValueError(f"weight_decay={weight_decay!r}, expected a finite number from 0 up")
    if not (isinstance(seed, (int, np.integer)) and 0 <= seed < 2**63):
        raise ValueError(f"seed={seed!r}, expected a whole number from 0 to 2**63 - 1")
    if not memory_budget >= 0:
        raise ValueError(f"memory_budget={memory_budget!r}, expected a number of bytes from 0 up")


def validate_model(model: object) -> nn.Module:
    """Unwrap a model, and refuse one whose parameters cannot be swapped and restored.

    Returns:
        The module to evaluate, without data-parallel and compilation wrappers.

    Raises:
        TypeError: Not a module, or one that is or holds a ScriptModule.
        ValueError: Lazy, meta or complex parameters, or cached parametrisations.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}, expected a torch.nn.Module")
    model = _unwrap_model(model)
    with undisturbed(model):
        _refuse_unswappable(model)
    return model


def _refuse_unswappable(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f"{name or 'model'} is a ScriptModule, whose parameters cannot be exchanged; pass "
                "the module that was scripted"
            )
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if nn_parameter.is_lazy(tensor):
            raise ValueError(
                f"{name} is lazy and has no shape yet; run the model once on a batch first"
            )
        if tensor.is_meta:
            raise ValueError(f"{name} is on the meta device and holds no numbers; load weights")
        if isinstance(tensor, nn.Parameter) and tensor.is_complex():
            raise ValueError(f"{name} is complex; pass its real and imaginary parts as parameters")
    if parametrize._cache_enabled:
        raise ValueError(
            "the model is used inside parametrize.cached(), which would evaluate stale weights; "
            "leave that block first"
        )


def _unwrap_model(model: nn.Module) -> nn.Module:
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


@torch.inference_mode(mode=False)  # its tensors enter autograd graphs later
def build_evaluator(
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
    weigh: WeightFunction,
    memory_budget: int,
    seed: int,
) -> tuple[Reading, Evaluator]:
    """Read the data, probe the model once, and build the evaluator; see :class:`Objective`."""
    chosen_device = _choose_device(device, model)
    model_dtype, flat_dtype = _choose_dtypes(dtype, layout)
    theta = layout.flatten(model)
    _check_finite(theta, layout)
    placement = Placement(
        chosen_device,
        model_dtype,
        model_dtype or _input_dtype(model),
        memory_budget,
        exact_targets=loss is None or recognise_loss(loss) is not None,
    )
    if weigh is not None and not callable(weigh):
        raise TypeError(f"weight is a {type(weigh).__name__}, expected a function of a batch")
    reading = read_data(
        data,
        placement,
        batch_size=batch_size,
        samples=samples,
        seed=seed,
        weigh=weigh,
        pairs=not isinstance(loss, BatchLoss),
    )
    swapped = SwappedModel(model, layout, device=chosen_device, dtype=model_dtype, seed=seed)
    norms = BatchNorms(model)
    point = PointBuffer(layout, swapped.dtypes, dtype=flat_dtype, device=chosen_device)
    point.fill(Rows(torch.from_numpy(theta)[None]), 0)
    loss_state = LossState(loss, model)
    criterion, swapped.behaviour = probe_model(
        swapped,
        reading.batches,
        loss,
        point,
        dropout=dropout,
        loss_state=loss_state,
        counts=reading.counts,
    )
    reading = _limit_blocks(reading, criterion, memory_budget)
    evaluator = Evaluator(
        model=swapped,
        layout=layout,
        dtype=flat_dtype,
        batches=reading.batches,
        reductions=Reductions(criterion),
        norms=norms,
        statistics=reading.batches,
        batch_norm=batch_norm,
        dropout=dropout,
        loss_state=loss_state,
    )
    return reading, evaluator


def _limit_blocks(reading: Reading, criterion: Criterion, budget: int) -> Reading:
    """Cut data whose outputs are far larger than they are, as logits of tokens, into small blocks.

    Only a model's own loss is meant: it was computed in the user's batches.
    """
    batches = reading.batches
    if not (
        isinstance(criterion, RecognisedCriterion)
        and criterion.sample_outputs
        and isinstance(batches, ResidentBatches)
    ):
        return reading
    return replace(reading, batches=batches.fitting(8 * criterion.sample_outputs, budget))


def _choose_device(device: torch.device | str | None, model: nn.Module) -> torch.device:
    """The device to evaluate on: the parameters' own by default.

    Raises:
        ValueError: The parameters lie on several devices and none was named.
    """
    if device is not None:
        return torch.empty(0, device=device).device  # "cuda" becomes "cuda:0", or fails here
    devices = {parameter.device for parameter in model.parameters()}
    if len(devices) > 1:
        listed = ", ".join(sorted(map(str, devices)))
        raise ValueError(f"the parameters lie on several devices ({listed}); pass device=")
    return devices.pop()


def _choose_dtypes(
    dtype: torch.dtype | str | None, layout: ParameterLayout
) -> tuple[torch.dtype | None, torch.dtype]:
    """The dtype that the user fixed for the model, if any, and the flat vector's.

    Raises:
        ValueError: The dtype is no floating-point one.
    """
    fixed = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not (isinstance(fixed, torch.dtype) and fixed.is_floating_point):
        raise ValueError(f"dtype={dtype!r}, expected a floating-point dtype such as torch.float64")
    if fixed is None:
        return None, torch.float64 if layout.dtype == "float64" else torch.float32
    return fixed, torch.float64 if fixed == torch.float64 else torch.float32


def _check_finite(theta: NDArray[Any], layout: ParameterLayout) -> None:
    for entry in layout.entries:
        values = theta[entry.span]
        if not np.isfinite(values).all():
            count = int((~np.isfinite(values)).sum())
            raise ValueError(
                f"the model's {entry.name} has {count} of {entry.size} values that are NaN or "
                "infinite; nothing can be measured around them: load finite weights"
            )


def _input_dtype(model: nn.Module) -> torch.dtype:
    """The dtype that floating NumPy inputs take: the parameters' own."""
    dtypes = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return dtypes.pop() if len(dtypes) == 1 else torch.float32


@torch.inference_mode(mode=False)
def read_other_data(
    evaluator: Evaluator, data: Any, *, batch_size: int | None, memory_budget: int, seed: int
) -> Reading:
    """Read further data with the options of the first; their own batches are kept."""
    model = evaluator.model
    placement = Placement(
        model.device,
        model.dtype,
        model.dtype or _input_dtype(model.module),
        memory_budget,
        exact_targets=evaluator.reductions.criterion.recognised is not None,
    )
    size = None if is_batched(data) else batch_size
    criterion = evaluator.reductions.criterion
    return read_data(
        data,
        placement,
        batch_size=size,
        samples=None,
        seed=seed,
        weigh=evaluator.batches.weigh,
        pairs=not (isinstance(criterion, OpaqueCriterion) and criterion.kind == "batch"),
    )


@torch.inference_mode(mode=False)
def replace_data(evaluator: Evaluator, reading: Reading) -> Evaluator:
    """The same function of other data; its batch statistics still come from the first ones."""
    model = evaluator.model
    theta = evaluator.layout.flatten(model.module)
    point = evaluator.new_buffer()
    point.fill(Rows(torch.from_numpy(theta)[None]), 0)
    criterion = evaluator.reductions.criterion
    behaviour = probe_other_data(
        criterion,
        model,
        reading.batches,
        point,
        dropout=evaluator.dropout,
        loss_state=evaluator.loss_state,
        counts=reading.counts,
    )
    model.behaviour = model.behaviour.union(behaviour)
    return replace(evaluator, batches=reading.batches)


@torch.inference_mode(mode=False)
def replace_loss(evaluator: Evaluator, reading: Reading, loss: Any) -> Evaluator:
    """The same model and data under another loss."""
    model = evaluator.model
    point = evaluator.new_buffer()
    theta = evaluator.layout.flatten(model.module)
    point.fill(Rows(torch.from_numpy(theta)[None]), 0)
    loss_state = LossState(loss, model.module)
    swapped = SwappedModel(
        model.module, evaluator.layout, device=model.device, dtype=model.dtype, seed=model.seed
    )
    criterion, swapped.behaviour = probe_model(
        swapped,
        evaluator.batches,
        loss,
        point,
        dropout=evaluator.dropout,
        loss_state=loss_state,
        counts=reading.counts,
    )
    return replace(
        evaluator, model=swapped, reductions=Reductions(criterion), loss_state=loss_state
    )


@dataclass(frozen=True)
class DataSummary:
    """Properties of the data that do not depend on the parameters."""

    weight: float
    """The denominator of L."""
    population: int
    """The samples that a subset was drawn from; all of them without one."""
    standard_error: SubsetStandardError | None
    """The estimator of the standard error, where the samples are a random subset."""
    checksum: int
    """CRC-32 of all samples, so that a run is resumed on the same data only."""
    notes: tuple[str, ...]
    """Notes for the run record."""


def summarise_data(evaluator: Evaluator, reading: Reading) -> DataSummary:
    """Summarise the data, in one pass over the targets.

    Args:
        evaluator: The function.
        reading: How its data were read.

    Raises:
        ValueError: The total weight is zero, so that there is nothing to average.
    """
    weight = evaluator.reductions.weights(evaluator.batches)[0]
    if not weight > 0:
        raise ValueError(
            f"the total weight of the data is {weight}: every target is ignored or its class has "
            "weight 0; check ignore_index and the class weights"
        )
    recognised = evaluator.reductions.criterion.recognised is not None
    standard_error = None
    if reading.at_random and recognised:
        squares = 0.0
        for batch in evaluator.batches.iter_blocks(None):
            squares += float(evaluator.reductions.sample_weights(batch).square().sum())
        standard_error = SubsetStandardError(evaluator.batches.samples, reading.population, squares)
    criterion = evaluator.reductions.criterion
    notes = (*reading.notes, *criterion.notes, *_describe_model(evaluator))
    checksum = evaluator.batches.checksum()
    return DataSummary(weight, reading.population, standard_error, checksum, notes)


def _describe_model(evaluator: Evaluator) -> tuple[str, ...]:
    """Notes on the model for the run record."""
    model, norms = evaluator.model, evaluator.norms
    notes = []
    frozen = [name for name, p in model.module.named_parameters() if not p.requires_grad]
    if frozen:
        notes.append(
            f"{len(frozen)} parameters with requires_grad=False are frozen and not varied, "
            f"{frozen[0]} among them"
        )
    if norms.always_batch:
        notes.append(
            f"{norms.always_batch} batch-norm layers without running statistics normalise by the "
            "batch under every policy"
        )
    if model.behaviour.mixes_samples:
        notes.append("the samples of a batch see each other: batches are evaluated as they are")
    return tuple(notes)


def describe_policy(
    evaluator: Evaluator, summary: DataSummary, weight_decay: float
) -> dict[str, Any]:
    """Which function L is, as plain data; the samples themselves are named by their checksum.

    The keys are part of the file format of results and checkpoints.
    """
    criterion, model, batches = evaluator.reductions.criterion, evaluator.model, evaluator.batches
    return {
        "loss": criterion.name,
        "loss_options": criterion.options,
        "reduction": criterion.reduction,
        "batch_norm": evaluator.batch_norm if evaluator.norms else "none in the model",
        "batches": f"{len(batches.sizes)} of at most {max(batches.sizes)} samples",
        "dropout": evaluator.dropout,
        "samples": batches.samples,
        "population": summary.population,
        "data": f"crc32 {summary.checksum:08x}",
        "seed": model.seed,
        "weight_decay": weight_decay,
        "held": f"crc32 {model.frozen_checksum():08x}",
        "parameters": evaluator.layout.size,
        "dtype": "/".join(sorted({str(d).removeprefix("torch.") for d in model.dtypes})),
        "device": str(model.device),
    }

"""Building a native network: export of the model, encoding of data and loss, verification."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape import _core
from landscape._export import LoweredModel, Unsupported, lower, trace
from landscape._objective.data.batches import Batches, ResidentBatches, compute_checksum
from landscape._objective.losses.criterion import get_targets
from landscape._objective.losses.recognised import RecognisedLoss
from landscape._objective.native_backend.findings import Findings
from landscape._objective.native_backend.network import NativeNetwork
from landscape._objective.native_backend.verify import find_disagreement, has_same_loss
from landscape._objective.native_backend.work import predict_slowness
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._progress import stage

__all__ = ["build_network", "encode_loss", "encode_targets", "identify_loss"]

_DTYPES = {torch.float32: np.float32, torch.float64: np.float64}
_UNSUPPORTED_BEHAVIOUR = {
    "mixes_samples": "an output depends on the other samples of its batch",
    "is_random": "it draws random numbers",
    "is_stateful": "its forward pass leaves something behind in it",
    "differentiates": "its forward pass takes derivatives",
}


@torch.inference_mode(mode=False)
def build_network(evaluator: Evaluator, findings: Findings) -> NativeNetwork:
    """Export the model, and pass it to the core with its data.

    Args:
        evaluator: The function that PyTorch would evaluate.
        findings: What is known of the model, which is taken and added to: other data of the same
            shape need no other export.

    Raises:
        Unsupported: An operation of the model, its loss, its data or its dtype has no native form.
    """
    loss = _check_support(evaluator)
    inputs, targets = _get_inputs_and_targets(evaluator.batches)
    key = _identify_graph(evaluator, inputs)
    is_known = key in findings.exports
    if not is_known:
        findings.exports[key] = _export_or_refuse(evaluator, inputs)
    exported = findings.exports[key]
    if isinstance(exported, Unsupported):
        raise Unsupported(exported.operation, exported.why, exported.module)
    _check_shapes(exported, inputs, targets)
    network = _create_network(evaluator, exported, loss, evaluator.batches)
    is_same = evaluator.statistics is evaluator.batches
    source = (
        network if is_same else _create_network(evaluator, exported, loss, evaluator.statistics)
    )
    difference = _compare(evaluator, exported, (key, *identify_loss(loss)), findings)
    if difference and is_known:  # the model's code depends on what no print of it shows
        findings.exports.pop(key)
        return build_network(evaluator, findings)
    if difference:
        raise Unsupported("agreement", difference)
    return NativeNetwork(
        network,
        source,
        bool(exported.batch_norms),
        _find_unsupported_policies(evaluator, exported),
        predict_slowness(exported),
    )


def _identify_graph(evaluator: Evaluator, inputs: Tensor) -> Hashable:
    """What the graph of one model depends on: samples, parameters that vary, and values held."""
    held = evaluator.model.frozen_fingerprint()
    return tuple(inputs.shape[1:]), evaluator.layout.entries, held


def identify_loss(loss: RecognisedLoss) -> tuple[Hashable, ...]:
    """A recognised loss as values that can be compared."""
    options = tuple(
        (name, compute_checksum(value) if isinstance(value, Tensor) else repr(value))
        for name, value in sorted(loss.options.items())
    )
    return type(loss).__name__, loss.name, options


def _export_or_refuse(evaluator: Evaluator, inputs: Tensor) -> LoweredModel | Unsupported:
    try:
        with stage("exporting the model"):
            return _export_model(evaluator, inputs)
    except Unsupported as reason:
        return Unsupported(reason.operation, reason.why, reason.module)  # without its traceback


def _compare(
    evaluator: Evaluator, exported: LoweredModel, key: tuple[Hashable, ...], findings: Findings
) -> str | None:
    """What differs from PyTorch, if anything does: by one loss where all was compared before."""

    def build_from(function: Evaluator) -> NativeNetwork:
        loss = function.reductions.recognised_loss
        network = _create_network(function, exported, loss, function.batches)
        return NativeNetwork(network, network)

    with stage("comparing the native network with PyTorch"):
        known = (*key, evaluator.dtype)
        if known in findings.compared and has_same_loss(evaluator, build_from):
            return None
        difference = find_disagreement(evaluator, build_from)
    if difference is None:
        findings.compared[known] = True
    return difference


def _check_support(evaluator: Evaluator) -> RecognisedLoss:
    """Refuse losses, devices, dtypes and behaviours that cannot be native; return the loss."""
    model, criterion = evaluator.model, evaluator.reductions.criterion
    if criterion.recognised is None:
        raise Unsupported(criterion.name, "the loss is known only by its batch means")
    if model.device.type != "cpu":
        raise Unsupported("device", f"the model is evaluated on {model.device}, not on a CPU")
    if evaluator.dtype not in _DTYPES or set(model.dtypes) != {evaluator.dtype}:
        dtypes = sorted({str(dtype) for dtype in model.dtypes})
        raise Unsupported(
            "dtype", f"parameters are {', '.join(dtypes)}, expected one of float32/64"
        )
    if evaluator.dropout != "off":
        raise Unsupported("dropout", "seeded dropout draws from PyTorch's generator")
    if evaluator.norms.always_batch:
        raise Unsupported("batch norm", "it has no running statistics")
    for name, why in _UNSUPPORTED_BEHAVIOUR.items():
        if getattr(model.behaviour, name):
            raise Unsupported("model", why)
    return criterion.recognised


def _get_inputs_and_targets(batches: Batches) -> tuple[Tensor, Tensor]:
    """All inputs and all targets."""
    if not isinstance(batches, ResidentBatches):
        raise Unsupported("data", "they are not held as one tensor of inputs and one of targets")
    content = batches.content
    if not (isinstance(content, (tuple, list)) and len(content) == 2):
        raise Unsupported("data", "they are not pairs of inputs and targets")
    inputs, targets = content[0], get_targets(content)
    if not (isinstance(inputs, Tensor) and inputs.is_floating_point()):
        raise Unsupported("data", "the inputs are not one tensor of floating-point numbers")
    return inputs, targets


def _export_model(evaluator: Evaluator, inputs: Tensor) -> LoweredModel:
    module = evaluator.model.module
    dtypes = {p.dtype for p in module.parameters() if p.is_floating_point()}
    if len(dtypes) != 1:
        raise Unsupported("dtype", "the parameters are of several dtypes")
    # two samples of the model's own dtype: shapes and kinds matter, values do not
    example = inputs[:1].detach().to(dtypes.pop()).repeat(2, *[1] * (inputs.ndim - 1)).clone()
    return lower(trace(module, example), evaluator.layout, module)


def _create_network(
    evaluator: Evaluator, exported: LoweredModel, loss: RecognisedLoss, batches: Batches
) -> _core.Network:
    inputs, targets = _get_inputs_and_targets(batches)
    dtype = _DTYPES[evaluator.dtype]
    if inputs.dtype != evaluator.dtype:
        raise Unsupported("data", f"the inputs are {inputs.dtype}, the model {evaluator.dtype}")
    try:
        return _core.Network(
            exported.graph,
            dim=exported.dim,
            frozen=exported.constants.astype(dtype),
            inputs=np.ascontiguousarray(inputs.detach().reshape(len(inputs), -1).numpy()),
            loss=encode_loss(loss, targets.shape[1:]),
            targets=encode_targets(targets),
            weights=loss.sample_weights(targets).double().cpu().numpy(),
            split=_split_indices(batches),
        )
    except ValueError as error:
        raise Unsupported("network", str(error)) from error


def _find_unsupported_policies(evaluator: Evaluator, exported: LoweredModel) -> dict[str, str]:
    """The batch-norm policies under which the network would differ from PyTorch, and why."""
    layers = [evaluator.model.module.get_submodule(name) for name in exported.batch_norms]
    if any(layer not in evaluator.norms.layers for layer in layers):
        why = "a call of torch's function, not a layer: its statistics stay as they are"
        return {"recalibrated": why, "batch": why}
    if len(set(layers)) < len(layers):
        return {"recalibrated": "one layer is used several times, and its statistics mix"}
    return {}


def _split_indices(batches: Batches) -> list[Any]:
    """The fixed split as indices of samples."""
    order = getattr(batches, "order", None)
    rows = np.arange(batches.samples) if order is None else order.cpu().numpy()
    return np.split(rows.astype(np.int64), np.cumsum(batches.sizes)[:-1])


def _check_shapes(exported: LoweredModel, inputs: Tensor, targets: Tensor) -> None:
    if tuple(inputs.shape[1:]) != exported.input_shape:
        raise Unsupported(
            "data", f"samples are {tuple(inputs.shape[1:])}, not {exported.input_shape}"
        )
    shape, outputs = tuple(targets.shape[1:]), exported.output_shape
    if shape not in (outputs, outputs[1:]):
        raise Unsupported("data", f"targets are {shape} for outputs of {outputs}")


_KINDS = {
    "cross-entropy": "cross_entropy",
    "NLL": "nll",
    "MSE": "mse",
    "L1": "l1",
    "Huber": "huber",
    "BCE with logits": "bce_with_logits",
}


def encode_loss(loss: RecognisedLoss, sample: torch.Size) -> str:
    """The loss as JSON.

    Args:
        loss: The loss.
        sample: The shape of one sample's targets.

    Raises:
        Unsupported: The loss is not supported, or a weight differs from sample to sample.
    """
    if loss.name not in _KINDS:
        raise Unsupported(loss.name, "the native engine does not know this loss")
    record: dict[str, Any] = {"kind": _KINDS[loss.name]}
    for name, value in loss.options.items():
        if not isinstance(value, Tensor):
            record[name] = value
        elif loss.name == "BCE with logits":
            record[name] = _broadcast_weight(value, sample, f"{loss.name}'s {name}").tolist()
        else:
            record[name] = value.double().reshape(-1).tolist()
    return json.dumps(record, allow_nan=False)


def encode_targets(targets: Tensor) -> NDArray[Any]:
    """Targets as rows, one a sample: int64 classes, or float64 numbers."""
    kind = torch.float64 if targets.is_floating_point() else torch.int64
    rows: NDArray[Any] = targets.detach().to("cpu", kind).reshape(len(targets), -1).numpy()
    return np.ascontiguousarray(rows)


def _broadcast_weight(weight: Tensor, sample: torch.Size, name: str) -> Tensor:
    """An element weight for each of a sample's outputs."""
    try:
        weights = torch.broadcast_to(weight.double().cpu(), (1, *sample))
    except RuntimeError:
        shape = tuple(weight.shape)
        raise Unsupported(name, f"its shape {shape} is not one weight for each output") from None
    if not all(map(math.isfinite, weights.reshape(-1).tolist())):
        raise Unsupported(name, "it is not finite")
    return weights.reshape(-1)

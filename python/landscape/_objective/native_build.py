"""From a model and its data to a native network, or the reason why not.

Depends on the export, the evaluator's parts and the native network. What is built is compared with
PyTorch in float64 before anybody uses it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape import _core
from landscape._export import Lowered, Unsupported, lowered, traced
from landscape._objective.agreement import disagreement
from landscape._objective.criterion import targets_of
from landscape._objective.data import Batches, Resident
from landscape._objective.evaluate import Evaluator
from landscape._objective.heads import Head
from landscape._objective.interruption import Deferral
from landscape._objective.native import NativeNetwork
from landscape._objective.native_head import head_record, target_array

__all__ = ["native_network"]

_LAYOUTS = {torch.float32: np.float32, torch.float64: np.float64}
_HABITS = {
    "mixes": "an output depends on the other samples of its batch",
    "draws": "it draws random numbers",
    "remembers": "its forward pass leaves something behind in it",
    "differentiates": "its forward pass takes derivatives",
}


@torch.inference_mode(mode=False)
def native_network(evaluator: Evaluator) -> NativeNetwork:
    """Export the model, and hand it to the core with its data.

    Args:
        evaluator: The function that PyTorch would evaluate.

    Raises:
        Unsupported: An operation of the model, its loss, its data or its dtype has no native form.
    """
    head = _admitted(evaluator)
    inputs, targets = _content(evaluator.batches)
    plan = _exported(evaluator, inputs)
    _check_shapes(plan, inputs, targets)
    network = _network(evaluator, plan, head, evaluator.batches)
    same = evaluator.statistics is evaluator.batches
    source = network if same else _network(evaluator, plan, head, evaluator.statistics)

    def of_few(batches: Resident) -> NativeNetwork:
        few = _network(evaluator, plan, head, batches)
        return NativeNetwork(few, few)

    difference = disagreement(evaluator, of_few)
    if difference:
        raise Unsupported("agreement", difference)
    return NativeNetwork(network, source, bool(plan.batch_norms), _refused(evaluator, plan))


def _admitted(evaluator: Evaluator) -> Head:
    """Refuse what cannot be native whatever the model is."""
    stage, criterion = evaluator.stage, evaluator.measurement.criterion
    if criterion.head is None:
        raise Unsupported(criterion.name, "the loss is known only by its batch means")
    if stage.device.type != "cpu":
        raise Unsupported("device", f"the model is evaluated on {stage.device}, not on a CPU")
    if evaluator.dtype not in _LAYOUTS or set(stage.dtypes) != {evaluator.dtype}:
        found = sorted({str(dtype) for dtype in stage.dtypes})
        raise Unsupported("dtype", f"parameters are {', '.join(found)}, expected one of float32/64")
    if evaluator.dropout != "off":
        raise Unsupported("dropout", "seeded dropout draws from PyTorch's generator")
    if evaluator.norms.always_batch:
        raise Unsupported("batch norm", "it has no running statistics")
    for habit, why in _HABITS.items():
        if getattr(stage.behaviour, habit):
            raise Unsupported("model", why)
    return criterion.head


def _content(batches: Batches) -> tuple[Tensor, Tensor]:
    """All inputs and all targets."""
    if not isinstance(batches, Resident):
        raise Unsupported("data", "they are not held as one tensor of inputs and one of targets")
    content = batches.content
    if not (isinstance(content, (tuple, list)) and len(content) == 2):
        raise Unsupported("data", "they are not pairs of inputs and targets")
    inputs, targets = content[0], targets_of(content)
    if not (isinstance(inputs, Tensor) and inputs.is_floating_point()):
        raise Unsupported("data", "the inputs are not one tensor of floating-point numbers")
    return inputs, targets


def _exported(evaluator: Evaluator, inputs: Tensor) -> Lowered:
    model = evaluator.stage.model
    own = {p.dtype for p in model.parameters() if p.is_floating_point()}
    if len(own) != 1:
        raise Unsupported("dtype", "the parameters are of several dtypes")
    # two samples of the model's own dtype: shapes and kinds matter, values do not
    example = inputs[:1].detach().to(own.pop()).repeat(2, *[1] * (inputs.ndim - 1)).clone()
    with Deferral():  # the model is traced as it is, and must come back whole
        return lowered(traced(model, example), evaluator.layout, model)


def _network(evaluator: Evaluator, plan: Lowered, head: Head, batches: Batches) -> _core.Network:
    inputs, targets = _content(batches)
    layout = _LAYOUTS[evaluator.dtype]
    if inputs.dtype != evaluator.dtype:
        raise Unsupported("data", f"the inputs are {inputs.dtype}, the model {evaluator.dtype}")
    try:
        return _core.Network(
            plan.graph,
            dim=plan.dim,
            held=plan.held.astype(layout),
            inputs=np.ascontiguousarray(inputs.detach().reshape(len(inputs), -1).numpy()),
            head=head_record(head, targets.shape[1:]),
            targets=target_array(targets),
            weights=head.sample_weights(targets).double().cpu().numpy(),
            split=_split(batches),
        )
    except ValueError as error:
        raise Unsupported("network", str(error)) from error


def _refused(evaluator: Evaluator, plan: Lowered) -> dict[str, str]:
    """The batch-norm policies under which the network would not be what PyTorch evaluates."""
    layers = [evaluator.stage.model.get_submodule(name) for name in plan.batch_norms]
    if any(layer not in evaluator.norms.layers for layer in layers):
        why = "a call of torch's function, not a layer: its statistics stay as they are"
        return {"recalibrated": why, "batch": why}
    if len(set(layers)) < len(layers):
        return {"recalibrated": "one layer is used several times, and its statistics mix"}
    return {}


def _split(batches: Batches) -> list[Any]:
    """The fixed split as indices of samples."""
    order = getattr(batches, "order", None)
    rows = np.arange(batches.samples) if order is None else order.cpu().numpy()
    return np.split(rows.astype(np.int64), np.cumsum(batches.sizes)[:-1])


def _check_shapes(plan: Lowered, inputs: Tensor, targets: Tensor) -> None:
    if tuple(inputs.shape[1:]) != plan.input_shape:
        raise Unsupported("data", f"samples are {tuple(inputs.shape[1:])}, not {plan.input_shape}")
    rest, outputs = tuple(targets.shape[1:]), plan.output_shape
    if rest not in (outputs, outputs[1:]):
        raise Unsupported("data", f"targets are {rest} for outputs of {outputs}")

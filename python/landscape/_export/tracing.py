"""Tracing of models: recorded where that is possible, by `torch.export` elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from landscape._export.exported import read_program
from landscape._export.graph import TracedGraph
from landscape._export.preparation import copy_example, refuse_hooks, tracing
from landscape._export.recorded import NotRecorded, record_graph
from landscape._export.torch_export import export_model
from landscape._export.twin import copy_for_tracing
from landscape._turns import undisturbed

__all__ = ["trace", "trace_by_export", "trace_by_recording"]


def trace(model: nn.Module, example_inputs: Sequence[Any] | Tensor) -> TracedGraph:
    """Trace a model in evaluation mode, for batches of any size.

    The operations of two batches are recorded, which takes milliseconds. Where that does not show
    what the model computes, `torch.export` finds it out or says why it cannot.

    Args:
        model: The module. It is neither copied nor changed.
        example_inputs: The positional arguments of its forward; the first axis of every
            tensor counts samples. Values do not matter, shapes and dtypes do.

    Returns:
        The graph, before any decomposition: ``F.relu(x)`` and ``nn.ReLU()(x)`` look the same.

    Raises:
        Unsupported: The model cannot be traced, or its code depends on the batch size.
    """
    try:
        return trace_by_recording(model, example_inputs)
    except NotRecorded:
        return trace_by_export(model, example_inputs)


def trace_by_recording(model: nn.Module, example_inputs: Sequence[Any] | Tensor) -> TracedGraph:
    """Trace a model by recording what two batches of different sizes and values call.

    Args:
        model: The module. It is neither copied nor changed.
        example_inputs: As for :func:`trace`.

    Raises:
        NotRecorded: The model does what the recorder does not follow.
        Unsupported: The model cannot be traced.
    """
    with undisturbed(model):
        refuse_hooks(model)
        twins = copy_for_tracing(model), copy_for_tracing(model)
    inputs = _copy_examples(example_inputs)
    with tracing():
        return record_graph(model, twins, inputs)


def trace_by_export(model: nn.Module, example_inputs: Sequence[Any] | Tensor) -> TracedGraph:
    """Trace a model by `torch.export`, whose first call in a process takes seconds.

    Args:
        model: The module. It is neither copied nor changed.
        example_inputs: As for :func:`trace`.

    Raises:
        Unsupported: The model cannot be traced, or its code depends on the batch size.
    """
    with undisturbed(model):
        refuse_hooks(model)
        twin = copy_for_tracing(model)
    inputs = _copy_examples(example_inputs)
    with tracing():
        program = export_model(twin, inputs)
    return read_program(program, model)


def _copy_examples(example_inputs: Sequence[Any] | Tensor) -> tuple[Any, ...]:
    values = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    return tuple(copy_example(value) for value in values)

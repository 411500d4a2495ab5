"""`torch.export` on a twin of the user's module.

Tracing executes the model's code on symbolic tensors, outside the Objective: no number is computed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.export import Dim, ExportedProgram, ShapesCollection

from landscape._export.unsupported import Unsupported

__all__ = ["export_model"]


def export_model(twin: nn.Module, inputs: Sequence[Any]) -> ExportedProgram:
    """Export a model in evaluation mode, with a batch of any size.

    Args:
        twin: A copy of the module for the tracer.
        inputs: The arguments of its forward; the first axis of every tensor counts samples.

    Returns:
        PyTorch's own program, before any decomposition.

    Raises:
        Unsupported: The model has derivatives of its own, its code depends on the batch size or on
            values, or `torch.export` fails for another reason.
    """
    inputs = tuple(_double_single(value) for value in inputs)
    # PyTorch declares no types for this class
    shapes = ShapesCollection()  # type: ignore[no-untyped-call]
    batch = Dim("batch", min=2)
    for value in inputs:
        if isinstance(value, Tensor):
            shapes[value] = {0: batch}
    try:
        with _refuse_custom_derivatives(twin):
            return torch.export.export(twin, inputs, dynamic_shapes=shapes, strict=False)
    except Unsupported:
        raise
    except Exception as error:  # tracing runs the user's code, which may raise anything
        raise Unsupported("torch.export", _summarise_error(error)) from error


def _double_single(value: Any) -> Any:
    """A tensor of at least two samples: PyTorch takes a batch of one for a constant."""
    is_single = isinstance(value, Tensor) and value.shape[0] == 1
    return torch.cat([value, value]) if is_single else value


def _summarise_error(error: Exception) -> str:
    """The first line of a message that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else "no reason given"
    if first.startswith("Constraints violated") and len(lines) > 1:
        return f"the model's code depends on the batch size ({lines[1].removeprefix('- ')})"
    return f"{type(error).__name__}: {first}"


@contextlib.contextmanager
def _refuse_custom_derivatives(model: nn.Module) -> Iterator[None]:
    """Refuse `autograd.Function`: its forward is traced like any code, its backward forgotten.

    The graph for derivatives, which PyTorch records while it traces, contains such functions.
    """
    names: list[str] = []

    def record(_: nn.Module, __: Any, outputs: Any) -> None:
        names.extend(_find_custom_derivatives(outputs))

    handle = model.register_forward_hook(record)
    try:
        yield
    finally:
        handle.remove()
    if names:
        raise Unsupported(names[0], "an autograd.Function has a derivative of its own")


def _find_custom_derivatives(outputs: Any) -> Iterator[str]:
    """The names of the custom functions in a graph of derivatives."""
    leaves = torch.utils._pytree.tree_leaves(outputs)
    stack = [leaf.grad_fn for leaf in leaves if isinstance(leaf, Tensor)]
    seen = set()
    while stack:
        function = stack.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        if isinstance(function, BackwardCFunction):
            yield type(function).__name__.removesuffix("Backward")
        stack.extend(node for node, _ in function.next_functions)

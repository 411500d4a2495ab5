"""`torch.export` on a twin of the user's module.

The twin shares every tensor with the module and has attributes of its own, so that whatever the
tracer does, and whenever it is interrupted, the module stays as it is. Tracing executes the model's
code on symbolic tensors, outside the Objective: no number is computed.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.export import Dim, ExportedProgram, ShapesCollection

from landscape._export.twin import copy_for_tracing
from landscape._export.unsupported import Unsupported
from landscape._interrupts import DeferredInterrupt
from landscape._threadwise import muted
from landscape._turns import RANDOM, TRACING, take_turn, undisturbed

__all__ = ["export_model"]


def export_model(model: nn.Module, example_inputs: Sequence[Any]) -> ExportedProgram:
    """Export a model in evaluation mode, with a batch of any size.

    Args:
        model: The module, which is left alone.
        example_inputs: The arguments of its forward; the first axis of every tensor counts samples.

    Returns:
        PyTorch's own program, before any decomposition.

    Raises:
        Unsupported: The model has hooks or derivatives of its own, its code depends on the batch
            size or on values, or `torch.export` fails for another reason.
    """
    with undisturbed(model):
        _refuse_hooks(model)
        twin = copy_for_tracing(model)
    inputs = tuple(_make_example(value) for value in example_inputs)
    # PyTorch declares no types for this class, nor for the check of global hooks below
    shapes = ShapesCollection()  # type: ignore[no-untyped-call]
    batch = Dim("batch", min=2)
    for value in inputs:
        if isinstance(value, Tensor):
            shapes[value] = {0: batch}
    try:
        with _tracer(), _refuse_custom_derivatives(twin):
            return torch.export.export(twin, inputs, dynamic_shapes=shapes, strict=False)
    except Unsupported:
        raise
    except Exception as error:  # tracing runs the user's code, which may raise anything
        raise Unsupported("torch.export", _summarise_error(error)) from error


def _make_example(value: Any) -> Any:
    """A tensor of at least two samples: PyTorch takes a batch of one for a constant."""
    if not isinstance(value, Tensor):
        return value
    value = value.detach()
    if value.dim() == 0:
        raise Unsupported("input", "a tensor without axes has no samples; pass a batch")
    if value.shape[0] == 0:
        raise Unsupported("input", "an empty batch shows nothing; pass two samples or more")
    with torch.inference_mode(mode=False):
        return torch.cat([value, value]) if value.shape[0] == 1 else value.clone()


_GLOBAL_HOOKS = (
    "_global_backward_pre_hooks",
    "_global_backward_hooks",
    "_global_forward_pre_hooks",
    "_global_forward_hooks",
)
"""The registries of PyTorch's hooks on all modules."""


def _refuse_hooks(model: nn.Module) -> None:
    if any(getattr(nn.modules.module, name) for name in _GLOBAL_HOOKS):
        raise Unsupported("hook", "hooks on all modules would not be called")
    for path, module in model.named_modules():
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks"):
            if module.__dict__.get(name):
                raise Unsupported("hook", "the module has hooks, which would not be called", path)
        if module.__dict__.get("_backward_pre_hooks"):
            raise Unsupported("hook", "the module has hooks, which would not be called", path)


def _summarise_error(error: Exception) -> str:
    """The first line of a message that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else "no reason given"
    if first.startswith("Constraints violated") and len(lines) > 1:
        return f"the model's code depends on the batch size ({lines[1].removeprefix('- ')})"
    return f"{type(error).__name__}: {first}"


@contextlib.contextmanager
def _tracer() -> Iterator[None]:
    """The tracer and the global generators for this thread alone, in silence.

    Ctrl-C is not deferred, since nothing needs protection from it: what is traced is a twin, and
    the generators are restored after the interrupt.
    """
    with DeferredInterrupt() as interrupts:
        turn = take_turn(alone=(TRACING, RANDOM), check=interrupts.check)
        states = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
        try:
            with interrupts.passed_on(), muted(), _default_state():
                yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.set_rng_state(states[2])
            turn.end()


@contextlib.contextmanager
def _default_state() -> Iterator[None]:
    """Gradients recorded, and no autocast."""
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
    ):
        yield


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

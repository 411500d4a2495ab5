"""`torch.export` on the user's own module, which is restored afterwards.

Nothing is copied: during the export the module's flags say "evaluation", and afterwards every
attribute, flag, buffer and random generator is as before, whatever happened in between. Tracing
executes the model's code on symbolic tensors, outside the Objective: no number is computed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import random
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.export import Dim, ExportedProgram, ShapesCollection

from landscape._export.unsupported import Unsupported

__all__ = ["export_model"]

_CONTAINERS = (dict, list, set)


def export_model(model: nn.Module, example_inputs: Sequence[Any]) -> ExportedProgram:
    """Export a model in evaluation mode, with a batch of any size.

    Args:
        model: The module. It is restored afterwards, to the last bit.
        example_inputs: The arguments of its forward; the first axis of every tensor counts samples.

    Returns:
        PyTorch's own program, before any decomposition.

    Raises:
        Unsupported: The model has hooks or derivatives of its own, its code depends on the batch
            size or on values, or `torch.export` fails for another reason.
    """
    _refuse_hooks(model)
    inputs = tuple(_make_example(value) for value in example_inputs)
    # PyTorch declares no types for this class, nor for the check of global hooks below
    shapes = ShapesCollection()  # type: ignore[no-untyped-call]
    batch = Dim("batch", min=2)
    for value in inputs:
        if isinstance(value, Tensor):
            shapes[value] = {0: batch}
    try:
        with (
            _restore_after(model),
            _suppress_output(),
            _default_state(),
            _refuse_custom_derivatives(model),
        ):
            return torch.export.export(model, inputs, dynamic_shapes=shapes, strict=False)
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
def _restore_after(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; every attribute and generator is restored after it."""
    saved = [(module, dict(module.__dict__)) for module in model.modules()]
    members = [
        (value, value.copy())
        for _, attributes in saved
        for value in attributes.values()
        if isinstance(value, _CONTAINERS)
    ]
    states = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    try:
        for module, _ in saved:
            module.__dict__["training"] = False
            if "_compiled_call_impl" in module.__dict__:
                module.__dict__["_compiled_call_impl"] = None  # trace the module itself
        yield
    finally:
        for module, attributes in saved:
            for name in module.__dict__.keys() - attributes.keys():
                del module.__dict__[name]
            module.__dict__.update(attributes)
        for container, before in members:
            _restore_members(container, before)
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


def _restore_members(container: Any, before: Any) -> None:
    """Restore a container's members in their order; an unchanged one is left alone."""
    current = list(container.items()) if isinstance(container, dict) else list(container)
    former = list(before.items()) if isinstance(before, dict) else list(before)
    if len(current) == len(former) and all(map(_is_same, current, former)):
        return
    container.clear()
    add = container.extend if isinstance(container, list) else container.update
    add(before)


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other) == 2:
        return one is other or all(a is b for a, b in zip(one, other, strict=True))
    return one is other


@contextlib.contextmanager
def _suppress_output() -> Iterator[None]:
    """Suppress the tracer's warnings, logs and prints, which concern code of PyTorch's own."""
    level = logging.root.manager.disable
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


@contextlib.contextmanager
def _default_state() -> Iterator[None]:
    """Gradients recorded, no autocast, and attention by its parts rather than one fused kernel."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with (
            torch.inference_mode(mode=False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


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

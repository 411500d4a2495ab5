"""`torch.export` on the user's own model, which comes back as it was.

Nothing is copied: while the export lasts the model's flags say "evaluation", and afterwards every
attribute, flag, buffer and random stream is put back, whatever happened in between.
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

__all__ = ["exported"]

_CONTAINERS = (dict, list, set)


def exported(model: nn.Module, example_inputs: Sequence[Any]) -> ExportedProgram:
    """Export a model in evaluation mode, with a batch of any size.

    Args:
        model: The module. It is the same afterwards, to the last bit.
        example_inputs: What its forward takes; the first axis of every tensor counts samples.

    Returns:
        PyTorch's own program, before any decomposition.

    Raises:
        Unsupported: The model has hooks or derivatives of its own, its code depends on the batch
            size or on values, or `torch.export` fails for another reason.
    """
    _refuse_hooks(model)
    inputs = tuple(_example(value) for value in example_inputs)
    # PyTorch declares no types for this class, nor for the question about global hooks below
    shapes = ShapesCollection()  # type: ignore[no-untyped-call]
    batch = Dim("batch", min=2)
    for value in inputs:
        if isinstance(value, Tensor):
            shapes[value] = {0: batch}
    try:
        with _restored(model), _quiet(), _plain_state(), _ordinary_derivatives(model):
            return torch.export.export(model, inputs, dynamic_shapes=shapes, strict=False)
    except Unsupported:
        raise
    except Exception as error:  # whatever PyTorch's tracing of foreign code may raise
        raise Unsupported("torch.export", _reason(error)) from error


def _example(value: Any) -> Any:
    """A tensor of at least two samples: of one, PyTorch would take the batch for a constant."""
    if not isinstance(value, Tensor):
        return value
    value = value.detach()
    if value.dim() == 0:
        raise Unsupported("input", "a tensor without axes has no samples; pass a batch")
    if value.shape[0] == 0:
        raise Unsupported("input", "an empty batch shows nothing; pass two samples or more")
    with torch.inference_mode(mode=False):
        return torch.cat([value, value]) if value.shape[0] == 1 else value.clone()


def _refuse_hooks(model: nn.Module) -> None:
    if nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call]
        raise Unsupported("hook", "hooks on all modules would not be called")
    for path, module in model.named_modules():
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks"):
            if module.__dict__.get(name):
                raise Unsupported("hook", "the module has hooks, which would not be called", path)
        if module.__dict__.get("_backward_pre_hooks"):
            raise Unsupported("hook", "the module has hooks, which would not be called", path)


def _reason(error: Exception) -> str:
    """The first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else "no reason given"
    if first.startswith("Constraints violated") and len(lines) > 1:
        return f"the model's code depends on the batch size ({lines[1].removeprefix('- ')})"
    return f"{type(error).__name__}: {first}"


@contextlib.contextmanager
def _restored(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; every attribute and random stream as before after it."""
    kept = [(module, dict(module.__dict__)) for module in model.modules()]
    members = [
        (value, value.copy())
        for _, attributes in kept
        for value in attributes.values()
        if isinstance(value, _CONTAINERS)
    ]
    streams = (random.getstate(), np.random.get_state(), torch.get_rng_state())  # noqa: NPY002
    try:
        for module, _ in kept:
            module.__dict__["training"] = False
            if "_compiled_call_impl" in module.__dict__:
                module.__dict__["_compiled_call_impl"] = None  # compiled in place: as written
        yield
    finally:
        for module, attributes in kept:
            for name in module.__dict__.keys() - attributes.keys():
                del module.__dict__[name]
            module.__dict__.update(attributes)
        for container, before in members:
            _refill(container, before)
        random.setstate(streams[0])
        np.random.set_state(streams[1])  # noqa: NPY002
        torch.set_rng_state(streams[2])


def _refill(container: Any, before: Any) -> None:
    """Put a container's members back, in their order; one that nobody touched is left alone."""
    mine = list(container.items()) if isinstance(container, dict) else list(container)
    theirs = list(before.items()) if isinstance(before, dict) else list(before)
    if len(mine) == len(theirs) and all(map(_same, mine, theirs)):
        return
    container.clear()
    add = container.extend if isinstance(container, list) else container.update
    add(before)


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, tuple) and isinstance(theirs, tuple) and len(mine) == len(theirs) == 2:
        return mine is theirs or all(a is b for a, b in zip(mine, theirs, strict=True))
    return mine is theirs


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Warnings, logs and prints of the tracer are about code that the user did not write."""
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
def _plain_state() -> Iterator[None]:
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
def _ordinary_derivatives(model: nn.Module) -> Iterator[None]:
    """Refuse `autograd.Function`: its forward is traced like any code, its backward forgotten.

    While PyTorch traces it also records a graph for derivatives, in which such functions show.
    """
    own: list[str] = []

    def look(_: nn.Module, __: Any, outputs: Any) -> None:
        own.extend(_own_derivatives(outputs))

    handle = model.register_forward_hook(look)
    try:
        yield
    finally:
        handle.remove()
    if own:
        raise Unsupported(own[0], "an autograd.Function has a derivative of its own")


def _own_derivatives(outputs: Any) -> Iterator[str]:
    """The names of the functions in a graph of derivatives that are not PyTorch's."""
    leaves = torch.utils._pytree.tree_leaves(outputs)
    waiting = [leaf.grad_fn for leaf in leaves if isinstance(leaf, Tensor)]
    seen = set()
    while waiting:
        function = waiting.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        if isinstance(function, BackwardCFunction):
            yield type(function).__name__.removesuffix("Backward")
        waiting.extend(following for following, _ in function.next_functions)

"""What both tracers need: examples, a quiet place to run in, and what they refuse alike.

A model is traced as a twin that shares every tensor and has attributes of its own, so that whatever
a tracer does, and whenever it is interrupted, the module stays as it is.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape._export.unsupported import Unsupported
from landscape._interrupts import DeferredInterrupt
from landscape._threadwise import muted
from landscape._turns import RANDOM, TRACING, take_turn

__all__ = ["copy_example", "refuse_hooks", "tracing"]

_GLOBAL_HOOKS = (
    "_global_backward_pre_hooks",
    "_global_backward_hooks",
    "_global_forward_pre_hooks",
    "_global_forward_hooks",
)
"""The registries of PyTorch's hooks on all modules."""


def copy_example(value: Any) -> Any:
    """A tensor without its history, for the tracer to write into; other values as they are.

    Raises:
        Unsupported: The tensor has no samples.
    """
    if not isinstance(value, Tensor):
        return value
    value = value.detach()
    if value.dim() == 0:
        raise Unsupported("input", "a tensor without axes has no samples; pass a batch")
    if value.shape[0] == 0:
        raise Unsupported("input", "an empty batch shows nothing; pass two samples or more")
    with torch.inference_mode(mode=False):
        return value.clone()


def refuse_hooks(model: nn.Module) -> None:
    """Refuse hooks, which a traced graph would not call.

    Raises:
        Unsupported: A module has hooks, or all modules have.
    """
    if any(getattr(nn.modules.module, name) for name in _GLOBAL_HOOKS):
        raise Unsupported("hook", "hooks on all modules would not be called")
    for path, module in model.named_modules():
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks"):
            if module.__dict__.get(name):
                raise Unsupported("hook", "the module has hooks, which would not be called", path)
        if module.__dict__.get("_backward_pre_hooks"):
            raise Unsupported("hook", "the module has hooks, which would not be called", path)


@contextlib.contextmanager
def tracing() -> Iterator[None]:
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

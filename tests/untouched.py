"""The contract of the untouched model: everything that a call could change, in one fingerprint."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["fingerprint", "untouched"]


def fingerprint(model: nn.Module) -> dict[str, Any]:
    """Every bit of the model and of the program's state that a call must leave as it was."""
    found: dict[str, Any] = {
        "torch random state": torch.get_rng_state().numpy().tobytes(),
        "numpy random state": repr(np.random.get_state()),  # noqa: NPY002
        "python random state": hash(random.getstate()),
        "threads": torch.get_num_threads(),
        "attention fast path": torch.backends.mha.get_fastpath_enabled(),
        "default dtype": torch.get_default_dtype(),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
    }
    for name, module in model.named_modules():
        state = module.__dict__
        hooks = [key for key in state if key.endswith("_hooks")]
        found[f"{name}: training"] = module.training
        found[f"{name}: attributes"] = {
            key: id(value) if isinstance(value, torch.Tensor) else repr(type(value))
            for key, value in state.items()
        }
        found[f"{name}: hooks"] = {key: list(state[key]) for key in hooks if state[key]}
        found[f"{name}: modules"] = {key: id(value) for key, value in module._modules.items()}
    tensors = (*model.named_parameters(remove_duplicate=False), *model.named_buffers())
    for name, tensor in tensors:
        found[f"{name}: identity"] = id(tensor)
        found[f"{name}: bits"] = _bits(tensor)
        found[f"{name}: requires_grad"] = tensor.requires_grad
        found[f"{name}: grad"] = None if tensor.grad is None else _bits(tensor.grad)
    return found


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Assert that the block, however it ends, leaves the model and the program as they were."""
    before = fingerprint(model)
    try:
        yield
    finally:
        after = fingerprint(model)
        changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        assert not changed, f"changed: {changed}"


def _bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().clone().reshape(-1).view(torch.uint8).numpy().tobytes()

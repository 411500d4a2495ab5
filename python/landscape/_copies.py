"""Copies of modules: also of those that hold tensors with a graph, such as legacy weight norms."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

__all__ = ["copy_module", "derived_weights", "recompute_derived_weights"]

DerivingHook = WeightNorm | SpectralNorm | BasePruningMethod

_CONTAINERS = (list, tuple, set, frozenset)


def copy_module(module: nn.Module) -> nn.Module:
    """A deep copy, in which tensors that hang on a graph are detached.

    PyTorch refuses to copy a tensor that some computation produced. Modules hold such tensors as
    attributes: a weight under legacy weight or spectral norm, an activation kept for inspection.
    """
    memo: dict[int, Any] = {}
    for part in module.modules():
        for tensor in _iter_tensors(part.__dict__):
            if not tensor.is_leaf:
                memo[id(tensor)] = tensor.detach().clone()
    return copy.deepcopy(module, memo)


def derived_weights(module: nn.Module) -> dict[str, DerivingHook]:
    """The attributes of one module that a hook computes before every pass, by name.

    The hooks are those of PyTorch's own weight norm, spectral norm and pruning.
    """
    derived: dict[str, DerivingHook] = {}
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, (WeightNorm, SpectralNorm)):
            derived[hook.name] = hook
        elif isinstance(hook, BasePruningMethod):
            derived[str(hook._tensor_name)] = hook
    return derived


def recompute_derived_weights(module: nn.Module) -> None:
    """Compute the weights that hooks derive from the parameters as they are now.

    A forward pass does the same; until then the attribute would hold the weights of other
    parameters.
    """
    with torch.no_grad():
        for part in module.modules():
            for name, hook in derived_weights(part).items():
                if isinstance(hook, SpectralNorm):
                    weight = hook.compute_weight(part, do_power_iteration=False)
                elif isinstance(hook, WeightNorm):
                    weight = hook.compute_weight(part)
                else:
                    weight = hook.apply_mask(part)  # type: ignore[no-untyped-call]
                setattr(part, name, weight.detach())


def _iter_tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of an attribute and of its plain containers."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _iter_tensors(member)
    elif isinstance(value, _CONTAINERS):
        for member in value:
            yield from _iter_tensors(member)

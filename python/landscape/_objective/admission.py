"""Which models can be measured: wrappers are taken off, and what cannot be restored is refused.

Depends on PyTorch alone.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import parameter as nn_parameter
from torch.nn.utils import parametrize

__all__ = ["admitted"]


def admitted(model: object) -> nn.Module:
    """Return the module to evaluate, without data-parallel and compilation wrappers.

    Raises:
        TypeError: Not a module, or one that is or holds a ScriptModule.
        ValueError: Lazy, meta or complex parameters, or cached parametrisations.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}, expected a torch.nn.Module")
    model = _unwrapped(model)
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f"{name or 'model'} is a ScriptModule, whose parameters cannot be exchanged; pass "
                "the module that was scripted"
            )
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if nn_parameter.is_lazy(tensor):
            raise ValueError(
                f"{name} is lazy and has no shape yet; run the model once on a batch first"
            )
        if tensor.is_meta:
            raise ValueError(f"{name} is on the meta device and holds no numbers; load weights")
        if isinstance(tensor, nn.Parameter) and tensor.is_complex():
            raise ValueError(f"{name} is complex; pass its real and imaginary parts as parameters")
    if parametrize._cache_enabled:
        raise ValueError(
            "the model is used inside parametrize.cached(), which would evaluate stale weights; "
            "leave that block first"
        )
    return model


def _unwrapped(model: nn.Module) -> nn.Module:
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model

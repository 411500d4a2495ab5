"""Whether a native network computes what PyTorch does: a comparison in float64 on a few samples.

Depends on the evaluator and PyTorch's gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from landscape._objective.data import Resident
from landscape._objective.evaluate import Evaluator
from landscape._objective.gradients import gradients
from landscape._objective.native import NativeNetwork
from landscape._objective.points import Rows
from landscape._objective.stage import Stage
from landscape._objective.strategy import Strategy
from landscape._objective.tree import map_tensors

__all__ = ["disagreement"]

_SAMPLES = 40  # two panels and a ragged one
_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
_SHARE = 2.0  # of PyTorch's own error in float32

Found = dict[str, Tensor]


def disagreement(evaluator: Evaluator, build: Callable[[Resident], NativeNetwork]) -> str | None:
    """Compare loss and gradient at the model's own parameters.

    Args:
        evaluator: PyTorch's function, on data that are resident.
        build: Makes the native network of a few samples.

    Returns:
        None, or what differs: the relative error is larger than 1e-5 and than twice PyTorch's own
        in float32; 1e-10 in float64.
    """
    batches = evaluator.batches
    if not isinstance(batches, Resident):
        raise TypeError("agreement is checked on resident data")
    few = batches.head(_SAMPLES)
    here = replace(evaluator, batches=few, statistics=few, batch_norm="frozen")
    exact = _by_torch(_in_double(here))
    own = _by_torch(here)
    native = _by_native(here, build(few))
    for name, expected in exact.items():
        if not torch.isfinite(expected).all():
            continue
        error, allowed = (_relative(found[name], expected) for found in (native, own))
        limit = max(_TOLERANCE[evaluator.dtype], _SHARE * allowed)
        if not error <= limit:
            return f"its {name} differs from PyTorch's by {error:.1e} (at most {limit:.1e} may be)"
    return None


def _in_double(evaluator: Evaluator) -> Evaluator:
    stage = evaluator.stage
    double = Stage(
        stage.model, evaluator.layout, device=stage.device, dtype=torch.float64, seed=stage.seed
    )
    double.behaviour = stage.behaviour
    batches = evaluator.batches
    if isinstance(batches, Resident):
        batches = replace(batches, content=map_tensors(_widened, batches.content))
    return replace(
        evaluator, stage=double, dtype=torch.float64, batches=batches, statistics=batches
    )


def _widened(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _theta(evaluator: Evaluator) -> Rows:
    theta = torch.from_numpy(evaluator.layout.flatten(evaluator.stage.model))
    return Rows(theta.to(evaluator.dtype)[None])


def _by_torch(evaluator: Evaluator) -> Found:
    loss, slope = gradients(evaluator, _theta(evaluator), Strategy(), 1.0)
    return {"loss": loss, "gradient": slope.double()}


def _by_native(evaluator: Evaluator, native: NativeNetwork) -> Found:
    loss, slope = native.gradients(_theta(evaluator), np.ones(1), evaluator.batch_norm)
    return {"loss": loss, "gradient": slope.double()}


def _relative(found: Tensor, expected: Tensor) -> float:
    difference = float((found - expected).norm())
    return difference / max(float(expected.norm()), torch.finfo(torch.float64).tiny)

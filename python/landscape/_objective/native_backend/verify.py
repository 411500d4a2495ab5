"""Whether a native network computes what PyTorch does: a comparison in float64 on a few samples.

Depends on the evaluator and PyTorch's gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from landscape._objective.data.batches import ResidentBatches
from landscape._objective.data.pytree import map_tensors
from landscape._objective.losses.criterion import get_targets
from landscape._objective.losses.recognised import RecognisedLoss
from landscape._objective.losses.reductions import Reductions
from landscape._objective.native_backend.network import NativeNetwork
from landscape._objective.points import Rows
from landscape._objective.strategy import Strategy
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.torch_backend.gradients import gradients
from landscape._objective.torch_backend.model_state import SwappedModel

__all__ = ["find_disagreement"]

_SAMPLES = 40  # two panels and a ragged one
_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
_SHARE = 2.0  # of PyTorch's own error in float32
_ROUNDINGS = 30.0  # of every output: what layers that differ in their last bits may add up to

Found = dict[str, Tensor]


def find_disagreement(
    evaluator: Evaluator, build: Callable[[ResidentBatches], NativeNetwork]
) -> str | None:
    """Compare loss and gradient at the model's own parameters.

    Args:
        evaluator: PyTorch's function, on data that are resident.
        build: Makes the native network of a few samples.

    Returns:
        None, or what differs: the relative error is larger than 1e-5 and than twice PyTorch's own
        in float32; 1e-10 in float64. At a minimum where hardly any loss is left, what the rounding
        of outputs makes of loss and gradient is no difference.
    """
    batches = evaluator.batches
    if not isinstance(batches, ResidentBatches):
        raise TypeError("agreement is checked on resident data")
    few = batches.take_first(_SAMPLES)
    loss = Reductions(evaluator.reductions.criterion)
    here = replace(evaluator, batches=few, statistics=few, batch_norm="frozen", reductions=loss)
    double = _in_double(here)
    exact, noise = _by_torch(double), _rounding(double, torch.finfo(evaluator.dtype).eps)
    own = _by_torch(here)
    native = _by_native(here, build(few))
    for name, expected in exact.items():
        if not torch.isfinite(expected).all():
            continue
        error, allowed = (_relative(found[name], expected) for found in (native, own))
        floor = _ROUNDINGS * _relative(noise[name], torch.zeros(()), expected)
        limit = max(_TOLERANCE[evaluator.dtype], _SHARE * allowed) + floor
        if not error <= limit:
            return f"its {name} differs from PyTorch's by {error:.1e} (at most {limit:.1e} may be)"
    return None


def _in_double(evaluator: Evaluator) -> Evaluator:
    model = evaluator.model
    double = SwappedModel(
        model.module, evaluator.layout, device=model.device, dtype=torch.float64, seed=model.seed
    )
    double.behaviour = model.behaviour
    batches = evaluator.batches
    if isinstance(batches, ResidentBatches):
        batches = replace(batches, content=map_tensors(_widened, batches.content))
    return replace(
        evaluator, model=double, dtype=torch.float64, batches=batches, statistics=batches
    )


def _widened(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def _theta(evaluator: Evaluator) -> Rows:
    theta = torch.from_numpy(evaluator.layout.flatten(evaluator.model.module))
    return Rows(theta.to(evaluator.dtype)[None])


def _by_torch(evaluator: Evaluator) -> Found:
    loss, slope = gradients(evaluator, _theta(evaluator), Strategy(), 1.0)
    return {"loss": loss, "gradient": slope.double()}


def _by_native(evaluator: Evaluator, native: NativeNetwork) -> Found:
    loss, slope = native.gradients(_theta(evaluator), np.ones(1), evaluator.batch_norm)
    return {"loss": loss, "gradient": slope.double()}


@torch.inference_mode(mode=False)
def _rounding(evaluator: Evaluator, epsilon: float) -> Found:
    """How far loss and gradient move, to first order, when every output is rounded once."""
    buffer, criterion = evaluator.buffer(), evaluator.reductions.criterion
    loss, model = criterion.recognised, evaluator.model
    if loss is None:
        raise TypeError("agreement is checked for recognised losses")
    buffer.fill(_theta(evaluator), 0)
    leaves = buffer.leaves()
    with evaluator.swapped_in(), torch.enable_grad():
        model.install(leaves)
        (batch,) = evaluator.passes(evaluator.blocks(Strategy()), 0)
        outputs = criterion.outputs(model.module, batch.content)
        targets = get_targets(batch.content)
        step = epsilon * outputs.detach().abs().clamp(min=1.0)
        slope, moved = (_slope(loss, outputs.detach() + s, targets) for s in (0 * step, step))
        signs = torch.ones(step.numel(), dtype=step.dtype)
        signs[::2] = -1
        least = torch.finfo(torch.float64).eps
        cotangent = signs.reshape(step.shape) * ((moved - slope).abs() + least)
        parts: tuple[Tensor | None, ...] = ()
        if outputs.requires_grad:  # not where only what is held reaches them
            parts = torch.autograd.grad(outputs, leaves, cotangent, allow_unused=True)
    gradient = torch.cat([step.new_zeros(1), *(p.reshape(-1) for p in parts if p is not None)])
    own = torch.finfo(torch.float64).eps * outputs.detach().abs().clamp(min=1.0)
    error = (slope.abs() * step + own).sum()
    return {"loss": error.nan_to_num(0, 0), "gradient": gradient.nan_to_num(0, 0, 0)}


def _slope(loss: RecognisedLoss, outputs: Tensor, targets: Tensor) -> Tensor:
    """The derivative of the summed loss by the outputs."""
    leaf = outputs.requires_grad_()
    return torch.autograd.grad(loss.total(leaf, targets), leaf)[0]


def _relative(found: Tensor, expected: Tensor, scale: Tensor | None = None) -> float:
    difference = float((found - expected).norm())
    size = float((expected if scale is None else scale).norm())
    return difference / max(size, torch.finfo(torch.float64).tiny)

"""Verifying a native network against PyTorch: losses and gradients in float64 on a few samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from landscape._objective.data.batches import ResidentBatches
from landscape._objective.losses.criterion import get_targets
from landscape._objective.losses.recognised import RecognisedLoss
from landscape._objective.losses.reductions import Reductions
from landscape._objective.native_backend.network import NativeNetwork, NativeReductions
from landscape._objective.points import Rows
from landscape._objective.strategy import Strategy
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.torch_backend.gradients import compute_gradients
from landscape._objective.torch_backend.precision import to_double

__all__ = ["find_disagreement", "has_same_loss"]

_SAMPLES = 40  # two panels and a ragged one
_FEWER_SAMPLES = 20  # the same in float64, of which a panel takes half as many
_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
_ERROR_FACTOR = 2.0  # times PyTorch's own error in float32
_ROUNDINGS = 30.0  # roundings of every output that layers may accumulate

Values = dict[str, Tensor]


def find_disagreement(
    evaluator: Evaluator, build: Callable[[Evaluator], NativeNetwork]
) -> str | None:
    """Compare loss and gradient at the model's own parameters.

    Where float32 values differ by more than rounding of smooth functions makes, as at near-ties of
    max-pooling and the kinks of ReLUs, the network is built once more in float64 and decides.

    Args:
        evaluator: PyTorch's function, on data that are resident.
        build: Builds the native network of a function.

    Returns:
        None, or what differs: a relative error larger than 1e-5 and than twice that of PyTorch in
        float32; than 1e-10 in float64. At a minimum where hardly any loss is left, differences as
        large as rounding the outputs makes are allowed too.
    """
    single = _take_samples(evaluator, _SAMPLES)
    by_torch, native = _compute_by_torch(single), _compute_by_native(single, build(single))
    tolerance = _TOLERANCE[evaluator.dtype]
    # as close to PyTorch's own values as half the error that both may have: nothing more to compute
    if _are_close(native, by_torch, tolerance / 2):
        return None
    try:
        if _agree_in_double(evaluator, build):
            return None
        double = to_double(single)
        exact = _compute_by_torch(double)
        noise, double_noise = (
            _estimate_rounding(double, torch.finfo(dtype).eps)
            for dtype in (evaluator.dtype, torch.float64)
        )
    except RuntimeError as error:  # a constant outside the parameters and buffers stays float32
        return f"it cannot be compared with PyTorch in float64, which raises: {error}"
    difference = _describe_difference(native, exact, by_torch, noise, tolerance)
    if difference and evaluator.dtype != torch.float64:
        native = _compute_by_native(double, build(double))
        if not _describe_difference(native, exact, exact, double_noise, _TOLERANCE[torch.float64]):
            return None
    return difference


def has_same_loss(evaluator: Evaluator, build: Callable[[Evaluator], NativeNetwork]) -> bool:
    """Whether both find the same loss of a few samples: cheap, for a network that was compared."""
    single = _take_samples(evaluator, _SAMPLES)
    point = _read_theta(single)
    expected = single.sums(point, Strategy())[:, :1]
    native = build(single).sums(point, NativeReductions(), single.batch_norm)
    values = {"loss": native}, {"loss": expected}
    return _are_close(*values, _TOLERANCE[evaluator.dtype])


def _take_samples(evaluator: Evaluator, count: int) -> Evaluator:
    """The loss alone on the first samples, with stored statistics."""
    batches = evaluator.batches
    if not isinstance(batches, ResidentBatches):
        raise TypeError("agreement is checked on resident data")
    few = batches.take_first(count)
    reductions = Reductions(evaluator.reductions.criterion)
    return replace(
        evaluator, batches=few, statistics=few, batch_norm="frozen", reductions=reductions
    )


def _agree_in_double(evaluator: Evaluator, build: Callable[[Evaluator], NativeNetwork]) -> bool:
    """Whether both compute the same function, which rounding and kinks of float32 may hide."""
    if evaluator.dtype == torch.float64:
        return False
    double = to_double(_take_samples(evaluator, _FEWER_SAMPLES))
    exact, native = _compute_by_torch(double), _compute_by_native(double, build(double))
    return _are_close(native, exact, _TOLERANCE[torch.float64])


def _are_close(native: Values, expected: Values, tolerance: float) -> bool:
    """Whether all values are finite, and equal to a relative tolerance."""
    return all(
        bool(value.isfinite().all()) and _relative_error(native[name], value) <= tolerance
        for name, value in expected.items()
    )


def _describe_difference(
    native: Values, exact: Values, by_torch: Values, noise: Values, tolerance: float
) -> str | None:
    """What differs by more than the tolerance and than twice the error of PyTorch's values."""
    for name, expected in exact.items():
        if not torch.isfinite(expected).all():
            continue
        error, allowed = (_relative_error(values[name], expected) for values in (native, by_torch))
        floor = _ROUNDINGS * _relative_error(noise[name], torch.zeros(()), expected)
        limit = max(tolerance, _ERROR_FACTOR * allowed) + floor
        if not error <= limit:
            return f"its {name} differs from PyTorch's by {error:.1e} (at most {limit:.1e} may be)"
    return None


def _read_theta(evaluator: Evaluator) -> Rows:
    theta = torch.from_numpy(evaluator.layout.flatten(evaluator.model.module))
    return Rows(theta.to(evaluator.dtype)[None])


def _compute_by_torch(evaluator: Evaluator) -> Values:
    loss, gradient = compute_gradients(evaluator, _read_theta(evaluator), Strategy(), 1.0)
    return {"loss": loss, "gradient": gradient.double()}


def _compute_by_native(evaluator: Evaluator, native: NativeNetwork) -> Values:
    loss, gradient = native.gradients(_read_theta(evaluator), np.ones(1), evaluator.batch_norm)
    return {"loss": loss, "gradient": gradient.double()}


@torch.inference_mode(mode=False)
def _estimate_rounding(evaluator: Evaluator, epsilon: float) -> Values:
    """The change of loss and gradient, to first order, when every output is rounded once."""
    buffer, criterion = evaluator.new_buffer(), evaluator.reductions.criterion
    loss, model = criterion.recognised, evaluator.model
    if loss is None:
        raise TypeError("agreement is checked for recognised losses")
    buffer.fill(_read_theta(evaluator), 0)
    leaves = buffer.leaves()
    with evaluator.swapped_in(), torch.enable_grad():
        model.install(leaves)
        (batch,) = evaluator.iter_pass(evaluator.iter_blocks(Strategy()), 0)
        outputs = criterion.outputs(model.module, batch.content)
        targets = get_targets(batch.content)
        step = epsilon * outputs.detach().abs().clamp(min=1.0)
        output_gradient, moved = (
            _compute_output_gradient(loss, outputs.detach() + s, targets) for s in (0 * step, step)
        )
        signs = torch.ones(step.numel(), dtype=step.dtype)
        signs[::2] = -1
        tiny = torch.finfo(torch.float64).eps
        cotangent = signs.reshape(step.shape) * ((moved - output_gradient).abs() + tiny)
        parts: tuple[Tensor | None, ...] = ()
        if outputs.requires_grad:  # not where only frozen parameters reach them
            # as one number: with a cotangent PyTorch imports sympy, in half a second
            parts = torch.autograd.grad((outputs * cotangent).sum(), leaves, allow_unused=True)
    gradient = torch.cat([step.new_zeros(1), *(p.reshape(-1) for p in parts if p is not None)])
    minimum = torch.finfo(torch.float64).eps * outputs.detach().abs().clamp(min=1.0)
    error = (output_gradient.abs() * step + minimum).sum()
    return {"loss": error.nan_to_num(0, 0), "gradient": gradient.nan_to_num(0, 0, 0)}


def _compute_output_gradient(loss: RecognisedLoss, outputs: Tensor, targets: Tensor) -> Tensor:
    """The derivative of the summed loss by the outputs."""
    leaf = outputs.requires_grad_()
    return torch.autograd.grad(loss.total(leaf, targets), leaf)[0]


def _relative_error(value: Tensor, expected: Tensor, scale: Tensor | None = None) -> float:
    difference = float((value - expected).norm())
    size = float((expected if scale is None else scale).norm())
    return difference / max(size, torch.finfo(torch.float64).tiny)

"""Matrices of a block's outputs that stand for the second derivative of its loss.

Depends on the likelihoods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landscape._objective.heads import Head
from landscape._objective.kinds import Curvature
from landscape._objective.likelihoods import drawn_targets, fisher_product

__all__ = ["Slopes", "output_curvature"]

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Slopes:
    """The mean of s s' over the slopes s of each sample: one, or one for each random target."""

    slopes: Sequence[Tensor]

    def along(self, tangent: Tensor) -> Tensor:
        """S' t, shape (slopes, samples)."""
        return torch.stack([(slope * tangent).flatten(1).sum(1) for slope in self.slopes])

    def __call__(self, tangent: Tensor) -> Tensor:
        """The product with a tangent of the outputs' shape."""
        shares = self.along(tangent) / len(self.slopes)
        shape = (-1, *[1] * (tangent.ndim - 1))
        terms = [
            slope * share.reshape(shape) for slope, share in zip(self.slopes, shares, strict=True)
        ]
        return torch.stack(terms).sum(0)


def output_curvature(
    curvature: Curvature,
    head: Head,
    outputs: Tensor,
    targets: Tensor,
    random: np.random.Generator,
) -> Product:
    """The product with the outputs' matrix of one block of samples.

    Args:
        curvature: Any kind but the Hessian, which is more than a matrix of the outputs.
        head: The loss.
        outputs: Those of the block, of any dtype; products take and give float64.
        targets: Those of the block.
        random: Where random targets come from.

    Raises:
        ValueError: The loss has no likelihood, and the kind needs one.
    """
    values = outputs.detach().double().requires_grad_()
    if curvature.kind == "gauss_newton":
        return _second_derivative(head, values, targets)
    if curvature.kind == "fisher":
        return fisher_product(head, values.detach(), targets)
    if curvature.kind == "monte_carlo_fisher":
        draws = drawn_targets(head, values.detach(), targets, curvature.draws, random)
        return Slopes([_slope(head, values, drawn) for drawn in draws])
    return Slopes([_slope(head, values, targets)])


def _slope(head: Head, values: Tensor, targets: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(head.total(values, targets), values)
    return slope


def _second_derivative(head: Head, values: Tensor, targets: Tensor) -> Product:
    (slope,) = torch.autograd.grad(head.total(values, targets), values, create_graph=True)

    def product(tangent: Tensor) -> Tensor:
        if not slope.requires_grad:  # L1: no curvature of its own
            return torch.zeros_like(tangent)
        (found,) = torch.autograd.grad(slope, values, tangent, retain_graph=True)
        return found

    return product

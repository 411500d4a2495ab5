"""The curvature of every sample's loss along given vectors: what a sampling error is made of.

Depends on the evaluator and on how Hessian products are differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape._objective.at_point import twice_differentiable
from landscape._objective.data import Batch
from landscape._objective.evaluate import Evaluator
from landscape._objective.gradients import refuse_recalibrated
from landscape._objective.points import Points
from landscape._objective.strategy import Strategy

__all__ = ["sample_curvatures"]


@torch.inference_mode(mode=False)
def sample_curvatures(
    evaluator: Evaluator, point: Points, vectors: Tensor, strategy: Strategy
) -> tuple[Tensor, Tensor]:
    r"""The numbers v' H_i v, H_i being the Hessian of the weighted sum of sample i's losses.

    With weights w, v' (sum_i w_i H_i) v is linear in w: its gradient by w is all of them at once.

    Args:
        evaluator: The function; its loss must be a recognised one.
        point: One parameter vector.
        vectors: Shape (k, d).
        strategy: Its block and memory format are used.

    Returns:
        The numbers, shape (k, n), and what each sample adds to the denominator of L, shape (n,),
        both float64 and in the order in which the data are gone through.
    """
    refuse_recalibrated(evaluator, "curvatures of samples")
    buffer = evaluator.buffer()
    buffer.fill(point, 0)
    leaves = buffer.leaves()
    stage = evaluator.stage
    tangents = [
        [
            row[entry.span].reshape(entry.shape).to(device=stage.device, dtype=leaf.dtype)
            for entry, leaf in zip(evaluator.layout.entries, leaves, strict=True)
        ]
        for row in vectors
    ]
    with twice_differentiable(evaluator, leaves):
        found = [
            (
                _of_block(evaluator, batch, leaves, tangents),
                evaluator.measurement.sample_weights(batch).cpu(),
            )
            for batch in evaluator.passes(evaluator.blocks(strategy))
        ]
    shares, weights = zip(*found, strict=True)
    return torch.cat(shares, dim=1), torch.cat(weights)


def _of_block(
    evaluator: Evaluator,
    batch: Batch,
    leaves: Sequence[Tensor],
    tangents: Sequence[Sequence[Tensor]],
) -> Tensor:
    losses = evaluator.measurement.per_sample(evaluator.stage.model, batch)
    weights = torch.ones_like(losses, requires_grad=True)
    found = torch.zeros(len(tangents), len(losses), dtype=torch.float64)
    total = losses @ weights
    if not losses.requires_grad:
        return found
    gradient = torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    for row, tangent in zip(found, tangents, strict=True):
        slope = _inner(gradient, tangent)
        if slope is None or not slope.requires_grad:
            continue
        product = torch.autograd.grad(slope, leaves, create_graph=True, allow_unused=True)
        curvature = _inner(product, tangent)
        if curvature is None or not curvature.requires_grad:
            continue
        (shares,) = torch.autograd.grad(curvature, weights, retain_graph=True, allow_unused=True)
        if shares is not None:
            row.copy_(shares)
    return found


def _inner(pieces: Sequence[Tensor | None], tangent: Sequence[Tensor]) -> Tensor | None:
    terms = [
        (piece * part).sum().double()
        for piece, part in zip(pieces, tangent, strict=True)
        if piece is not None
    ]
    return torch.stack(terms).sum() if terms else None

"""Hessian products at one point by double backward, and curvatures of single samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape._objective.data.batches import Batch
from landscape._objective.points import Points
from landscape._objective.strategy import Strategy
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.torch_backend.gradients import refuse_recalibrated
from landscape._objective.torch_backend.operator import GraphOperator, twice_differentiable

__all__ = ["HessianOperator", "compute_sample_curvatures"]

Gradient = Sequence[Tensor | None]


class HessianOperator(GraphOperator[Gradient]):
    """The Hessian of L at one point as a linear operator, v -> H v."""

    def _build_graph(self, batch: Batch, leaves: Sequence[Tensor]) -> Gradient:
        total = self._evaluator.reductions.totals(self._evaluator.model.module, batch)[0]
        if not total.requires_grad:  # no varied parameter reaches this batch's loss
            return [None] * len(leaves)
        return torch.autograd.grad(
            total / self._weight, leaves, create_graph=True, allow_unused=True
        )

    def _restrict_graph(self, graph: Gradient, positions: Sequence[int]) -> Gradient:
        return [graph[position] for position in positions]

    def _add_product(
        self, graph: Gradient, leaves: Sequence[Tensor], tangent: Sequence[Tensor], out: Tensor
    ) -> None:
        # a gradient that no longer depends on theta (a linear layer under L1) has no curvature
        curved = [
            (piece, part)
            for piece, part in zip(graph, tangent, strict=True)
            if piece is not None and piece.requires_grad
        ]
        if not curved:
            return
        pieces, parts = zip(*curved, strict=True)
        product = torch.autograd.grad(pieces, leaves, parts, retain_graph=True, allow_unused=True)
        self._add_pieces(product, out)


@torch.inference_mode(mode=False)
def compute_sample_curvatures(
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
        The numbers, shape (k, n), and each sample's term of the denominator of L, shape (n,), both
        float64 and in the order of a pass over the data.
    """
    refuse_recalibrated(evaluator, "curvatures of samples")
    buffer = evaluator.new_buffer()
    buffer.fill(point, 0)
    leaves = buffer.leaves()
    model = evaluator.model
    tangents = [
        [
            row[entry.span].reshape(entry.shape).to(device=model.device, dtype=leaf.dtype)
            for entry, leaf in zip(evaluator.layout.entries, leaves, strict=True)
        ]
        for row in vectors
    ]
    with twice_differentiable(evaluator, leaves):
        blocks = [
            (
                _compute_block(evaluator, batch, leaves, tangents),
                evaluator.reductions.sample_weights(batch).cpu(),
            )
            for batch in evaluator.iter_pass(evaluator.iter_blocks(strategy))
        ]
    forms, weights = zip(*blocks, strict=True)
    return torch.cat(forms, dim=1), torch.cat(weights)


def _compute_block(
    evaluator: Evaluator,
    batch: Batch,
    leaves: Sequence[Tensor],
    tangents: Sequence[Sequence[Tensor]],
) -> Tensor:
    losses = evaluator.reductions.per_sample(evaluator.model.module, batch)
    weights = torch.ones_like(losses, requires_grad=True)
    forms = torch.zeros(len(tangents), len(losses), dtype=torch.float64)
    total = losses @ weights
    if not losses.requires_grad:
        return forms
    gradient = torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    for row, tangent in zip(forms, tangents, strict=True):
        derivative = _inner(gradient, tangent)
        if derivative is None or not derivative.requires_grad:
            continue
        product = torch.autograd.grad(derivative, leaves, create_graph=True, allow_unused=True)
        curvature = _inner(product, tangent)
        if curvature is None or not curvature.requires_grad:
            continue
        (by_weight,) = torch.autograd.grad(curvature, weights, retain_graph=True, allow_unused=True)
        if by_weight is not None:
            row.copy_(by_weight)
    return forms


def _inner(pieces: Sequence[Tensor | None], tangent: Sequence[Tensor]) -> Tensor | None:
    terms = [
        (piece * part).sum().double()
        for piece, part in zip(pieces, tangent, strict=True)
        if piece is not None
    ]
    return torch.stack(terms).sum() if terms else None

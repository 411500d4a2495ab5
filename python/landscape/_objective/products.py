"""Hessian products at one point, by double backward on the graph of the gradient.

Depends on products of graphs in general.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from landscape._objective.at_point import AtPoint
from landscape._objective.data import Batch

__all__ = ["HessianAtPoint"]

Gradient = Sequence[Tensor | None]


class HessianAtPoint(AtPoint[Gradient]):
    """The Hessian of L at one point as a linear operator, v -> H v."""

    def _graph(self, batch: Batch, leaves: Sequence[Tensor]) -> Gradient:
        total = self._evaluator.measurement.totals(self._evaluator.stage.model, batch)[0]
        if not total.requires_grad:  # no varied parameter reaches this batch's loss
            return [None] * len(leaves)
        return torch.autograd.grad(
            total / self._weight, leaves, create_graph=True, allow_unused=True
        )

    def _part(self, graph: Gradient, chosen: Sequence[int]) -> Gradient:
        return [graph[position] for position in chosen]

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
        found = torch.autograd.grad(pieces, leaves, parts, retain_graph=True, allow_unused=True)
        self._add(found, out)

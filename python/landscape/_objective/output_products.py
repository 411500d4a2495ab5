"""Products J' M J v at one point: Gauss-Newton, Fisher and covariance matrices.

Depends on products of graphs in general, and on the outputs' matrices M.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape._objective.at_point import AtPoint, twice_differentiable
from landscape._objective.data import Batch
from landscape._objective.kinds import Curvature
from landscape._objective.output_curvatures import Product, Slopes, output_curvature

__all__ = ["OutputCurvatureAtPoint"]

_TARGETS = 3  # the stream of random targets, apart from those of subsets, splits and masks


@dataclass(frozen=True)
class Outputs:
    """A block's outputs z, the graph of J' u for a dummy u, and the product with M."""

    values: Tensor
    dummy: Tensor
    slopes: Sequence[Tensor | None]
    product: Product


class OutputCurvatureAtPoint(AtPoint[Outputs | None]):
    r"""The sum of J_i' M_i J_i over samples, divided by a weight, as a linear operator.

    J_i is the derivative of sample i's outputs, M_i a matrix of theirs. J v is the derivative by u
    of (J' u)' v, which is linear in u: reverse mode twice, and no forward mode.

    Reference:
        Schraudolph, Fast curvature matrix-vector products for second-order gradient descent,
        Neural Computation 14 (2002); Martens, New insights and perspectives on the natural
        gradient method, JMLR 21 (2020).
    """

    def __init__(self, curvature: Curvature, *given: Any, **options: Any) -> None:
        self._curvature = curvature
        super().__init__(*given, **options)

    def _begin(self) -> None:
        self._random = np.random.default_rng([self._curvature.seed, _TARGETS])

    def _graph(self, batch: Batch, leaves: Sequence[Tensor]) -> Outputs | None:
        measurement = self._evaluator.measurement
        head, targets = measurement.head, measurement.targets(batch.content)
        values = measurement.criterion.outputs(self._evaluator.stage.model, batch.content)
        product = output_curvature(self._curvature, head, values, targets, self._random)
        if not values.requires_grad:  # no varied parameter reaches these outputs
            return None
        dummy = torch.zeros_like(values, requires_grad=True)
        slopes = torch.autograd.grad(values, leaves, dummy, create_graph=True, allow_unused=True)
        return Outputs(values, dummy, slopes, product)

    def _part(self, graph: Outputs | None, chosen: Sequence[int]) -> Outputs | None:
        return graph and replace(graph, slopes=[graph.slopes[position] for position in chosen])

    def _add_product(
        self,
        graph: Outputs | None,
        leaves: Sequence[Tensor],
        tangent: Sequence[Tensor],
        out: Tensor,
    ) -> None:
        moved = _moved(graph, tangent)
        if graph is None or moved is None:
            return
        wanted = (graph.product(moved) / self._weight).to(graph.values.dtype)
        found = torch.autograd.grad(
            graph.values, leaves, wanted, retain_graph=True, allow_unused=True
        )
        self._add(found, out)

    @torch.inference_mode(mode=False)
    def shares(self, vectors: Tensor, centre: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The numbers v' J_i' M_i J_i v of every sample i.

        Args:
            vectors: Shape (k, d).
            centre: What is subtracted from every sample's slope along each vector before it is
                squared, shape (k,), where M_i is the product of one slope with itself.

        Returns:
            The numbers, shape (k, n), and what each sample adds to the denominator of L, shape
            (n,), both float64 and in the order in which the data are gone through.
        """
        evaluator = self._evaluator
        measurement = evaluator.measurement
        tangents = [self._tangent(row) for row in vectors]
        leaves = [self._leaves[position] for position in self._chosen]
        found, weights = [], []
        with twice_differentiable(evaluator, self._leaves):
            for graph, batch in zip(
                self._graphs(leaves), evaluator.blocks(self._strategy), strict=True
            ):
                rows = torch.zeros(len(vectors), batch.size, dtype=torch.float64)
                for index, tangent in enumerate(tangents):
                    moved = _moved(graph, tangent)
                    if graph is not None and moved is not None:
                        middle = None if centre is None else centre[index]
                        rows[index] = _form(graph.product, moved, middle)
                found.append(rows)
                weights.append(measurement.sample_weights(batch).cpu())
        return torch.cat(found, dim=1), torch.cat(weights)


def _moved(graph: Outputs | None, tangent: Sequence[Tensor]) -> Tensor | None:
    """J v, float64; None where the outputs do not depend on what varies."""
    if graph is None:
        return None
    varied = [
        (slope, part)
        for slope, part in zip(graph.slopes, tangent, strict=True)
        if slope is not None and slope.requires_grad
    ]
    if not varied:
        return None
    slopes, parts = zip(*varied, strict=True)
    (found,) = torch.autograd.grad(slopes, graph.dummy, parts, retain_graph=True)
    return found.double()


def _form(product: Product, moved: Tensor, centre: Tensor | None) -> Tensor:
    if centre is not None and isinstance(product, Slopes):
        return (product.along(moved)[0] - centre).square().cpu()
    return (moved * product(moved)).flatten(1).sum(1).cpu()

"""CurvatureOperator J' M J v at one point: Gauss-Newton, Fisher and covariance matrices.

Depends on products of graphs in general, and on the outputs' matrices M.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape._objective.curvature import Curvature
from landscape._objective.data.batches import Batch
from landscape._objective.losses.likelihood import draw_targets, make_fisher_product
from landscape._objective.losses.recognised import RecognisedLoss
from landscape._objective.torch_backend.operator import GraphOperator, twice_differentiable

__all__ = ["GaussNewtonOperator", "OutputGradients", "make_output_product"]

_TARGETS = 3  # the stream of random targets, apart from those of subsets, splits and masks


@dataclass(frozen=True)
class Outputs:
    """A block's outputs z, the graph of J' u for a dummy u, and the product with M."""

    values: Tensor
    dummy: Tensor
    slopes: Sequence[Tensor | None]
    product: Product


class GaussNewtonOperator(GraphOperator[Outputs | None]):
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
        reductions = self._evaluator.reductions
        loss, targets = reductions.recognised_loss, reductions.targets(batch.content)
        values = reductions.criterion.outputs(self._evaluator.model.module, batch.content)
        product = make_output_product(self._curvature, loss, values, targets, self._random)
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
        reductions = evaluator.reductions
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
                weights.append(reductions.sample_weights(batch).cpu())
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
    if centre is not None and isinstance(product, OutputGradients):
        return (product.along(moved)[0] - centre).square().cpu()
    return (moved * product(moved)).flatten(1).sum(1).cpu()


Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class OutputGradients:
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


def make_output_product(
    curvature: Curvature,
    loss: RecognisedLoss,
    outputs: Tensor,
    targets: Tensor,
    random: np.random.Generator,
) -> Product:
    """The product with the outputs' matrix of one block of samples.

    Args:
        curvature: Any kind but the Hessian, which is more than a matrix of the outputs.
        loss: The loss.
        outputs: Those of the block, of any dtype; products take and give float64.
        targets: Those of the block.
        random: Where random targets come from.

    Raises:
        ValueError: The loss has no likelihood, and the kind needs one.
    """
    values = outputs.detach().double().requires_grad_()
    if curvature.kind == "gauss_newton":
        return _second_derivative(loss, values, targets)
    if curvature.kind == "fisher":
        return make_fisher_product(loss, values.detach(), targets)
    if curvature.kind == "monte_carlo_fisher":
        draws = draw_targets(loss, values.detach(), targets, curvature.draws, random)
        return OutputGradients([_slope(loss, values, drawn) for drawn in draws])
    return OutputGradients([_slope(loss, values, targets)])


def _slope(loss: RecognisedLoss, values: Tensor, targets: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(loss.total(values, targets), values)
    return slope


def _second_derivative(loss: RecognisedLoss, values: Tensor, targets: Tensor) -> Product:
    (slope,) = torch.autograd.grad(loss.total(values, targets), values, create_graph=True)

    def product(tangent: Tensor) -> Tensor:
        if not slope.requires_grad:  # L1: no curvature of its own
            return torch.zeros_like(tangent)
        (found,) = torch.autograd.grad(slope, values, tangent, retain_graph=True)
        return found

    return product

"""Products J' M J v at one point: generalised Gauss-Newton, Fisher and covariance matrices."""

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

_TARGETS = 3  # the stream of the seed for random targets; others are of subsets and splits

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class OutputGraph:
    """A block's outputs z, the graph of J' u for a dummy u, and the product with M."""

    values: Tensor
    dummy: Tensor
    vjp: Sequence[Tensor | None]
    """J' u by each leaf."""
    product: Product


class GaussNewtonOperator(GraphOperator[OutputGraph | None]):
    r"""The sum of J_i' M_i J_i over samples, divided by a weight, as a linear operator.

    J_i is the derivative of sample i's outputs, M_i a matrix of theirs. J v is the derivative by u
    of (J' u)' v, which is linear in u: reverse mode twice, and no forward mode.

    Reference:
        Schraudolph, Fast curvature matrix-vector products for second-order gradient descent,
        Neural Computation 14 (2002); Martens, New insights and perspectives on the natural
        gradient method, JMLR 21 (2020).
    """

    def __init__(self, curvature: Curvature, *arguments: Any, **options: Any) -> None:
        self._curvature = curvature
        super().__init__(*arguments, **options)

    def _reset_random(self) -> None:
        self._random = np.random.default_rng([self._curvature.seed, _TARGETS])

    def _build_graph(self, batch: Batch, leaves: Sequence[Tensor]) -> OutputGraph | None:
        reductions = self._evaluator.reductions
        loss, targets = reductions.recognised_loss, reductions.targets(batch.content)
        values = reductions.criterion.outputs(self._evaluator.model.module, batch.content)
        product = make_output_product(self._curvature, loss, values, targets, self._random)
        if not values.requires_grad:  # no varied parameter reaches these outputs
            return None
        dummy = torch.zeros_like(values, requires_grad=True)
        vjp = torch.autograd.grad(values, leaves, dummy, create_graph=True, allow_unused=True)
        return OutputGraph(values, dummy, vjp, product)

    def _restrict_graph(
        self, graph: OutputGraph | None, positions: Sequence[int]
    ) -> OutputGraph | None:
        return graph and replace(graph, vjp=[graph.vjp[position] for position in positions])

    def _add_product(
        self,
        graph: OutputGraph | None,
        leaves: Sequence[Tensor],
        tangent: Sequence[Tensor],
        out: Tensor,
    ) -> None:
        jvp = _compute_jvp(graph, tangent)
        if graph is None or jvp is None:
            return
        cotangent = (graph.product(jvp) / self._weight).to(graph.values.dtype)
        product = torch.autograd.grad(
            graph.values, leaves, cotangent, retain_graph=True, allow_unused=True
        )
        self._add_pieces(product, out)

    @torch.inference_mode(mode=False)
    def sample_quadratic_forms(
        self, vectors: Tensor, centre: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The numbers v' J_i' M_i J_i v of every sample i.

        Args:
            vectors: Shape (k, d).
            centre: Subtracted from every sample's derivative along each vector before it is
                squared, shape (k,), where M_i is the outer product of one gradient with itself.

        Returns:
            The numbers, shape (k, n), and each sample's term of the denominator of L, shape (n,),
            both float64 and in the order of a pass over the data.
        """
        evaluator = self._evaluator
        reductions = evaluator.reductions
        tangents = [self._split_vector(row) for row in vectors]
        leaves = [self._leaves[position] for position in self._positions]
        forms, weights = [], []
        with twice_differentiable(evaluator, self._leaves):
            for graph, batch in zip(
                self._iter_graphs(leaves), evaluator.iter_blocks(self._strategy), strict=True
            ):
                rows = torch.zeros(len(vectors), batch.size, dtype=torch.float64)
                for index, tangent in enumerate(tangents):
                    jvp = _compute_jvp(graph, tangent)
                    if graph is not None and jvp is not None:
                        shift = None if centre is None else centre[index]
                        rows[index] = _quadratic_form(graph.product, jvp, shift)
                forms.append(rows)
                weights.append(reductions.sample_weights(batch).cpu())
        return torch.cat(forms, dim=1), torch.cat(weights)


def _compute_jvp(graph: OutputGraph | None, tangent: Sequence[Tensor]) -> Tensor | None:
    """J v, float64; None where the outputs do not depend on the varied parameters."""
    if graph is None:
        return None
    pairs = [
        (piece, part)
        for piece, part in zip(graph.vjp, tangent, strict=True)
        if piece is not None and piece.requires_grad
    ]
    if not pairs:
        return None
    pieces, parts = zip(*pairs, strict=True)
    (jvp,) = torch.autograd.grad(pieces, graph.dummy, parts, retain_graph=True)
    return jvp.double()


def _quadratic_form(product: Product, jvp: Tensor, centre: Tensor | None) -> Tensor:
    if centre is not None and isinstance(product, OutputGradients):
        return (product.along(jvp)[0] - centre).square().cpu()
    return _sum_samples(jvp * product(jvp)).cpu()


def _sum_samples(tensor: Tensor) -> Tensor:
    """The sum of each sample's entries, of which there may be one or none."""
    return tensor.sum(dim=tuple(range(1, tensor.ndim))) if tensor.ndim > 1 else tensor


@dataclass(frozen=True)
class OutputGradients:
    """The mean of s s' over gradients s by the outputs: one, or one for each random target."""

    gradients: Sequence[Tensor]

    def along(self, tangent: Tensor) -> Tensor:
        """S' t, shape (gradients, samples)."""
        return torch.stack([_sum_samples(gradient * tangent) for gradient in self.gradients])

    def __call__(self, tangent: Tensor) -> Tensor:
        """The product with a tangent of the outputs' shape."""
        coefficients = self.along(tangent) / len(self.gradients)
        shape = (-1, *[1] * (tangent.ndim - 1))
        terms = [
            gradient * coefficient.reshape(shape)
            for gradient, coefficient in zip(self.gradients, coefficients, strict=True)
        ]
        return torch.stack(terms).sum(0)


def make_output_product(
    curvature: Curvature,
    loss: RecognisedLoss,
    outputs: Tensor,
    targets: Tensor,
    random: np.random.Generator,
) -> Product:
    """The product with M, the outputs' matrix of one block of samples.

    Args:
        curvature: Any kind but the Hessian, which is more than a matrix of the outputs.
        loss: The loss.
        outputs: Those of the block, of any dtype; products take and give float64.
        targets: Those of the block.
        random: Draws the random targets.

    Raises:
        ValueError: The loss has no likelihood, and the kind needs one.
    """
    values = outputs.detach().double().requires_grad_()
    if curvature.kind == "gauss_newton":
        return _make_loss_hessian_product(loss, values, targets)
    if curvature.kind == "fisher":
        return make_fisher_product(loss, values.detach(), targets)
    if curvature.kind == "monte_carlo_fisher":
        draws = draw_targets(loss, values.detach(), targets, curvature.draws, random)
        return OutputGradients([_compute_output_gradient(loss, values, drawn) for drawn in draws])
    return OutputGradients([_compute_output_gradient(loss, values, targets)])


def _compute_output_gradient(loss: RecognisedLoss, values: Tensor, targets: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(loss.total(values, targets), values)
    return gradient


def _make_loss_hessian_product(loss: RecognisedLoss, values: Tensor, targets: Tensor) -> Product:
    (gradient,) = torch.autograd.grad(loss.total(values, targets), values, create_graph=True)

    def product(tangent: Tensor) -> Tensor:
        if not gradient.requires_grad:  # L1: no curvature of its own
            return torch.zeros_like(tangent)
        (result,) = torch.autograd.grad(gradient, values, tangent, retain_graph=True)
        return result

    return product

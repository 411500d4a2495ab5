"""Hessian products at one point, by double backward on the retained graph of the gradient.

Depends on the evaluator. Reverse-over-forward and forward-over-forward are never used: they are
silently wrong through batch norm in train mode, InstanceNorm and LayerNorm (pytorch #196699,
#196700). Attention runs under the MATH kernel, the only one with a second derivative on a CPU, and
weight normalisation as its definition, for its fused kernel has a wrong one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from landscape._objective.data import Batch
from landscape._objective.evaluate import Evaluator
from landscape._objective.gradients import refuse_recalibrated
from landscape._objective.points import Points
from landscape._objective.strategy import Strategy
from landscape._objective.weight_decay import WeightDecay

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["HessianAtPoint", "twice_differentiable"]


class HessianAtPoint:
    r"""The Hessian of L at one point as a linear operator, v -> H v.

    The gradient's graph is built once and kept while it fits the memory budget (measured: 1.6 to 3
    times fewer seconds per product), and rebuilt block by block in every product otherwise.
    """

    @torch.inference_mode(mode=False)
    def __init__(
        self,
        evaluator: Evaluator,
        point: Points,
        strategy: Strategy,
        *,
        weight: float,
        weight_decay: WeightDecay,
        budget: int,
    ) -> None:
        refuse_recalibrated(evaluator, "Hessian products")
        self._evaluator = evaluator
        self._strategy = strategy
        self._weight = weight
        self._weight_decay = weight_decay
        buffer = evaluator.buffer()
        buffer.fill(point, 0)
        self._leaves = buffer.leaves()
        self.layout = evaluator.layout
        """The parameters of the rows and columns."""
        self._chosen = tuple(range(len(self._leaves)))
        self._retained = self._retain(budget)

    def block(self, positions: Sequence[int]) -> HessianAtPoint:
        """The diagonal block of some of the layout's entries, which shares the graph.

        Only their own second derivatives are computed.
        """
        twin = copy.copy(self)
        twin.layout = self.layout.part(positions)
        twin._chosen = tuple(self._chosen[position] for position in positions)
        return twin

    @property
    def retained(self) -> bool:
        """Whether the gradient's graph is kept between products."""
        return self._retained is not None

    @torch.inference_mode(mode=False)
    def __call__(self, vectors: ArrayLike) -> NDArray[Any]:
        """Multiply one vector, shape (d,), or several that share the graph, shape (k, d).

        Raises:
            ValueError: The vectors do not have d entries.
        """
        dim, dtype = self.layout.size, self._evaluator.dtype
        given = torch.tensor(np.asarray(vectors), dtype=dtype)
        if given.ndim not in (1, 2) or given.shape[-1] != dim:
            raise ValueError(
                f"got vectors of shape {tuple(given.shape)}, expected ({dim},) or (k, {dim})"
            )
        products = self._multiplied(given.reshape(-1, dim))
        self._weight_decay.add_derivative(given.reshape(-1, dim), products)
        return products.reshape(given.shape).numpy()

    def _multiplied(self, vectors: Tensor) -> Tensor:
        stage = self._evaluator.stage
        dtypes = [stage.dtypes[position] for position in self._chosen]
        found = torch.zeros(vectors.shape, dtype=self._evaluator.dtype)
        tangents = [
            [
                row[entry.span].reshape(entry.shape).to(device=stage.device, dtype=dtype)
                for entry, dtype in zip(self.layout.entries, dtypes, strict=True)
            ]
            for row in vectors
        ]
        leaves = [self._leaves[position] for position in self._chosen]
        with twice_differentiable(self._evaluator, self._leaves):
            for gradient in self._pieces(leaves):
                for row, tangent in zip(found, tangents, strict=True):
                    self._add_product(gradient, leaves, tangent, row)
        return found

    def _pieces(self, leaves: Sequence[Tensor]) -> Iterator[Sequence[Tensor | None]]:
        """The gradient of every block of samples by these leaves."""
        if self._retained is None:
            yield from self._gradients(leaves)
        else:
            for gradient in self._retained:
                yield [gradient[position] for position in self._chosen]

    def _add_product(
        self,
        gradient: Sequence[Tensor | None],
        leaves: Sequence[Tensor],
        tangent: list[Tensor],
        out: Tensor,
    ) -> None:
        # a gradient that no longer depends on theta (a linear layer under L1) has no curvature
        curved = [
            (piece, part)
            for piece, part in zip(gradient, tangent, strict=True)
            if piece is not None and piece.requires_grad
        ]
        if not curved:
            return
        pieces, parts = zip(*curved, strict=True)
        products = torch.autograd.grad(pieces, leaves, parts, retain_graph=True, allow_unused=True)
        for entry, product in zip(self.layout.entries, products, strict=True):
            if product is not None:
                out[entry.span] += product.reshape(-1).to(out)

    def _retain(self, budget: int) -> list[Sequence[Tensor | None]] | None:
        """Keep the graphs of all blocks, or give up as soon as they exceed the budget."""
        kept: list[Sequence[Tensor | None]] = []
        saved: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor)
        with twice_differentiable(self._evaluator, self._leaves), hooks:
            for gradient in self._gradients(self._leaves):
                kept.append(gradient)
                if sum(saved.values()) > budget:
                    return None
        return kept

    def _gradients(self, leaves: Sequence[Tensor]) -> Iterator[Sequence[Tensor | None]]:
        evaluator = self._evaluator
        for batch in evaluator.passes(evaluator.blocks(self._strategy)):
            yield self._gradient(batch, leaves)

    def _gradient(self, batch: Batch, leaves: Sequence[Tensor]) -> Sequence[Tensor | None]:
        total = self._evaluator.measurement.totals(self._evaluator.stage.model, batch)[0]
        if not total.requires_grad:  # no varied parameter reaches this batch's loss
            return [None] * len(leaves)
        return torch.autograd.grad(
            total / self._weight, leaves, create_graph=True, allow_unused=True
        )


@contextmanager
def twice_differentiable(evaluator: Evaluator, leaves: Sequence[Tensor]) -> Iterator[None]:
    """Lend the model at a point, under kernels that have second derivatives."""
    kernels = sdpa_kernel(SDPBackend.MATH), _DefinedWeightNorm()
    with evaluator.ready(), torch.enable_grad(), kernels[0], kernels[1]:
        # a checkpointed module runs again in its backward, so the point stays installed
        evaluator.stage.install(leaves)
        yield


class _DefinedWeightNorm(TorchFunctionMode):
    """Weight normalisation by its definition, w = g v / |v|.

    The backward pass of PyTorch's fused kernel takes |v| for a constant when it is differentiated
    in turn: Hessian products through it are 30 to 70% wrong (measured, PyTorch 2.15).
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is torch._weight_norm:
            return _weight_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))

"""A curvature matrix at one point as an operator over autograd graphs, retained or rebuilt.

Reverse-over-forward and forward-over-forward are never used: they are silently wrong through batch
norm in train mode, InstanceNorm and LayerNorm (pytorch #196699, #196700). Attention runs under the
MATH kernel, the only one with a second derivative on a CPU, and weight normalisation as its
definition, because its fused kernel has a wrong one.
"""

from __future__ import annotations

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from landscape._objective.data.batches import Batch
from landscape._objective.points import Points
from landscape._objective.strategy import Strategy
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.torch_backend.gradients import refuse_recalibrated
from landscape._objective.weight_decay import WeightDecay
from landscape._threadwise import WhileAnyone

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["GraphOperator", "twice_differentiable"]

Graph = TypeVar("Graph")


class GraphOperator(ABC, Generic[Graph]):
    r"""A symmetric matrix of L at one point as a linear operator, v -> A v.

    The graphs of all blocks of samples are built once and retained while they fit the memory
    budget (measured: 1.6 to 3 times fewer seconds per product), and rebuilt block by block in
    every product otherwise.
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
        buffer = evaluator.new_buffer()
        buffer.fill(point, 0)
        self._leaves = buffer.leaves()
        self.layout = evaluator.layout
        """The parameters of the rows and columns."""
        self._positions = tuple(range(len(self._leaves)))
        self._retained = self._retain(budget)

    @abstractmethod
    def _build_graph(self, batch: Batch, leaves: Sequence[Tensor]) -> Graph:
        """The graph that products on a block of samples differentiate, by these leaves."""

    @abstractmethod
    def _restrict_graph(self, graph: Graph, positions: Sequence[int]) -> Graph:
        """A graph restricted to some of the leaves."""

    @abstractmethod
    def _add_product(
        self, graph: Graph, leaves: Sequence[Tensor], tangent: Sequence[Tensor], out: Tensor
    ) -> None:
        """Add a block's product with one vector, whose pieces are the tangent."""

    def _reset_random(self) -> None:
        """Reset random generators of the matrix, before the graphs of all blocks are built."""

    def block(self, positions: Sequence[int]) -> Self:
        """The diagonal block of some of the layout's entries, which shares the graphs.

        Only their own second derivatives are computed.
        """
        twin = copy.copy(self)
        twin.layout = self.layout.part(positions)
        twin._positions = tuple(self._positions[position] for position in positions)
        return twin

    @property
    def retained(self) -> bool:
        """Whether graphs are kept between products."""
        return self._retained is not None

    @torch.inference_mode(mode=False)
    def __call__(self, vectors: ArrayLike) -> NDArray[Any]:
        """Multiply one vector, shape (d,), or several that share the graphs, shape (k, d).

        Raises:
            ValueError: The vectors do not have d entries.
        """
        dim, dtype = self.layout.size, self._evaluator.dtype
        rows = torch.tensor(np.asarray(vectors), dtype=dtype)
        if rows.ndim not in (1, 2) or rows.shape[-1] != dim:
            raise ValueError(
                f"got vectors of shape {tuple(rows.shape)}, expected ({dim},) or (k, {dim})"
            )
        products = self._multiply(rows.reshape(-1, dim))
        self._weight_decay.add_derivative(rows.reshape(-1, dim), products)
        return products.reshape(rows.shape).numpy()

    def _multiply(self, vectors: Tensor) -> Tensor:
        products = torch.zeros(vectors.shape, dtype=self._evaluator.dtype)
        tangents = [self._split_vector(row) for row in vectors]
        leaves = [self._leaves[position] for position in self._positions]
        with twice_differentiable(self._evaluator, self._leaves):
            for graph in self._iter_graphs(leaves):
                for row, tangent in zip(products, tangents, strict=True):
                    self._add_product(graph, leaves, tangent, row)
        return products

    def _split_vector(self, vector: Tensor) -> list[Tensor]:
        """A vector cut into the pieces of the layout."""
        model = self._evaluator.model
        dtypes = [model.dtypes[position] for position in self._positions]
        return [
            vector[entry.span].reshape(entry.shape).to(device=model.device, dtype=dtype)
            for entry, dtype in zip(self.layout.entries, dtypes, strict=True)
        ]

    def _add_pieces(self, pieces: Sequence[Tensor | None], out: Tensor) -> None:
        """Add a product's pieces, None where there is none, to a vector."""
        for entry, piece in zip(self.layout.entries, pieces, strict=True):
            if piece is not None:
                out[entry.span] += piece.reshape(-1).to(out)

    def _iter_graphs(self, leaves: Sequence[Tensor]) -> Iterator[Graph]:
        if self._retained is None:
            yield from self._build_graphs(leaves)
        else:
            for graph in self._retained:
                yield self._restrict_graph(graph, self._positions)

    def _build_graphs(self, leaves: Sequence[Tensor]) -> Iterator[Graph]:
        self._reset_random()
        evaluator = self._evaluator
        for batch in evaluator.iter_pass(evaluator.iter_blocks(self._strategy)):
            yield self._build_graph(batch, leaves)

    def _retain(self, budget: int) -> list[Graph] | None:
        """Build the graphs of all blocks, or give up as soon as they exceed the budget."""
        graphs: list[Graph] = []
        saved: dict[int, int] = {}

        def count(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        hooks = torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor)
        with twice_differentiable(self._evaluator, self._leaves), hooks:
            for graph in self._build_graphs(self._leaves):
                graphs.append(graph)
                if sum(saved.values()) > budget:
                    return None
        return graphs


def _choose_attention_by_definition() -> Callable[[], None]:
    """As ``sdpa_kernel(SDPBackend.MATH)``, which must be left on the thread that entered it."""
    kernels: Any = torch.backends.cuda  # their switches hold on every device
    before = (
        kernels.flash_sdp_enabled(),
        kernels.mem_efficient_sdp_enabled(),
        kernels.cudnn_sdp_enabled(),
        kernels.math_sdp_enabled(),
    )

    def choose(*, flash: bool, efficient: bool, cudnn: bool, definition: bool) -> None:
        kernels.enable_flash_sdp(flash)
        kernels.enable_mem_efficient_sdp(efficient)
        kernels.enable_cudnn_sdp(cudnn)
        kernels.enable_math_sdp(definition)

    choose(flash=False, efficient=False, cudnn=False, definition=True)
    flash, efficient, cudnn, definition = before
    return lambda: choose(flash=flash, efficient=efficient, cudnn=cudnn, definition=definition)


_BY_DEFINITION = WhileAnyone(_choose_attention_by_definition)
"""Attention by its definition, whose derivative has one. The choice is one for all threads: it
holds while any of them differentiates twice, and theirs may differ in the last bits meanwhile."""


@contextmanager
def twice_differentiable(evaluator: Evaluator, leaves: Sequence[Tensor]) -> Iterator[None]:
    """Swap in the model at a point, under kernels that have second derivatives.

    Raises:
        ValueError: PyTorch has no second derivative of an operation.
    """
    kernels = _BY_DEFINITION, _WeightNormByDefinition()
    with evaluator.swapped_in(), torch.enable_grad(), kernels[0], kernels[1]:
        # a checkpointed module runs again in its backward, so the point stays installed
        evaluator.model.install(leaves)
        try:
            yield
        except RuntimeError as error:
            if (missing := _MISSING.search(str(error))) is None:
                raise
            name = next((group for group in missing.groups() if group), "an operation")
            raise ValueError(
                f"PyTorch has no second derivative of {name.strip('_')}, so that there are no "
                "Hessian products through it. Write the layer or the loss with operations that "
                "have one (nn.EmbeddingBag as an nn.Embedding and a mean, nn.MultiMarginLoss as "
                "a sum of torch.relu), or vary only parameters behind it (parameters=). Losses, "
                "gradients, surfaces and paths need none"
            ) from error


_MISSING = re.compile(
    r"derivative for '?(?:aten::)?([\w.]+?)'? is not implemented"
    r"|once_differentiable"
    r"|Trying to backward through ([\w.]+) .*not.*twice"
    r"|([\w.]+) does not support double backward"
)
"""What PyTorch says where an operation is differentiable once only."""


class _WeightNormByDefinition(TorchFunctionMode):
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

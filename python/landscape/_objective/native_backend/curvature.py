"""Curvature products at one point by the core's R-operator."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from landscape import _core
from landscape._objective.weight_decay import WeightDecay
from landscape._parameters import ParameterLayout

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["NativeOperator"]


class NativeOperator:
    r"""A curvature matrix of L at one point as a linear operator, v -> A v.

    The computation of the gradient is differentiated along v. Values and derivatives of all samples
    are retained between products while they fit the memory budget.

    Reference:
        Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6 (1994).
    """

    def __init__(
        self,
        curvature: _core.NetworkCurvature,
        layout: ParameterLayout,
        dtype: np.dtype[Any],
        weight_decay: WeightDecay,
    ) -> None:
        self._curvature = curvature
        self._dtype = dtype
        self._weight_decay = weight_decay
        self.layout = layout
        """The parameters of the rows and columns."""
        self._spans = [entry.span for entry in layout.entries]

    def block(self, positions: Sequence[int]) -> NativeOperator:
        """The diagonal block of some of the layout's entries.

        The other entries of its vectors are 0 in the whole matrix.
        """
        twin = copy.copy(self)
        twin.layout = self.layout.part(positions)
        twin._spans = [self._spans[position] for position in positions]
        return twin

    @property
    def retained(self) -> bool:
        """Whether values and derivatives are kept between products."""
        return self._curvature.retained

    def __call__(self, vectors: ArrayLike) -> NDArray[Any]:
        """Multiply one vector, shape (d,), or several that share a pass, shape (k, d).

        Raises:
            ValueError: The vectors do not have d entries.
        """
        array = np.ascontiguousarray(vectors, dtype=self._dtype)
        dim = self.layout.size
        if array.ndim not in (1, 2) or array.shape[-1] != dim:
            raise ValueError(f"got vectors of shape {array.shape}, expected ({dim},) or (k, {dim})")
        rows = array.reshape(-1, dim)
        products = torch.from_numpy(self._multiply(rows))
        self._weight_decay.add_derivative(torch.from_numpy(rows.copy()), products)
        result: NDArray[Any] = products.reshape(array.shape).numpy()
        return result

    def _multiply(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Multiply rows of the block, padded with zeros to those of the whole matrix."""
        whole = self._curvature.dim
        if rows.shape[1] == whole:
            return self._curvature.apply(rows)
        padded, block = np.zeros((len(rows), whole), self._dtype), np.empty_like(rows)
        spans = list(zip(self.layout.entries, self._spans, strict=True))
        for entry, span in spans:
            padded[:, span] = rows[:, entry.span]
        products = self._curvature.apply(padded)
        for entry, span in spans:
            block[:, entry.span] = products[:, span]
        return block

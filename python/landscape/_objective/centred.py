"""The centred covariance: a matrix less the outer product of the mean.

Depends on nothing but who multiplies.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from landscape._objective.kinds import Products

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from landscape._parameters import ParameterLayout

__all__ = ["Centred"]


class Centred:
    """The operator v -> C v - g (g' v)."""

    def __init__(self, products: Products, mean: NDArray[Any]) -> None:
        self._products = products
        self._mean = mean.astype(np.float64)

    @property
    def uncentred(self) -> Products:
        """C, which rounding leaves symmetric where little is left of C - g g'."""
        return self._products

    @property
    def layout(self) -> ParameterLayout:
        """The parameters of the rows and columns."""
        return self._products.layout

    @property
    def retained(self) -> bool:
        """Whether what products share is kept between them."""
        return self._products.retained

    def block(self, positions: Sequence[int]) -> Self:
        """The diagonal block of some of the layout's entries."""
        twin = copy.copy(self)
        entries = self.layout.entries
        twin._products = self._products.block(positions)
        twin._mean = np.concatenate([self._mean[entries[i].span] for i in positions])
        return twin

    def __call__(self, vectors: ArrayLike) -> NDArray[Any]:
        """Multiply one vector, shape (d,), or several, shape (k, d)."""
        found = self._products(vectors)
        along = np.asarray(vectors, np.float64) @ self._mean
        less: NDArray[Any] = found - (along[..., None] * self._mean)
        return less.astype(found.dtype)

"""Curvature matrices: their kinds, and the interface of operators that multiply by one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from landscape._parameters import ParameterLayout

__all__ = ["KINDS", "CentredOperator", "Curvature", "CurvatureKind", "CurvatureOperator"]

CurvatureKind = Literal[
    "hessian",
    "gauss_newton",
    "fisher",
    "monte_carlo_fisher",
    "empirical_fisher",
    "gradient_covariance",
    "gradient_noise",
]

KINDS: tuple[CurvatureKind, ...] = get_args(CurvatureKind)

_NATIVE = {
    "hessian": "hessian",
    "gauss_newton": "gauss_newton",
    "fisher": "fisher",
    "empirical_fisher": "empirical_fisher",
    "gradient_covariance": "empirical_fisher",
    "gradient_noise": "empirical_fisher",
}


@dataclass(frozen=True)
class Curvature:
    """A kind of matrix, with the number and seed of its random targets."""

    kind: CurvatureKind = "hessian"
    draws: int = 1
    """Random targets per sample, of the Monte-Carlo Fisher matrix."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"curvature={self.kind!r}, expected one of {', '.join(map(repr, KINDS))}"
            )
        if self.draws < 1:
            raise ValueError(f"draws={self.draws}, expected at least 1 random target a sample")

    @property
    def native(self) -> str | None:
        """The native network's name for it; None where it has no such matrix."""
        return _NATIVE.get(self.kind)

    @property
    def penalised(self) -> bool:
        """Whether it includes weight decay, which is a part of L and of no sample's loss."""
        return self.kind in ("hessian", "gauss_newton")

    @property
    def semidefinite(self) -> bool:
        """Whether no eigenvalue is negative, whatever the loss."""
        return self.kind not in ("hessian", "gauss_newton")

    @property
    def centred(self) -> bool:
        """Whether the outer product of the mean gradient is subtracted."""
        return self.kind == "gradient_noise"

    @property
    def power(self) -> int:
        """The exponent of the loss's denominator W in this matrix's denominator."""
        return 2 if self.kind in ("gradient_covariance", "gradient_noise") else 1

    def denominator(self, weight: float, samples: int) -> float:
        """The divisor of sums over samples, W being the denominator of L.

        A sample contributes (n / W) s to the gradient, which is the mean of the contributions.
        """
        return weight if self.power == 1 else weight**2 / samples


class CurvatureOperator(Protocol):
    """A symmetric matrix at one point as an operator that keeps what its products share."""

    @property
    def layout(self) -> ParameterLayout:
        """The parameters of the rows and columns."""

    @property
    def retained(self) -> bool:
        """Whether what products share is retained between them."""

    def block(self, positions: Sequence[int]) -> CurvatureOperator:
        """The diagonal block of some of the layout's entries."""

    def __call__(self, vectors: ArrayLike) -> NDArray[Any]:
        """Multiply one vector, shape (d,), or several, shape (k, d).

        Raises:
            ValueError: The vectors do not have d entries.
        """


class CentredOperator:
    """The operator v -> C v - g (g' v)."""

    def __init__(self, operator: CurvatureOperator, mean: NDArray[Any]) -> None:
        self._uncentred = operator
        self._mean = mean.astype(np.float64)

    @property
    def uncentred(self) -> CurvatureOperator:
        """C, which stays symmetric under rounding where little is left of C - g g'."""
        return self._uncentred

    @property
    def layout(self) -> ParameterLayout:
        """The parameters of the rows and columns."""
        return self._uncentred.layout

    @property
    def retained(self) -> bool:
        """Whether what products share is retained between them."""
        return self._uncentred.retained

    def block(self, positions: Sequence[int]) -> Self:
        """The diagonal block of some of the layout's entries."""
        twin = copy.copy(self)
        entries = self.layout.entries
        twin._uncentred = self._uncentred.block(positions)
        twin._mean = np.concatenate([self._mean[entries[i].span] for i in positions])
        return twin

    def __call__(self, vectors: ArrayLike) -> NDArray[Any]:
        """Multiply one vector, shape (d,), or several, shape (k, d)."""
        products = self._uncentred(vectors)
        along = np.asarray(vectors, np.float64) @ self._mean
        centred: NDArray[Any] = products - (along[..., None] * self._mean)
        return centred.astype(products.dtype)

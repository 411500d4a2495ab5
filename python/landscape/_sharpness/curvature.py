"""Curvature matrices for measures: in other coordinates, refused in time, and their eigenvalues."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.definition import NotApplicable
from landscape._spectrum import Hessian

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from landscape._objective import CurvatureKind, CurvatureOperator, Strategy
    from landscape._parameters import ParameterLayout
    from landscape._sharpness.context import Context

__all__ = [
    "TransformedHessian",
    "compute_eigenvalues",
    "count_terms",
    "is_dense",
    "require_curvature",
    "scale_coordinates",
]

_MAX_DENSE = 1000  # rows up to which all products cost no more than an estimate

Transform = Callable[["NDArray[Any]"], "NDArray[Any]"]


class TransformedHessian(Hessian):
    r"""T H T for a symmetric T: the curvature in the coordinates phi with theta = T phi.

    Args:
        matrix: H.
        transform: Multiplies rows by T, shape (k, d) to (k, d).
    """

    def __init__(self, matrix: Hessian, transform: Transform) -> None:
        vars(self).update(vars(matrix))
        self._transform = transform
        self._symmetric: set[ParameterLayout] = set()

    def operator(self, strategy: Strategy | None = None) -> CurvatureOperator:
        """Products of rows with T H T."""
        return _TransformedOperator(super().operator(strategy), self._transform)

    def gradient(self) -> NDArray[Any]:
        """T times the gradient."""
        gradient: NDArray[Any] = self._transform(super().gradient()[None])[0]
        return gradient

    def sampling_errors(
        self, vectors: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64] | None:
        """Standard errors of v' T H T v for a random subset of the samples."""
        return super().sampling_errors(self._transform(vectors), weights)

    def _block(self, positions: Iterable[int]) -> NoReturn:
        raise TypeError(f"T H T has no block {tuple(positions)}: T may mix parameters")


class _TransformedOperator:
    """Products of rows with T H T."""

    def __init__(self, operator: CurvatureOperator, transform: Transform) -> None:
        self._operator = operator
        self._transform = transform

    @property
    def layout(self) -> ParameterLayout:
        """The parameters of the rows and columns."""
        return self._operator.layout

    @property
    def retained(self) -> bool:
        """Whether what products share is retained between them."""
        return self._operator.retained

    def block(self, positions: Any) -> Self:
        """The operator itself, where all of it is meant.

        Raises:
            ValueError: A part is meant.
        """
        if tuple(positions) != tuple(range(len(self.layout.entries))):
            raise ValueError(f"T H T has no block {tuple(positions)}")
        return self

    def __call__(self, vectors: ArrayLike) -> NDArray[Any]:
        """Multiply one vector, shape (d,), or several, shape (k, d)."""
        rows = np.atleast_2d(np.asarray(vectors))
        products = self._transform(self._operator(self._transform(rows)))
        return products.reshape(np.shape(vectors))


def scale_coordinates(matrix: Hessian, scale: NDArray[Any] | float) -> TransformedHessian:
    """D H D with D = diag(scale).

    Args:
        matrix: H.
        scale: Shape (d,), or one number.
    """
    factors = np.asarray(scale, np.float64)

    def multiply(rows: NDArray[Any]) -> NDArray[Any]:
        product: NDArray[Any] = (rows * factors).astype(rows.dtype)
        return product

    return TransformedHessian(matrix, multiply)


def require_curvature(context: Context, kind: CurvatureKind) -> None:
    """Refuse a curvature that the loss does not have.

    Raises:
        NotApplicable: With the reason.
    """
    try:
        context.objective.require_curvature(kind)
    except ValueError as reason:
        raise NotApplicable(str(reason)) from None


def count_terms(context: Context) -> float:
    """The denominator of L: the number (or total weight) of the terms that it is a mean over."""
    return context.share("terms", lambda: float(context.objective.batch_weights().sum()))


def is_dense(context: Context) -> bool:
    """Whether all eigenvalues are computed: few parameters, whose matrix fits the memory budget."""
    needed = context.dim**2 * context.theta.itemsize
    return context.dim <= _MAX_DENSE and needed <= context.objective.memory_budget


def compute_eigenvalues(context: Context, kind: CurvatureKind) -> NDArray[np.float64]:
    """All eigenvalues, ascending, from d products."""

    def compute() -> NDArray[np.float64]:
        dense = context.hessian(kind).dense(progress=context.watch_products())
        context.charge(context.dim * PRODUCT)
        if not np.isfinite(dense).all():
            raise FloatingPointError(f"the {kind} matrix has entries that are not finite")
        symmetric = dense.astype(np.float64)
        return np.asarray(np.linalg.eigvalsh((symmetric + symmetric.T) / 2), np.float64)

    return context.share(f"eigenvalues {kind}", compute)

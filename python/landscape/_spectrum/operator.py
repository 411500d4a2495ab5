"""`spectrum`: the measures of a Hessian for any symmetric operator, given by its products."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

import numpy as np

from landscape._environment import CPU
from landscape._objective import Curvature, Engine, Strategy, identify_function
from landscape._parameters import ParameterEntry, ParameterLayout
from landscape._spectrum.curvature import Hessian

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from landscape._objective import CurvatureOperator, Objective

__all__ = ["SymmetricOperator", "spectrum"]

_MEMORY_BUDGET = 2 << 30


def spectrum(
    operator: Any,
    dim: int | None = None,
    *,
    dtype: DTypeLike | None = None,
    seed: int = 0,
    memory_budget: int = _MEMORY_BUDGET,
) -> SymmetricOperator:
    r"""The spectral measures of :func:`landscape.hessian` for any symmetric operator.

    .. math:: v \mapsto A v, \quad A = A^T \in \mathbb{R}^{d \times d}

    Args:
        operator: A function of a vector, shape (d,), that returns A v; or a matrix or operator that
            multiplies by ``@`` and has a ``shape``: an array, a SciPy sparse matrix or
            ``LinearOperator``.
        dim: d, for a function.
        dtype: float32 or float64, of vectors; that of the operator, or float64, when None.
        seed: The default seed of its record; each measure has its own.
        memory_budget: Bytes that bases and dense matrices may take.

    Returns:
        The operator with ``eigenvalues()``, ``density()``, ``trace()``, ``diagonal()``,
        ``frobenius()``, ``spectral_moments()`` and ``log_determinant()``.

    Raises:
        TypeError: The operator is neither a function nor multiplies by ``@``.
        ValueError: ``dim`` is missing, or does not fit the operator, which must be square; another
            dtype.

    Example:
        >>> import numpy as np
        >>> import landscape
        >>> values = np.arange(100.0)
        >>> found = landscape.spectrum(lambda v: values * v, 100).eigenvalues(2, tolerance=1e-6)
        >>> found.values.round(6)
        array([99., 98.])
    """
    return SymmetricOperator(operator, dim, dtype=dtype, seed=seed, memory_budget=memory_budget)


class SymmetricOperator(Hessian):
    """A symmetric operator that is no derivative of an Objective; :func:`landscape.spectrum`.

    Args:
        operator: As for :func:`landscape.spectrum`.
        dim: As for :func:`landscape.spectrum`.
        dtype: As for :func:`landscape.spectrum`.
        seed: As for :func:`landscape.spectrum`.
        memory_budget: As for :func:`landscape.spectrum`.

    Example:
        >>> import numpy as np
        >>> import landscape
        >>> operator = landscape.SymmetricOperator(np.diag([3.0, 1.0, -2.0]))
        >>> round(operator.trace().value, 6)
        2.0
    """

    def __init__(
        self,
        operator: Any,
        dim: int | None = None,
        *,
        dtype: DTypeLike | None = None,
        seed: int = 0,
        memory_budget: int = _MEMORY_BUDGET,
    ) -> None:
        source = _Source(operator, dim, dtype, seed, memory_budget)
        super().__init__(cast("Objective", source))

    def gradient(self) -> NoReturn:
        """An operator has no gradient.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "an operator has no loss and no gradient, so that it has no gradient_energy() and no "
            "classify(); use eigenvalues(which='both')"
        )

    def __repr__(self) -> str:
        return f"SymmetricOperator of {self.dim} x {self.dim}, {self.dtype}"


class _Source:
    """What the measures ask of an Objective, for an operator in its place."""

    notes: tuple[str, ...] = ()
    is_random_subset = False
    has_inferred_loss = False
    samples = 0

    def __init__(
        self, operator: Any, dim: int | None, dtype: DTypeLike | None, seed: int, budget: int
    ) -> None:
        self._apply = _as_function(operator)
        shape = getattr(operator, "shape", None)
        if shape is not None and (len(shape) != 2 or shape[0] != shape[1]):
            raise ValueError(f"got an operator of shape {tuple(shape)}, expected a square one")
        size = dim if shape is None else int(shape[0])
        if size is None:
            raise ValueError("dim is missing: pass the number of entries of a vector")
        if size < 1 or (dim is not None and dim != size):
            raise ValueError(f"dim={dim} for an operator of {size} rows")
        self.dtype = np.dtype(dtype or getattr(operator, "dtype", None) or np.float64)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype={self.dtype}, expected float32 or float64")
        self.dim, self.seed, self.memory_budget = size, seed, budget
        self.device = CPU
        self.epsilon = float(np.finfo(self.dtype).eps)
        entry = ParameterEntry("operator", (), (size,), 0, str(self.dtype), None)
        self.layout = ParameterLayout((entry,))
        self.theta = np.zeros(size, self.dtype)
        self.policy: dict[str, Any] = {"operator": _identify(operator), "dtype": str(self.dtype)}
        self.check: dict[str, Any] = {}

    def choose_engine(self, _: Curvature) -> Engine:
        """The user's own products."""
        return Engine(Strategy(), "the products are the operator's own.")

    def describe_engine(self, _: Strategy) -> str:
        """The name of the engine in the run record."""
        return "the operator's own products"

    def curvature_at(self, *_: Any, **__: Any) -> CurvatureOperator:
        """The operator itself."""
        return _Products(self._apply, self.layout, self.dtype)

    def curvature_errors(self, *_: Any, **__: Any) -> None:
        """No data were drawn."""
        return None  # noqa: RET501 - as an Objective says it


class _Products:
    """Products of rows with the operator."""

    retained = True

    def __init__(self, apply: Any, layout: ParameterLayout, dtype: np.dtype[Any]) -> None:
        self._apply = apply
        self.layout = layout
        self._dtype = dtype

    def block(self, positions: Sequence[int]) -> Self:
        """The operator itself: it has one block."""
        if tuple(positions) != (0,):
            raise ValueError("an operator has one block, itself")
        return self

    def __call__(self, vectors: ArrayLike) -> NDArray[Any]:
        """Multiply one vector, shape (d,), or several, shape (k, d)."""
        rows = np.atleast_2d(np.asarray(vectors, self._dtype))
        products = np.stack([np.asarray(self._apply(row), self._dtype) for row in rows])
        if products.shape != rows.shape:
            raise ValueError(
                f"the operator returned an array of shape {products.shape[1:]} for a vector of "
                f"{rows.shape[1]} entries"
            )
        return products.reshape(np.shape(vectors))


def _as_function(operator: Any) -> Any:
    if hasattr(operator, "shape") and hasattr(operator, "__matmul__"):
        return lambda vector: np.asarray(operator @ vector).reshape(-1)
    if callable(operator):
        return operator
    raise TypeError(
        f"operator is a {type(operator).__name__}, expected a function of a vector, or a matrix "
        "or operator with a shape that multiplies by @"
    )


def _identify(operator: Any) -> str:
    if isinstance(operator, np.ndarray):
        return f"array, crc32 {zlib.crc32(np.ascontiguousarray(operator).tobytes()):08x}"
    return identify_function(operator)

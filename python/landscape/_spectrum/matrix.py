"""CurvatureMatrix: second derivatives at one point, as an operator with products and blocks."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from landscape import _core
from landscape._objective import CentredOperator, Curvature
from landscape._progress import reporter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse.linalg import LinearOperator

    from landscape._objective import CurvatureKind, CurvatureOperator, Engine, Objective, Strategy
    from landscape._parameters import ParameterLayout
    from landscape._progress import Choice

__all__ = ["CurvatureMatrix"]

_ROWS_PER_PRODUCT = 32


class CurvatureMatrix:
    """A symmetric matrix of second derivatives of L at one point, defined by its products.

    What products share (graphs, activations, derivatives) is computed at the first one and kept
    while the Objective's memory budget allows.
    """

    def __init__(
        self,
        objective: Objective,
        theta: ArrayLike | None = None,
        curvature: CurvatureKind = "hessian",
        draws: int = 1,
    ) -> None:
        self.objective = objective
        """The function whose curvature it is."""
        self.kind = Curvature(curvature, draws, objective.seed)
        """Which matrix it is."""
        point = objective.theta if theta is None else np.array(theta, objective.dtype)
        if point.shape != (objective.dim,):
            raise ValueError(
                f"got theta of shape {point.shape}, expected ({objective.dim},): one number for "
                "each parameter that varies"
            )
        point.setflags(write=False)
        self.theta: NDArray[Any] = point
        """The point, shape (d,)."""
        self.layout: ParameterLayout = objective.layout
        """The parameters of the rows and columns."""
        self._positions: tuple[int, ...] | None = None
        self._operators: dict[Strategy, CurvatureOperator] = {}
        self._symmetric: set[ParameterLayout] = set()

    @property
    def dim(self) -> int:
        """The number of rows, and of columns."""
        return self.layout.size

    @property
    def shape(self) -> tuple[int, int]:
        """(d, d)."""
        return self.dim, self.dim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of products, float32 or float64."""
        return self.objective.dtype

    @property
    def storage_dtype(self) -> Literal["float32", "float64"]:
        """The name of the dtype in the core."""
        return "float64" if self.dtype == np.float64 else "float32"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of the rows and columns, in their order."""
        return tuple(entry.name for entry in self.layout.entries)

    @property
    def engine(self) -> Engine:
        """The backend that multiplies, chosen by a measurement at the first use, then cached."""
        return self.objective.choose_engine(self.kind)

    @property
    def retained(self) -> bool:
        """Whether what products share is kept between them."""
        return self.operator().retained

    def matvec(self, vector: ArrayLike) -> NDArray[Any]:
        """H v, shape (d,) to (d,).

        Raises:
            ValueError: The vector does not have d entries.
        """
        array = np.asarray(vector)
        if array.shape != (self.dim,):
            raise ValueError(f"got a vector of shape {array.shape}, expected ({self.dim},)")
        return self.operator()(array)

    def matmat(self, block: ArrayLike) -> NDArray[Any]:
        """H V for k vectors that share the forward pass, the columns of V: (d, k) to (d, k).

        Raises:
            ValueError: The block does not have d rows.
        """
        array = np.asarray(block)
        if array.ndim != 2 or array.shape[0] != self.dim:
            raise ValueError(f"got a block of shape {array.shape}, expected ({self.dim}, k)")
        product: NDArray[Any] = self.operator()(np.ascontiguousarray(array.T)).T
        return product

    def __matmul__(self, other: ArrayLike) -> NDArray[Any]:
        array = np.asarray(other)
        return self.matvec(array) if array.ndim == 1 else self.matmat(array)

    def to_scipy(self) -> LinearOperator:
        """The same matrix for `scipy.sparse.linalg`, such as `eigsh`.

        Raises:
            ImportError: SciPy is not installed.
        """
        try:
            from scipy.sparse.linalg import LinearOperator  # noqa: PLC0415  (an extra)
        except ImportError as error:
            raise ImportError("to_scipy needs SciPy; install landscape-geometry[scipy]") from error
        return LinearOperator(
            shape=self.shape,
            dtype=self.dtype,
            matvec=lambda vector: self.matvec(np.reshape(vector, -1)),
            matmat=self.matmat,
            rmatvec=lambda vector: self.matvec(np.reshape(vector, -1)),
            rmatmat=self.matmat,
        )

    def dense(self, *, progress: Choice = None) -> NDArray[Any]:
        """All entries, shape (d, d), from d products; symmetric to rounding.

        Args:
            progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of
                (done, d) products.

        Raises:
            ValueError: They would take more than the Objective's memory budget.
        """
        needed, budget = self.dim**2 * self.dtype.itemsize, self.objective.memory_budget
        if needed > budget:
            raise ValueError(
                f"a dense matrix of {self.dim} parameters takes {needed / 2**30:.3g} GiB, more "
                f"than memory_budget = {budget / 2**30:.3g} GiB; restrict it with block(...), "
                "raise memory_budget, or use eigenvalues(), which needs products alone"
            )
        matrix, operator = np.empty(self.shape, self.dtype), self.operator()
        with reporter(progress, self.dim, "dense", unit="product", start=0) as bar:
            for start in range(0, self.dim, _ROWS_PER_PRODUCT):
                stop = min(start + _ROWS_PER_PRODUCT, self.dim)
                rows = np.zeros((stop - start, self.dim), self.dtype)
                rows[np.arange(stop - start), np.arange(start, stop)] = 1
                matrix[start:stop] = operator(rows)
                bar.update(stop)
        return matrix

    def block(self, parameters: str | Iterable[str]) -> Self:
        """The diagonal block of some parameters; all others are frozen.

        Args:
            parameters: Names, module prefixes or shell patterns, such as ``"layer3.*"``.

        Raises:
            ValueError: A pattern matches nothing; the text lists the names.
        """
        return self._block(self.layout.positions(parameters))

    def blocks(self) -> dict[str, Self]:
        """The diagonal block of every layer, by the name of its module, in the model's order."""
        layers: dict[str, list[int]] = {}
        for position, name in enumerate(self.names):
            layers.setdefault(name.rpartition(".")[0] or name, []).append(position)
        return {name: self._block(positions) for name, positions in layers.items()}

    def _block(self, positions: Iterable[int]) -> Self:
        block = copy.copy(self)
        indices, own = tuple(positions), self._positions
        block._positions = indices if own is None else tuple(own[i] for i in indices)
        block.layout = self.layout.part(indices)
        return block

    def operator(self, strategy: Strategy | None = None) -> CurvatureOperator:
        """Products of rows, shape (k, d) to (k, d), under a strategy of the Objective's."""
        chosen = strategy or self.engine.strategy
        if chosen not in self._operators:
            self._operators.clear()
            operator = self.objective.curvature_at(self.theta, self.kind, strategy=chosen)
            self._operators[chosen] = operator
        whole = self._operators[chosen]
        return whole if self._positions is None else whole.block(self._positions)

    @property
    def max_vectors(self) -> int:
        """The number of vectors that fit the Objective's memory budget."""
        return int(self.objective.memory_budget // (self.dim * self.dtype.itemsize))

    def check_symmetric(self, seed: int) -> None:
        """Refuse a matrix that is not symmetric, by two products with random vectors, once.

        Raises:
            ValueError: x' H y and y' H x differ by more than rounding.
        """
        if self.layout in self._symmetric:
            return
        operator = self.operator()
        whole = operator.uncentred if isinstance(operator, CentredOperator) else operator
        asymmetry = _core.asymmetry(whole, self.dim, self.storage_dtype, seed)
        allowed = float(np.sqrt(self.objective.epsilon))
        if asymmetry > allowed:
            raise ValueError(
                "the products are not those of a symmetric matrix: x'Hy and y'Hx differ by "
                f"{asymmetry:.2g} of their size, where rounding in "
                f"{self.objective.policy['dtype']} makes less than {allowed:.2g}. Something "
                "differs from pass to pass: data that are augmented or shuffled anew while they "
                "are streamed, dropout or other noise in the model, or a backward pass that is "
                "not the derivative of the forward pass. Pass the data as tensors; with "
                "batch_norm='batch' fix batch_size="
            )
        self._symmetric.add(self.layout)

    def gradient(self) -> NDArray[Any]:
        """The gradient of L at the point by the parameters of the rows, shape (d,)."""
        gradient = self.objective.gradient(self.theta)
        if self._positions is None:
            return gradient
        entries = self.objective.layout.entries
        return np.concatenate([gradient[entries[i].span] for i in self._positions])

    def sampling_errors(
        self, vectors: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64] | None:
        """Standard errors of v' H v for a random subset of the samples; None where there is none.

        Args:
            vectors: Shape (k, d).
            weights: Shape (k,): the error of the weighted sum, shape (1,), is computed instead.
        """
        rows = vectors
        if self._positions is not None:
            whole = self.objective.layout
            rows = np.zeros((len(vectors), whole.size), vectors.dtype)
            for entry, position in zip(self.layout.entries, self._positions, strict=True):
                rows[:, whole.entries[position].span] = vectors[:, entry.span]
        return self.objective.curvature_errors(rows, self.theta, weights, curvature=self.kind)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What its entries depend on, as plain data."""
        return {
            "curvature": asdict(self.kind),
            "policy": self.objective.policy,
            "theta": f"crc32 {zlib.crc32(self.theta.tobytes()):08x}",
            "rows": f"crc32 {zlib.crc32(' '.join(self.names).encode()):08x}",
        }

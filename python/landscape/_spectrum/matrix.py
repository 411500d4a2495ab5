"""A curvature as a matrix: products, blocks, and all of its entries where they fit.

Depends on the Objective. Knows nothing of eigenvalues.
"""

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

__all__ = ["Matrix"]

_ROWS_AT_ONCE = 32


class Matrix:
    """A symmetric matrix of second derivatives of L at one point, known by its products.

    What products share (graphs, values, derivatives) is made at the first of them and kept while
    the Objective's memory budget allows.
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
        """Of products, float32 or float64."""
        return self.objective.dtype

    @property
    def storage(self) -> Literal["float32", "float64"]:
        """The dtype's name, as the core knows it."""
        return "float64" if self.dtype == np.float64 else "float32"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of the rows and columns, in their order."""
        return tuple(entry.name for entry in self.layout.entries)

    @property
    def engine(self) -> Engine:
        """What multiplies, measured at the first need and then kept."""
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
        given = np.asarray(vector)
        if given.shape != (self.dim,):
            raise ValueError(f"got a vector of shape {given.shape}, expected ({self.dim},)")
        return self.operator()(given)

    def matmat(self, block: ArrayLike) -> NDArray[Any]:
        """H V for k vectors that share the forward pass, the columns of V: (d, k) to (d, k).

        Raises:
            ValueError: The block does not have d rows.
        """
        given = np.asarray(block)
        if given.ndim != 2 or given.shape[0] != self.dim:
            raise ValueError(f"got a block of shape {given.shape}, expected ({self.dim}, k)")
        found: NDArray[Any] = self.operator()(np.ascontiguousarray(given.T)).T
        return found

    def __matmul__(self, other: ArrayLike) -> NDArray[Any]:
        given = np.asarray(other)
        return self.matvec(given) if given.ndim == 1 else self.matmat(given)

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
        found, operator = np.empty(self.shape, self.dtype), self.operator()
        with reporter(progress, self.dim, "dense", unit="product", start=0) as bar:
            for start in range(0, self.dim, _ROWS_AT_ONCE):
                stop = min(start + _ROWS_AT_ONCE, self.dim)
                rows = np.zeros((stop - start, self.dim), self.dtype)
                rows[np.arange(stop - start), np.arange(start, stop)] = 1
                found[start:stop] = operator(rows)
                bar.update(stop)
        return found

    def block(self, parameters: str | Iterable[str]) -> Self:
        """The diagonal block of some parameters: all others are held.

        Args:
            parameters: Names, module prefixes or shell patterns, such as ``"layer3.*"``.

        Raises:
            ValueError: A pattern matches nothing; the names are listed.
        """
        return self._block(self.layout.positions(parameters))

    def blocks(self) -> dict[str, Self]:
        """The diagonal block of every layer, by the name of its module, in the model's order."""
        layers: dict[str, list[int]] = {}
        for position, name in enumerate(self.names):
            layers.setdefault(name.rpartition(".")[0] or name, []).append(position)
        return {name: self._block(positions) for name, positions in layers.items()}

    def _block(self, positions: Iterable[int]) -> Self:
        twin = copy.copy(self)
        within = tuple(positions)
        own = self._positions
        twin._positions = within if own is None else tuple(own[i] for i in within)
        twin.layout = self.layout.part(within)
        return twin

    def operator(self, strategy: Strategy | None = None) -> CurvatureOperator:
        """Products of rows, shape (k, d) to (k, d), under a strategy of the Objective's."""
        chosen = strategy or self.engine.strategy
        if chosen not in self._operators:
            self._operators.clear()
            made = self.objective.curvature_at(self.theta, self.kind, strategy=chosen)
            self._operators[chosen] = made
        whole = self._operators[chosen]
        return whole if self._positions is None else whole.block(self._positions)

    @property
    def room(self) -> int:
        """How many vectors fit the Objective's memory budget."""
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
        found = _core.asymmetry(whole, self.dim, self.storage, seed)
        allowed = float(np.sqrt(np.finfo(self.dtype).eps))
        if found > allowed:
            raise ValueError(
                f"the products are not those of a symmetric matrix: x'Hy and y'Hx differ by "
                f"{found:.2g} of their size, where rounding in {self.dtype} makes less than "
                f"{allowed:.2g}. Something differs from pass to pass: data that are augmented or "
                "shuffled anew while they are streamed, dropout or other noise in the model, or a "
                "function whose backward pass is not the derivative of its forward pass. Pass the "
                "data as tensors; with batch_norm='batch' fix batch_size="
            )
        self._symmetric.add(self.layout)

    def gradient(self) -> NDArray[Any]:
        """The gradient of L at the point by the parameters of the rows, shape (d,)."""
        found: NDArray[Any] = self._restricted(self.objective.gradient(self.theta)[None])[0]
        return found

    def _restricted(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The columns of the parameters of the block."""
        if self._positions is None:
            return rows
        entries = self.objective.layout.entries
        return np.concatenate([rows[:, entries[i].span] for i in self._positions], axis=1)

    def sampling_errors(
        self, vectors: NDArray[Any], weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64] | None:
        """Standard errors of v' H v for a random subset of the samples; None where there is none.

        Args:
            vectors: Shape (k, d).
            weights: Shape (k,): the error of the weighted sum, shape (1,), is wanted instead.
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

"""The numerical core of `landscape`, written in Rust.

A vector is a one-dimensional array of float32 or float64. Where it is C-contiguous and aligned it
is read in place, else copied first; nothing is ever written to it, and results are newly allocated.
Sums are accumulated in float64, in an order that depends on lengths alone: every result is the
same bits on any number of threads. The GIL is released while Rust works.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, final, overload

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "AdaptiveGrid",
    "Ascent",
    "AutoNeb",
    "CriticalPointSearch",
    "CurveTraining",
    "Density",
    "Diagonal",
    "Interpolant",
    "Lanczos",
    "Langevin",
    "Network",
    "NetworkCurvature",
    "NetworkObjective",
    "NetworkSubspace",
    "PowerIteration",
    "SimplexTraining",
    "SubsetAssessment",
    "SubsetCalibration",
    "Trace",
    "Walker",
    "XTrace",
    "__version__",
    "assignment",
    "asymmetry",
    "axis",
    "combine",
    "component_areas",
    "convexity",
    "dot",
    "fit_quadratic",
    "gaussian",
    "gram",
    "grid",
    "norm",
    "normalise",
    "orthogonalise",
    "panic_for_tests",
    "require_memory",
    "set_threads",
    "simplex_log_volume",
    "simplex_weights",
    "spanning_tree",
    "student_quantile",
    "threads",
    "topology",
    "total_variations",
]

__version__: str

_Single: TypeAlias = NDArray[np.float32]
_Double: TypeAlias = NDArray[np.float64]
_Vector = TypeVar("_Vector", bound=_Single | _Double)

@overload
def gaussian(size: int, *, seed: int, stream: int, dtype: Literal["float32"]) -> _Single: ...
@overload
def gaussian(size: int, *, seed: int, stream: int, dtype: Literal["float64"]) -> _Double:
    """Independent standard normal numbers x_i ~ N(0, 1), the same bits on every platform.

    Box-Muller pairs of uniform numbers from the counter-based generator Philox4x32-10, whose key
    is the seed and whose counter is (i // 2, stream). The float32 numbers are the float64 ones,
    rounded.

    Args:
        size: The number of variates.
        seed: From 0 to 2**64 - 1.
        stream: From 0 to 2**64 - 1; streams of one seed are independent.
        dtype: "float32" or "float64".

    Returns:
        An array of shape (size,).

    Raises:
        ValueError: The dtype is neither of the two.
        OverflowError: The size, the seed or the stream is out of range.
        MemoryError: The numbers do not fit.

    Reference:
        Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3",
        section 3.2; Box and Muller (1958), "A note on the generation of random normal deviates".

    Example:
        >>> short = gaussian(3, seed=7, stream=0, dtype="float64")
        >>> long = gaussian(9, seed=7, stream=0, dtype="float64")
        >>> bool((short == long[:3]).all())
        True
    """

def axis(low: float, high: float, points: int) -> _Double:
    """Equally spaced coordinates x_i = ((n - 1 - i) low + i high) / (n - 1).

    The ends are exact, and a symmetric axis of an odd number of points has an exact 0.

    Args:
        low: The first coordinate.
        high: The last coordinate.
        points: Their number n, at least 2.

    Returns:
        An array of shape (points,).

    Raises:
        ValueError: Not finite, not low < high, or fewer than 2 points.

    Example:
        >>> axis(-1, 1, 5).tolist()
        [-1.0, -0.5, 0.0, 0.5, 1.0]
    """

def dot(x: _Vector, y: _Vector) -> float:
    """The inner product <x, y> = sum_i x_i y_i.

    Args:
        x: Shape (d,).
        y: Shape (d,), of the same dtype.

    Returns:
        The sum, accumulated in float64.

    Raises:
        ValueError: The lengths or dtypes differ.

    Example:
        >>> dot(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
        11.0
    """

def norm(x: _Single | _Double) -> float:
    """The Euclidean norm sqrt(<x, x>).

    Args:
        x: Shape (d,).

    Returns:
        The norm, accumulated in float64.

    Raises:
        ValueError: Not a vector.

    Example:
        >>> norm(np.array([3.0, 4.0]))
        5.0
    """

def combine(vectors: Sequence[_Vector], coefficients: _Double) -> _Vector:
    """The linear combination sum_i c_i v_i, summed in float64 and rounded once.

    Args:
        vectors: k arrays of shape (d,), of one dtype.
        coefficients: Shape (k,).

    Returns:
        An array of shape (d,) and the vectors' dtype.

    Raises:
        ValueError: The lengths, dtypes or numbers differ, or there is no vector.

    Example:
        >>> combine([np.array([1.0, 2.0]), np.array([0.0, 1.0])], np.array([10.0, 1.0])).tolist()
        [10.0, 21.0]
    """

def gram(vectors: Sequence[_Vector]) -> _Double:
    """The Gram matrix G_ij = <v_i, v_j>, read from memory in one pass.

    Args:
        vectors: k arrays of shape (d,), of one dtype.

    Returns:
        An array of shape (k, k), symmetric bit for bit.

    Raises:
        ValueError: The lengths or dtypes differ.

    Example:
        >>> gram([np.array([1.0, 2.0]), np.array([0.0, 1.0])]).tolist()
        [[5.0, 2.0], [2.0, 1.0]]
    """

def orthogonalise(x: _Vector, against: Sequence[_Vector]) -> _Vector:
    """The part of x that is orthogonal to a span: x - A (A'A)^-1 A' x, with A = against.

    The vectors of `against` may have any norms and angles, and may depend on each other. What is
    left of an x inside their span is rounding noise; compare norms to notice.

    Args:
        x: Shape (d,).
        against: Arrays of shape (d,), of the same dtype; none leaves x as it is.

    Returns:
        An array of shape (d,) and the same dtype; float64 arithmetic, rounded once.

    Raises:
        ValueError: The lengths or dtypes differ.

    Reference:
        Giraud, Langou, Rozloznik (2005), "The loss of orthogonality in the Gram-Schmidt
        orthogonalization process": a second pass is enough.

    Example:
        >>> orthogonalise(np.array([3.0, 4.0]), [np.array([0.0, 2.0])]).tolist()
        [3.0, 0.0]
    """

def normalise(
    direction: _Vector,
    reference: _Vector,
    tensors: NDArray[np.int64],
    kind: Literal["filter", "layer", "model"],
) -> _Vector:
    """The direction d with each part P scaled to the reference's norm: d_P ||r_P|| / ||d_P||.

    A part is a filter, a tensor, or all listed tensors together. It becomes zero where either norm
    is zero; entries that no tensor covers become zero.

    Args:
        direction: Shape (d,).
        reference: Shape (d,), of the same dtype: the weights.
        tensors: Shape (T, 5), rows (offset, blocks, outer, filters, inner). A tensor's entries
            start at its offset, laid out [block][outer][filter][inner]; filter (b, f) is all its
            (o, i) entries.
        kind: "filter", "layer" or "model".

    Returns:
        An array of shape (d,) and the same dtype; one float64 factor a part, rounded once.

    Raises:
        ValueError: The lengths or dtypes differ, tensors overlap or reach outside the vector, or
            the kind is none of the three.

    Reference:
        Li, Xu, Taylor, Studer, Goldstein (2018), "Visualizing the loss landscape of neural nets",
        section 4.

    Example:
        >>> linear = np.array([[0, 1, 1, 2, 2]])
        >>> direction, theta = np.array([3.0, 4.0, 0.0, 1.0]), np.array([0.0, 10.0, 2.0, 0.0])
        >>> normalise(direction, theta, linear, "filter").tolist()
        [6.0, 8.0, 0.0, 2.0]
    """

def topology(
    values: _Double, min_persistence: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], _Double]:
    """Minima, maxima, basins and barriers of the sublevel sets of values on a grid.

    Values lie on the vertices of a cubical complex whose edges and squares have the largest value
    of their vertices. NaN is outside the grid.

    Args:
        values: Shape (rows, columns).
        min_persistence: Extrema of no more persistence are left out.

    Returns:
        Minima, shape (k, 3), ascending: the vertex in the flat grid, that of the saddle where it
        joins a lower one, and which one (-1 where it never does). Maxima, shape (m, 2),
        descending: the vertex and that of the saddle. Basins, shape (rows, columns): the minimum
        of each vertex, -1 for NaN. Barriers, shape (k, k): the lowest heights that connect minima.

    Raises:
        ValueError: There are no values, or the persistence is negative.

    Reference:
        Edelsbrunner and Harer (2010), "Computational Topology", section VII.1.

    Example:
        >>> minima, maxima, basins, barriers = topology(np.array([[0.0, 3.0, 1.0]]), 0.0)
        >>> minima.tolist(), barriers.tolist()
        ([[0, -1, -1], [2, 1, 0]], [[0.0, 3.0], [3.0, 1.0]])
    """

def component_areas(
    values: _Double, axes: tuple[_Double, _Double], vertices: NDArray[np.int64], levels: _Double
) -> _Double:
    """Areas of the components of sublevel sets that contain some vertices.

    Args:
        values: Shape (rows, columns).
        axes: Coordinates of the columns and of the rows.
        vertices: Shape (k,), in the flat grid.
        levels: Shape (n,).

    Returns:
        Shape (n, k); 0 where a vertex lies above the level.

    Raises:
        ValueError: Shapes do not fit together, or a vertex lies outside.
    """

def total_variations(values: _Double) -> _Double:
    """Sums of absolute differences over the range, for rows and then columns.

    Lines that are constant or not finite are left out.
    """

def convexity(
    values: _Double, *, tolerance: float, chords: int, seed: int
) -> tuple[int, int, float, list[int] | None]:
    """Chords with grid points between their ends, and those above which none of them lies.

    Args:
        values: Shape (rows, columns), on an equally spaced grid.
        tolerance: Heights above a chord that do not count.
        chords: All pairs are examined where there are no more, otherwise so many are drawn.
        seed: Of the draws.

    Returns:
        Chords, those that are convex, the largest height above one, and its vertices: the first
        end, the point and the second end.

    Raises:
        ValueError: There are no values, or the tolerance is negative.
    """

def fit_quadratic(
    axes: tuple[_Double, _Double], values: _Double, centre: tuple[int, int], reach: int
) -> tuple[float, list[float], list[float], float, int]:
    """The least-squares quadratic of the finite values at most `reach` steps from a vertex.

    Args:
        axes: Coordinates of the columns and of the rows.
        values: Shape (rows, columns).
        centre: Its row and its column.
        reach: Grid steps along each axis.

    Returns:
        Value, gradient, second derivatives (xx, xy, yy), the residual's root mean square, and the
        number of points.

    Raises:
        ValueError: Shapes do not fit, or the finite values determine no quadratic.
    """

def grid(
    evaluate: Callable[[_Double], _Double],
    axes: Sequence[_Double],
    *,
    columns: int,
    chunk: int,
    start: int,
    tick: Callable[[int, _Double], object],
) -> None:
    """Evaluate f on a product of m axes, n points, the first axis fastest, chunk by chunk.

    Both functions are called on the caller's thread, and whatever they raise comes out as the same
    object. NaN and infinite values are data. Signals are handled after every call, so Ctrl-C stops
    a run with `KeyboardInterrupt`.

    Args:
        evaluate: Maps coordinates of shape (k, m) to values of shape (k, columns), float64.
        axes: m arrays of coordinates.
        columns: Values a point: the loss, then metrics.
        chunk: Points that `evaluate` gets at a time; the last chunk may be smaller.
        start: Points that are known already: a multiple of the chunk, or n.
        tick: Called after each chunk with the number of points done, those before `start` included,
            and the chunk's values, shape (k, columns).

    Raises:
        ValueError: An axis is empty or not finite, `evaluate` returned another shape or dtype, or
            `start` does not lie between two chunks.

    Example:
        >>> squares = lambda coords: (coords**2).sum(axis=1, keepdims=True)
        >>> axes = [np.array([0.0, 1.0]), np.array([0.0, 10.0])]
        >>> grid(squares, axes, columns=1, chunk=2, start=0, tick=print)
        2 [[0.]
         [1.]]
        4 [[100.]
         [101.]]
    """

_Statistics: TypeAlias = Literal["stored", "recalibrated", "batch"]

@final
class Network:
    """A network with its data and its loss, evaluated by the core; the dtype is the inputs'.

    Statistics of batch norm are "stored" (part of the network), "recalibrated" (re-estimated at
    every point on the split of `source`, or of the network itself), or of the "batch". Columns of
    sums are "loss" (the sum of losses), "hits" (the number of correct predictions), "squared_loss"
    and "weighted_loss" (sums of squared losses and of losses times weights).

    Args:
        graph: JSON, as the export writes it.
        dim: The number d of varied parameters.
        frozen: The numbers that do not vary, shape (h,).
        inputs: Shape (n, features).
        loss: The loss as JSON.
        targets: int64 classes, shape (n, positions), or float64 numbers, shape (n, outputs).
        weights: The weight of each sample in the denominator of L, shape (n,).
        split: The batches, as indices of samples, int64; empty for one batch of all samples.

    Raises:
        ValueError: The graph, the loss or the arrays do not fit together.
    """

    def __new__(
        cls,
        graph: str,
        *,
        dim: int,
        frozen: NDArray[Any],
        inputs: NDArray[Any],
        loss: str,
        targets: NDArray[Any],
        weights: _Double,
        split: Sequence[NDArray[np.int64]],
    ) -> Network: ...
    @property
    def dim(self) -> int:
        """The number of varied parameters."""

    @property
    def samples(self) -> int:
        """The number of samples."""

    @property
    def operations(self) -> int:
        """Multiply-adds of matrix products for one sample."""

    @property
    def tape_size(self) -> int:
        """Numbers in the tape of one sample: its values and derivatives."""

    def sums(
        self,
        points: NDArray[Any],
        *,
        columns: Sequence[str],
        statistics: _Statistics,
        source: Network | None = None,
    ) -> _Double:
        """Sums over the samples at points of shape (k, d): shape (k, len(columns))."""

    def sample_losses(
        self, points: NDArray[Any], *, statistics: _Statistics, source: Network | None = None
    ) -> _Double:
        """Every sample's loss at points of shape (k, d): shape (k, n)."""

    def gradients(
        self,
        points: NDArray[Any],
        *,
        scale: _Double,
        statistics: _Statistics,
        batches: NDArray[np.int64] | None = None,
    ) -> tuple[_Double, NDArray[Any]]:
        """Scaled sums of losses, shape (k,), and their gradients, shape (k, d).

        Each point on all samples, or on its batch of the split.
        """

    def subspace(self, origin: NDArray[Any], basis: Sequence[NDArray[Any]]) -> NetworkSubspace:
        """The affine subspace through `origin` along `basis`, vectors of shape (d,)."""

    def curvature(
        self, point: NDArray[Any], *, kind: str, scale: float, statistics: _Statistics, memory: int
    ) -> NetworkCurvature:
        """The scaled "hessian", "gauss_newton", "fisher" or "empirical_fisher" at a point.

        Tapes are retained between products if they take at most `memory` bytes.
        """

@final
class NetworkSubspace:
    """A network's loss on an affine subspace, by coordinates of shape (k, m)."""

    @property
    def dim(self) -> int:
        """The number m of coordinates."""

    def sums(
        self,
        coords: _Double,
        *,
        columns: Sequence[str],
        statistics: _Statistics,
        source: Network | None = None,
    ) -> _Double:
        """Sums over the samples: shape (k, len(columns))."""

    def sample_losses(
        self, coords: _Double, *, statistics: _Statistics, source: Network | None = None
    ) -> _Double:
        """Every sample's loss: shape (k, n)."""

@final
class NetworkCurvature:
    """A symmetric matrix known by its products."""

    @property
    def dim(self) -> int:
        """The number of rows."""

    @property
    def retained(self) -> bool:
        """Whether tapes are retained between products."""

    def apply(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """Products with vectors of shape (k, d)."""

@final
class NetworkObjective:
    """A network's loss L, which solvers evaluate without calling Python.

    Args:
        network: The network with its data.
        weight: The denominator of L.
        batch_weights: The denominators of the means over the batches of the network's split.
        statistics: Those of batch norm: "stored", or of the "batch".
        memory: Bytes that a Hessian may keep between products.

    Raises:
        ValueError: The denominator of L is not positive.
    """

    def __new__(
        cls,
        network: Network,
        *,
        weight: float,
        batch_weights: _Double,
        statistics: Literal["stored", "batch"],
        memory: int,
    ) -> NetworkObjective: ...
    @property
    def batches(self) -> int:
        """The number of mini-batches."""

@final
class Lanczos:
    """Thick-restart Lanczos with full reorthogonalisation: eigenpairs of a symmetric operator.

    A pair has converged when its residual is at most `tolerance` times `scale`.

    Args:
        dim: The number d of rows of the operator.
        dtype: The storage type of vectors; sums are accumulated in float64.
        count: The number of pairs, from each end for "both".
        which: The part of the spectrum; "largest" and "smallest" are algebraic.
        tolerance: See above.
        relative_to: The scale: the largest |Ritz value| of the requested end, or of all ("norm").
        basis: The number of basis vectors at which the iteration restarts.
        max_products: The maximum number of products.
        seed: The seed of the random vectors.
        path: A new memory-mapped file for the basis; in memory by default.
        deflate: Orthonormal vectors of shape (d,) to which the basis is orthogonal.
        start: The first direction, shape (d,), in place of a random one.

    Raises:
        ValueError: The options do not fit the dimension, or the basis cannot be allocated.
    """

    def __new__(
        cls,
        dim: int,
        dtype: Literal["float32", "float64"],
        *,
        count: int,
        which: Literal["largest", "smallest", "magnitude", "both"],
        tolerance: float,
        relative_to: Literal["end", "norm"],
        basis: int,
        max_products: int,
        seed: int,
        path: str | None = None,
        deflate: Sequence[NDArray[Any]] | None = None,
        start: NDArray[Any] | None = None,
    ) -> Lanczos: ...
    @staticmethod
    def resumed(record: str, arrays: dict[str, NDArray[Any]], path: str | None = None) -> Lanczos:
        """The iteration with this `state`; it continues with the same bits."""

    def run(
        self,
        apply: Callable[[NDArray[Any]], NDArray[Any]],
        tick: Callable[[int, int, _Double, _Double], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        An exception leaves the object as it was after the last completed step.

        Args:
            apply: Products with vectors of shape (k, d), of the dtype.
            tick: Called after every product with the number of products, that of converged pairs,
                values and residuals; whether to go on.

        Raises:
            FloatingPointError: A product is not finite.
            RuntimeError: The solver is running already.
        """

    @property
    def products(self) -> int:
        """Operator products so far."""

    @property
    def scale(self) -> float:
        """The scale of residuals: the largest |Ritz value| of the requested end."""

    @property
    def norm(self) -> float:
        """The largest |Ritz value|."""

    @property
    def status(self) -> Literal["running", "converged", "max_products", "exhausted"]:
        """Running, converged, exhausted (the space is spanned: exact) or max_products."""

    def values(self) -> _Double:
        """The current Ritz values of the requested pairs.

        Descending; ascending for "smallest"; by descending absolute value for "magnitude".
        """

    def residuals(self) -> _Double:
        """‖A v - λ v‖ of these pairs."""

    def bounds(self) -> _Double:
        """Bounds on the errors of these values: min(r, r²/gap), and r where they are clustered."""

    def vectors(self) -> NDArray[Any]:
        """Their orthonormal vectors, shape (n, d), of the dtype."""

    def state(self) -> tuple[str, dict[str, NDArray[Any]]]:
        """The state as JSON and arrays, for `resumed`."""

@final
class PowerIteration:
    """Power iteration with deflation on a shifted A, which separates the two ends.

    Arguments, methods and the tolerance are those of `Lanczos`.
    """

    def __new__(
        cls,
        dim: int,
        dtype: Literal["float32", "float64"],
        *,
        count: int,
        which: Literal["largest", "smallest", "magnitude", "both"],
        tolerance: float,
        max_products: int,
        seed: int,
    ) -> PowerIteration: ...
    def run(
        self,
        apply: Callable[[NDArray[Any]], NDArray[Any]],
        tick: Callable[[int, int, _Double, _Double], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        An exception leaves the object as it was after the last completed step.

        Args:
            apply: Products with vectors of shape (k, d), of the dtype.
            tick: Called after every product with the number of products, that of converged pairs,
                values and residuals; whether to go on.

        Raises:
            FloatingPointError: A product is not finite.
            RuntimeError: The solver is running already.
        """

    @property
    def products(self) -> int:
        """Operator products so far."""

    @property
    def scale(self) -> float:
        """The scale of residuals: the largest |Ritz value|, or ‖A v‖ of a unit vector."""

    @property
    def status(self) -> Literal["running", "converged", "max_products", "exhausted"]:
        """Running, converged, exhausted (the space is spanned: exact) or max_products."""

    def values(self) -> _Double:
        """The Rayleigh quotients of the converged pairs and of the current one.

        Descending; ascending for "smallest"; by descending absolute value for "magnitude".
        """

    def residuals(self) -> _Double:
        """‖A v - λ v‖ of these pairs."""

    def bounds(self) -> _Double:
        """Bounds on the errors of these values: as those of `Lanczos`, from these pairs alone."""

    def vectors(self) -> NDArray[Any]:
        """Their orthonormal vectors, shape (n, d), of the dtype."""

@final
class Trace:
    """Traces of powers of a symmetric operator, or of its logarithm, from random vectors.

    An estimate converges when its standard error is at most `relative` times its absolute value, or
    at most `absolute`, with at least 30 vectors.

    Args:
        dim: The number d of rows of the operator.
        dtype: The storage type of vectors; sums are accumulated in float64.
        powers: Traces of A, A^2, up to this power.
        target: The first of them whose precision counts.
        logarithm: (shift, tolerance, steps): instead, the trace of log(A + shift), by quadratures
            that settle to a relative change of `tolerance` within so many steps.
        relative, absolute: See above.
        max_products: The maximum number of products.
        level: The confidence level of intervals.
        rows: The maximum number of rows of the sketch; 0 is Hutchinson's estimator.
        block: The number of vectors multiplied together.
        seed: The seed of the random vectors.
        state: The `state` of an estimate with the same arguments, to continue it.

    Raises:
        ValueError: An option is out of range, or the state is that of another estimate.
    """

    def __new__(
        cls,
        dim: int,
        dtype: Literal["float32", "float64"],
        *,
        powers: int,
        target: int,
        logarithm: tuple[float, float, int] | None,
        relative: float,
        absolute: float,
        max_products: int,
        level: float,
        rows: int,
        block: int,
        seed: int,
        state: tuple[str, dict[str, NDArray[Any]]] | None = None,
    ) -> Trace: ...
    def run(
        self,
        apply: Callable[[NDArray[Any]], NDArray[Any]],
        tick: Callable[[int, int, float, float], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        An exception leaves the object as it was after the last completed step.

        Args:
            apply: Products with vectors of shape (k, d), of the dtype.
            tick: Called after every block of products with the number of products, that of random
                vectors, the estimate and its standard error; whether to go on.

        Raises:
            FloatingPointError: A product is not finite.
            RuntimeError: The solver is running already.
        """

    @property
    def products(self) -> int:
        """Operator products so far."""

    @property
    def probes(self) -> int:
        """The number of independent random vectors."""

    @property
    def status(self) -> Literal["running", "converged", "max_products", "exhausted"]:
        """Running, converged, exhausted (all rows are summed: exact) or max_products."""

    def means(self) -> _Double:
        """Rows (value, standard error, low end, high end), one a form."""

    def sketch(self) -> NDArray[Any]:
        """The orthonormal rows of the sketch, shape (k, d)."""

    def state(self) -> tuple[str, dict[str, NDArray[Any]]]:
        """The state as JSON and arrays, for the argument `state`."""

@final
class XTrace:
    """The trace from exchangeable vectors, with a jackknife standard error.

    Arguments and methods are those of `Trace`; `rows` bounds the number of vectors.
    """

    def __new__(
        cls,
        dim: int,
        dtype: Literal["float32", "float64"],
        *,
        relative: float,
        absolute: float,
        max_products: int,
        level: float,
        rows: int,
        block: int,
        seed: int,
    ) -> XTrace: ...
    def run(
        self,
        apply: Callable[[NDArray[Any]], NDArray[Any]],
        tick: Callable[[int, int, float, float], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        An exception leaves the object as it was after the last completed step.

        Args:
            apply: Products with vectors of shape (k, d), of the dtype.
            tick: Called after every block of products with the number of products, that of random
                vectors, the estimate and its standard error; whether to go on.

        Raises:
            FloatingPointError: A product is not finite.
            RuntimeError: The solver is running already.
        """

    @property
    def products(self) -> int:
        """Operator products so far."""

    @property
    def probes(self) -> int:
        """The number of independent random vectors."""

    @property
    def status(self) -> Literal["running", "converged", "max_products", "exhausted"]:
        """Running, converged, exhausted (all rows are summed: exact) or max_products."""

    def means(self) -> _Double:
        """Rows (value, standard error, low end, high end), one a form."""

    def sketch(self) -> NDArray[Any]:
        """The orthonormal rows of the sketch, shape (k, d)."""

@final
class Diagonal:
    """All diagonal entries of a symmetric operator, from random signs with a sketch.

    Arguments are those of `Trace`; the precision is that of all entries together.
    """

    def __new__(
        cls,
        dim: int,
        dtype: Literal["float32", "float64"],
        *,
        relative: float,
        absolute: float,
        max_products: int,
        level: float,
        rows: int,
        block: int,
        seed: int,
    ) -> Diagonal: ...
    def run(
        self,
        apply: Callable[[NDArray[Any]], NDArray[Any]],
        tick: Callable[[int, int, float, float], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        An exception leaves the object as it was after the last completed step.

        Args:
            apply: Products with vectors of shape (k, d), of the dtype.
            tick: Called after every block of products with the number of products, that of random
                vectors, the diagonal's norm and its standard error; whether to go on.

        Raises:
            FloatingPointError: A product is not finite.
            RuntimeError: The solver is running already.
        """

    @property
    def products(self) -> int:
        """Operator products so far."""

    @property
    def probes(self) -> int:
        """The number of independent random vectors."""

    @property
    def status(self) -> Literal["running", "converged", "max_products", "exhausted"]:
        """Running, converged, exhausted (all rows are summed: exact) or max_products."""

    @property
    def rank(self) -> int:
        """The number of rows of the sketch."""

    @property
    def quantile(self) -> float:
        """Half the width of an interval, in standard errors."""

    def values(self) -> _Double:
        """The estimates, shape (d,)."""

    def standard_errors(self) -> _Double:
        """Their standard errors, shape (d,)."""

@final
class Density:
    """Lanczos quadratures of independent random vectors.

    Args:
        dim: The number d of rows of the operator.
        dtype: The storage type of vectors; sums are accumulated in float64.
        probes: The number of random vectors.
        steps: The maximum number of products of each.
        block: The number of vectors multiplied together.
        seed: The seed of the random vectors.
        known: Quadratures of the first vectors, to resume.
        products: The products that these took.

    Raises:
        ValueError: A number is 0, or more quadratures are known than requested.
    """

    def __new__(
        cls,
        dim: int,
        dtype: Literal["float32", "float64"],
        *,
        probes: int,
        steps: int,
        block: int,
        seed: int,
        known: Sequence[tuple[_Double, _Double]],
        products: int,
    ) -> Density: ...
    def run(
        self,
        apply: Callable[[NDArray[Any]], NDArray[Any]],
        tick: Callable[[int, int], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        An exception leaves the object as it was after the last completed step.

        Args:
            apply: Products with vectors of shape (k, d), of the dtype.
            tick: Called after every block of products with the number of products and that of
                finished vectors; whether to go on.

        Raises:
            FloatingPointError: A product is not finite.
            RuntimeError: The solver is running already.
        """

    @property
    def products(self) -> int:
        """Operator products so far."""

    @property
    def completed_products(self) -> int:
        """Operator products of the completed vectors, from which a checkpoint is resumed."""

    def quadratures(self) -> list[tuple[_Double, _Double]]:
        """Nodes, ascending, and weights, which sum to 1, of every completed vector."""

class _Losses(Protocol):
    """A function L, at points of shape (k, d)."""

    def losses(self, points: NDArray[Any], /) -> _Double:
        """L at each point: shape (k,)."""

    def gradients(self, points: NDArray[Any], /) -> tuple[_Double, NDArray[Any]]:
        """L and its gradient at each point: shapes (k,) and (k, d)."""

    def curvature_at(self, theta: NDArray[Any], /) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """Products with the Hessian at a point, for vectors of shape (k, d)."""

@final
class CriticalPointSearch:
    """A search for a critical point, by Newton-MR or saddle-free Newton.

    Args:
        objective: The function; it is evaluated at theta.
        theta: The start, shape (d,). Its dtype is that of all vectors.
        method: Newton-MR decreases the norm of the gradient, saddle-free Newton the loss.
        tolerance: The norm of the gradient at which a point is critical.
        max_steps: The maximum number of steps.
        krylov: The maximum dimension of a Krylov space, and so of products a step.
        negative: An eigenvalue is negative below minus this share of the largest |eigenvalue|.
        seed: The seed of random directions.

    Raises:
        ValueError: An option is out of range.
        FloatingPointError: The loss or its gradient is not finite at theta.
    """

    def __new__(
        cls,
        objective: _Losses | NetworkObjective,
        theta: NDArray[Any],
        *,
        method: Literal["newton_mr", "saddle_free"],
        tolerance: float,
        max_steps: int,
        krylov: int,
        negative: float,
        seed: int,
    ) -> CriticalPointSearch: ...
    @staticmethod
    def resumed(record: str, theta: NDArray[Any], gradient: NDArray[Any]) -> CriticalPointSearch:
        """Resume from the results of the methods of these names, with the same bits."""

    def run(
        self,
        objective: _Losses | NetworkObjective,
        tick: Callable[[int, float, float], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        An exception leaves the object as it was after the last completed step.

        Args:
            objective: The function.
            tick: Called after every step with the number of steps, the loss, and the norm of the
                gradient.
        """

    @property
    def status(self) -> str:
        """The state of the run: running, converged, flat, stalled or max_steps."""

    @property
    def loss(self) -> float:
        """L at the current point."""

    @property
    def gradient_norm(self) -> float:
        """The norm of its gradient."""

    @property
    def products(self) -> int:
        """Hessian products so far."""

    @property
    def evaluations(self) -> int:
        """Evaluations of L so far, with or without its gradient."""

    def theta(self) -> NDArray[Any]:
        """The current point, shape (d,)."""

    def gradient(self) -> NDArray[Any]:
        """Its gradient, shape (d,)."""

    def history(self) -> _Double:
        """Loss, gradient norm and length of the start and of every step: shape (steps + 1, 3)."""

    def record(self) -> str:
        """The state besides its arrays, as JSON."""

def student_quantile(level: float, freedom: float) -> float:
    """The t for which Student's distribution lies within -t and t with the probability `level`.

    Raises:
        ValueError: The level is no probability, or the degrees of freedom are not positive.

    Example:
        >>> round(student_quantile(0.95, 9), 6)
        2.262157
    """

def asymmetry(
    apply: Callable[[NDArray[Any]], NDArray[Any]],
    dim: int,
    dtype: Literal["float32", "float64"],
    seed: int,
) -> float:
    """|xᵀAy - yᵀAx| / (‖Ax‖ + ‖Ay‖) of random x, y: rounding where A is symmetric."""

@final
class SubsetAssessment:
    """The error of mean losses that m of n samples estimate, by cross-validation over K pilots.

    The samples are drawn three times with inclusion probabilities proportional to
    0.8 share_i / sum(share) + 0.2 / n, and each draw is cross-validated over eight folds of pilots.
    The rows are those of the draw with the median error. With the root mean square s of the 3 K
    relative errors and c^2 = K over the lower tenth of its chi-squared distribution, 95% of errors
    are bounded by the largest of 1.96 c s, the draw's own 95th percentile and the residual.

    Args:
        losses: K arrays, shape (n,) each, of float32: all samples' losses at each pilot.
        means: Their means, shape (K,).
        scales: What an error at each pilot is relative to, shape (K,); positive.
        shares: Each sample's share of the losses, shape (n,); not negative.
        count: The number m of samples.
        seed: Of the draws, from 0 to 2**64 - 1.
        points: The number of points whose largest error is bounded.

    Raises:
        ValueError: Shapes differ, there are fewer than eight pilots, or a number is not finite.
        MemoryError: The chosen losses do not fit.

    Reference:
        Deville, Särndal (1992), "Calibration Estimators in Survey Sampling"; Rosén (1997), "On
        Sampling with Probability Proportional to Size".
    """

    def __new__(
        cls,
        losses: Sequence[_Single],
        means: _Double,
        scales: _Double,
        shares: _Double,
        count: int,
        *,
        seed: int,
        points: int,
    ) -> SubsetAssessment: ...
    @property
    def rows(self) -> NDArray[np.int64]:
        """The chosen samples, shape (m,), in increasing order."""

    @property
    def inclusion(self) -> _Double:
        """The probability with which each of them was chosen, shape (m,)."""

    @property
    def errors(self) -> _Double:
        """The relative error at each pilot, predicted from the other folds, shape (K,)."""

    @property
    def quantile95(self) -> float:
        """A bound on 95% of the relative errors."""

    @property
    def maximum(self) -> float:
        """A bound on the largest relative error of all points."""

    @property
    def inflation(self) -> float:
        """The factor, at least 1, by which standard errors agree with the errors at pilots."""

    @property
    def residual(self) -> float:
        """The largest relative error at a pilot that is calibrated itself."""

@final
class SubsetCalibration:
    """Weights w of m samples that reproduce K known means.

    With base weights d_i = 1 / (n pi_i) they minimise
    sum_i d_i (w_i / d_i - 1)^2 / 2 + |A w - t|^2 / (2 * 1e-4) under 0.05 <= w_i / d_i <= 20.

    Args:
        losses: A, shape (K, m): the samples' losses at the pilots over the pilots' scales.
        targets: t, shape (K,): the means of all samples over the same scales.
        inclusion: The probabilities pi with which the samples were chosen, shape (m,).
        population: The number n of all samples.

    Raises:
        ValueError: Shapes differ, a number is not finite, or a probability is not in (0, 1].

    Reference:
        Deville, Särndal (1992), "Calibration Estimators in Survey Sampling", case 7.
    """

    def __new__(
        cls, losses: _Double, targets: _Double, inclusion: _Double, *, population: int
    ) -> SubsetCalibration: ...
    @property
    def weights(self) -> _Double:
        """w, shape (m,)."""

    @property
    def residual(self) -> float:
        """The largest entry of |A w - t|: what the bounds and the ridge leave."""

    def estimate(self, losses: _Double) -> tuple[_Double, _Double]:
        """Estimates sum_i w_i y_i and their linearised standard errors, shape (points,) each.

        Args:
            losses: y, shape (points, m). One that is not finite spoils its own point alone.

        Raises:
            ValueError: The number of samples is not m.
        """

def require_memory(what: str, sizes: Sequence[int], width: int = 8) -> None:
    """Refuse an array that does not fit into the memory that is free.

    Args:
        what: Names the array in the error, with the argument that decides its size.
        sizes: Along its axes.
        width: Bytes of an entry.

    Raises:
        MemoryError: It does not fit; the text has the bytes that it would take.
    """

def panic_for_tests(text: str) -> None:
    """Panic inside the core: RuntimeError, which asks for a report."""

def set_threads(count: int) -> None:
    """Set the number of threads for networks; results do not depend on it."""

def threads() -> int:
    """The number of threads for networks."""

class _Batched(Protocol):
    """A function L whose samples are split into batches, at points of shape (k, d)."""

    @property
    def batches(self) -> int:
        """The number of mini-batches."""

    def losses(self, points: NDArray[Any], /) -> _Double:
        """L at each point: shape (k,)."""

    def gradients_on(
        self, points: NDArray[Any], batches: Sequence[int], /
    ) -> tuple[_Double, NDArray[Any]]:
        """Means over one batch for each point, and their gradients: shapes (k,) and (k, d)."""

@final
class AutoNeb:
    """AutoNEB: a nudged elastic band between two minima, refined where it is too coarse.

    Args:
        objective: The function; only its number of batches is read here.
        first: The one end: shape (d,). Its dtype is that of all vectors.
        last: The other end.
        cycles: Pairs (steps, learning rate).
        rule: "adam", or the momentum of gradient descent.
        spring: The spring constant; None spaces the pivots equally after every step.
        climb: The number of last cycles in which the highest pivot climbs.
        tolerance: The force that counts as zero, where one batch holds all data; 0 runs all cycles.
        pivots: The initial number of inner points.
        max_pivots: The maximum number of pivots.
        insertion: The rise above the line between two pivots at which one is inserted, as a share
            of the range of losses on the band.
        between: Points evaluated between two pivots.
        seed: The seed of the order of batches.

    Raises:
        ValueError: An option is out of range, or the ends do not fit.
    """

    def __new__(
        cls,
        objective: _Batched | NetworkObjective,
        first: NDArray[Any],
        last: NDArray[Any],
        *,
        cycles: Sequence[tuple[int, float]],
        rule: Literal["adam"] | float,
        spring: float | None,
        climb: int,
        tolerance: float,
        pivots: int,
        max_pivots: int,
        insertion: float,
        between: int,
        seed: int,
    ) -> AutoNeb: ...
    @staticmethod
    def resumed(
        record: str, band: NDArray[Any], best: NDArray[Any], memory: NDArray[Any]
    ) -> AutoNeb:
        """Resume from the results of the methods of these names, with the same bits."""

    def run(
        self,
        objective: _Batched | NetworkObjective,
        tick: Callable[[int, float, float], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        Args:
            objective: The function.
            tick: Called after every step and evaluation with the number of steps, the barrier
                of the pivots, and the largest force across the band.

        Raises:
            FloatingPointError: A loss or a gradient is not finite; the band is then the last one
                whose losses were.
        """

    def evaluate(self, objective: _Batched | NetworkObjective) -> None:
        """Evaluate the current band on all data, so that `best` includes it."""

    @property
    def status(self) -> str:
        """The state of the run: running, converged or complete."""

    @property
    def force(self) -> float:
        """The largest norm, over the pivots, of the force across the band."""

    @property
    def steps(self) -> int:
        """Steps so far."""

    @property
    def evaluations(self) -> tuple[int, int]:
        """Losses on all data, and gradients on single batches."""

    def history(self) -> _Double:
        """Steps, inner pivots and highest loss of every evaluation on all data, shape (n, 3)."""

    def band(self) -> NDArray[Any]:
        """The pivots, ends included: shape (pivots, d)."""

    def best(self) -> NDArray[Any]:
        """The pivots of the band with the lowest maximal loss of all evaluations."""

    def memory(self) -> NDArray[Any]:
        """The moments of the optimizer, as one vector."""

    def record(self) -> str:
        """The state besides its arrays, as JSON."""

@final
class CurveTraining:
    """A curve between two minima whose control points minimise the mean loss along it.

    Args:
        objective: The function; only its number of batches is read here.
        first: The one end: shape (d,). Its dtype is that of all vectors.
        last: The other end.
        kind: A Bezier curve, or a polygonal chain whose segments take equal parts of t.
        cycles: Pairs (steps, learning rate).
        rule: "adam", or the momentum of gradient descent.
        bends: Control points between the ends.
        draws: Points that a step samples, each on a batch of its own.
        between: Points between the ends at which the curve is evaluated.
        seed: The seed of the sampled points and of the order of batches.

    Raises:
        ValueError: An option is out of range, or the ends do not fit.
    """

    def __new__(
        cls,
        objective: _Batched | NetworkObjective,
        first: NDArray[Any],
        last: NDArray[Any],
        *,
        kind: Literal["bezier", "polychain"],
        cycles: Sequence[tuple[int, float]],
        rule: Literal["adam"] | float,
        bends: int,
        draws: int,
        between: int,
        seed: int,
    ) -> CurveTraining: ...
    @staticmethod
    def resumed(
        record: str, control: NDArray[Any], best: NDArray[Any], memory: NDArray[Any]
    ) -> CurveTraining:
        """Resume from the results of the methods of these names, with the same bits."""

    def run(
        self,
        objective: _Batched | NetworkObjective,
        tick: Callable[[int, float, float], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        Args:
            objective: The function.
            tick: Called after every step and evaluation with the number of steps, the barrier
                of the last evaluation, and the norm of the gradient.

        Raises:
            FloatingPointError: A loss or a gradient is not finite; the control points are then the
                last ones whose losses were.
        """

    def evaluate(self, objective: _Batched | NetworkObjective) -> None:
        """Evaluate the current curve on all data, so that `best` includes it."""

    @property
    def status(self) -> str:
        """The state of the run: running or complete."""

    @property
    def gradient_norm(self) -> float:
        """The norm of the last step's gradient."""

    @property
    def steps(self) -> int:
        """Steps so far."""

    @property
    def evaluations(self) -> tuple[int, int]:
        """Losses on all data, and gradients on single batches."""

    def history(self) -> _Double:
        """Steps, inner control points and highest loss of every evaluation, shape (n, 3)."""

    def control(self) -> NDArray[Any]:
        """The control points, ends included: shape (points, d)."""

    def best(self) -> NDArray[Any]:
        """The control points of the curve with the lowest maximal loss of all evaluations."""

    def memory(self) -> NDArray[Any]:
        """The moments of the optimizer, as one vector."""

    def record(self) -> str:
        """The state besides its arrays, as JSON."""

def assignment(weights: _Double) -> NDArray[np.int64]:
    """The permutation p that maximises sum_i w[i, p[i]], by shortest augmenting paths.

    Args:
        weights: Shape (n, n), finite.

    Returns:
        The column of each row, shape (n,).

    Raises:
        ValueError: The matrix is not square, or not finite.

    Reference:
        Crouse, "On Implementing 2D Rectangular Assignment Algorithms" (2016), section II.
    """

def spanning_tree(weights: _Double) -> NDArray[np.int64]:
    """The edges (i, j), i < j, of the minimum spanning tree, lightest first (Kruskal 1956).

    Args:
        weights: Shape (n, n), symmetric; infinite where there is no edge.

    Returns:
        Shape (n - 1, 2).

    Raises:
        ValueError: The matrix is not square, holds NaN, or is of a graph that is not connected.
    """

@final
class Walker:
    """A walk along directions of small curvature that preserves the loss.

    Args:
        objective: The function; it is evaluated at theta.
        theta: The start, shape (d,). Its dtype is that of all vectors.
        distance: The distance from the start at which it ends.
        tolerance: The maximum increase of the loss over that of the start.
        flat: Directions are flat up to this share of the largest |eigenvalue|.
        stride: The maximum length of a step.
        max_steps: The maximum number of steps.
        krylov: The maximum dimension of a Krylov space, and so of products a direction.
        seed: The seed of the first direction.

    Raises:
        ValueError: An option is out of range.
        FloatingPointError: The loss is not finite at theta.
    """

    def __new__(
        cls,
        objective: _Losses | NetworkObjective,
        theta: NDArray[Any],
        *,
        distance: float,
        tolerance: float,
        flat: float,
        stride: float,
        max_steps: int,
        krylov: int,
        seed: int,
    ) -> Walker: ...
    @staticmethod
    def resumed(record: str, points: NDArray[Any], direction: NDArray[Any]) -> Walker:
        """Resume from the results of the methods of these names, with the same bits."""

    def run(
        self,
        objective: _Losses | NetworkObjective,
        tick: Callable[[int, float, float], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        Args:
            objective: The function.
            tick: Called after every step with the number of steps, the loss, and the distance from
                the start.
        """

    @property
    def status(self) -> str:
        """The state of the run: running, reached, stalled or max_steps."""

    @property
    def counts(self) -> tuple[int, int]:
        """Hessian products and losses so far."""

    def points(self) -> NDArray[Any]:
        """All points, the start first: shape (steps + 1, d)."""

    def direction(self) -> NDArray[Any]:
        """The direction of the last step: shape (d,); empty before the first."""

    def history(self) -> _Double:
        """Loss, distance, length, curvature, largest |Ritz value|: shape (steps + 1, 5)."""

    def record(self) -> str:
        """The state besides its arrays, as JSON."""

def simplex_weights(corners: int, count: int, *, seed: int, stream: int) -> _Double:
    """Barycentric weights of points that are uniform in a simplex: E_j / sum_l E_l.

    E_j = (x_2j^2 + x_2j+1^2) / 2 of the standard normal numbers x of :func:`gaussian` is an
    exponential number.

    Args:
        corners: The number of weights of a point.
        count: The number of points.
        seed: From 0 to 2**64 - 1.
        stream: From 0 to 2**64 - 1; streams of one seed are independent.

    Returns:
        Shape (count, corners); none is below 0, and rows have the sum 1.

    Raises:
        ValueError: There is no corner.

    Reference:
        Devroye (1986), "Non-uniform random variate generation", section V.2.1.

    Example:
        >>> simplex_weights(1, 2, seed=0, stream=0).tolist()
        [[1.0], [1.0]]
    """

def simplex_log_volume(corners: NDArray[Any]) -> float:
    """The logarithm of a simplex's volume, (log det G) / 2 - log k!.

    G is the Gram matrix of the k edges from the first corner.

    Args:
        corners: Shape (k + 1, d).

    Returns:
        The logarithm, of units of length to the k; -inf where the corners lie in fewer dimensions.

    Raises:
        ValueError: There is no corner.

    Example:
        >>> corners = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
        >>> round(float(np.exp(simplex_log_volume(corners))), 12)
        6.0
    """

@final
class SimplexTraining:
    """Connecting points of a simplicial complex, trained one after the other.

    Each minimum spans one simplex with all connecting points. The last of these descends the mean
    loss at points that are uniform in the simplices, less lambda times the logarithm of the sum of
    volumes; lambda is 0 for the first one between several minima, and else `volume` over the larger
    of 1 and the |logarithm| at its start.

    Args:
        objective: The function; only its number of batches is read here.
        minima: Shape (minima, d). Its dtype is that of all vectors.
        connectors: The number of connecting points, at most d.
        cycles: Rows (steps, learning rate) for each of them.
        rule: "adam", or the momentum of gradient descent.
        samples: Points that a step samples in every simplex, each on a batch of its own.
        volume: The weight of the volume, from 0.
        spread: The distance of a connecting point's start from the mean of the vertices, as a share
            of the minima's root mean square distance from their mean (one minimum: from 0).
        seed: The seed of the order of batches, of the points, and of the starts.

    Raises:
        ValueError: An option is out of range, or the minima do not fit.
    """

    def __new__(
        cls,
        objective: _Batched | NetworkObjective,
        minima: NDArray[Any],
        *,
        connectors: int,
        cycles: Sequence[tuple[int, float]],
        rule: Literal["adam"] | float,
        samples: int,
        volume: float,
        spread: float,
        seed: int,
    ) -> SimplexTraining: ...
    @staticmethod
    def resumed(record: str, vertices: NDArray[Any], memory: NDArray[Any]) -> SimplexTraining:
        """Resume from the results of the methods of these names, with the same bits."""

    def run(
        self,
        objective: _Batched | NetworkObjective,
        tick: Callable[[int, float, float], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        An exception leaves the object as it was after the last completed step; FloatingPointError
        restores the last connecting point to where losses were finite.

        Args:
            objective: The function.
            tick: Called after every step with the number of steps, the mean loss at its points and
                the logarithm of the sum of volumes (NaN without volume).
        """

    @property
    def status(self) -> str:
        """The state of the run: running or complete."""

    @property
    def loss(self) -> float:
        """The mean loss at the points of the last step."""

    @property
    def log_volume(self) -> float:
        """The logarithm of the sum of volumes before the last move."""

    @property
    def steps(self) -> int:
        """Steps so far."""

    @property
    def evaluations(self) -> int:
        """Gradients of single batches so far."""

    def simplices(self) -> list[list[int]]:
        """The vertices of every simplex: a minimum, then all connecting points."""

    def vertices(self) -> NDArray[Any]:
        """Minima, then connecting points: shape (vertices, d)."""

    def memory(self) -> NDArray[Any]:
        """The moments of the optimizer, as one vector."""

    def record(self) -> str:
        """The state besides its arrays, as JSON."""

class _Gradients(Protocol):
    """A function L with gradients, at points of shape (k, d)."""

    def gradients(self, points: NDArray[Any], /) -> tuple[_Double, NDArray[Any]]:
        """L and its gradient at each point: shapes (k,) and (k, d)."""

class _GradientsOn(Protocol):
    """A function L whose samples are split into batches, at points of shape (k, d)."""

    @property
    def batches(self) -> int:
        """The number of mini-batches."""

    def gradients_on(
        self, points: NDArray[Any], batches: Sequence[int], /
    ) -> tuple[_Double, NDArray[Any]]:
        """Means over one batch for each point, and their gradients: shapes (k,) and (k, d)."""

_Interpolation: TypeAlias = Literal["log cubic", "cubic", "linear"]

@final
class Interpolant:
    """A function through the values on a product of increasing axes, the first axis fastest.

    "log cubic" is a tensor-product cubic spline with "not a knot" ends of the logarithm where all
    finite values are positive, so that its absolute error is the relative error of the value, and
    of the value itself otherwise; "cubic" always of the value; "linear" is linear in each
    coordinate. Values that are not finite are no part of the fit: a point takes the value of the
    nearest node where that is not finite.

    Args:
        axes: The coordinates along each axis.
        values: One for each point of the product.
        interpolation: How they are interpolated.

    Raises:
        ValueError: An axis does not increase, or there are more or fewer values than points.

    Reference:
        de Boor (1978), "A Practical Guide to Splines", chapters IV and XVII.

    Example:
        >>> axis = np.linspace(0.0, 1.0, 5)
        >>> interpolant = Interpolant([axis], axis**3, "cubic")
        >>> float(interpolant.at(np.array([[0.3]]))[0].round(12))
        0.027
    """

    def __new__(
        cls, axes: Sequence[_Double], values: _Double, interpolation: _Interpolation
    ) -> Interpolant: ...
    @staticmethod
    def nested(
        ranges: Sequence[tuple[float, float]],
        level: int,
        points: _Double,
        values: _Double,
        interpolation: _Interpolation,
    ) -> Interpolant:
        """The interpolant of the points that an :class:`AdaptiveGrid` evaluated.

        Args:
            ranges: The ends of each axis.
            level: The finest level: 4 * 2**level + 1 nodes an axis.
            points: Nodes of that level, all those of level 0 among them, shape (k, m).
            values: Shape (k,).
            interpolation: How they are interpolated.

        Raises:
            ValueError: A point is no node, or a node of level 0 is missing.
        """

    @property
    def is_log(self) -> bool:
        """Whether the logarithm is what is interpolated."""

    def at(self, points: _Double) -> _Double:
        """The values at points, shape (p, m) to (p,); NaN beyond the ends of an axis."""

    def on(self, axes: Sequence[_Double]) -> _Double:
        """The values on another product of axes, the first one fastest."""

@final
class AdaptiveGrid:
    """A dyadic grid that is refined until its interpolant is within a tolerance.

    The levels have 4 * 2**level + 1 nodes an axis; level 1 is evaluated as a whole. The surplus of
    a node is the difference between its value and what the coarser levels predict; of a cell, the
    largest at its new corners. Each further level evaluates the cells whose surplus exceeds twice
    the tolerance, and their neighbours, the largest surplus first. It ends, also within a level,
    when the surplus exceeds that in less than 1 - quantile of the area: half the surplus is the
    estimate of the error.

    The caller evaluates :meth:`proposed` points and passes the values to :meth:`accept`.

    Args:
        ranges: The ends of each axis.
        columns: How each of the values of a point is interpolated. The error of those that are not
            linear is controlled; a cell has the largest of them.
        tolerance: The error that may remain.
        scale: What it is relative to: the value, or the range of all values. It is the range where
            a value is not positive.
        quantile: The fraction of the area in which it must hold.
        finest: The finest level, from 1 up.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> options = {"tolerance": 0.01, "scale": "range", "quantile": 1.0, "finest": 6}
        >>> grid = AdaptiveGrid([(-1.0, 1.0)], columns=["cubic"], **options)
        >>> while grid.outcome == "running":
        ...     grid.accept(np.sin(grid.proposed()))
        >>> grid.outcome, grid.done
        ('converged', 9)
    """

    def __new__(
        cls,
        ranges: Sequence[tuple[float, float]],
        *,
        columns: Sequence[_Interpolation],
        tolerance: float,
        scale: Literal["value", "range"],
        quantile: float,
        finest: int,
    ) -> AdaptiveGrid: ...
    @property
    def outcome(self) -> Literal["running", "converged", "finest", "stopped"]:
        """Whether it has ended, and how: within the tolerance, at the finest level, or stopped."""

    @property
    def level(self) -> int:
        """The finest level that is complete; 0 before there is one."""

    @property
    def done(self) -> int:
        """The number of points whose values were accepted."""

    @property
    def total(self) -> int:
        """The number of those, and of the points that are proposed."""

    def proposed(self) -> _Double:
        """The points to evaluate next, a part of the present level, shape (k, m)."""

    def accept(self, values: _Double) -> None:
        """Take the values at the first of the proposed points.

        Args:
            values: Shape (k, columns).

        Raises:
            ValueError: They have other columns, or are more than are proposed.
        """

    def stop(self) -> None:
        """End the refinement: the present level becomes complete with the values it has.

        Raises:
            ValueError: Level 1 is not complete, so that no error can be estimated.
        """

    def evaluated(self) -> tuple[_Double, _Double]:
        """The points whose values were accepted, in that order, (k, m), and values (k, columns)."""

    def estimate(self) -> dict[str, Any]:
        """The error of the interpolants: "quantile95", "surplus95", "maximum" and "scale".

        They are infinite before level 1 is complete. "quantile95" is half of "surplus95"; "maximum"
        is twice the largest surplus between finite values.
        """

    def errors_at(self, points: _Double) -> _Double:
        """Half the surplus of the cell that holds each point, shape (p, m) to (p,)."""

    def errors_against(self, points: _Double, values: _Double) -> _Double:
        """The errors of the interpolants against true values, the largest of each point's losses.

        Args:
            points: Shape (p, m).
            values: Shape (p, columns).

        Returns:
            Shape (p,); infinite where one of the two alone is finite.

        Raises:
            ValueError: Level 0 is not complete, or the shapes do not fit.
        """

    def interpolant(self, column: int) -> Interpolant:
        """The interpolant of a column at the finest complete level.

        Raises:
            ValueError: There is no such column, or level 0 is not complete.
        """

@final
class Ascent:
    """Maximise L(theta_0 + delta) in a neighbourhood, from k starts that are evaluated together.

    delta = s * u with scales s >= 0, and ||u||_2 <= rho in a "ball" or |u_i| <= rho in a "box".
    With a basis the coordinates are its rows: L(theta_0 + sum_j delta_j basis_j). The first step
    evaluates the starts; every further one evaluates each row that has not ended once. A row whose
    gradient is 0 has converged.

    - "projected": u <- P(u + eta v), where v is h / ||h||_2 in a ball and sign(h) in a box, and
      h = s * g. From 0 one step with `step=1` is rho s * h / ||h||_2 or rho s * sign(h), the
      perturbation of sharpness-aware minimisation. It ends as "complete".
    - "apgd": the same with momentum, and a step that is halved where the loss stops growing; it
      ends as "complete".
    - "lbfgs": a quasi-Newton method in the active set with a line search, along the sphere where
      the gradient points out of the ball. It ends as "converged", "stalled" where no step changes
      the loss by more than rounding, or "max_steps".

    A loss or a gradient that is not finite ends its row as "diverged"; its best finite loss is
    kept.

    Args:
        objective: The function. Without batches only its gradients on all data are read.
        origin: theta_0, shape (d,). Its dtype is that of all vectors.
        starts: The first displacements delta, shape (k, d) or (k, p).
        scale: s, shape (d,), or (p,) with a basis; 0 fixes a coordinate.
        method: How the loss is maximised.
        constraint: The norm that bounds u.
        radius: Its bound rho.
        steps: The maximum number of steps after the evaluation of the starts.
        step: Of "projected" alone: eta as a share of rho; None is 2.5 / steps.
        tolerance: Of "lbfgs" alone, which needs it: a row has converged when its projected
            gradient is at most this share of the largest gradient that it has met.
        basis: Shape (p, d).
        batches: The mini-batch of each start; None evaluates all on all data.

    Raises:
        ValueError: An option is out of range or belongs to another method, shapes do not fit, or a
            start is outside the neighbourhood.
        MemoryError: The vectors do not fit.

    Reference:
        Keskar, Mudigere, Nocedal, Smelyanskiy, Tang (2017), "On large-batch training for deep
        learning: generalization gap and sharp minima", metric 2.1; Foret, Kleiner, Mobahi,
        Neyshabur (2021), "Sharpness-aware minimization for efficiently improving generalization",
        equation 2; Kwon, Kim, Park, Choi (2021), "ASAM: adaptive sharpness-aware minimization",
        equation 3; Madry et al. (2018), "Towards deep learning models resistant to adversarial
        attacks"; Croce, Hein (2020), "Reliable evaluation of adversarial robustness with an
        ensemble of diverse parameter-free attacks", algorithm 1; Bertsekas (1982), "Projected
        Newton methods for optimization problems with simple constraints".
    """

    def __new__(
        cls,
        objective: _Gradients | _GradientsOn | NetworkObjective,
        origin: NDArray[Any],
        starts: NDArray[Any],
        *,
        scale: NDArray[Any],
        method: Literal["projected", "apgd", "lbfgs"],
        constraint: Literal["ball", "box"],
        radius: float,
        steps: int,
        step: float | None = None,
        tolerance: float | None = None,
        basis: NDArray[Any] | None = None,
        batches: Sequence[int] | None = None,
    ) -> Ascent: ...
    @staticmethod
    def resumed(record: str, arrays: dict[str, NDArray[Any]]) -> Ascent:
        """Resume from the result of `state`, with the same bits."""

    def run(
        self,
        objective: _Gradients | _GradientsOn | NetworkObjective,
        tick: Callable[[int, float, int], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        An exception leaves the object as it was after the last completed step.

        Args:
            objective: The function.
            tick: Called after every evaluation with the number of steps, the highest loss, and the
                number of rows that have not ended; whether to go on.
        """

    @property
    def status(self) -> str:
        """The state of the run: running while a row is.

        Then the state of the row that is farthest from convergence among those that have not
        diverged: max_steps, complete, stalled, converged; diverged where all have.
        """

    @property
    def statuses(self) -> list[str]:
        """The state of each row."""

    @property
    def steps(self) -> int:
        """Steps so far; the evaluation of the starts is not one."""

    @property
    def gradients(self) -> int:
        """Gradients so far, one for each point."""

    def losses(self) -> _Double:
        """The highest finite loss of each row, shape (k,); NaN where there is none."""

    def displacements(self) -> NDArray[Any]:
        """The displacements delta at these, of the shape of the starts."""

    def history(self) -> _Double:
        """The highest losses after each evaluation, shape (steps + 1, k)."""

    def state(self) -> tuple[str, dict[str, NDArray[Any]]]:
        """The state as JSON and arrays, for `resumed`."""

@final
class Langevin:
    """C chains that sample p(theta) ~ exp(-nbeta L(theta) - gamma/2 ||theta - theta_0||^2).

    theta <- theta - eps/2 G (nbeta grad L_b(theta) + gamma (theta - theta_0)) + sqrt(eps G) xi,
    from theta_0. After the burn-in the last point of every `thinning` steps is a draw, of which
    L_b(theta) is kept, and the reference L_b(theta_0) on the same batch b, which is computed once a
    batch. The difference of both is an estimate of L(theta) - L(theta_0).

    A chain has diverged when its point, loss or gradient is not finite, or when
    nbeta (L_b(theta) - L_0) exceeds 10^6 d, where L_0 is the mean loss of the first step. Its point
    stays where it was, and its later draws are NaN.

    Args:
        objective: The function.
        centre: theta_0, shape (d,). Its dtype is that of all vectors.
        chains: The number C of chains.
        step: eps. Steps are stable where eps times the largest eigenvalue of
            G^(1/2) (nbeta H + gamma) G^(1/2) is below 4.
        nbeta: The number of samples times the inverse temperature.
        localisation: gamma.
        burn_in: Steps before the first draw.
        draws: Draws of each chain.
        thinning: Steps of a draw.
        seed: That of the noise and of the order of batches.
        preconditioner: "none" is G = 1. "rmsprop" is G = 1/(sqrt(v) + damping), where v is the mean
            of squared gradients of L over all chains and the steps of the burn-in, with weights
            that decay; it is fixed afterwards, so that the posterior is invariant without a term
            for the derivative of G.
        noise: "euler" is xi_t, standard normal; the variance along an eigenvector of a quadratic L
            with the eigenvalue h is too large by 1/(1 - eps G (nbeta h + gamma)/4). "averaged" is
            (xi_t + xi_(t+1))/2 and has no bias there.
        data: "all", or one "mini_batch" for each chain and step.
        decay: Of "rmsprop" alone: the weight of the past, from 0, below 1.
        damping: Of "rmsprop" alone: above 0, in units of the gradient.

    Raises:
        ValueError: An option is out of range or belongs to another preconditioner.
        MemoryError: The points or the draws do not fit.

    Reference:
        Welling, Teh (2011), "Bayesian learning via stochastic gradient Langevin dynamics"; Li,
        Chen, Carlson, Carin (2016), "Preconditioned stochastic gradient Langevin dynamics for deep
        neural networks"; Leimkuhler, Matthews (2013), "Rational construction of stochastic
        numerical methods for molecular sampling"; Lau, Furman, Wang, Murfet, Wei (2023), "The local
        learning coefficient: a singularity-aware complexity measure".
    """

    def __new__(
        cls,
        objective: _Gradients | _GradientsOn | NetworkObjective,
        centre: NDArray[Any],
        *,
        chains: int,
        step: float,
        nbeta: float,
        localisation: float,
        burn_in: int,
        draws: int,
        thinning: int,
        seed: int,
        preconditioner: Literal["none", "rmsprop"],
        noise: Literal["euler", "averaged"],
        data: Literal["all", "mini_batch"],
        decay: float | None = None,
        damping: float | None = None,
    ) -> Langevin: ...
    @staticmethod
    def resumed(record: str, arrays: dict[str, NDArray[Any]]) -> Langevin:
        """Resume from the result of `state`, with the same bits."""

    def run(
        self,
        objective: _Gradients | _GradientsOn | NetworkObjective,
        tick: Callable[[int, int, float], bool],
    ) -> bool:
        """Iterate until termination (True) or until `tick` returns False (False).

        An exception leaves the object as it was after the last completed step.

        Args:
            objective: The function.
            tick: Called after every step with the number of draws of a chain, that of steps, and
                the mean loss of the last draw (NaN before the first); whether to go on.

        Raises:
            FloatingPointError: The loss of the centre is not finite.
        """

    @property
    def status(self) -> str:
        """The state of the run: running, complete, or diverged where all chains have."""

    @property
    def statuses(self) -> list[str]:
        """The state of each chain: running, complete or diverged."""

    @property
    def draws(self) -> int:
        """Draws of each chain so far."""

    @property
    def steps(self) -> int:
        """Steps of each chain so far."""

    @property
    def gradients(self) -> int:
        """Gradients so far, one for each point; those for references are counted too."""

    def losses(self) -> _Double:
        """The losses of the draws on their batches, shape (C, draws)."""

    def references(self) -> _Double:
        """The losses of the centre on the same batches, shape (C, draws)."""

    def points(self) -> NDArray[Any]:
        """The current points, shape (C, d)."""

    def preconditioner(self) -> _Double:
        """The diagonal of G, shape (d,)."""

    def state(self) -> tuple[str, dict[str, NDArray[Any]]]:
        """The state as JSON and arrays, for `resumed`."""

"""The numerical core of `landscape`, written in Rust.

Vectors are one-dimensional arrays of float32 or float64. An array that is C-contiguous and aligned
is read where it lies, any other is copied first; results are newly allocated. Sums are accumulated
in float64 in an order that depends on the length alone, so every result is the same bits on any
number of threads. The GIL is released while Rust works.
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

__version__: str

_Double: TypeAlias = NDArray[np.float64]
_Vector = TypeVar("_Vector", NDArray[np.float32], NDArray[np.float64])

@overload
def gaussian(
    size: int, *, seed: int, stream: int, dtype: Literal["float32"]
) -> NDArray[np.float32]: ...
@overload
def gaussian(size: int, *, seed: int, stream: int, dtype: Literal["float64"]) -> _Double: ...
def axis(low: float, high: float, points: int) -> _Double: ...
def dot(x: _Vector, y: _Vector) -> float: ...
def norm(x: NDArray[np.float32] | _Double) -> float: ...
def combine(vectors: Sequence[_Vector], coefficients: _Double) -> _Vector: ...
def gram(vectors: Sequence[_Vector]) -> _Double: ...
def orthogonalise(x: _Vector, against: Sequence[_Vector]) -> _Vector: ...
def normalise(
    direction: _Vector,
    reference: _Vector,
    tensors: NDArray[np.int64],
    kind: Literal["filter", "layer", "model"],
) -> _Vector: ...
def grid(
    evaluate: Callable[[_Double], _Double],
    axes: Sequence[_Double],
    *,
    columns: int,
    chunk: int,
    start: int,
    tick: Callable[[int, _Double], object],
) -> _Double: ...

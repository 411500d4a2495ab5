"""Immutable values: read-only arrays, mappings and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from landscape import _map

if TYPE_CHECKING:
    from numpy.typing import NDArray

V = TypeVar("V")


class ReadOnly(Mapping[str, V]):
    """An immutable mapping that pickles and copies as a dict does."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, V]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


def freeze_array(value: Any, name: str, shape: tuple[int, ...] | None) -> NDArray[np.float64]:
    """Copy to a read-only float64 array, and check its shape.

    Args:
        value: anything that NumPy reads as real numbers; NaN and infinities are numbers.
        name: the field's name in error messages.
        shape: the expected shape; None accepts any.
    """
    raw = np.asarray(value)
    if raw.dtype.kind not in "biuf":
        raise TypeError(f"{name} has dtype {raw.dtype}; expected real numbers")
    if shape is not None and raw.shape != shape:
        raise ValueError(
            f"{name} has shape {raw.shape}; expected {shape}, the last axis varying fastest"
        )
    array = np.array(raw, dtype=np.float64, order="C", copy=True)
    array.setflags(write=False)
    return array


def freeze_vectors(value: Any) -> NDArray[Any]:
    """Read-only vectors in their own dtype: a copy, or the memory-mapped array itself.

    Memory-mapped vectors may exceed the memory.
    """
    _map.require_whole(value, "vectors")
    vectors = value if isinstance(value, np.memmap) else np.array(value)
    vectors.setflags(write=False)
    return vectors


def freeze_axis(value: Any, name: str) -> NDArray[np.float64]:
    """A read-only axis: two or more coordinates, finite and strictly increasing."""
    array = freeze_array(value, name, None)
    if array.ndim != 1 or array.size < 2:
        raise ValueError(
            f"{name} has shape {array.shape}; expected one dimension, 2 or more points"
        )
    if not (np.isfinite(array).all() and (np.diff(array) > 0).all()):
        raise ValueError(f"{name} is {array}; expected finite, strictly increasing coordinates")
    return array


def freeze_arrays(
    value: Mapping[str, Any], name: str, shape: tuple[int, ...]
) -> ReadOnly[NDArray[np.float64]]:
    """Each array of a mapping read-only, of one shape."""
    return ReadOnly(
        {key: freeze_array(item, f"{name}[{key!r}]", shape) for key, item in value.items()}
    )


def freeze_json(value: Any) -> Any:
    """JSON values that cannot change and equal themselves after a round trip through a file.

    JSON has one kind of sequence, so every sequence becomes a tuple; NumPy's scalars become
    Python's.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return ReadOnly({key: freeze_json(item) for key, item in value.items()})
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return tuple(freeze_json(item) for item in value)
    return value


def same_bits(a: NDArray[np.float64] | None, b: NDArray[np.float64] | None) -> bool:
    """Equal shapes and equal bytes: NaN equals the same NaN, and -0.0 differs from 0.0."""
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def finite_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """The smallest and the largest finite value; NaN twice where there is none."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (math.nan, math.nan)

"""Sampled: what a surface and a line share, losses on a product of axes and how they were made."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from landscape._results import _dataset, _pack, _table
from landscape._results._saved import Saved
from landscape._results._values import (
    finite_range,
    frozen_array,
    frozen_arrays,
    frozen_axis,
    same_bits,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray

    from landscape._results.directions import Recipe
    from landscape._results.run import Run

Floats = NDArray[np.float64]


class Sampled(Saved):
    """Losses at every point of a product of axes: the common part of `Surface` and `Line`.

    The losses have one dimension an axis, the first axis varying fastest (so it comes last), and
    lie in read-only float64 arrays copied when the result is made.
    """

    axis_names: ClassVar[tuple[str, ...]]

    if TYPE_CHECKING:  # the fields of the frozen dataclasses below

        @property
        def losses(self) -> Floats: ...
        @property
        def metrics(self) -> Mapping[str, Floats]: ...
        @property
        def standard_error(self) -> Floats | None: ...
        @property
        def test(self) -> Self | None: ...
        @property
        def error(self) -> Floats | None: ...
        @property
        def recipe(self) -> Recipe: ...
        @property
        def run(self) -> Run: ...
        @property
        def figure(self) -> Any: ...

    def __post_init__(self) -> None:
        axes = {name: frozen_axis(getattr(self, name), name) for name in self.axis_names}
        shape = tuple(len(axis) for axis in reversed(axes.values()))
        frozen: dict[str, Any] = {
            **axes,
            "losses": frozen_array(self.losses, "losses", shape),
            "metrics": frozen_arrays(self.metrics, "metrics", shape),
        }
        for name in ("standard_error", "error"):
            if getattr(self, name) is not None:
                frozen[name] = frozen_array(getattr(self, name), name, shape)
        for name, value in frozen.items():
            object.__setattr__(self, name, value)
        if len(self.recipe.labels) != len(axes):
            raise ValueError(
                f"the recipe has {len(self.recipe.labels)} axis labels; expected {len(axes)}, "
                f"for {' and '.join(axes)}"
            )
        if self.test is not None:
            _check_test(self, self.test)

    @property
    def axes(self) -> dict[str, Floats]:
        """Axis name -> its coordinates, the fastest axis first."""
        return {name: getattr(self, name) for name in self.axis_names}

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest finite loss; NaN twice where no loss is finite."""
        return finite_range(self.losses)

    @property
    def non_finite(self) -> int:
        """The number of losses that are NaN or infinite."""
        return int(self.losses.size - np.isfinite(self.losses).sum())

    @property
    def centre_loss(self) -> float:
        """The loss at the origin of the axes; NaN where the grid has no point there."""
        index = tuple(np.flatnonzero(axis == 0.0) for axis in reversed(self.axes.values()))
        return float(self.losses[np.ix_(*index)].item()) if all(map(len, index)) else math.nan

    @property
    def minimum(self) -> tuple[float, ...]:
        """The coordinates of the smallest finite loss, then the loss; NaN where none is finite."""
        finite = np.isfinite(self.losses)
        if not finite.any():
            return (math.nan,) * (len(self.axes) + 1)
        flat = int(np.argmin(np.where(finite, self.losses, np.inf)))
        index = np.unravel_index(flat, self.losses.shape)
        places = zip(self.axes.values(), reversed(index), strict=True)
        return (*(float(axis[i]) for axis, i in places), float(self.losses[index]))

    def pack(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """The record and the arrays, from which the result can be made again."""
        return _pack.pack(self)

    def to_xarray(self) -> xarray.Dataset:
        """A labelled copy: named dimensions, units, and how it was made as JSON attributes.

        Variables are `loss`, each metric by its name, `standard_error`, `error`, `trajectory` and,
        for the test data, the same with `test_` before them.

        Raises:
            ImportError: xarray is not installed.
        """
        return _dataset.dataset(self)

    def __repr__(self) -> str:
        return _table.table(self)

    def _repr_png_(self) -> Any:
        """The figure where a plot_* call made one; notebooks show it in place of the table."""
        return None if self.figure is None else self.figure._repr_png_()


def _check_test(train: Sampled, test: Sampled) -> None:
    if type(test) is not type(train) or test.test is not None:
        raise TypeError(
            f"test is {type(test).__name__}; expected a {type(train).__name__} without a test of "
            "its own"
        )
    for name, axis in train.axes.items():
        if not same_bits(axis, test.axes[name]):
            raise ValueError(
                f"the test {train.kind} has another {name} axis than the {train.kind}; expected "
                "both on the same points"
            )

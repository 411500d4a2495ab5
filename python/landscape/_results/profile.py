"""Profile: losses along a path, its barrier, and how far the barrier can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from numpy.typing import NDArray

from landscape._results._values import finite_range, frozen_array, frozen_arrays, frozen_axis


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """Losses along a path, from one end to the other.

    Args:
        positions: (n,) shares of the arc length, from 0 to 1, increasing.
        losses: (n,) mean losses over samples.
        metrics: name -> (n,) further quantities at the same places.
        standard_error: (n,) of the losses, where the data are a random subset.
        barrier_error: standard error of the barrier, where the data are a random subset; the losses
            at the ends and at the top are those of the same samples, so it is less than the sum.

    Raises:
        ValueError: shapes that do not fit together, or positions that do not span 0 to 1.

    Example:
        >>> profile = landscape.barrier(model, other, data, points=5).train
        >>> profile.losses.shape == profile.positions.shape
        True
    """

    positions: NDArray[np.float64]
    losses: NDArray[np.float64]
    _: KW_ONLY
    metrics: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    standard_error: NDArray[np.float64] | None = None
    barrier_error: float | None = None

    def __post_init__(self) -> None:
        positions = frozen_axis(self.positions, "positions")
        if positions[0] != 0 or positions[-1] != 1:
            raise ValueError(
                f"positions run from {positions[0]} to {positions[-1]}; expected 0 to 1"
            )
        object.__setattr__(self, "positions", positions)
        shape = positions.shape
        object.__setattr__(self, "losses", frozen_array(self.losses, "losses", shape))
        object.__setattr__(self, "metrics", frozen_arrays(self.metrics, "metrics", shape))
        if self.standard_error is not None:
            errors = frozen_array(self.standard_error, "standard_error", shape)
            object.__setattr__(self, "standard_error", errors)

    @property
    def ends(self) -> tuple[float, float]:
        """The losses at both ends."""
        return float(self.losses[0]), float(self.losses[-1])

    @property
    def saddle(self) -> int:
        """The index of the highest loss; that of a NaN, where there is one."""
        return int(np.argmax(self.losses))

    @property
    def barrier(self) -> float:
        """max_s L(s) - max(L(0), L(1)): 0 where the path is nowhere higher than its higher end."""
        with np.errstate(invalid="ignore"):
            return float(np.max(self.losses) - np.max(self.ends))

    @property
    def excess(self) -> float:
        """max_s [L(s) - (1 - s) L(0) - s L(1)]: the rise above the line between the end losses."""
        return self.rise()

    def rise(self, metric: str | None = None) -> float:
        """The same for a metric: its largest rise above the line between its values at the ends."""
        values = self.losses if metric is None else self.metrics[metric]
        with np.errstate(invalid="ignore"):  # infinite losses are data
            chord = (1 - self.positions) * values[0] + self.positions * values[-1]
            return float(np.max(values - chord))

    @property
    def resolution(self) -> float:
        """The wider of the steps beside the highest loss, as a share of the arc length."""
        steps = np.diff(self.positions)
        return float(np.max(steps[max(self.saddle - 1, 0) : self.saddle + 1]))

    @property
    def between(self) -> float:
        """By how much the loss may exceed its highest value between the points beside it.

        The parabola through the highest point and its neighbours peaks by so much above it; 0
        where the highest point is an end.
        """
        top = self.saddle
        if top in (0, len(self.losses) - 1):
            return 0.0
        if not np.isfinite(self.losses[top - 1 : top + 2]).all():
            return float("nan")
        (a, b, c), (x, y, z) = (v[top - 1 : top + 2] for v in (self.losses, self.positions))
        left, right = (b - a) / (y - x), (c - b) / (z - y)
        bend = (right - left) / (z - x)
        slope = left + bend * (y - x)
        return float(-(slope**2) / (4 * bend)) if bend < 0 else 0.0

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and the largest finite loss."""
        return finite_range(self.losses)

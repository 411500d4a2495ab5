"""Scale: the colours, levels and ticks of a set of values, chosen from the values alone.

A loss often spans decades, with all that matters near the bottom: a logarithmic scale then gives
every decade the same share of the colours and of the levels. Levels and ticks are round numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from matplotlib.colors import LogNorm, Normalize, SymLogNorm

from landscape.plot import _levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Kind: TypeAlias = Literal["linear", "log", "symlog", "constant"]
Extend: TypeAlias = Literal["neither", "min", "max", "both"]
KINDS = ("auto", "linear", "log", "symlog")
_NOISE_DECADES = 9.0
BANDS = 14  # about as many colours as can be told apart


@dataclass(frozen=True)
class Scale:
    """The mapping from values to colours, shared by all surfaces that are compared.

    Args:
        kind: "linear", "log", "symlog" (linear around zero, logarithmic beyond), or "constant"
            where all values are one.
        norm: values -> [0, 1], from the lowest level to the highest.
        levels: ascending boundaries of the colours, round numbers around all that is drawn.
        ticks: the few levels that carry a label.
        extend: on which side values lie beyond the levels; they get the colour at the end.
        threshold: where "symlog" turns from linear to logarithmic.
    """

    kind: Kind
    norm: Normalize
    levels: NDArray[np.float64]
    ticks: NDArray[np.float64]
    extend: Extend
    threshold: float = 1.0

    def height(self, values: Any) -> NDArray[np.float64]:
        """Values -> [0, 1] for a relief; values beyond the levels are clipped."""
        array = mask_non_finite(np.atleast_1d(np.asarray(values, dtype=np.float64)))
        heights = self.norm(np.ma.clip(array, self.levels[0], self.levels[-1]))
        return np.asarray(np.ma.filled(heights, np.nan)).reshape(np.shape(values))

    def text(self, value: float) -> str:
        """A level as its label, with the digits that tell neighbours apart; all in one style."""
        sizes = np.abs(self.levels[self.levels != 0])
        if sizes.min() >= 1e-4 and sizes.max() <= 1e5:
            return _levels.decimal(value, self._step, (1e-4, 1e6))
        return _levels.decimal(value, self._step, (1e-2, 1e3))

    def reading(self, value: float) -> str:
        """Any value, as precisely as the levels are."""
        return _levels.decimal(value, self._step)

    @property
    def _step(self) -> float:
        even = self.kind in ("linear", "constant")
        return float(np.min(np.diff(self.levels))) if even else 0.0


def choose(values: NDArray[np.float64], kind: str = "auto", bands: int = BANDS) -> Scale:
    """Choose the scale of all finite values.

    "auto" is logarithmic where positive values span a decade or more, linear where they do not,
    and symmetric-logarithmic where values at or below zero go with values a hundred times larger.
    A minimum at the noise of rounding, nine decades below the largest value, counts as zero. Of a
    logarithmic scale, the lowest and the highest one in a hundred values lie beyond its ends
    where they would take half of it.

    Raises:
        ValueError: another kind, or "log" for values that are not all positive.
    """
    if kind not in KINDS:
        raise ValueError(f"scale={kind!r}; expected one of {', '.join(map(repr, KINDS))}")
    if bands < 1:
        raise ValueError(f"levels={bands}; expected a positive number of levels")
    finite = np.sort(mask_non_finite(values).compressed())
    if finite.size == 0:
        return Scale("linear", Normalize(0, 1), np.array([0.0, 1.0]), np.array([]), "neither")
    low, high = float(finite[0]), float(finite[-1])
    if kind == "log" and low <= 0:
        raise ValueError(
            f"scale='log' with a smallest value of {low:g}; expected positive values. "
            "Use scale='symlog' or 'linear'"
        )
    # Differences as small as rounding errors or subnormal numbers count as none.
    if high - low <= max(1e-12 * max(abs(low), abs(high)), 1e-300):
        return _constant((low + high) / 2)
    chosen = _kind(finite) if kind == "auto" else kind
    if chosen == "log":
        levels = _levels.decades(_bottom(finite), _top(finite), bands)
        norm: Normalize = LogNorm(levels[0], levels[-1])
        return Scale("log", norm, levels, _levels.round_decades(levels), _extend(finite, levels))
    if chosen == "symlog":
        threshold = _threshold(finite)
        beyond = finite[finite > threshold]
        top = _top(beyond) if beyond.size else high
        levels = _levels.symlog_levels(low, top, threshold, bands)
        norm = SymLogNorm(threshold, vmin=levels[0], vmax=levels[-1], base=10)
        ticks = _levels.round_decades(levels)
        return Scale("symlog", norm, levels, ticks, _extend(finite, levels), threshold)
    levels = _levels.steps(low, high, bands)
    norm = Normalize(levels[0], levels[-1])
    return Scale("linear", norm, levels, _levels.round_steps(levels), "neither")


def mask_non_finite(values: NDArray[np.float64]) -> np.ma.MaskedArray[Any, np.dtype[np.float64]]:
    """Mask values that are not finite, as contours require.

    Values are clipped to 1e300, beyond which their differences overflow.
    """
    return np.ma.clip(np.ma.masked_invalid(values), -1e300, 1e300)


def from_levels(values: NDArray[np.float64], levels: Sequence[float], kind: str = "auto") -> Scale:
    """Make the scale of the caller's levels.

    Raises:
        ValueError: fewer than two levels, or levels that do not ascend.
    """
    array = np.array(levels, dtype=np.float64)
    if array.ndim != 1 or array.size < 2 or not (np.diff(array) > 0).all():
        raise ValueError(f"levels={levels!r}; expected two or more numbers in ascending order")
    model = choose(array, kind)
    norm = model.norm
    norm.vmin, norm.vmax = array[0], array[-1]
    finite = values[np.isfinite(values)]
    return replace(model, norm=norm, levels=array, ticks=array, extend=_extend(finite, array))


def _kind(finite: NDArray[np.float64]) -> Kind:
    low, high = float(finite[0]), float(finite[-1])
    # The minimum of a quadratic, at the noise of rounding, counts as zero where it is far below.
    is_noise = low > 0 and _ratio(high, low) > _NOISE_DECADES and _bottom(finite) > low
    if low > 0 and not is_noise:
        return "log" if _ratio(high, _bottom(finite)) >= 1 else "linear"
    if high <= 0:
        return "linear"
    return "symlog" if _ratio(high, _threshold(finite)) >= 2 else "linear"


def _ratio(a: float, b: float) -> float:
    """log10(a / b), which cannot overflow."""
    return math.log10(a) - math.log10(b)


def _threshold(finite: NDArray[np.float64]) -> float:
    """Where a symmetric-logarithmic scale begins to be logarithmic: a round number.

    At most twelve decades below the largest value, where zeros go with the noise of rounding.
    """
    sizes = np.abs(finite)
    size = max(-float(finite[0]), float(np.quantile(sizes, 0.1))) or float(sizes[sizes > 0].min())
    return _levels.round_up(max(size, 1e-12 * float(sizes.max())))


def _bottom(finite: NDArray[np.float64]) -> float:
    """The smallest positive value, or where the lowest one in a hundred end if they take half.

    The minimum of a quadratic, at the noise of rounding, would take most of the colours.
    """
    low, high = float(finite[0]), float(finite[-1])
    if low <= 0:
        return float(finite[finite > 0][0])
    bulk = float(np.quantile(finite, 0.01))
    return bulk if _ratio(bulk, low) > 0.5 * _ratio(high, low) else low


def _top(finite: NDArray[np.float64]) -> float:
    """The largest value, or where the highest one in a hundred begin if they take half the scale.

    A corner of very high losses would otherwise take most of the colours.
    """
    low, high, bulk = float(finite[0]), float(finite[-1]), float(np.quantile(finite, 0.99))
    return bulk if _ratio(high, bulk) > 0.5 * _ratio(high, low) else high


def _extend(finite: NDArray[np.float64], levels: NDArray[np.float64]) -> Extend:
    below = bool(finite.size) and finite.min() < levels[0]
    above = bool(finite.size) and finite.max() > levels[-1]
    return "both" if below and above else "min" if below else "max" if above else "neither"


def _constant(value: float) -> Scale:
    margin = 1e-3 * abs(value) if abs(value) > 1e-290 else 1e-3
    levels = np.array([value - margin, value + margin])
    return Scale("constant", Normalize(*levels), levels, np.array([value]), "neither")

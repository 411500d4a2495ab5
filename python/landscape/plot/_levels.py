"""Levels: round numbers around a range, evenly spaced or by decades, and how they are written."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TICKS = 7  # the maximum number of labels of a colour bar or an axis
# Round mantissas, from sparse to dense.
_MANTISSAS = (
    ("1",),
    ("1", "3"),
    ("1", "2", "5"),
    ("1", "1.5", "2", "3", "5", "7"),
    ("1", "1.2", "1.5", "2", "2.5", "3", "4", "5", "6", "8"),
)


def steps(low: float, high: float, bands: int) -> NDArray[np.float64]:
    """About `bands` even steps between round numbers, from at most `low` to at least `high`."""
    locator = MaxNLocator(bands, steps=[1, 2, 2.5, 5, 10])
    levels = np.asarray(locator.tick_values(low, high), dtype=np.float64)
    step = levels[1] - levels[0]
    # The locator may leave a rounding error of the range out; and contourf keeps the lowest value
    # inside by taking 1 from the lowest level, which does not change large numbers.
    if levels[0] > low or levels[0] - 1 == low:
        levels = np.concatenate([[levels[0] - step], levels])
    return levels if levels[-1] >= high else np.concatenate([levels, [levels[-1] + step]])


def decades(low: float, high: float, bands: int) -> NDArray[np.float64]:
    """About `bands` round numbers, each decade alike, from at most `low` to at least `high` > 0."""
    span = math.log10(high) - math.log10(low)
    mantissas = min(_MANTISSAS, key=lambda digits: abs(len(digits) * span - bands))
    stride = max(1, round(span / bands))
    first, last = math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1
    first -= first % stride
    exponents = range(first, last + stride + 1, stride)
    every = np.array([float(f"{m}e{k}") for k in exponents for m in mantissas])
    every = every[(every > 0) & np.isfinite(every)]
    below, above = every[every <= low], every[every >= high]
    bottom = below[-1] if below.size else low  # at the ends of the range of floats
    top = above[0] if above.size else high
    inside = every[(every > bottom) & (every < top)]
    return np.array([bottom, *inside, top] if top > bottom else [bottom])


def round_up(value: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `value` > 0."""
    power = math.floor(math.log10(value))
    return next(
        n for k in (power, power + 1) for m in (1, 2, 5) if (n := float(f"{m}e{k}")) >= value
    )


def symlog_levels(low: float, high: float, threshold: float, bands: int) -> NDArray[np.float64]:
    """Levels of a symlog scale: halves of the threshold around zero, decades beyond it."""
    parts: list[NDArray[np.float64]] = []
    if low < -threshold:
        parts.append(-decades(threshold, -low, bands // 2)[::-1])
    middle = threshold * np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    below, above = np.flatnonzero(middle <= low), np.flatnonzero(middle >= high)
    parts.append(middle[below[-1] if below.size else 0 : above[0] + 1 if above.size else 5])
    if high > threshold:
        parts.append(decades(threshold, high, max(2, bands - bands // 3)))
    return np.unique(np.concatenate(parts))


def round_steps(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Select a few of evenly spaced levels, the roundest."""
    index = np.rint(levels / (levels[1] - levels[0]))
    for stride in (1, 2, 4, 5, 10):
        chosen: NDArray[np.float64] = levels[index % stride == 0]
        if chosen.size <= _TICKS:
            return chosen
    return levels[:: math.ceil(levels.size / _TICKS)]


def round_decades(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Select a few of levels by decades: powers of ten where there are three or more."""
    mantissas = np.array([_mantissa(level) for level in levels])
    for rounder in (("1",), ("1", "3"), ("1", "2", "5"), tuple(mantissas)):
        chosen = levels[np.isin(mantissas, ("0", *rounder))]
        if np.count_nonzero(chosen) >= 3 or chosen.size == levels.size:
            break
    return chosen[:: math.ceil(chosen.size / _TICKS)]


def decimal(value: float, step: float = 0.0, powers: tuple[float, float] = (1e-4, 1e5)) -> str:
    """0.001, 0.5, 20, 5000 as plain decimals; beyond, 2 x 10^6 in mathematical type.

    Args:
        value: the number.
        step: the distance to its neighbours, where that asks for more digits than three.
        powers: sizes below the first and from the second on are written as powers of ten.
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = 3 if step == 0 else max(3, math.ceil(math.log10(abs(value)) - math.log10(step) + 1))
    if powers[0] <= abs(value) < powers[1]:
        text = f"{float(f'{value:.{digits}g}'):.12f}".rstrip("0").rstrip(".")
        return text.replace("-", "\N{MINUS SIGN}")
    power = math.floor(math.log10(abs(value)))
    mantissa = _mantissa(value, digits)
    if mantissa in ("1", "-1"):
        return rf"${mantissa[:-1]}10^{{{power}}}$"
    return rf"${mantissa}\times10^{{{power}}}$"


def count_letters(text: str) -> int:
    """The approximate width of a text in letters, mathematical type included."""
    return len(re.sub(r"[$^{}\\]|times", "", text))


def _mantissa(value: float, digits: int = 3) -> str:
    text = f"{value:.{digits - 1}e}".split("e")[0]
    return text.rstrip("0").rstrip(".") if "." in text else text

r"""The margin bound of Bartlett, Foster and Telgarsky (2017), with its constants.

Theorem 1.1 hides them. They follow from the paper's parts: theorem 3.3 bounds the covering numbers
of networks with :math:`\lVert A_i \rVert_2 \le s_i` and
:math:`\lVert A_i^\top - M_i^\top \rVert_{2,1} \le b_i`, lemma A.5 turns them into a Rademacher
complexity at :math:`\alpha = 1/n`, and lemma 3.1 that into a bound on the error, in which the ramp
loss is :math:`2/\gamma`-Lipschitz. The limits and the margin must be fixed before the data are
seen, so each is rounded to a grid :math:`e^{hk}`, :math:`h = 1/10L`, and the confidence is shared
among its members with weights :math:`1 / 3 (1 + |k|)^2`, whose sum over all integers is below 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SpectralBound", "bound_error_by_margins", "compute_spectral_complexity"]

_SMALLEST = 1e-6  # of a norm on the grid
_SHIFT = 1e-6  # of the grid, so that a norm of 1 is not rounded up or down by its last bit
_MARGINS = 200  # that are tried


@dataclass(frozen=True)
class SpectralBound:
    """A bound on the error, and the margin at which it is smallest."""

    value: float
    margin: float
    margin_error: float
    """The share of samples whose margin is at most this one."""


def compute_spectral_complexity(
    norms: Sequence[float], distances: Sequence[float], lipschitz: Sequence[float]
) -> float:
    r"""The spectral complexity of a chain of layers.

    .. math:: R_A = \Big( \prod_i \rho_i s_i \Big)
        \Big( \sum_i (b_i / s_i)^{2/3} \Big)^{3/2}

    Args:
        norms: The spectral norms s_i of the layers.
        distances: b_i, the sum over a layer's outputs of the norms of the rows of A_i - M_i.
        lipschitz: The Lipschitz constants of the activations.

    Reference:
        Bartlett, Foster and Telgarsky (2017), equation 1.2.
    """
    terms = [
        (distance * math.prod([*norms[:index], *norms[index + 1 :]])) ** (2 / 3)
        for index, distance in enumerate(distances)
    ]
    return math.prod(lipschitz) * math.pow(sum(terms), 1.5)


def bound_error_by_margins(
    margins: NDArray[np.float64],
    norms: Sequence[float],
    distances: Sequence[float],
    lipschitz: Sequence[float],
    *,
    input_norm: float,
    width: int,
    delta: float,
) -> SpectralBound:
    r"""The bound on the error that is smallest over the margin gamma.

    .. math:: \hat R_\gamma + \frac{8}{n^{3/2}}
        + \frac{72 \ln n}{\gamma n} \lVert X \rVert_F \sqrt{\ln 2W^2} \, \bar R_A
        + 3 \sqrt{\frac{\ln(2/\delta')}{2n}}

    Args:
        margins: Of all samples, shape (n,).
        norms: As for :func:`compute_spectral_complexity`, and so are the next two.
        distances: b_i.
        lipschitz: rho_i.
        input_norm: The Frobenius norm of all inputs, one a row.
        width: W, the largest number of entries of an input or a layer's output.
        delta: The probability that the bound does not hold.
    """
    samples, step = len(margins), 1 / (10 * len(norms))
    rounded_norms, own = _round_up(norms, step)
    rounded_distances, others = _round_up(distances, step)
    complexity = compute_spectral_complexity(rounded_norms, rounded_distances, lipschitz)
    slope = 72 * math.log(samples) / samples * input_norm * math.sqrt(math.log(2 * width**2))
    best: SpectralBound | None = None
    for gamma in _candidates(margins):
        (inverse,), last = _round_up([1 / gamma], step)
        cost = math.log(2 / delta) + own + others + last
        margin_error = float((margins <= 1 / inverse).mean())
        value = (
            margin_error
            + 8 / samples**1.5
            + slope * inverse * complexity
            + 3 * math.sqrt(cost / (2 * samples))
        )
        if best is None or value < best.value:
            best = SpectralBound(value, 1 / inverse, margin_error)
    assert best is not None
    return best


def _round_up(values: Sequence[float], step: float) -> tuple[list[float], float]:
    """The next members of the grid, and the logarithm of what they cost in confidence."""
    powers = [math.ceil(math.log(max(value, _SMALLEST)) / step - _SHIFT) for value in values]
    cost = sum(math.log(3) + 2 * math.log1p(abs(power)) for power in powers)
    return [math.exp(step * (power + _SHIFT)) for power in powers], cost


def _candidates(margins: NDArray[np.float64]) -> list[float]:
    positive = np.sort(margins[margins > 0])
    if not len(positive):
        return [1.0]
    picked = np.linspace(0, len(positive) - 1, min(len(positive), _MARGINS)).round().astype(int)
    return [float(margin) for margin in {*positive[picked], 2 * positive[-1]}]

"""The VC dimension of piecewise linear networks, and the bound on the error that it gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["UnitLayer", "bound_error_by_dimension", "bound_vc_dimension"]

_SMALLEST = 16.0  # of 2epR, below which lemma 16 of the paper does not hold


@dataclass(frozen=True)
class UnitLayer:
    """Units that are computed from those before them."""

    units: int
    parameters: int
    """The number of parameters that no layer before it has."""
    breakpoints: int = 0
    """Of their piecewise linear activation; 0 for the identity."""


def bound_vc_dimension(layers: Sequence[UnitLayer]) -> int:
    r"""An upper bound of the VC dimension of a network of piecewise linear units.

    .. math:: L + \Big( \sum_{i=1}^L W_i \Big) \log_2 \big( 4 e p R \log_2 (2 e p R) \big),
        \quad R = \sum_{i=1}^L i \, k_i

    W_i is the number of parameters up to layer i, k_i its number of units, and p the number of
    breakpoints of the activation. It is O(W L log W).

    Args:
        layers: From the input to the output.

    Reference:
        Harvey, Liaw and Mehrabian (2017), Nearly-tight VC-dimension bounds for piecewise linear
        neural networks, theorem 7 (of the journal version by Bartlett, Harvey, Liaw and Mehrabian)
        for degree 1.
    """
    pieces = max(1, *(layer.breakpoints for layer in layers))
    total, cumulative, weighted = 0, 0, 0
    for index, layer in enumerate(layers, start=1):
        cumulative += layer.parameters
        total += cumulative
        weighted += index * layer.units
    base = max(_SMALLEST, 2 * math.e * pieces * weighted)
    return math.floor(len(layers) + total * math.log2(2 * base * math.log2(base)))


def bound_error_by_dimension(error: float, dimension: int, samples: int, delta: float) -> float:
    r"""The bound on the 0-1 loss that holds for all functions of a class with this VC dimension.

    .. math:: \hat R + \sqrt{\frac{2 \ln \Pi(n)}{n}} + \sqrt{\frac{\ln(1/\delta)}{2n}}

    By Sauer's lemma the growth function is at most (en/D)^D for n >= D, and always at most
    (n+1)^D.

    Args:
        error: The 0-1 loss on the samples.
        dimension: D.
        samples: n.
        delta: The probability that the bound does not hold.

    Reference:
        Mohri, Rostamizadeh and Talwalkar (2018), Foundations of Machine Learning, corollaries 3.9
        and 3.18.
    """
    growth = dimension * math.log(samples + 1)
    if dimension <= samples:
        growth = min(growth, dimension * (1 + math.log(samples / max(dimension, 1))))
    deviation = math.sqrt(math.log(1 / delta) / (2 * samples))
    return error + math.sqrt(2 * growth / samples) + deviation

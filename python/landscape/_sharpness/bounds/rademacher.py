"""Empirical Rademacher complexities: of linear functions, and bounds for networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "bound_linear_complexity",
    "bound_network_complexity",
    "estimate_linear_complexity",
]

_BLOCK = 1 << 22  # signs that are drawn together at most


def estimate_linear_complexity(
    inputs: NDArray[Any], radius: float, draws: int, seed: int
) -> tuple[float, float]:
    r"""The complexity of x to w'x with :math:`\lVert w \rVert \le B`, by random signs.

    .. math:: E_\sigma \sup_w \frac{1}{n} \sum_i \sigma_i w^\top x_i
        = \frac{B}{n} E_\sigma \Big\lVert \sum_i \sigma_i x_i \Big\rVert_2

    Args:
        inputs: Shape (n, d).
        radius: B.
        draws: The number of sign vectors, at least 2.
        seed: Of the signs.

    Returns:
        The mean over draws, and its standard error.
    """
    generator = np.random.default_rng(seed)
    rows, samples = inputs.astype(np.float64), len(inputs)
    step = max(1, _BLOCK // samples)
    norms = []
    for start in range(0, draws, step):
        count = min(step, draws - start)
        signs = generator.integers(0, 2, (count, samples)) * 2.0 - 1
        norms.append(np.linalg.norm(signs @ rows, axis=1))
    values = radius / samples * np.concatenate(norms)
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(draws))


def bound_linear_complexity(input_norm: float, radius: float, samples: int) -> float:
    r"""The bound of the same by Jensen's inequality.

    .. math:: \frac{B}{n} \lVert X \rVert_F

    Args:
        input_norm: The Frobenius norm of all inputs, one a row.
        radius: B.
        samples: n.
    """
    return radius * input_norm / samples


def bound_network_complexity(norms: Sequence[float], input_norm: float, samples: int) -> float:
    r"""A bound for networks of positively homogeneous 1-Lipschitz activations.

    .. math:: \frac{\lVert X \rVert_F}{n} \big( \sqrt{2 d \ln 2} + 1 \big)
        \prod_{i=1}^d \lVert W_i \rVert_F

    Args:
        norms: The Frobenius norms of the d layers; of the last one the norm of one output's row.
        input_norm: The Frobenius norm of all inputs, one a row.
        samples: n.

    Reference:
        Golowich, Rakhlin and Shamir (2018), Size-Independent Sample Complexity of Neural Networks,
        theorem 1.
    """
    depth = math.sqrt(2 * math.log(2) * len(norms)) + 1
    return math.prod(norms) * depth * input_norm / samples

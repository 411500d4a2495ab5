"""PAC-Bayes bounds on the expected 0-1 loss of a randomised classifier, as functions of numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from landscape._sharpness.bounds.kl import invert_binary_kl

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "PriorGrid",
    "bound_by_catoni",
    "bound_by_mcallester",
    "bound_by_seeger",
    "bound_sampled_risk",
]

_CATONI: Final = np.geomspace(0.01, 100, 25)


def bound_by_mcallester(
    risk: ArrayLike, divergence: ArrayLike, samples: int, delta: float
) -> NDArray[np.float64]:
    r"""McAllester's bound.

    .. math:: \hat R + \sqrt{\frac{\mathrm{KL} + \ln\frac1\delta + \frac52 \ln n + 8}{2n - 1}}

    Args:
        risk: The mean 0-1 loss of the posterior on the samples.
        divergence: KL of the posterior from the prior, in nats.
        samples: n.
        delta: The probability that the bound does not hold.

    Reference:
        McAllester (1999), PAC-Bayesian Model Averaging, theorem 1.
    """
    slack = np.asarray(divergence, np.float64) + math.log(1 / delta) + 2.5 * math.log(samples) + 8
    return np.asarray(np.asarray(risk, np.float64) + np.sqrt(slack / (2 * samples - 1)))


def bound_by_seeger(
    risk: ArrayLike, divergence: ArrayLike, samples: int, delta: float
) -> NDArray[np.float64]:
    r"""Seeger's bound with Maurer's constant, by the inverse of the binary divergence.

    .. math:: \operatorname{kl}^{-1}\Big( \hat R,
        \frac{\mathrm{KL} + \ln(2 \sqrt n / \delta)}{n} \Big)

    Args:
        risk: As for :func:`bound_by_mcallester`, and so are the others.
        divergence: KL.
        samples: n.
        delta: The probability that the bound does not hold.

    Reference:
        Seeger (2002), PAC-Bayesian Generalisation Error Bounds for Gaussian Process Classification;
        Maurer (2004), A Note on the PAC-Bayesian Theorem, theorem 5.
    """
    slack = np.asarray(divergence, np.float64) + math.log(2 * math.sqrt(samples) / delta)
    return invert_binary_kl(risk, slack / samples)


def bound_by_catoni(
    risk: ArrayLike, divergence: ArrayLike, samples: int, delta: float
) -> NDArray[np.float64]:
    r"""Catoni's bound, the best over 25 values of C from 0.01 to 100, which share the confidence.

    .. math:: \frac{1 - \exp\big( -C \hat R - (\mathrm{KL} + \ln\frac{25}{\delta}) / n \big)}
        {1 - e^{-C}}

    Args:
        risk: As for :func:`bound_by_mcallester`, and so are the others.
        divergence: KL.
        samples: n.
        delta: The probability that the bound does not hold.

    Reference:
        Catoni (2007), PAC-Bayesian Supervised Classification, theorem 1.2.1.
    """
    slack = np.asarray(divergence, np.float64) + math.log(len(_CATONI) / delta)
    exponents = (
        np.multiply.outer(np.asarray(risk, np.float64), _CATONI) + (slack / samples)[..., None]
    )
    return np.asarray((np.expm1(-exponents) / np.expm1(-_CATONI)).min(-1))


def bound_sampled_risk(risk: float, draws: int, delta: float) -> float:
    r"""A bound on the posterior's mean loss from that of classifiers drawn from it.

    .. math:: \operatorname{kl}^{-1}\Big( \hat R_m, \frac{\ln(2/\delta')}{m} \Big)

    Args:
        risk: The mean over the draws.
        draws: m, their number.
        delta: The probability that the bound does not hold.

    Reference:
        Langford and Caruana (2002), (Not) Bounding the True Error, theorem 2.5; Dziugaite and Roy
        (2017), section 3.3.
    """
    return float(invert_binary_kl(risk, math.log(2 / delta) / draws))


class PriorGrid:
    r"""The variances of a prior that share the confidence: :math:`\lambda_j = c e^{-j/b}`, j >= 1.

    Member j has :math:`6 \delta / \pi^2 j^2` of it, whose sum is delta.

    Args:
        scale: c.
        precision: b.

    Reference:
        Dziugaite and Roy (2017), Computing Nonvacuous Generalization Bounds for Deep (Stochastic)
        Neural Networks with Many More Parameters than Training Data, section 3.1.
    """

    def __init__(self, scale: float, precision: float) -> None:
        self.scale, self.precision = scale, precision

    def choose(self, total: float, dim: int) -> int:
        """The member with the least KL and cost for a Gaussian posterior.

        Args:
            total: The sum of its variances and of the squared distance of its mean.
            dim: The number of coordinates.
        """
        place = self.precision * math.log(self.scale * dim / total)
        indices = np.arange(1, max(1, math.ceil(place)) + 1)  # beyond it both terms rise
        logs = math.log(self.scale) - indices / self.precision
        divergences = 0.5 * (total * np.exp(-logs) + dim * logs)
        return int(indices[np.argmin(divergences + 2 * np.log(indices))])

    def variance(self, index: int) -> float:
        """The variance of a member."""
        return self.scale * math.exp(-index / self.precision)

    def cost(self, index: int) -> float:
        """What a member adds to KL: the logarithm of the inverse of its share."""
        return math.log(math.pi**2 * index**2 / 6)

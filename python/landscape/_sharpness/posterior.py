"""The Gaussian posterior of a PAC-Bayes bound: its variances, optimised on the surrogate loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from landscape._sharpness.bounds.kl import compute_gaussian_kl
from landscape._sharpness.context import GRADIENT, LOSS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._sharpness.bounds.pac_bayes import PriorGrid
    from landscape._sharpness.context import Context

__all__ = ["Posterior", "choose_prior", "estimate_fit_cost", "fit_posterior"]

_SCAN = 13  # standard deviations that are tried first
_REFINEMENTS = 2  # each with two standard deviations around the best one
_PAIRS = 2  # of noise vectors, on which they are tried
_SUBSET = 1000  # samples, on which they are tried
_BATCH = 250  # samples of a mini-batch
_RATES = {"isotropic": 0.05, "diagonal": 0.01}
"""The first step of the logarithms of standard deviations, in the mean square over parameters."""
_DECAYS = (0.9, 0.99)


@dataclass(frozen=True, eq=False)
class Posterior:
    """N(theta, diag s), with the member of the prior's grid that costs least."""

    deviations: NDArray[np.float64]
    """The square roots of s, shape (d,) or (1,)."""
    index: int
    """j of the prior's variance."""
    prior_variance: float
    divergence: float
    """KL from the prior, in nats."""
    cost: float
    """KL with what the choice of the prior's variance costs."""


def fit_posterior(
    context: Context,
    objective: Objective,
    shift: NDArray[np.float64],
    grid: PriorGrid,
    *,
    kind: Literal["diagonal", "isotropic"],
    steps: int,
    delta: float,
) -> tuple[Posterior, NDArray[np.float64]]:
    r"""Minimise the surrogate loss plus the PAC-Bayes term over the variances of a posterior.

    .. math:: \frac{E_{\xi} L(\theta + \sqrt s \, \xi)}{\ln 2}
        + \sqrt{\frac{\mathrm{KL}(s) + \ln(2 \sqrt n / \delta)}{2n}}

    The cross-entropy over ln 2 is nowhere below the 0-1 loss. The variance of the prior is the best
    one for every s, :math:`\lambda = (\sum_j s_j + \lVert w - w_0 \rVert^2) / d`. The best
    isotropic posterior of a scan is where stochastic gradient descent begins, on mini-batches with
    noise of both signs, which cancels the slope. Steps are those of Adam with one second moment
    for all parameters: with one for each, parameters whose gradient is noise would move as far as
    the others. The better one of start and end is returned, as another scan's samples see it.

    Args:
        context: Of the model, around whose parameters the posterior lies.
        objective: L of the samples of the bound.
        shift: The parameters less the mean of the prior, shape (d,).
        grid: The variances of the prior.
        kind: One variance for every parameter, or one for all.
        steps: Of the descent.
        delta: Of the bound.

    Returns:
        The posterior, and the objective at every step, shape (steps,).
    """
    problem = _Problem(context, objective, float(shift @ shift), delta)
    start = problem.scan()
    end, history = problem.descend(start, kind, steps)
    best = min((start, end), key=lambda logs: _order(problem.estimate(logs, first=_PAIRS)))
    return choose_prior(np.exp(best), shift, grid), history


def estimate_fit_cost(context: Context, steps: int) -> float:
    """About what :func:`fit_posterior` costs, in gradient-equivalents."""
    share = min(1.0, _SUBSET / context.samples)
    scan = 2 * _PAIRS * (_SCAN + 2 * _REFINEMENTS + 2) * LOSS * share
    return scan + 2 * GRADIENT * steps / max(1, round(context.samples / _BATCH))


def choose_prior(
    deviations: NDArray[np.float64], shift: NDArray[np.float64], grid: PriorGrid
) -> Posterior:
    """The posterior with the best prior of the grid."""
    variances = deviations**2
    total = float(np.broadcast_to(variances, shift.shape).sum()) + float(shift @ shift)
    index = grid.choose(total, len(shift))
    variance = grid.variance(index)
    divergence = compute_gaussian_kl(shift, variances, variance)
    return Posterior(deviations, index, variance, divergence, divergence + grid.cost(index))


def _order(value: float) -> float:
    """A number that is not finite comes last."""
    return value if math.isfinite(value) else math.inf


class _Problem:
    """The objective as a function of the logarithms of standard deviations."""

    def __init__(
        self, context: Context, objective: Objective, distance: float, delta: float
    ) -> None:
        self.context = context
        self.distance, self.samples = distance, objective.samples
        self.confidence = math.log(2 * math.sqrt(self.samples) / delta)
        self.objective = objective.with_batch_size(_BATCH)
        self.subset = objective
        if objective.samples > _SUBSET:
            generator = np.random.default_rng(context.stream("pac_bayes_bound subset"))
            self.subset = objective.with_samples(
                generator.choice(objective.samples, _SUBSET, replace=False)
            )

    def penalty(self, logs: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """The second term and its derivative by the logarithms."""
        dim = self.context.dim
        variances = np.exp(2 * logs)
        times = dim / len(logs)
        total = times * float(variances.sum()) + self.distance
        prior = total / dim
        divergence = 0.5 * (dim * math.log(prior) - 2 * times * float(logs.sum()))
        value = math.sqrt((max(0.0, divergence) + self.confidence) / (2 * self.samples))
        return value, times * (variances / prior - 1) / (4 * self.samples * value)

    def estimate(self, logs: NDArray[np.float64], first: int = 0) -> float:
        """The objective on a subset of the samples, with fixed noise.

        Args:
            logs: The logarithms, shape (d,) or (1,).
            first: The number of noise vectors to skip.
        """
        theta = self.context.theta
        noises = self.context.iter_gaussians("pac_bayes_bound scan", _PAIRS, first)
        losses = []
        for noise in noises:
            offset = np.exp(logs) * noise
            points = np.stack([theta + offset, theta - offset]).astype(theta.dtype)
            strategy = self.context.loss_strategy
            losses.append(self.subset.losses(points, strategy=strategy).mean())
        share = self.subset.samples / self.context.samples
        self.context.charge(2 * _PAIRS * LOSS * share)
        return float(np.mean(losses)) / math.log(2) + self.penalty(logs)[0]

    def scan(self) -> NDArray[np.float64]:
        """The logarithm of the best standard deviation of an isotropic posterior, shape (1,)."""
        logs = np.linspace(math.log(1e-4), 0.0, _SCAN)
        step = (logs[1] - logs[0]) / 2
        values = {log: self.estimate(np.array([log])) for log in logs.tolist()}
        if not np.isfinite(list(values.values())).any():
            raise FloatingPointError("no loss is finite under noise in the parameters")
        for _ in range(_REFINEMENTS):
            centre = min(values, key=lambda log: _order(values[log]))
            for log in (centre - step, centre + step):
                values[log] = self.estimate(np.array([log]))
            step /= 2
        return np.array([min(values, key=lambda log: _order(values[log]))])

    def descend(
        self, start: NDArray[np.float64], kind: Literal["diagonal", "isotropic"], steps: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The logarithms after some steps, and an estimate of the objective at each of them."""
        context, theta = self.context, self.context.theta
        size = self.context.dim if kind == "diagonal" else 1
        logs, mean, square = np.full(size, start[0]), np.zeros(size), 0.0
        order = np.random.default_rng(context.stream("pac_bayes_bound batches"))
        history = np.empty(steps)
        noises = context.iter_gaussians("pac_bayes_bound noise", steps)
        batch = np.arange(0)
        for step, noise in enumerate(noises):
            if step % self.objective.batches == 0:
                batch = order.permutation(self.objective.batches)
            index = int(batch[step % self.objective.batches])
            offset = np.exp(logs) * noise
            points = np.stack([theta + offset, theta - offset]).astype(theta.dtype)
            losses, gradients = self.objective.gradients_on(
                points, [index, index], strategy=context.derivative_strategy
            )
            share = self.objective.samples / context.samples / self.objective.batches
            context.charge(2 * GRADIENT * share)
            along = (gradients[0].astype(np.float64) - gradients[1]) / 2 * offset / math.log(2)
            slope = along if size > 1 else along.sum(keepdims=True)
            penalty, derivative = self.penalty(logs)
            history[step] = float(losses.mean()) / math.log(2) + penalty
            total = slope + derivative
            mean = _DECAYS[0] * mean + (1 - _DECAYS[0]) * total
            square = _DECAYS[1] * square + (1 - _DECAYS[1]) * float(np.mean(total**2))
            if square == 0:
                break
            corrected = mean / (1 - _DECAYS[0] ** (step + 1))
            spread = math.sqrt(square / (1 - _DECAYS[1] ** (step + 1)))
            logs = logs - _RATES[kind] * (1 - step / steps) / spread * corrected
        return logs, history

"""`pac_bayes_bound`: bounds on the error of a Gaussian cloud of models around the minimum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from landscape._sharpness.bounds.pac_bayes import (
    PriorGrid,
    bound_by_catoni,
    bound_by_mcallester,
    bound_by_seeger,
    bound_sampled_risk,
)
from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition, NotApplicable, Outcome
from landscape._sharpness.frozen import require_all_parameters
from landscape._sharpness.posterior import (
    Posterior,
    choose_prior,
    estimate_fit_cost,
    fit_posterior,
)
from landscape._sharpness.predictions import (
    compute_predictions,
    read_predictions,
    require_single_predictions,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._sharpness.context import Context

__all__ = ["PACBayesBound"]

_SAMPLES = 100  # that each drawn model predicts
_SCALES = (0.7, 1.0, 1.2, 1.4, 1.7, 2.0)  # of the deviations, among which the bound itself decides


@dataclass(frozen=True)
class PACBayesBound(Definition):
    r"""PAC-Bayes bounds on the expected 0-1 loss of a Gaussian posterior around the parameters.

    .. math:: \operatorname{kl}\big( \hat R(Q) \,\|\, R(Q) \big) \le
        \frac{\mathrm{KL}(Q \| P) + \ln(2 \sqrt n / \delta)}{n}, \quad
        Q = N(\theta, \operatorname{diag} s), \; P = N(\theta_0, \lambda I)

    The value is the bound of Seeger and Maurer on R(Q), the error of models drawn from Q, with
    probability 1 - delta over n independent samples; the details have those of McAllester and of
    Catoni, each of which holds by itself. The bounded loss is the 0-1 loss whatever the training
    loss is, because a cross-entropy has no bound. Variances s are optimised by stochastic gradient
    descent on a surrogate, the loss over ln 2, and their scale is the one of six with the lowest
    bound on a few drawn models; any s gives a bound that holds. The variance of the
    prior comes from the grid :math:`\lambda_j = c e^{-j/b}`, whose members share the confidence.
    The mean loss of Q is itself bounded from models that are drawn from it, with half of delta.

    The mean of the prior is ``prior=``, else ``initial=``, else 0. It must not depend on the
    samples of the bound, and neither must frozen parameters; a prior that was trained on the first
    samples of the data needs ``prior_samples``, which leaves those out of n. Models with batch
    norm are refused: their statistics come from the training data.

    Details: delta, n, kl, lambda, "empirical_risk" (the mean over draws), "empirical_risk_bound",
    "mcallester", "seeger", "catoni", the error at the parameters themselves, the smallest, the mean
    and the largest standard deviation of Q, whether the bound is vacuous (1 or above), and whether
    it beats guessing among K classes (below 1 - 1/K). The curve "objective" has the estimates of
    the function that is optimised.

    Args:
        posterior: ``"isotropic"`` has one variance for all parameters, ``"diagonal"`` one for
            each, whose gradients are noisy: it needs some thousands of steps to be better.
        delta: The probability that the bound does not hold.
        steps: Of the optimisation, at least 1.
        draws: Models drawn for the mean loss of Q, at least 2; each predicts 100 random samples.
        prior_samples: How many of the first samples were used for ``prior=``.
        scale: c, the largest variance of the prior.
        precision: b.

    Raises:
        ValueError: An option is out of range, or prior_samples is given without ``prior=``.

    Example:
        >>> landscape.sharpness(model, data, measures=["pac_bayes_bound"], initial=model)
    """

    name: ClassVar[str] = "pac_bayes_bound"
    reference: ClassVar[str] = (
        "Dziugaite and Roy (2017), Computing Nonvacuous Generalization Bounds for Deep "
        "(Stochastic) Neural Networks with Many More Parameters than Training Data, section 3; "
        "Maurer (2004), A Note on the PAC-Bayesian Theorem, theorem 5"
    )
    rescaling: ClassVar = "no"
    permutation: ClassVar = "no"

    posterior: Literal["isotropic", "diagonal"] = "isotropic"
    delta: float = 0.05
    steps: int = 100
    draws: int = 1000
    prior_samples: int = 0
    scale: float = 0.1
    precision: float = 100.0

    def __post_init__(self) -> None:
        if self.posterior not in ("diagonal", "isotropic"):
            raise ValueError(f"posterior={self.posterior!r}, expected 'diagonal' or 'isotropic'")
        if not 0 < self.delta < 1:
            raise ValueError(f"delta={self.delta}, expected a probability such as 0.05")
        for name, least in (("steps", 1), ("draws", 2), ("prior_samples", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}, expected at least {least}")
        for name in ("scale", "precision"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)}, expected a number above 0")

    def require(self, context: Context) -> None:
        """Refuse regression, batch norm and a split that leaves too few samples."""
        require_single_predictions(context)
        require_all_parameters(context)
        if context.objective.policy["batch_norm"] != "none in the model":
            raise NotApplicable(
                "the statistics of batch norm come from the training data, of which the prior must "
                "be independent"
            )
        if not context.objective.is_resident:
            raise NotApplicable("the data are not kept in memory as one set of tensors")
        if not self.prior_samples:
            return
        if context.prior is None:
            raise ValueError("prior_samples= is given without prior=; pass the prior's weights")
        if context.objective.is_random_subset:
            raise NotApplicable("the first samples are not known in a random subset")
        if context.samples - self.prior_samples < 2:
            raise NotApplicable(
                f"prior_samples={self.prior_samples} leaves fewer than 2 of {context.samples}"
            )

    def estimate_cost(self, context: Context) -> float:
        """A scan, mini-batches, and the outputs of the drawn models."""
        share = min(1.0, _SAMPLES / context.samples)
        draws = self.draws + len(_SCALES) * self._count_trials()
        return estimate_fit_cost(context, self.steps) + LOSS * (draws * share + 1)

    def compute(self, context: Context) -> Outcome:
        """Optimise the posterior, draw from it, and bound."""
        self.require(context)
        at_mean = read_predictions(context)
        if len(at_mean.wrong) != context.samples:
            raise NotApplicable("some targets are ignored")
        objective = context.objective
        if self.prior_samples:
            objective = objective.with_samples(range(self.prior_samples, context.samples))
        samples = objective.samples
        origin, mean = self._choose_mean(context)
        shift = context.theta.astype(np.float64) - mean
        half = self.delta / 2
        grid = PriorGrid(self.scale, self.precision)
        fitted, history = fit_posterior(
            context,
            objective,
            shift,
            grid,
            kind=self.posterior,
            steps=self.steps,
            delta=half,
        )
        trials = []
        for scale in _SCALES:
            trial = choose_prior(scale * fitted.deviations, shift, grid)
            guess = _sample_risk(context, objective, trial, "trial", self._count_trials())
            guess = bound_sampled_risk(guess, self.draws, half)
            trials.append((float(bound_by_seeger(guess, trial.cost, samples, half)), trial))
        posterior = min(trials, key=lambda pair: pair[0])[1]
        risk = _sample_risk(context, objective, posterior, "draw", self.draws)
        bounded = bound_sampled_risk(risk, self.draws, half)
        forms = {
            "mcallester": bound_by_mcallester,
            "seeger": bound_by_seeger,
            "catoni": bound_by_catoni,
        }
        bounds = {
            name: float(form(bounded, posterior.cost, samples, half))
            for name, form in forms.items()
        }
        deviations = posterior.deviations
        details: dict[str, Any] = {
            "delta": self.delta,
            "n": samples,
            "loss": "0-1, for the training loss has no bound",
            "kl": posterior.divergence,
            "lambda": posterior.prior_variance,
            "empirical_risk": risk,
            "empirical_risk_bound": bounded,
            **bounds,
            "vacuous": bounds["seeger"] >= 1,
            "beats_guessing": bounds["seeger"] < 1 - 1 / at_mean.classes,
            "error": float(at_mean.wrong[self.prior_samples :].mean()),
            "prior_mean": origin,
            "distance": float(np.linalg.norm(shift)),
            "deviation_min": float(deviations.min()),
            "deviation_mean": float(deviations.mean()),
            "deviation_max": float(deviations.max()),
        }
        return Outcome(bounds["seeger"], details=details, curves={"objective": history})

    def _choose_mean(self, context: Context) -> tuple[str, NDArray[np.float64]]:
        for name, weights in (("prior", context.prior), ("initial", context.initial)):
            if weights is not None:
                return name, weights.astype(np.float64)
        return "zero", np.zeros(context.dim)

    def _count_trials(self) -> int:
        """How many models are drawn for each scale."""
        return max(2, self.draws // 20)


def _sample_risk(
    context: Context, objective: Objective, posterior: Posterior, purpose: str, draws: int
) -> float:
    """The mean 0-1 loss of drawn models, each on some random samples."""
    seed = context.stream(f"pac_bayes_bound {purpose}")
    rows, noises = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    count = min(_SAMPLES, objective.samples)
    theta = torch.from_numpy(context.theta.copy())
    deviations = torch.from_numpy(posterior.deviations).to(theta.dtype)
    errors = []
    for _ in range(draws):
        noise = torch.randn(context.dim, generator=noises, dtype=theta.dtype)
        point = torch.addcmul(theta, deviations, noise).numpy()
        some = objective.with_samples(rows.choice(objective.samples, count, replace=False))
        errors.append(compute_predictions(context, some, point).error)
    return float(np.mean(errors))

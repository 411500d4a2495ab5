"""`learning_rate_sharpness` and `preconditioned_sharpness`: curvature against the step size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landscape._sharpness.curvature import scale_coordinates
from landscape._sharpness.definition import NotApplicable, Outcome
from landscape._sharpness.eigenvalue import TopEigenvalue, find_top_eigenvalue
from landscape._sharpness.optimizer import OptimizerSteps, read_steps

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["LearningRateSharpness", "PreconditionedSharpness"]


@dataclass(frozen=True)
class LearningRateSharpness(TopEigenvalue):
    r"""The largest eigenvalue of the Hessian over the one at which gradient descent diverges.

    .. math:: \frac{\lambda_{\max}}{2 / \eta}

    Above 1 a step of gradient descent of size eta overshoots along the top eigenvector; training
    at full batch hovers around 1, the edge of stability. It needs ``optimizer=``: SGD, whose
    present rate counts, or a number. Where groups of parameters have their own rates, it is half
    the largest eigenvalue of :math:`S^{1/2} H S^{1/2}` with the rates S.

    With momentum steps diverge at another eigenvalue: the detail ``stability_ratio`` is the
    eigenvalue over that, (2 + 2 mu) / eta for heavy-ball momentum mu, and
    (2 + 2 mu) / ((1 + 2 mu) eta) for Nesterov's. The optimizer's weight decay is not in H; that of
    the Objective is.

    Args:
        tolerance: Of the residual, relative to the eigenvalue.

    Raises:
        ValueError: The tolerance is not positive.

    Example:
        >>> names = ["learning_rate_sharpness"]
        >>> landscape.sharpness(model, data, measures=names, optimizer=0.1)
    """

    name: ClassVar[str] = "learning_rate_sharpness"
    reference: ClassVar[str] = (
        "Cohen, Kaur, Li, Kolter and Talwalkar (2021), Gradient Descent on Neural Networks "
        "Typically Occurs at the Edge of Stability, section 2 and appendix B"
    )
    rescaling: ClassVar[Invariance] = "no"

    def require(self, context: Context) -> None:
        """Refuse a call without a step size, or an optimizer that preconditions.

        Raises:
            NotApplicable: With the reason.
        """
        super().require(context)
        self._read(context)

    def compute(self, context: Context) -> Outcome:
        """The top eigenvalue of the Hessian, times half the rate."""
        steps = self._read(context)
        if steps.rate is None:
            scaled = scale_coordinates(context.hessian(), np.sqrt(steps.rates))
            outcome = find_top_eigenvalue(context, scaled, self.tolerance)
            return _scale_outcome(outcome, 0.5, steps)
        outcome = context.share(
            f"top eigenvalue {self.tolerance}",
            lambda: find_top_eigenvalue(context, context.hessian(), self.tolerance),
        )
        return _scale_outcome(outcome, steps.rate / 2, steps)

    def _read(self, context: Context) -> OptimizerSteps:
        steps = read_steps(context)
        if steps.preconditioner is not None:
            raise NotApplicable(
                f"{steps.name} divides its steps by a preconditioner; 'preconditioned_sharpness' "
                "is relative to its threshold"
            )
        return steps


@dataclass(frozen=True)
class PreconditionedSharpness(TopEigenvalue):
    r"""The largest eigenvalue of the Hessian as an adaptive optimizer sees it.

    .. math:: \lambda_{\max}(P^{-1/2} \, \nabla^2 L \, P^{-1/2})

    P is the diagonal that divides the step: for Adam and AdamW
    :math:`P = (1 - \beta_1^t) \big( \sqrt{v / (1 - \beta_2^t)} + \epsilon \big)`, and for RMSprop
    :math:`\sqrt{v} + \epsilon`, from the state of ``optimizer=``. The detail ``stability_ratio`` is
    the eigenvalue over the one at which steps on a quadratic diverge:
    :math:`(2 + 2 \beta_1) / ((1 - \beta_1) \eta)` for Adam, which is 38 / eta for
    :math:`\beta_1 = 0.9`, and :math:`(2 + 2 \mu) / \eta` for RMSprop with momentum mu.

    The state has the gradients that training saw: with batch norm pass ``batch_norm="batch"``, for
    a bias before a batch norm has no gradient in training and so a tiny P, but curvature where the
    statistics are frozen.

    Parameters of the optimizer are those of the model, or have their order and shapes. Where groups
    have their own rates the ratio is that of :math:`S^{1/2} P^{-1/2} H P^{-1/2} S^{1/2}`, and the
    value as well, in units of their largest rate.

    Args:
        tolerance: Of the residual, relative to the eigenvalue.

    Raises:
        ValueError: The tolerance is not positive.

    Example:
        >>> names = ["preconditioned_sharpness"]
        >>> adam = torch.optim.Adam(model.parameters())  # the one that trained the model
        >>> landscape.sharpness(model, data, measures=names, optimizer=adam)
    """

    name: ClassVar[str] = "preconditioned_sharpness"
    reference: ClassVar[str] = (
        "Cohen et al. (2022), Adaptive Gradient Methods at the Edge of Stability, section 3"
    )
    rescaling: ClassVar[Invariance] = "no"
    permutation: ClassVar[Invariance] = "no"  # of the model alone: the optimizer's state stays

    def require(self, context: Context) -> None:
        """Refuse a call without an adaptive optimizer that has taken steps.

        Raises:
            NotApplicable: With the reason.
        """
        super().require(context)
        self._read(context)

    def compute(self, context: Context) -> Outcome:
        """The top eigenvalue of the scaled Hessian."""
        steps = self._read(context)
        preconditioner = steps.preconditioner
        if preconditioner is None or not (preconditioner > 0).all():
            return Outcome(None, status="failed: the preconditioner is not positive everywhere")
        rate = float(steps.rates.max())
        scale = np.sqrt(steps.rates / rate / preconditioner)
        outcome = find_top_eigenvalue(
            context, scale_coordinates(context.hessian(), scale), self.tolerance
        )
        return _scale_outcome(outcome, 1.0, steps)

    def _read(self, context: Context) -> OptimizerSteps:
        steps = read_steps(context)
        if steps.preconditioner is None:
            raise NotApplicable(
                f"{steps.name} has no preconditioner; 'learning_rate_sharpness' is relative to its "
                "step size"
            )
        return steps


def _scale_outcome(outcome: Outcome, factor: float, steps: OptimizerSteps) -> Outcome:
    """The eigenvalue times a factor, with the learning rate and the ratio to the threshold."""
    if outcome.value is None or outcome.interval is None:
        return outcome
    low, high = outcome.interval
    error = outcome.standard_error
    rate = float(steps.rates.max())
    # of S H S with rates S the factor is 1/2 and the eigenvalue has the rate already
    has_rate = steps.preconditioner is None and steps.rate is None
    times = outcome.value * (1.0 if has_rate else rate)
    return Outcome(
        factor * outcome.value,
        None if error is None else factor * error,
        (factor * low, factor * high),
        outcome.status,
        {
            **outcome.details,
            "eigenvalue": outcome.value,
            "optimizer": steps.name,
            "learning_rate": rate,
            "momentum": steps.momentum,
            "stability_ratio": times / steps.stability,
        },
    )

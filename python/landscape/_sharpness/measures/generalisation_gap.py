"""`generalisation_gap`: the loss and the error on test data less those on the training data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landscape._sharpness.bounds.intervals import compute_newcombe_interval
from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition, NotApplicable, Outcome
from landscape._sharpness.predictions import (
    compute_predictions,
    read_predictions,
    require_classes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._sharpness.context import Context

__all__ = ["GeneralisationGap"]


@dataclass(frozen=True)
class GeneralisationGap(Definition):
    r"""The mean loss on test data less that on the training data, without weight decay.

    .. math:: \frac{1}{m} \sum_{i=1}^m \ell(f_\theta(x_i'), y_i')
        - \frac{1}{n} \sum_{i=1}^n \ell(f_\theta(x_i), y_i)

    It needs ``test=``. The value is that of the first test set; the details have every set by
    name: the gap of the loss, with the standard error of independent samples, and for classifiers
    the gap of the error (0-1 loss), with Newcombe's interval, whose samples are predictions.

    Example:
        >>> landscape.sharpness(
        ...     model, data, measures=["generalisation_gap"], test={"near": data, "far": data}
        ... )["generalisation_gap"].value
        0.0
    """

    name: ClassVar[str] = "generalisation_gap"
    reference: ClassVar[str] = (
        "Jiang, Neyshabur, Mobahi, Krishnan and Bengio (2020), Fantastic Generalization Measures "
        "and Where to Find Them, section 2"
    )
    rescaling: ClassVar = "exact"

    def require(self, context: Context) -> None:
        """Refuse a call without ``test=``."""
        if not context.test:
            raise NotApplicable("it needs test=, the test data")

    def estimate_cost(self, context: Context) -> float:
        """The losses and the outputs of all sets."""
        samples = context.samples + sum(test.samples for test in context.test.values())
        return 2 * LOSS * samples / context.samples

    def compute(self, context: Context) -> Outcome:
        """Per-sample losses and predictions of all sets."""
        self.require(context)
        try:
            own = context.sample_losses
        except ValueError as reason:
            raise NotApplicable(str(reason)) from None
        details = {name: self._compare(context, own, test) for name, test in context.test.items()}
        first = next(iter(details.values()))
        return Outcome(first["loss_gap"], first["standard_error"], details=details)

    def _compare(
        self, context: Context, own: NDArray[np.float64], test: Objective
    ) -> dict[str, Any]:
        if test.model is not context.objective.model:  # a copy has buffers of its own
            test = context.objective.with_data(test)
        test = context.with_strategies_of_run(test)
        other = test.sample_losses(context.theta[None])[0]
        context.charge(LOSS * test.samples / context.samples)
        gap = float(other.mean() - own.mean())
        error = None
        interval = None
        if min(len(own), len(other)) > 1:
            error = math.sqrt(own.var(ddof=1) / len(own) + other.var(ddof=1) / len(other))
            half = NormalDist().inv_cdf((1 + context.level) / 2) * error
            interval = [gap - half, gap + half]
        found: dict[str, Any] = {
            "samples": test.samples,
            "loss": float(other.mean()),
            "loss_gap": gap,
            "standard_error": error,
            "interval": interval,
        }
        try:
            require_classes(test)
            trained, tested = read_predictions(context), compute_predictions(context, test)
        except NotApplicable:
            return found
        after, before = ((int(p.wrong.sum()), len(p.wrong)) for p in (tested, trained))
        return {
            **found,
            "error": tested.error,
            "error_gap": tested.error - trained.error,
            # tokens or pixels of one sample are not independent
            "error_interval": list(compute_newcombe_interval(after, before, context.level))
            if len(tested.margins) == test.samples
            else None,
        }

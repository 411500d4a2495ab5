"""`margin`: by how much the right class wins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landscape._sharpness.bounds.intervals import find_quantile_ranks
from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition, Outcome
from landscape._sharpness.predictions import read_predictions, require_classes

if TYPE_CHECKING:
    from landscape._sharpness.context import Context

__all__ = ["Margin"]

_MAX_POINTS = 10_000  # of the curve


@dataclass(frozen=True)
class Margin(Definition):
    r"""A low quantile of the output margins of a classifier.

    .. math:: f_\theta(x)_y - \max_{j \ne y} f_\theta(x)_j

    For binary cross-entropy with logits it is (2y - 1) f(x). The value is the order statistic
    of rank ceil(q n). Its interval lies between two order statistics, for the quantile of the
    distribution that the samples come from; the standard error is half of it over the normal
    quantile. The details have the mean, the smallest margin, the share of wrong predictions, and
    the same quantile of margins over the norm of the scores ("normalised"). The curve "margins"
    has all of them in ascending order, or 10,000 at equal distances.

    Args:
        quantile: q, above 0 and below 1.

    Raises:
        ValueError: The quantile is out of range.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.Margin(quantile=0.05)])
    """

    name: ClassVar[str] = "margin"
    reference: ClassVar[str] = (
        "Jiang, Neyshabur, Mobahi, Krishnan and Bengio (2020), Fantastic Generalization Measures "
        "and Where to Find Them, section 5: the 10th percentile of the margins"
    )
    rescaling: ClassVar = "exact"

    quantile: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile={self.quantile}, expected a number between 0 and 1")

    def require(self, context: Context) -> None:
        """Refuse losses without classes."""
        require_classes(context.objective)

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """The outputs."""
        return LOSS

    def compute(self, context: Context) -> Outcome:
        """Sort the margins."""
        predictions = read_predictions(context)
        margins = np.sort(predictions.margins)
        count = len(margins)
        rank = math.ceil(self.quantile * count) - 1
        ranks = find_quantile_ranks(self.quantile, count, context.level)
        interval, error = None, None
        if ranks is not None and count == context.samples:  # predictions that are independent
            interval = float(margins[ranks[0] - 1]), float(margins[ranks[1] - 1])
            z = NormalDist().inv_cdf((1 + context.level) / 2)
            error = (interval[1] - interval[0]) / (2 * z)
        normalised = None
        if (predictions.norms > 0).all():
            normalised = float(np.sort(predictions.margins / predictions.norms)[rank])
        picked = np.unique(np.linspace(0, count - 1, min(count, _MAX_POINTS)).round().astype(int))
        return Outcome(
            float(margins[rank]),
            error,
            interval,
            details={
                "mean": float(margins.mean()),
                "min": float(margins[0]),
                "error": predictions.error,
                "normalised": normalised,
                "count": count,
            },
            curves={"margins": margins[picked]},
        )

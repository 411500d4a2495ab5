"""The growth of a calibrated subset: more pilots, more samples, until its error is tolerable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape import _core
from landscape._calibration.availability import SubsetUnavailable, explain_unavailable
from landscape._calibration.pilots import PilotTable, iter_pilots
from landscape._calibration.subset import CalibratedSubset

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from landscape._objective import MetricLike, Objective, Subspace
    from landscape._progress import Progress

__all__ = ["calibrate_subset"]

_PILOTS = 24
_FEWEST_PILOTS = 16  # that are finite: eight folds of two
_GROWTH = 2**0.5
_SAMPLES_PER_PILOT = 6  # fewer leave residuals too few degrees of freedom
_LARGEST_STEP = 8  # of the numbers of samples, each 2^(1/2) times the one before
_SAVING = 0.5  # of the samples, which more pilots are expected to make unnecessary
_ORDER = 2.0  # at least, of the error's decay with the number of pilots: a hopeful guess

ToleranceOf = Literal["loss", "range"]


@dataclass(frozen=True)
class _Plan:
    """What is wanted, and what the same would cost on all data."""

    tolerance: float
    tolerance_of: ToleranceOf
    points: int
    full_evaluations: float
    seed: int


@dataclass(frozen=True)
class _Fit:
    """The smallest number of samples whose error is tolerable."""

    assessment: _core.SubsetAssessment
    scales: NDArray[np.float64]

    @property
    def samples(self) -> int:
        return len(self.assessment.rows)


def calibrate_subset(
    objective: Objective,
    subspace: Subspace,
    low: ArrayLike,
    high: ArrayLike,
    *,
    points: int,
    full_evaluations: float,
    tolerance: float = 0.05,
    tolerance_of: ToleranceOf = "loss",
    metrics: Sequence[MetricLike] | MetricLike = (),
    pilots: ArrayLike = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> CalibratedSubset:
    r"""Find few samples and weights that estimate L over a span to a tolerance.

    At K pilots the losses :math:`\ell_{ki}` of all n samples are computed. A random sample of m of
    them, drawn with probabilities mixed from their mean share of the losses and a uniform part,
    gets weights as near as possible to the inverse probabilities under which it reproduces the K
    means. Its error elsewhere is measured by cross-validation over the pilots, for three draws. K
    and m grow until 95% of the errors are below the tolerance, m without any evaluation.

    Args:
        objective: The function of all samples.
        subspace: Its restriction to a plane or a line, which evaluates the pilots.
        low: The lower ends of the span, shape (dim,).
        high: The upper ends.
        points: The number of points that are going to be estimated.
        full_evaluations: The evaluations on all data that do the same without a subset.
        tolerance: The relative error that 95% of the estimates may have.
        tolerance_of: What the error is relative to: ``"loss"`` at the point, which must be
            positive, or the ``"range"`` of the losses at the pilots.
        metrics: What is wanted beside the loss; anything is refused.
        pilots: The first pilots, shape (k, dim); others follow.
        seed: Of the choice of samples.
        progress: Updated with the number of pilots, and the error once it is known.

    Returns:
        The subset, which evaluates points anywhere.

    Raises:
        SubsetUnavailable: The samples cannot be evaluated in part, or that is not cheaper; with the
            reason, and the pilots that were evaluated.
        ValueError: An argument is out of range.

    Reference:
        Deville and Särndal, "Calibration Estimators in Survey Sampling" (1992).

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> from landscape._calibration import calibrate_subset
        >>> model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
        >>> data = (torch.randn(4000, 8), torch.randint(3, (4000,)))
        >>> objective = landscape.Objective(model, data, engine="torch")
        >>> u, v = torch.randn(2, objective.dim).numpy()
        >>> plane = objective.subspace(None, [u, v])
        >>> subset = calibrate_subset(
        ...     objective, plane, (-1, -1), (1, 1), points=2601, full_evaluations=2601
        ... )
        >>> losses, errors = subset.evaluate([[0.0, 0.0], [0.3, -0.2]])
        >>> float(errors[0])
        0.0
    """
    plan = _Plan(tolerance, tolerance_of, points, full_evaluations, seed)
    span = _validate(plan, low, high, subspace.dim)
    reason = explain_unavailable(objective, metrics) or _explain_cost(plan, objective.samples)
    if reason is not None:
        raise SubsetUnavailable(reason)
    table = PilotTable(subspace, iter_pilots(*span, pilots), objective.samples)
    fit = _grow(table, plan, progress)
    return CalibratedSubset(objective, subspace, _collect(table, fit))


def _grow(table: PilotTable, plan: _Plan, progress: Progress | None) -> _Fit:
    """Add pilots until more of them would cost more than they save."""
    history: dict[int, float] = {}

    def tick(done: int) -> None:
        if progress is not None:
            progress.update(done, **({"error": min(history.values())} if history else {}))

    size, price = _PILOTS, plan.points / table.samples
    while True:
        table.grow(size, tick)
        fit, history[size] = _fit(table, plan)
        larger = math.ceil(_GROWTH * size)
        if fit is not None:
            rest = max(_SAVING * fit.samples, _SAMPLES_PER_PILOT * larger)
            if (fit.samples - rest) * price <= larger - size:
                break
        else:
            needed = max(larger, _predict_size(history, plan.tolerance))
            if needed * (1 + _SAMPLES_PER_PILOT * price) >= plan.full_evaluations:
                raise table.refuse(
                    f"a subset is not cheaper: {size} pilots leave an error of "
                    f"{history[size]:.2g}, and {plan.tolerance:g} would take at least "
                    f"{needed:.0f} of them, instead of {plan.full_evaluations:g} evaluations."
                )
        size = larger
    cost = size + fit.samples * price
    if cost >= plan.full_evaluations:
        raise table.refuse(
            f"a subset is not cheaper: it would take {cost:.0f} evaluations on all data instead of "
            f"{plan.full_evaluations:g}."
        )
    return fit


def _predict_size(history: dict[int, float], tolerance: float) -> float:
    """The number of pilots at which the error is expected to reach the tolerance, if all goes well.

    The error falls as a power of their number: that of the last two sizes, or the second.
    """
    (size, error), *earlier = reversed(history.items())
    order = _ORDER
    if earlier:
        smaller, before = earlier[0]
        order = max(order, math.log(before / error) / math.log(size / smaller))
    return size * math.pow(error / tolerance, 1 / order)


def _fit(table: PilotTable, plan: _Plan) -> tuple[_Fit | None, float]:
    """The smallest number of samples with a tolerable error, and the smallest error found."""
    if len(table.rows) < _FEWEST_PILOTS:
        raise table.refuse(
            f"the losses are finite at only {len(table.rows)} of {len(table.losses)} pilots."
        )
    scales = _compute_scales(table, plan.tolerance_of)
    counts = _list_counts(len(table.losses), table.samples)
    if not counts:
        raise table.refuse(
            f"{table.samples} samples are too few to choose "
            f"{_SAMPLES_PER_PILOT * len(table.losses)} of them."
        )
    found: dict[int, _core.SubsetAssessment] = {}

    def is_tolerable(step: int) -> bool:
        found[step] = _core.SubsetAssessment(
            table.rows,
            table.means,
            scales,
            table.shares,
            counts[step],
            seed=plan.seed,
            points=plan.points,
        )
        return found[step].quantile95 <= plan.tolerance

    first, last = 0, len(counts) - 1
    if is_tolerable(first):
        return _Fit(found[first], scales), found[first].quantile95
    if last == first or not is_tolerable(last):
        return None, min(one.quantile95 for one in found.values())
    while last - first > 1:
        middle = (first + last) // 2
        first, last = (first, middle) if is_tolerable(middle) else (middle, last)
    return _Fit(found[last], scales), found[last].quantile95


def _compute_scales(table: PilotTable, tolerance_of: ToleranceOf) -> NDArray[np.float64]:
    """What errors at the finite pilots are relative to, shape (pilots,)."""
    losses = table.losses[table.is_finite]
    if tolerance_of == "range":
        extent = float(losses.max() - losses.min())
        if not extent > 0:
            raise table.refuse("the losses at the pilots are all the same: there is no range.")
        return np.full(len(losses), extent)
    if not losses.min() > 0:
        raise table.refuse(
            f"the loss is {losses.min():.3g} at a pilot, and a relative error needs a positive "
            "one; tolerance_of='range' would allow it."
        )
    return losses


def _list_counts(pilots: int, samples: int) -> list[int]:
    """The numbers of samples to try: at most half of all."""
    fewest = _SAMPLES_PER_PILOT * pilots
    counts = [math.ceil(fewest * 2 ** (step / 2)) for step in range(_LARGEST_STEP + 1)]
    return [count for count in counts if count <= samples // 2]


def _explain_cost(plan: _Plan, samples: int) -> str | None:
    """Why the smallest subset would not be cheaper, before anything is evaluated."""
    fewest = _SAMPLES_PER_PILOT * _PILOTS
    if samples // 2 < fewest:
        return f"{samples} samples are too few to choose {fewest} of them."
    cost = _PILOTS + fewest / samples * plan.points
    if cost >= plan.full_evaluations:
        return (
            f"a subset is not cheaper: it would take at least {cost:.0f} evaluations on all data "
            f"instead of {plan.full_evaluations:g}."
        )
    return None


def _collect(table: PilotTable, fit: _Fit) -> dict[str, NDArray[Any]]:
    """The state of a :class:`CalibratedSubset`."""
    found = fit.assessment
    chosen = np.stack([row[found.rows] for row in table.rows]).astype(np.float64)
    error = (found.quantile95, found.maximum, found.residual, found.inflation)
    return {
        "rows": found.rows,
        "inclusion": found.inclusion,
        "pilots": table.coordinates[table.is_finite],
        "pilot_losses": chosen / fit.scales[:, None],
        "targets": table.means / fit.scales,
        "error": np.array(error),
        "known": table.coordinates,
        "known_losses": table.losses,
    }


def _validate(
    plan: _Plan, low: ArrayLike, high: ArrayLike, dim: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ends = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if dim not in (1, 2) or any(end.shape != (dim,) for end in ends):
        raise ValueError(
            f"got a span from {low!r} to {high!r} for {dim} directions, expected one pair of ends "
            "for each of one or two directions"
        )
    if not (np.isfinite(ends).all() and (ends[0] < ends[1]).all()):
        raise ValueError(
            f"got a span from {low!r} to {high!r}, expected finite ends, the lower first"
        )
    if not (math.isfinite(plan.tolerance) and plan.tolerance > 0):
        raise ValueError(f"tolerance={plan.tolerance}, expected a positive number")
    if plan.tolerance_of not in ("loss", "range"):
        raise ValueError(f"tolerance_of={plan.tolerance_of!r}, expected 'loss' or 'range'")
    if plan.points < 1 or not plan.full_evaluations > 0:
        raise ValueError(
            f"got points={plan.points} and full_evaluations={plan.full_evaluations}, expected "
            "positive numbers"
        )
    return ends

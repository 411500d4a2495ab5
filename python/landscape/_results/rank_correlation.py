"""Kendall's rank correlation between a measure and a target, its granulated form, and intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RankCorrelation", "granulated_tau", "kendall_tau", "measure_correlation"]

_DRAWS = 2000  # of the bootstrap


@dataclass(frozen=True)
class RankCorrelation:
    r"""How well a measure ranks models by a target.

    Args:
        measure: The measure's name.
        target: The target's name, such as "generalisation_gap".
        models: The number of models for which both have values.
        tau: Kendall's tau-b.
        interval: Of tau, from a bootstrap over models.
        granulated: The mean over hyperparameters of :attr:`by_hyperparameter`; NaN without any.
        by_hyperparameter: The mean of tau over groups of models in which this hyperparameter alone
            differs: a measure that merely tracks one of them has a large tau and small ones here.
        rescaled_tau: Tau of the measure on rescaled copies of the models, which compute the same
            functions; NaN where it was not computed. A measure whose tau changes ranks weights,
            not functions.

    Example:
        >>> comparison = landscape.compare(models, data, test=data, measures=["norms"])
        >>> [row.measure for row in comparison.correlations()]
        ['norms']
    """

    measure: str
    target: str
    models: int
    tau: float
    interval: tuple[float, float]
    granulated: float = float("nan")
    by_hyperparameter: Mapping[str, float] = field(default_factory=dict)
    rescaled_tau: float = float("nan")


def kendall_tau(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    r"""Kendall's tau-b; NaN where either is constant.

    .. math:: \tau_b = \frac{\sum_{i<j} \operatorname{sign}(x_i - x_j)
        \operatorname{sign}(y_i - y_j)}{\sqrt{n_x n_y}}

    with the numbers n_x and n_y of pairs that are not tied in x and in y.

    Args:
        x: Shape (n,).
        y: Shape (n,).
    """
    rows, columns = np.triu_indices(len(x), 1)
    one, other = np.sign(x[rows] - x[columns]), np.sign(y[rows] - y[columns])
    pairs = float(np.count_nonzero(one)) * float(np.count_nonzero(other))
    return float(one @ other) / pairs**0.5 if pairs else float("nan")


def granulated_tau(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    hyperparameters: Sequence[Mapping[str, Any]],
) -> dict[str, float]:
    """The mean of tau over groups of models in which one hyperparameter alone differs.

    Args:
        x: Shape (n,).
        y: Shape (n,).
        hyperparameters: Those of each model.

    Returns:
        Hyperparameter -> mean tau; NaN where no group has two models.
    """
    found = {}
    for name in dict.fromkeys(key for row in hyperparameters for key in row):
        others = [
            repr(sorted((k, repr(v)) for k, v in row.items() if k != name))
            for row in hyperparameters
        ]
        order = sorted(range(len(x)), key=lambda i: others[i])
        groups = [list(g) for _, g in groupby(order, key=lambda i: others[i])]
        taus = [kendall_tau(x[g], y[g]) for g in groups if len(g) > 1]
        known = [tau for tau in taus if np.isfinite(tau)]
        found[name] = float(np.mean(known)) if known else float("nan")
    return found


def measure_correlation(
    measure: str,
    target: str,
    values: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    rescaled: NDArray[np.float64],
    hyperparameters: Sequence[Mapping[str, Any]],
    level: float,
    seed: int,
) -> RankCorrelation:
    """The rank correlation of the models for which measure and target are finite.

    Args:
        measure: The measure's name.
        target: The target's name.
        values: The measure and the target of every model, shape (n,) each; NaN where missing.
        rescaled: The measure on rescaled copies, shape (n,); NaN where not computed.
        hyperparameters: Those of each model; empty where there are none.
        level: Probability of the interval.
        seed: Of the bootstrap.
    """
    keep = np.isfinite(values[0]) & np.isfinite(values[1])
    x, y = values[0][keep], values[1][keep]
    tau = kendall_tau(x, y)
    interval = (float("nan"), float("nan"))
    if len(x) > 2 and np.isfinite(tau):
        rng = np.random.default_rng(seed)
        draws = (rng.integers(0, len(x), len(x)) for _ in range(_DRAWS))
        taus = np.array([kendall_tau(x[i], y[i]) for i in draws])
        low, high = np.nanquantile(taus, [(1 - level) / 2, (1 + level) / 2])
        interval = float(low), float(high)
    by_name: dict[str, float] = {}
    if hyperparameters:
        kept = [row for row, k in zip(hyperparameters, keep, strict=True) if k]
        by_name = granulated_tau(x, y, kept)
    known = [value for value in by_name.values() if np.isfinite(value)]
    both = np.isfinite(rescaled) & np.isfinite(values[1])
    return RankCorrelation(
        measure,
        target,
        len(x),
        tau,
        interval,
        float(np.mean(known)) if known else float("nan"),
        by_name,
        kendall_tau(rescaled[both], values[1][both]) if both.any() else float("nan"),
    )

"""Where the loss cannot be estimated from a part of the samples, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective

__all__ = ["SubsetUnavailable", "explain_unavailable"]

_METRICS = (
    "metrics are not estimated from a part of the samples, whose weights are calibrated to the "
    "loss and say nothing about the error of another mean; leave metrics out."
)
_BATCH_NORM = (
    "batch_norm={!r} computes statistics from whole batches, so that a sample's loss depends on "
    "the others; batch_norm='frozen' would allow it."
)
_DROPOUT = "dropout='seeded' draws masks for whole batches; dropout='off' would allow it."
_DATA = (
    "the data are not kept in memory as one set of tensors, of which some could be taken; raise "
    "memory_budget, or pass tensors."
)
_RANDOM_SUBSET = (
    "samples= a count has chosen a random subset already, whose standard error needs all of its "
    "losses; leave samples out."
)
_LOSS = (
    "the loss {!r} is not known to be a mean of independent sample losses; a torch.nn loss, and a "
    "model whose samples do not see each other, would allow it."
)


class SubsetUnavailable(ValueError):  # noqa: N818 - an answer more often than an error
    """The loss cannot be estimated from a calibrated subset, or not more cheaply than computed.

    Args:
        reason: A sentence for the run record.
        pilots: The points that were evaluated on all data before, shape (k, dim).
        losses: Their losses, shape (k,).
    """

    def __init__(
        self,
        reason: str,
        pilots: NDArray[np.float64] | None = None,
        losses: NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.pilots = np.empty((0, 0)) if pilots is None else pilots
        self.losses = np.empty(0) if losses is None else losses


def explain_unavailable(objective: Objective, metrics: Sequence[Any] | Any = ()) -> str | None:
    """Explain why an Objective cannot be estimated from a part of its samples.

    Args:
        objective: The function.
        metrics: What is wanted beside the loss.

    Returns:
        A sentence; None where a part of the samples will do.
    """
    policy = objective.policy
    statistics, loss = policy["batch_norm"], policy["loss"]
    wants_loss_alone = isinstance(metrics, list | tuple) and not metrics
    reasons = {
        _METRICS: not wants_loss_alone,
        _BATCH_NORM.format(statistics): statistics in ("recalibrated", "batch"),
        _DROPOUT: policy["dropout"] == "seeded",
        _DATA: not objective.is_resident,
        _RANDOM_SUBSET: objective.is_random_subset,
        _LOSS.format(loss): not objective.samples_independent,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)

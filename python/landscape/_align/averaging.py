"""`merge`: the mean of several models whose units are aligned first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from landscape._align.alignment import Method, align, as_model
from landscape._objective import Objective

if TYPE_CHECKING:
    from landscape._results import Alignment

__all__ = ["Merged", "merge"]


@dataclass(frozen=True, eq=False)
class Merged:
    """The mean of several models, and how each was permuted before."""

    model: nn.Module
    """A new module."""
    alignments: tuple[Alignment, ...]
    """One for each model but the reference, in their order."""


def merge(
    models: Sequence[nn.Module],
    data: Any = None,
    loss: Any = None,
    *,
    reference: int = 0,
    method: Method = "weights",
    seed: int = 0,
) -> Merged:
    r"""Align several models to one of them, and average their weights.

    .. math:: \theta = \frac{1}{n} \Bigl(\theta_r + \sum_{i \ne r} P_i(\theta_i)\Bigr)

    Each model is aligned to the reference independently. Buffers are averaged too; the mean of
    batch-norm statistics is not that of the mean model: with data they are
    re-estimated.

    Args:
        models: Two modules or more, of one architecture.
        data: As for :func:`align`.
        loss: As for :func:`align`.
        reference: Which model the others are aligned to.
        method: As for :func:`align`.
        seed: As for :func:`align`.

    Returns:
        The mean model and the alignments.

    Raises:
        ValueError: Fewer than two models, or one that does not fit.

    Reference:
        Ainsworth, Hayase and Srinivasa, "Git Re-Basin: Merging Models modulo Permutation
        Symmetries" (2023), section 5.3.

    Example:
        >>> from torch import nn
        >>> a, b = (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)) for _ in range(2))
        >>> merged = landscape.merge([a, b], data)
        >>> len(merged.alignments)
        1
    """
    others = list(models)
    if len(others) < 2 or not 0 <= reference < len(others):
        raise ValueError(
            f"got {len(others)} models and reference={reference}, expected two models or more and "
            "the index of one of them"
        )
    first = others.pop(reference)
    alignments = [align(first, m, data, loss, method=method, seed=seed) for m in others]
    mean = as_model(first, first)
    members = [mean, *(alignment.model for alignment in alignments)]
    with torch.no_grad():
        for name, tensor in mean.state_dict().items():
            if tensor.is_floating_point():
                total = sum(member.state_dict()[name].double() for member in members)
                tensor.copy_(total / len(members))
    if data is not None:
        objective = Objective(mean, data, loss, batch_norm="recalibrated")
        mean = objective.model_at(objective.theta)
    return Merged(mean, tuple(alignments))

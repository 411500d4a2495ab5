"""`merge`: the mean of several models whose units are aligned first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from landscape._align.alignment import Method, align, as_model
from landscape._copies import recompute_derived_weights
from landscape._objective import Objective
from landscape._outside import Outside
from landscape._parameters import ParameterLayout

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
    outside: Outside = "error",
    seed: int = 0,
) -> Merged:
    r"""Align several models to one of them, and average their weights.

    .. math:: \theta = \frac{1}{n} \Bigl(\theta_r + \sum_{i \ne r} P_i(\theta_i)\Bigr)

    Each model is aligned to the reference independently. Batch-norm statistics are averaged too,
    but their mean is not that of the mean model: with data they are re-estimated. All else, other
    buffers and frozen parameters, is the reference's.

    Args:
        models: Two modules or more, of one architecture.
        data: As for :func:`align`.
        loss: As for :func:`align`.
        reference: Which model the others are aligned to.
        method: As for :func:`align`.
        outside: As for :func:`align`, of every model and the reference.
        seed: As for :func:`align`.

    Returns:
        The mean model and the alignments.

    Raises:
        ValueError: Fewer than two models, one that does not fit, or one that is another function
            than the reference outside its parameters.

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
    alignments = [
        align(first, m, data, loss, method=method, outside=outside, seed=seed) for m in others
    ]
    mean = as_model(first, first)
    members = [mean, *(alignment.model for alignment in alignments)]
    names = [entry.name for entry in ParameterLayout.of(mean).entries]
    for path, module in mean.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            names += [f"{path}.{name}".lstrip(".") for name in ("running_mean", "running_var")]
    with torch.no_grad():
        states = [member.state_dict() for member in members]
        for name in names:
            total = torch.stack([state[name].double() for state in states]).mean(dim=0)
            states[0][name].copy_(total)
    recompute_derived_weights(mean)
    if data is not None:
        objective = Objective(mean, data, loss, batch_norm="recalibrated")
        mean = objective.model_at(objective.theta)
    return Merged(mean, tuple(alignments))

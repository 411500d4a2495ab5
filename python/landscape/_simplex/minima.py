"""The minima of a complex: the models and their flat vectors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from landscape._directions import read_weights
from landscape._objective import Objective

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["flatten_minima", "split_models"]


def split_models(models: Any) -> tuple[Any, list[Any]]:
    """Split off the model that evaluates from those that only provide weights.

    Raises:
        TypeError: They are no models, or the first is none that can be run.
        ValueError: There is none.
    """
    if isinstance(models, (nn.Module, Objective)):
        models = [models]
    single = isinstance(models, (str, os.PathLike, Mapping, np.ndarray, torch.Tensor))
    if single or not isinstance(models, Sequence):
        raise TypeError(
            f"models is a {type(models).__name__}; pass a list of models, the first a module or "
            "an Objective"
        )
    if not models:
        raise ValueError("models is empty, expected one or more")
    first, *others = models
    if not isinstance(first, (nn.Module, Objective)):
        raise TypeError(
            f"models[0] is a {type(first).__name__}; pass a module or an Objective first: it "
            "evaluates, and the others lend their weights"
        )
    return first, others


def flatten_minima(objective: Objective, others: Sequence[Any]) -> NDArray[Any]:
    """The flat vectors of all models, shape (models, d).

    Raises:
        TypeError: One has no weights.
        ValueError: A layout differs, a number is not finite, or two models are equal.
    """
    rows = [objective.theta]
    for index, other in enumerate(others, start=1):
        theta = read_weights(other, objective.layout, objective.dtype, f"models[{index}]")
        for before, row in enumerate(rows):
            if np.array_equal(row, theta):
                raise ValueError(
                    f"models[{index}] has the same weights as models[{before}], so there is "
                    "nothing between them; pass different models"
                )
        rows.append(theta)
    return np.stack(rows)

"""A recognised loss and its targets, as the core reads them.

Depends on the recognised heads.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape._export import Unsupported
from landscape._objective.heads import Head

__all__ = ["head_record", "target_array"]

_KINDS = {
    "cross-entropy": "cross_entropy",
    "NLL": "nll",
    "MSE": "mse",
    "L1": "l1",
    "Huber": "huber",
    "BCE with logits": "bce_with_logits",
}


def head_record(head: Head, sample: torch.Size) -> str:
    """The loss as JSON.

    Args:
        head: The loss.
        sample: The shape of one sample's targets.

    Raises:
        Unsupported: The loss, or a weight that differs from sample to sample.
    """
    if head.name not in _KINDS:
        raise Unsupported(head.name, "the native engine does not know this loss")
    record: dict[str, Any] = {"kind": _KINDS[head.name]}
    for name, value in head.options.items():
        if not isinstance(value, Tensor):
            record[name] = value
        elif head.name == "BCE with logits":
            record[name] = _spread(value, sample, f"{head.name}'s {name}").tolist()
        else:
            record[name] = value.double().reshape(-1).tolist()
    return json.dumps(record, allow_nan=False)


def target_array(targets: Tensor) -> NDArray[Any]:
    """Targets as rows, one a sample: int64 classes, or float64 numbers."""
    kind = torch.float64 if targets.is_floating_point() else torch.int64
    rows: NDArray[Any] = targets.detach().to("cpu", kind).reshape(len(targets), -1).numpy()
    return np.ascontiguousarray(rows)


def _spread(weight: Tensor, sample: torch.Size, what: str) -> Tensor:
    """An element weight for each of a sample's outputs."""
    try:
        spread = torch.broadcast_to(weight.double().cpu(), (1, *sample))
    except RuntimeError:
        shape = tuple(weight.shape)
        raise Unsupported(what, f"its shape {shape} is not one weight for each output") from None
    if not all(map(math.isfinite, spread.reshape(-1).tolist())):
        raise Unsupported(what, "it is not finite")
    return spread.reshape(-1)

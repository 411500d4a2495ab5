"""What was found out about a model, for later Objectives of it: exports, checks, choices.

It is kept as long as the model lives, in a table of the process that holds neither the model nor
its data, and until the model's print is another one.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from landscape._export import LoweredModel, Unsupported
from landscape._objective.torch_backend.model_print import UnreadableModelError, print_model
from landscape._turns import undisturbed

__all__ = ["Findings", "find"]

_CAPACITY = 16  # of each kind: functions of one model


@dataclass(eq=False)
class Findings:
    """What is known of one model in one state."""

    exports: dict[Hashable, LoweredModel | Unsupported] = field(default_factory=dict)
    """Its graph, or why it has none, by the shape of a sample and the parameters that vary."""
    compared: dict[Hashable, bool] = field(default_factory=dict)
    """The functions whose native network agreed with PyTorch."""
    choices: dict[Hashable, Any] = field(default_factory=dict)
    """The engines that were chosen, by function and machine."""


_FINDINGS: dict[int, tuple[weakref.ref[nn.Module], Any, Findings]] = {}
"""By the ids of models that are alive: the model, its print, and what was found. Single steps on a
dictionary need no lock."""


def find(model: nn.Module) -> Findings:
    """What is known of a model as it is now, to be added to.

    Args:
        model: The module.
    """
    key = id(model)
    with undisturbed(model):
        try:
            current = print_model(model)
        except UnreadableModelError:
            return Findings()
    known = _FINDINGS.get(key)
    if known is not None and known[0]() is model and known[1] == current:
        for table in vars(known[2]).values():
            _drop_oldest(table)
        return known[2]
    reference = weakref.ref(model, lambda _: _FINDINGS.pop(key, None))
    _FINDINGS[key] = reference, current, Findings()
    return _FINDINGS[key][2]


def _drop_oldest(table: dict[Hashable, Any]) -> None:
    for key in list(table)[:-_CAPACITY]:
        table.pop(key, None)

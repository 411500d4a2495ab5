"""Steps, learning rates and optimisers: what searches for paths share.

Depends on the standard library alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

__all__ = ["Optimizer", "check_schedule", "cycles", "rule"]

Optimizer = Literal["adam", "sgd"]

_MOMENTUM = 0.9


def cycles(schedule: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """A schedule for the core."""
    return [(int(steps), float(rate)) for steps, rate in schedule]


def rule(optimizer: Optimizer) -> Literal["adam"] | float:
    """An optimiser for the core."""
    return "adam" if optimizer == "adam" else _MOMENTUM


def check_schedule(schedule: Sequence[tuple[int, float]], optimizer: str) -> None:
    """Refuse what is no schedule.

    Raises:
        ValueError: It is empty, or has cycles without steps or with a rate that is not positive.
    """
    if optimizer not in ("adam", "sgd"):
        raise ValueError(f"optimizer={optimizer!r}, expected 'adam' or 'sgd'")
    good = all(len(c) == 2 and c[0] >= 1 and math.isfinite(c[1]) and c[1] > 0 for c in schedule)
    if not schedule or not good:
        raise ValueError(
            f"schedule={schedule!r}, expected pairs (steps, learning rate), one a cycle"
        )

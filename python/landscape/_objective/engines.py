"""Which engine evaluates: what the user said, or whichever a short measurement finds faster.

Depends on the tuning of PyTorch's strategies and on the supply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from landscape._export import Unsupported
from landscape._objective.points import Plane, Rows
from landscape._objective.strategy import Strategy, chunk_of, timed
from landscape._objective.supply import Supply
from landscape._objective.tuning import measured_strategy, plain_strategy

__all__ = ["ENGINES", "Engine", "check_recorded"]

ENGINES = ("auto", "torch", "native")

_NATIVE = Strategy(kind="native")
_CLEARLY = 2.0  # so many times faster than the plain loop, no other strategy needs to be tried
_TRIAL_POINTS = 8
_PATIENCE = 2.0  # seconds that timing one engine may take


@dataclass(frozen=True)
class Engine:
    """A strategy, and why it is not the native one where it is not."""

    strategy: Strategy
    why: str = ""

    @property
    def name(self) -> str:
        """What the run record says: "native", or "torch" with the reason."""
        if self.strategy.kind == "native":
            return "native"
        return f"torch ({self.why})" if self.why else "torch"

    @classmethod
    def for_losses(cls, supply: Supply, theta: torch.Tensor, asked: str) -> Engine:
        """The engine for losses at many points.

        Args:
            supply: Both engines.
            theta: A point, shape (d,).
            asked: ``"auto"``, ``"torch"`` or ``"native"``.

        Raises:
            Unsupported: The native engine was asked for, and there is none.
        """
        if asked == "torch":
            return cls(measured_strategy(supply.evaluator, theta))
        try:
            native, seconds = _native_losses(supply, theta)
        except Unsupported as reason:
            if asked == "native":
                raise
            return cls(measured_strategy(supply.evaluator, theta), f"native: {reason}")
        native = replace(native, chunk=chunk_of(native, seconds))
        if asked == "native":
            return cls(native)
        rows = Rows(theta[None])
        plain = plain_strategy(supply.evaluator)
        by_torch = _seconds(lambda: supply.evaluator.sums(rows, plain), 1)
        if seconds * _CLEARLY < by_torch:
            return cls(native)
        rival = measured_strategy(supply.evaluator, theta)
        stack = Rows(theta.expand(rival.points, -1))
        by_torch = _seconds(lambda: supply.evaluator.sums(stack, rival), rival.points)
        return cls(native) if seconds < by_torch else cls(rival, "native is slower here")

    @classmethod
    def for_derivatives(cls, supply: Supply, theta: torch.Tensor, asked: str) -> Engine:
        """The engine for gradients and products at many points; see :meth:`for_losses`."""
        plain = cls(plain_strategy(supply.evaluator))
        if asked == "torch":
            return plain
        try:
            native = supply.native
        except Unsupported as reason:
            if asked == "native":
                raise
            return replace(plain, why=f"native: {reason}")
        policy, normalises = supply.evaluator.batch_norm, native.normalises
        if asked == "native" or (policy == "recalibrated" and normalises):
            return cls(_NATIVE)
        rows = Rows(theta[None])
        ours = _seconds(lambda: supply.gradients(rows, _NATIVE, 1.0), 1)
        theirs = _seconds(lambda: supply.gradients(rows, plain.strategy, 1.0), 1)
        return cls(_NATIVE) if ours < theirs else replace(plain, why="native is slower here")


def check_recorded(supply: Supply, strategy: Strategy, asked: str) -> None:
    """Refuse to go on with a strategy of another engine than the one that was asked for.

    Args:
        supply: Both engines.
        strategy: How a run was begun.
        asked: ``"auto"``, ``"torch"`` or ``"native"``.

    Raises:
        ValueError: Points before and after would come from two engines.
    """
    begun = "native" if strategy.kind == "native" else "torch"
    if asked not in ("auto", begun):
        raise ValueError(
            f"these points were begun with engine={begun!r} and engine={asked!r} was asked for, "
            f"whose last bits differ; pass {begun!r} or 'auto' to go on, or begin anew with "
            "another file"
        )
    if begun == "native":
        try:
            _ = supply.native
        except Unsupported as reason:
            raise ValueError(
                f"these points were begun with engine='native', which is no longer possible "
                f"({reason}); begin anew with another file"
            ) from reason


def _native_losses(supply: Supply, theta: torch.Tensor) -> tuple[Strategy, float]:
    """The native strategy and its seconds a point, on a small plane."""
    zero = torch.zeros_like(theta)
    coordinates = np.zeros((_TRIAL_POINTS, 1)).tolist()
    plane = Plane(theta, (zero,), coordinates)
    return _NATIVE, _seconds(lambda: supply.sums(plane, _NATIVE), _TRIAL_POINTS)


def _seconds(run: Callable[[], object], points: int) -> float:
    """Seconds a point, the least of a few runs."""
    return timed(run, _PATIENCE) / points

"""CriticalSearch: the way to a critical point."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results._flat import Flat
from landscape._results._values import frozen_array
from landscape._results.run import Run


@dataclass(frozen=True, eq=False, repr=False)
class CriticalSearch(Flat):
    """Where a search for a point without slope ended, and every step on the way.

    Args:
        theta: (d,) the point; `landscape.ParameterLayout.unflatten` makes a state dict of it.
        losses: (steps + 1,) L at the start and after every step.
        gradient_norms: (steps + 1,) norms of its gradient.
        lengths: (steps + 1,) lengths of the steps; that of the start is 0.
        method: "newton_mr" or "saddle_free".
        ending: "converged", "flat", "stalled", "max_steps" or "interrupted".
        tolerance: norm of the gradient of a critical point.
        products: Hessian products that it took.
        status: how it ended, as a sentence.
        run: how the numbers were made; its evaluations are points at which L was evaluated.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> found = landscape.find_critical_point(model, data, max_steps=3)
        >>> point = landscape.hessian(model, data, theta=found.theta).classify()
    """

    kind: ClassVar[str] = "critical_search"
    arrays: ClassVar[tuple[str, ...]] = ("theta", "losses", "gradient_norms", "lengths")

    theta: NDArray[Any]
    losses: NDArray[np.float64]
    gradient_norms: NDArray[np.float64]
    lengths: NDArray[np.float64]
    _: KW_ONLY
    method: str
    ending: str
    tolerance: float
    products: int
    status: str
    run: Run

    def __post_init__(self) -> None:
        theta = np.array(self.theta)
        theta.setflags(write=False)
        object.__setattr__(self, "theta", theta)
        count = np.size(self.losses)
        for name in ("losses", "gradient_norms", "lengths"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), name, (count,)))

    @property
    def steps(self) -> int:
        """How many steps were made."""
        return len(self.losses) - 1

    @property
    def converged(self) -> bool:
        """Whether the point is critical, and free of negative curvature where saddles are left."""
        return self.ending == "converged"

    def __repr__(self) -> str:
        first, last = self.gradient_norms[[0, -1]]
        losses = f"loss {self.losses[0]:.6g} to {self.losses[-1]:.6g}"
        norms = f"gradient norm {first:.3g} to {last:.3g}"
        lines = [f"CriticalSearch, {self.steps} steps: {losses}, {norms}"]
        lines += self._made(f"{self.products}, {self.run.evaluations} losses, {self.method}")
        return "\n".join(lines)

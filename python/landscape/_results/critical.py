"""CriticalPoint: whether a point is a minimum, a maximum or a saddle, and what that rests on."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results._flat import Flat
from landscape._results._values import frozen_array
from landscape._results.run import Run


@dataclass(frozen=True, eq=False, repr=False)
class CriticalPoint(Flat):
    r"""A point by the signs of its Hessian's eigenvalues.

    Args:
        index: (3,) the number of eigenvalues below -threshold, and the ends of its interval.
        near_zero: (3,) the number within the threshold of 0, and the ends of its interval.
        lowest: the smallest eigenvalue.
        highest: the largest.
        nature: "minimum", "maximum", "saddle", or "degenerate" (one sign, and zeros).
        loss: L at the point.
        gradient_norm: the norm of the gradient there.
        gradient_tolerance: the norm up to which a point counts as critical.
        threshold: the largest \|eigenvalue\| that counts as zero.
        level: probability of the intervals; they have no width where all eigenvalues are known.
        dim: d, the number of eigenvalues.
        method: "dense" (all eigenvalues) or "density" (estimated counts, both ends by Lanczos).
        products: multiplications by H that it took.
        status: whether the point is critical, as a sentence.
        values: (d,) all eigenvalues, descending, where they are known.
        run: how the numbers were made; its evaluations are products.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> point = landscape.hessian(model, data).classify()
        >>> bool(0 <= point.fraction_negative[0] <= 1)
        True
    """

    kind: ClassVar[str] = "critical_point"
    arrays: ClassVar[tuple[str, ...]] = ("index", "near_zero", "values")

    index: NDArray[np.float64]
    near_zero: NDArray[np.float64]
    _: KW_ONLY
    lowest: float
    highest: float
    nature: str
    loss: float
    gradient_norm: float
    gradient_tolerance: float
    threshold: float
    level: float
    dim: int
    method: str
    products: int
    status: str
    values: NDArray[Any] | None = None
    run: Run

    def __post_init__(self) -> None:
        for name in ("index", "near_zero"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), name, (3,)))
        if self.values is not None:
            values = frozen_array(self.values, "values", (self.dim,))
            object.__setattr__(self, "values", values)

    @property
    def critical(self) -> bool:
        """Whether the gradient's norm is within its tolerance."""
        return self.gradient_norm <= self.gradient_tolerance

    @property
    def fraction_negative(self) -> NDArray[np.float64]:
        """(3,) the share of negative eigenvalues, and the ends of its interval."""
        return self.index / self.dim

    def __repr__(self) -> str:
        name = self.nature.capitalize() + ("" if self.critical else " in curvature alone")
        ends = f"{self.lowest:.6g} .. {self.highest:.6g}"
        lines = [f"{name}, loss {self.loss:.6g}, eigenvalues {ends}"]
        for name, count in (("index", self.index), ("near zero", self.near_zero)):
            found = f"{count[0]:.6g} of {self.dim}"
            if count[1] < count[2]:
                found += f" ({count[1]:.4g} .. {count[2]:.4g} at {100 * self.level:g}%)"
            lines.append(f"{name:<10}{found}")
        lines += self._made(f"{self.products}, {self.method}")
        return "\n".join(lines)

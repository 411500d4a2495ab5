"""GradientEnergy: how much of the gradient lies along the directions of largest curvature."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results._flat import Flat
from landscape._results._values import frozen_array
from landscape._results.run import Run

_SHOWN = 12


@dataclass(frozen=True, eq=False, repr=False)
class GradientEnergy(Flat):
    r"""Shares of the squared gradient norm in the spaces of the top eigenvectors.

    .. math:: s_j = \sum_{i \le j} (v_i^T g)^2 / \lVert g \rVert^2, \quad j = 1, \dots, k

    Args:
        shares: (k,) the s_j, ascending; a random direction would have j/d.
        bounds: (k,) on the errors of the shares: what the eigenvectors' residuals allow.
        values: (k,) the eigenvalues, descending.
        gradient_norm: the norm of g.
        dim: d, the number of parameters.
        products: multiplications by H that it took.
        status: how the run ended, as a sentence.
        run: how the numbers were made; its evaluations are products.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> energy = landscape.hessian(model, data).gradient_energy(k=2)
        >>> energy.shares.shape, bool(energy.shares[1] <= 1)
        ((2,), True)
    """

    kind: ClassVar[str] = "gradient_energy"
    arrays: ClassVar[tuple[str, ...]] = ("shares", "bounds", "values")

    shares: NDArray[np.float64]
    bounds: NDArray[np.float64]
    values: NDArray[np.float64]
    _: KW_ONLY
    gradient_norm: float
    dim: int
    products: int
    status: str
    run: Run

    def __post_init__(self) -> None:
        count = np.size(self.values)
        for name in self.arrays:
            object.__setattr__(self, name, frozen_array(getattr(self, name), name, (count,)))

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        lines = [
            f"GradientEnergy in the top {len(self)} of {self.dim}, norm {self.gradient_norm:.4g}"
        ]
        rows = zip(self.values, self.shares, self.bounds, strict=True)
        for index, (value, share, bound) in enumerate(rows):
            if index == _SHOWN:
                lines.append(f"  ... and {len(self) - _SHOWN} more")
                break
            lines.append(
                f"  top {index + 1:<4} {100 * share:6.2f}% +- {100 * bound:.2g}%"
                f"   eigenvalue {value:.6g}"
            )
        lines += self._made(str(self.products))
        return "\n".join(lines)

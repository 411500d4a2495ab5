"""How much of the gradient lies in the space of the top eigenvectors.

Depends on eigenvalues that were found, and on the results.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landscape._results import GradientEnergy, Spectrum

__all__ = ["gradient_energy"]


def gradient_energy(spectrum: Spectrum, gradient: NDArray[Any], k: int) -> GradientEnergy:
    """Shares of the gradient in the spaces of the first eigenvectors, each with its bound.

    The angle to the true space is at most that between residuals and the gap below it (Davis and
    Kahan 1970), and a share changes by at most its sine.

    Args:
        spectrum: The k + 1 largest eigenvalues, or all d, with their eigenvectors.
        gradient: Shape (d,).
        k: How many shares.

    Raises:
        ValueError: The gradient is zero, or has entries that are not finite.
    """
    slope = gradient.astype(np.float64)
    norm = float(np.linalg.norm(slope))
    if not np.isfinite(norm) or norm == 0:
        raise ValueError(
            f"the gradient's norm is {norm}, so no share of it lies anywhere; expected a point "
            "that is not exactly critical"
        )
    if len(spectrum) < min(k + 1, len(slope)):
        raise ValueError(
            f"{len(spectrum)} of the {min(k + 1, len(slope))} pairs that {k} shares need were "
            f"found ({spectrum.status}); raise max_products, or lower k"
        )
    along = np.asarray(spectrum.vectors, np.float64)[:k] @ (slope / norm)
    return GradientEnergy(
        np.minimum(np.cumsum(along**2), 1.0),
        _bounds(spectrum, k, len(slope)),
        spectrum.values[:k],
        gradient_norm=norm,
        dim=len(slope),
        products=spectrum.products,
        status=spectrum.status,
        run=spectrum.run,
    )


def _bounds(spectrum: Spectrum, k: int, dim: int) -> NDArray[np.float64]:
    values, residuals = spectrum.values, spectrum.residuals
    bounds = np.ones(k)
    for j in range(1, k + 1):
        if j == dim:
            bounds[j - 1] = 0.0
        elif j < len(values):
            gap = values[j - 1] - (values[j] + residuals[j])
            reach = float(np.linalg.norm(residuals[:j]))
            bounds[j - 1] = min(1.0, reach / gap) if gap > 0 else 1.0
    return bounds

"""The share of the gradient in the space of the top eigenvectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._results import GradientEnergy, Spectrum

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["compute_gradient_energy"]


def compute_gradient_energy(spectrum: Spectrum, gradient: NDArray[Any], k: int) -> GradientEnergy:
    """Shares of the gradient in the spaces of the first eigenvectors, each with its bound.

    The angle to the true space is at most the ratio of residuals to the gap below it (Davis and
    Kahan 1970), and a share changes by at most its sine.

    Args:
        spectrum: The k + 1 largest eigenvalues, or all d, with their eigenvectors.
        gradient: Shape (d,).
        k: The number of shares.

    Raises:
        ValueError: The gradient is zero, or has entries that are not finite.
    """
    vector = gradient.astype(np.float64)
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or norm == 0:
        raise ValueError(
            f"the gradient's norm is {norm}, so no share of it lies anywhere; expected a point "
            "that is not exactly critical"
        )
    if len(spectrum) < min(k + 1, len(vector)):
        raise ValueError(
            f"{len(spectrum)} of the {min(k + 1, len(vector))} pairs that {k} shares need were "
            f"found ({spectrum.status}); raise max_products, or lower k"
        )
    components = np.asarray(spectrum.vectors, np.float64)[:k] @ (vector / norm)
    return GradientEnergy(
        np.minimum(np.cumsum(components**2), 1.0),
        _bound_errors(spectrum, k, len(vector)),
        spectrum.values[:k],
        gradient_norm=norm,
        dim=len(vector),
        products=spectrum.products,
        status=spectrum.status,
        run=spectrum.run,
    )


def _bound_errors(spectrum: Spectrum, k: int, dim: int) -> NDArray[np.float64]:
    values, residuals = spectrum.values, spectrum.residuals
    bounds = np.ones(k)
    for j in range(1, k + 1):
        if j == dim:
            bounds[j - 1] = 0.0
        elif j < len(values):
            gap = values[j - 1] - (values[j] + residuals[j])
            residual = float(np.linalg.norm(residuals[:j]))
            bounds[j - 1] = min(1.0, residual / gap) if gap > 0 else 1.0
    return bounds

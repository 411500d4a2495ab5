"""The largest singular value of a linear map that is known by its products."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["compute_matrix_norm", "compute_spectral_norm"]

_DENSE = 256  # the shorter side of matrices that are decomposed as a whole
_STEPS = 300

Product = Callable[["NDArray[Any]"], "NDArray[Any]"]


def compute_spectral_norm(
    apply: Product, apply_transposed: Product, size: int, *, tolerance: float = 1e-10
) -> float:
    r"""The largest singular value of A, by Lanczos on A'A with full reorthogonalisation.

    The result is :math:`\sqrt{\theta + r}`, with the Ritz value and its residual, within which
    there is an eigenvalue: at convergence the residual is below the tolerance, and otherwise the
    result errs upwards, as bounds need it.

    Args:
        apply: x to A x, of a vector of shape (size,).
        apply_transposed: y to A'y.
        size: The number of columns.
        tolerance: Of the residual, relative to the Ritz value.
    """
    vector = np.random.default_rng(0).standard_normal(size)
    basis = [vector / np.linalg.norm(vector)]
    diagonal: list[float] = []
    off: list[float] = []
    steps = min(size, _STEPS)
    theta = residual = 0.0
    for step in range(1, steps + 1):
        image = apply_transposed(apply(basis[-1]))
        diagonal.append(float(image @ basis[-1]))
        known = np.stack(basis)
        for _ in range(2):
            image = image - known.T @ (known @ image)
        beta = float(np.linalg.norm(image))
        if step % 5 == 0 or step == steps or beta <= tolerance * max(diagonal):
            matrix = np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1)
            values, vectors = np.linalg.eigh(matrix)
            theta, residual = max(0.0, float(values[-1])), beta * abs(float(vectors[-1, -1]))
            if residual <= tolerance * theta:
                break
        if beta == 0:
            break
        off.append(beta)
        basis.append(image / beta)
    residual = 0.0 if len(basis) == size and step == size else residual
    return float(np.sqrt(theta + residual))


def compute_matrix_norm(matrix: NDArray[Any]) -> float:
    """The spectral norm of a matrix of two axes, in float64."""
    dense = matrix.astype(np.float64)
    if min(dense.shape) <= _DENSE:
        return float(np.linalg.norm(dense, 2))
    return compute_spectral_norm(lambda x: dense @ x, lambda y: dense.T @ y, dense.shape[1])

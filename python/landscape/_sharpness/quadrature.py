"""Bounds of z / (lambda + z) under a spectral measure, from its Lanczos quadrature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["bound_resolvents", "rebuild_jacobi"]

_NEGLIGIBLE = 1e-12  # of the largest node: below it a Krylov space has ended


def rebuild_jacobi(
    nodes: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The tridiagonal matrix whose eigenvalues are the nodes, by Lanczos on the quadrature itself.

    Returns:
        Its diagonal, shape (m,), and the entries beside it, shape (m - 1,).
    """
    scale = float(np.abs(nodes).max()) or 1.0
    basis = [np.sqrt(weights / weights.sum())]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        vector = nodes * basis[-1]
        diagonal.append(float(vector @ basis[-1]))
        rows = np.array(basis)
        for _ in range(2):
            vector = vector - rows.T @ (rows @ vector)
        norm = float(np.linalg.norm(vector))
        if len(basis) == len(nodes) or norm <= _NEGLIGIBLE * scale:
            return np.array(diagonal), np.array(beside)
        beside.append(norm)
        basis.append(vector / norm)


def bound_resolvents(
    nodes: NDArray[np.float64], weights: NDArray[np.float64], shift: float, smallest: float
) -> tuple[float, float]:
    r"""Lower and upper bound of the integral of z / (lambda + z) over the spectral measure.

    The function's derivatives alternate in sign right of -z, so that the quadrature of Gauss is
    below the integral, and that of Gauss-Radau with a node left of all eigenvalues above.

    Args:
        nodes: Of the quadrature of Gauss.
        weights: Of the nodes, with sum 1.
        shift: z.
        smallest: No eigenvalue is below it; above -z.

    Reference:
        Golub and Meurant (2010), "Matrices, Moments and Quadrature", theorems 6.3 and 6.4, and
        section 6.2.1 for the matrix of Gauss-Radau.
    """
    end = min(smallest, float(nodes.min()))
    if end <= -shift:
        raise FloatingPointError(
            f"a quadrature has a node at {end:.3g}, not above -{shift:.3g}: rounding is larger "
            "than the shift; compute in float64, or raise prior_precision"
        )
    gauss = float(weights @ (shift / (nodes + shift)))
    diagonal, beside = rebuild_jacobi(nodes, weights)
    if len(diagonal) == 1:
        return gauss, shift / (end + shift)
    inner = np.diag(diagonal[:-1]) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    last = np.zeros(len(inner))
    last[-1] = beside[-1] ** 2
    try:
        correction = np.linalg.solve(inner - end * np.eye(len(inner)), last)[-1]
    except np.linalg.LinAlgError:  # the end is a node already
        return gauss, gauss
    matrix = np.zeros((len(diagonal), len(diagonal)))
    matrix[:-1, :-1] = inner
    matrix[-1, -2] = matrix[-2, -1] = beside[-1]
    matrix[-1, -1] = end + correction
    values, vectors = np.linalg.eigh(matrix)
    radau = float(vectors[0] ** 2 @ (shift / (np.maximum(values, end) + shift)))
    return gauss, max(gauss, radau)

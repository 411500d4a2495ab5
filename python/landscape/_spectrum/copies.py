"""Copies of an eigenvalue that one Krylov space cannot see: one run more, orthogonal to the first.

Depends on the core's Lanczos and on the iteration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._iteration import Iteration
    from landscape._spectrum.eigenvalues import Request
    from landscape._spectrum.matrix import Matrix

__all__ = ["Pairs", "with_copies"]


@dataclass(frozen=True)
class Pairs:
    """Eigenpairs as the core gives them."""

    values: NDArray[np.float64]
    residuals: NDArray[np.float64]
    bounds: NDArray[np.float64]
    vectors: NDArray[Any]

    def joined(self, others: Pairs) -> Pairs:
        """Both families, one after the other."""
        return Pairs(
            np.concatenate([self.values, others.values]),
            np.concatenate([self.residuals, others.residuals]),
            np.concatenate([self.bounds, others.bounds]),
            np.concatenate([self.vectors, others.vectors]),
        )

    def taken(self, order: NDArray[np.intp]) -> Pairs:
        """Some of them, in this order."""
        return Pairs(
            self.values[order], self.residuals[order], self.bounds[order], self.vectors[order]
        )


def with_copies(
    matrix: Matrix, request: Request, iteration: Iteration, pairs: Pairs, status: str
) -> tuple[Pairs, str]:
    """Look once more from a new random start, orthogonal to the pairs that are known.

    Args:
        matrix: The matrix.
        request: What was asked for.
        iteration: How products are made and shown.
        pairs: What was found.
        status: How the first run ended.

    Returns:
        The pairs with what was missing among them, and a sentence about it.
    """
    left = matrix.dim - len(pairs.values)
    if iteration.interrupted or status not in ("converged", "exhausted"):
        return pairs, "skipped: the pairs themselves did not converge"
    if left == 0 or status == "exhausted":
        return pairs, "skipped: the basis spans the whole space"
    solver = _core.Lanczos(
        matrix.dim,
        matrix.storage,
        count=min(request.k, left),
        which=request.which,
        tolerance=request.tolerance,
        basis=min(request.rows(matrix.dim), left),
        max_products=request.limit(matrix.dim),
        seed=request.seed + 1,
        deflate=list(pairs.vectors),
    )
    iteration.execute(solver, _nothing)
    if iteration.interrupted:
        return pairs, "skipped: interrupted"
    more = _measured(matrix, iteration, solver.values(), solver.vectors())
    everything = pairs.joined(more)
    order = best(everything.values, request.which, request.k, matrix.dim)
    missing = int((order >= len(pairs.values)).sum())
    found = f"{missing} missing pairs found" if missing else "no missing pair"
    ended = "" if solver.status != "max_products" else ", which did not converge"
    products = solver.products + len(more.values)
    sentence = f"checked by {products} further products{ended}: {found}"
    return everything.taken(order), sentence


def _measured(
    matrix: Matrix, iteration: Iteration, values: NDArray[np.float64], vectors: NDArray[Any]
) -> Pairs:
    """Pairs with their residuals in the whole space, of which the search saw a part only."""
    images = matrix.operator(iteration.strategy)(vectors)
    off = images.astype(np.float64) - values[:, None] * vectors
    residuals = np.linalg.norm(off, axis=1)
    return Pairs(values, residuals, residuals, vectors)


def best(values: NDArray[np.float64], which: str, k: int, dim: int) -> NDArray[np.intp]:
    """The places of the wanted values, in the order of a result."""
    if which == "magnitude":
        return np.argsort(-np.abs(values), kind="stable")[:k]
    ascending = np.argsort(values, kind="stable")
    if which == "smallest":
        return ascending[:k]
    descending = ascending[::-1]
    if which == "largest" or 2 * k >= dim:
        return descending[: k if which == "largest" else dim]
    return np.concatenate([descending[:k], descending[-k:]])


def _nothing(*_: Any) -> Mapping[str, float]:
    return {}

"""Losses of a simplicial complex: at its vertices, and at uniform points of each simplex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landscape._progress import reporter
from landscape._results import sample_simplex

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from landscape._objective import Objective, Strategy
    from landscape._progress import Choice

__all__ = ["ComplexLosses", "evaluate_complex"]

_CHUNK = 16  # points between two updates of the progress bar


@dataclass(frozen=True)
class ComplexLosses:
    """Losses of one data set."""

    vertex_losses: NDArray[np.float64]
    """Shape (vertices,)."""
    losses: NDArray[np.float64]
    """Shape (simplices, points)."""
    errors: NDArray[np.float64] | None
    """Standard errors of these, where the samples are a random subset."""


def evaluate_complex(
    functions: Sequence[Objective],
    strategy: Strategy,
    *,
    vertices: NDArray[Any],
    simplices: Sequence[Sequence[int]],
    points: int,
    seed: int,
    progress: Choice,
) -> list[ComplexLosses]:
    """Evaluate a complex, once for each function, on the same points.

    Args:
        functions: L of the training data, and of the test data where there are any.
        strategy: How points are evaluated.
        vertices: Shape (vertices, d).
        simplices: Rows of vertices.
        points: The number of points in each simplex.
        seed: Of the points.
        progress: How progress is shown.
    """
    total = len(functions) * (len(vertices) + len(simplices) * points)
    results = []
    with reporter(progress, total, "simplex samples") as bar:
        done = 0

        def evaluate(
            function: Objective, corners: Sequence[int], weights: NDArray[np.float64]
        ) -> NDArray[np.float64]:
            nonlocal done
            rows = []
            first, *others = (vertices[corner] for corner in corners)
            basis = [other - first for other in others]
            subspace = function.subspace(first, basis, strategy=strategy)
            for start in range(0, len(weights), _CHUNK):
                rows.append(subspace.evaluate(weights[start : start + _CHUNK, 1:]))
                done += len(rows[-1])
                bar.update(done, smallest=float(np.nanmin(rows[-1][:, 0], initial=np.inf)))
            return np.concatenate(rows)

        for function in functions:
            at_vertices = evaluate(function, range(len(vertices)), np.eye(len(vertices)))
            inside = np.stack(
                [
                    evaluate(function, corners, sample_simplex(len(corners), points, seed, index))
                    for index, corners in enumerate(simplices)
                ]
            )
            errors = inside[:, :, -1] if function.is_random_subset else None
            results.append(ComplexLosses(at_vertices[:, 0], inside[:, :, 0], errors))
    return results

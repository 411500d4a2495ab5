"""Losses in the simplices of a complex: at its vertices, and at points that are uniform in them.

Depends on the Objective and the results.
"""

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

__all__ = ["Evaluated", "evaluated"]

_CHUNK = 16  # points between two looks at the progress


@dataclass(frozen=True)
class Evaluated:
    """What one set of data says."""

    vertex_losses: NDArray[np.float64]
    """Shape (vertices,)."""
    losses: NDArray[np.float64]
    """Shape (simplices, points)."""
    errors: NDArray[np.float64] | None
    """Of the drawn samples at each of these, where they are a random subset."""


def evaluated(
    functions: Sequence[Objective],
    strategy: Strategy,
    *,
    vertices: NDArray[Any],
    simplices: Sequence[Sequence[int]],
    points: int,
    seed: int,
    progress: Choice,
) -> list[Evaluated]:
    """Evaluate a complex, once for each function, on the same points.

    Args:
        functions: L of the training data, and of the test data where there are any.
        strategy: How points are evaluated.
        vertices: Shape (vertices, d).
        simplices: Rows of vertices.
        points: So many in each simplex.
        seed: Of the points.
        progress: How it is shown.
    """
    total = len(functions) * (len(vertices) + len(simplices) * points)
    found = []
    with reporter(progress, total, "simplex samples") as bar:
        done = 0

        def sums(
            function: Objective, corners: Sequence[int], weights: NDArray[np.float64]
        ) -> NDArray[np.float64]:
            nonlocal done
            rows = []
            first, *others = (vertices[corner] for corner in corners)
            room = function.subspace(first, [other - first for other in others], strategy=strategy)
            for start in range(0, len(weights), _CHUNK):
                rows.append(room.evaluate(weights[start : start + _CHUNK, 1:]))
                done += len(rows[-1])
                bar.update(done, smallest=float(np.nanmin(rows[-1][:, 0], initial=np.inf)))
            return np.concatenate(rows)

        for function in functions:
            everything = range(len(vertices))
            at_vertices = sums(function, everything, np.eye(len(vertices)))
            inside = np.stack(
                [
                    sums(function, corners, sample_simplex(len(corners), points, seed, place))
                    for place, corners in enumerate(simplices)
                ]
            )
            errors = inside[:, :, -1] if function.is_random_subset else None
            found.append(Evaluated(at_vertices[:, 0], inside[:, :, 0], errors))
    return found

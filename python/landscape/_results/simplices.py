"""SimplicialComplex: simplices of low loss through minima, with their losses and volumes."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape import _core, _map
from landscape._results.base import Result
from landscape._results.frozen import freeze_array, freeze_vectors
from landscape._results.provenance import Run

__all__ = ["SimplicialComplex", "sample_simplex"]

_POINT_STREAM = 1 << 44  # of the first simplex: beyond all streams of a search
_CHOICE_STREAM = _POINT_STREAM - 1  # which simplex each point of the complex lies in


def sample_simplex(corners: int, count: int, seed: int, index: int) -> NDArray[np.float64]:
    """Barycentric weights of uniform points in one simplex of a complex, shape (count, corners)."""
    return _core.simplex_weights(corners, count, seed=seed, stream=_POINT_STREAM + index)


@dataclass(frozen=True, eq=False, repr=False)
class SimplicialComplex(Result):
    """Low-loss simplices, each spanned by one minimum and the shared connecting points.

    Args:
        vertices: (v, d) the minima, then the connecting points.
        losses: (s, n) L at n random points of each simplex: those of
            `sample(n, run.seed, simplex=i)`.
        vertex_losses: (v,) L at the vertices.
        log_volumes: (s,) logarithms of the simplices' volumes, in units of length to the number of
            connecting points; -inf where there is none.
        test_losses: (s, n) losses of test data at the same points, or None.
        test_vertex_losses: (v,) losses of test data at the vertices, or None.
        standard_errors: (s, n) of the losses, where the samples are a random subset, else None.
        simplices: the vertices of every simplex, the minimum first.
        status: how the search ended, as a sentence.
        run: how the numbers were computed; its evaluations are passes over the data.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> complex = landscape.simplex([model, other], data, cycles=[(5, 0.01)], points=10)
        >>> weights = complex.sample(3, seed=1)
        >>> weights.shape, complex.theta_at(weights[0]).shape
        ((3, 4), (15,))
    """

    kind: ClassVar[str] = "simplicial_complex"
    arrays: ClassVar[tuple[str, ...]] = (
        "vertices",
        "losses",
        "vertex_losses",
        "log_volumes",
        "test_losses",
        "test_vertex_losses",
        "standard_errors",
    )

    vertices: NDArray[Any]
    losses: NDArray[np.float64]
    vertex_losses: NDArray[np.float64]
    log_volumes: NDArray[np.float64]
    test_losses: NDArray[np.float64] | None = None
    test_vertex_losses: NDArray[np.float64] | None = None
    standard_errors: NDArray[np.float64] | None = None
    _: KW_ONLY
    simplices: tuple[tuple[int, ...], ...]
    status: str
    run: Run

    def __post_init__(self) -> None:
        vertices = freeze_vectors(self.vertices)
        if vertices.ndim != 2:
            raise ValueError(f"vertices has shape {vertices.shape}; expected (v, d)")
        object.__setattr__(self, "vertices", vertices)
        simplices = tuple(tuple(int(vertex) for vertex in row) for row in self.simplices)
        object.__setattr__(self, "simplices", simplices)
        count, points = len(simplices), np.shape(self.losses)[-1]
        shapes = {
            "losses": (count, points),
            "vertex_losses": (len(vertices),),
            "log_volumes": (count,),
            "test_losses": (count, points),
            "test_vertex_losses": (len(vertices),),
            "standard_errors": (count, points),
        }
        for name, shape in shapes.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, freeze_array(getattr(self, name), name, shape))

    @property
    def dimension(self) -> int:
        """The dimension of the simplices: the number of connecting points."""
        return len(self.simplices[0]) - 1

    @property
    def means(self) -> NDArray[np.float64]:
        """(s,) the mean loss over each simplex, estimated from its points."""
        means: NDArray[np.float64] = self.losses.mean(axis=1)
        return means

    @property
    def mean_errors(self) -> NDArray[np.float64]:
        """(s,) standard errors of `means`, from the spread of the points."""
        deviations = self.losses.std(axis=1, ddof=1)
        errors: NDArray[np.float64] = deviations / np.sqrt(self.losses.shape[1])
        return errors

    @property
    def highest(self) -> NDArray[np.float64]:
        """(s,) the highest loss of the sampled points; that of the whole simplex may be higher."""
        highest: NDArray[np.float64] = self.losses.max(axis=1)
        return highest

    @property
    def volumes(self) -> NDArray[np.float64]:
        """(s,) volumes; 0 or infinite where they leave the range of float64."""
        with np.errstate(over="ignore", under="ignore"):
            volumes: NDArray[np.float64] = np.exp(self.log_volumes)
        return volumes

    @property
    def log_volume(self) -> float:
        """The logarithm of the sum of volumes."""
        return float(np.logaddexp.reduce(self.log_volumes))

    @property
    def volume(self) -> float:
        """The sum of volumes; 0 or infinite where it leaves the range of float64."""
        return float(self.volumes.sum())

    def sample(self, count: int, seed: int = 0, simplex: int | None = None) -> NDArray[np.float64]:
        """Weights of uniform points in the complex, or in one of its simplices.

        Args:
            count: How many.
            seed: Of the points.
            simplex: Which one; None draws one for each point, in proportion to the volumes.

        Returns:
            One weight for each vertex, shape (count, v): none below 0, and the sum of a row is 1.

        Raises:
            ValueError: There is no such simplex, or no volume at all.
        """
        total = len(self.simplices)
        if simplex is not None and not 0 <= simplex < total:
            raise ValueError(f"simplex={simplex}, expected None or an index from 0 to {total - 1}")
        if simplex is None and not np.isfinite(self.log_volume):
            raise ValueError(
                "the complex has no volume, so none of its simplices can be drawn by it; pass "
                "simplex= an index"
            )
        if simplex is None:
            # the first of two barycentric weights is uniform on [0, 1]
            uniform = _core.simplex_weights(2, count, seed=seed, stream=_CHOICE_STREAM)[:, 0]
            shares = np.cumsum(np.exp(self.log_volumes - self.log_volume))
            chosen = np.minimum(np.searchsorted(shares, uniform, side="right"), total - 1)
        else:
            chosen = np.full(count, simplex)
        weights = np.zeros((count, len(self.vertices)))
        for index, corners in enumerate(self.simplices):
            rows = np.flatnonzero(chosen == index)
            drawn = sample_simplex(len(corners), count, seed, index)
            weights[rows[:, None], list(corners)] = drawn[rows]
        return weights

    def theta_at(self, weights: NDArray[np.float64]) -> NDArray[Any]:
        """The parameters at a point, shape (d,), by one weight for each vertex, shape (v,)."""
        _map.require_whole(self.vertices, "vertices")
        return _core.combine(list(self.vertices), np.asarray(weights, np.float64))

    def __repr__(self) -> str:
        modes, points = self.losses.shape
        between = f"{self.dimension} connecting point{'' if self.dimension == 1 else 's'}"
        minima = "1 minimum" if modes == 1 else f"{modes} minima"
        lines = [
            self._title(f"SimplicialComplex of dimension {self.dimension}: {minima}, {between}")
        ]
        for index, corners in enumerate(self.simplices):
            loss, volume = self.vertex_losses[corners[0]], self.log_volumes[index]
            lines.append(
                f"  minimum {corners[0]}: loss {loss:.6g}, log volume of its simplex {volume:.5g}"
            )
            mean, error, top = self.means[index], self.mean_errors[index], self.highest[index]
            lines.append(
                f"    {mean:.6g} +- {error:.2g} in the mean, highest of {points} points {top:.6g}"
            )
            if self.test_losses is not None:
                test = self.test_losses[index]
                lines.append(f"    test {test.mean():.6g} in the mean, highest {test.max():.6g}")
        lines += [
            f"  connecting point {vertex}: loss {self.vertex_losses[vertex]:.6g}"
            for vertex in range(modes, len(self.vertices))
        ]
        lines.append(f"volume    {self.volume:.5g}, its logarithm {self.log_volume:.5g}")
        return "\n".join([*lines, *self._describe_run(str(self.run.evaluations), "passes")])

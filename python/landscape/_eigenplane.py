"""Eigenvectors of the Hessian as the directions of a surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._directions import AXIS_NAMES, Axes, make_recipe
from landscape._results import Spectrum
from landscape._spectrum import Hessian, Which

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._parameters import ParameterLayout

__all__ = ["EigenDirections", "eigenplane"]


def eigenplane(
    first: int = 1, second: int = 2, *, spectrum: Spectrum | None = None, tolerance: float = 1e-3
) -> EigenDirections:
    r"""The plane of two eigenvectors of the Hessian at the model, for :func:`landscape.surface`.

    .. math:: L(\theta + \alpha v_i + \beta v_j) \approx L(\theta) + \alpha g^T v_i + \beta g^T v_j
        + \tfrac{1}{2} (\lambda_i \alpha^2 + \lambda_j \beta^2)

    Args:
        first: Which eigenvector: 1 is that of the largest eigenvalue, 2 of the next, -1 of the
            smallest, -2 of the next from below.
        second: Which one spans the other axis.
        spectrum: Eigenvalues with their vectors, computed before at the same point; computed when
            None. That the point is the same is not checked.
        tolerance: Of the residuals of computed eigenvectors, relative to the largest
            \|eigenvalue\|.

    Returns:
        Directions; a unit step is 1 in parameter space.

    Raises:
        ValueError: The two are the same, one of them is 0, or the spectrum does not contain them.

    Reference:
        Yao, Gholami, Keutzer and Mahoney, "PyHessian: Neural Networks Through the Lens of the
        Hessian" (2020), figure 1.

    Example:
        >>> steepest_and_lowest = landscape.eigenplane(1, -1)
        >>> landscape.surface(model, data, directions=steepest_and_lowest, points=5).recipe.kind
        'eigen'
    """
    if first == second:
        raise ValueError(f"first={first} and second={second} are one eigenvector, expected two")
    return EigenDirections((first, second), spectrum, tolerance)


@dataclass(frozen=True, eq=False)
class EigenDirections:
    """One or two eigenvectors, by their rank from above (positive) or from below (negative)."""

    ranks: Sequence[int]
    spectrum: Spectrum | None = None
    tolerance: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not all(isinstance(rank, int) and rank != 0 for rank in self.ranks):
            raise ValueError(
                f"eigenvectors {tuple(self.ranks)}, expected numbers from 1 (the largest "
                "eigenvalue) up, or from -1 (the smallest) down"
            )

    def compute(self, objective: Objective, progress: Any) -> EigenAxes:
        """Compute the eigenvectors at the model's own parameters.

        Raises:
            ValueError: There are fewer parameters, or the spectrum does not contain them.
        """
        spectrum = self.spectrum
        if spectrum is None:
            above = max([rank for rank in self.ranks if rank > 0], default=0)
            below = max([-rank for rank in self.ranks if rank < 0], default=0)
            which: Which = "both" if above and below else "largest" if above else "smallest"
            spectrum = Hessian(objective).eigenvalues(
                max(above, below),
                which,
                self.tolerance,
                True,
                seed=self.seed,
                progress=progress,
            )
        if spectrum.vectors is None or spectrum.vectors.shape[1] != objective.dim:
            shape = None if spectrum.vectors is None else spectrum.vectors.shape
            raise ValueError(
                f"the spectrum's vectors have shape {shape}, expected (n, {objective.dim}); "
                "compute it with vectors=True, for the same parameters"
            )
        rows = [_find_row(spectrum, rank) for rank in self.ranks]
        if len(set(rows)) < len(rows):
            raise ValueError(
                f"eigenvectors {' and '.join(map(str, self.ranks))} are one of the "
                f"{objective.dim} that there are, expected two"
            )
        return EigenAxes(
            tuple(_fix_sign(spectrum.vectors[row]) for row in rows),
            tuple(float(spectrum.values[row]) for row in rows),
            tuple(float(spectrum.errors[row]) for row in rows),
        )


@dataclass(frozen=True, eq=False)
class EigenAxes:
    """Eigenvectors at a point, as the basis of axes."""

    vectors: tuple[NDArray[Any], ...]
    values: tuple[float, ...]
    errors: tuple[float, ...]

    def axes(self, theta: NDArray[Any], layout: ParameterLayout) -> Axes:  # noqa: ARG002
        """The axes, with the eigenvalues in their labels."""
        basis = tuple(vector.astype(theta.dtype) for vector in self.vectors)
        labels = [
            f"{name} (eigenvalue {value:.4g} +- {error:.1g}; 1 = 1 in parameter space)"
            for name, value, error in zip(AXIS_NAMES, self.values, self.errors, strict=False)
        ]
        recipe = make_recipe("eigen", theta, basis, labels)
        return Axes(theta, basis, recipe, ((-1.0, 1.0),) * len(basis))


def _find_row(spectrum: Spectrum, rank: int) -> int:
    """The row of an eigenvector in a spectrum."""
    order = np.argsort(-spectrum.values, kind="stable")
    ends = {"largest": (True, False), "smallest": (False, True), "both": (True, True)}
    above, below = ends.get(spectrum.which, (False, False))
    is_complete = spectrum.vectors is not None and len(order) == spectrum.vectors.shape[1]
    above, below = above or is_complete, below or is_complete
    reachable = len(order) // 2 if above and below and not is_complete else len(order)
    if not (above if rank > 0 else below) or abs(rank) > reachable:
        raise ValueError(
            f"the spectrum of {len(order)} eigenvalues, {spectrum.which!r}, does not hold "
            f"eigenvector {rank}; compute it with a larger k, or which='both'"
        )
    return int(order[rank - 1] if rank > 0 else order[rank])


def _fix_sign(vector: NDArray[Any]) -> NDArray[Any]:
    """The vector with its largest entry positive, since the sign of an eigenvector is arbitrary."""
    return vector if vector[np.abs(vector).argmax()] > 0 else -vector

"""SurfaceGeometry: roughness, convexity and curvature of a surface as it is drawn."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from landscape import _core
from landscape._results.base import Result
from landscape._results.frozen import finite_range, freeze_array
from landscape._results.provenance import Recipe, Run


@dataclass(frozen=True, eq=False, repr=False)
class SurfaceGeometry(Result):
    r"""The shape of a surface in numbers; `surface.geometry()` computes it.

    - **Variation and roughness.** Along a grid line the normalised total variation is
      :math:`T = \sum_i |L_{i+1} - L_i| / (\max L - \min L)`: 1 where the loss is monotone, at most
      2 with one minimum inside, up to 2 more for each further extremum. The roughness index is the
      standard deviation of T over its mean.
    - **Convexity.** A chord joins two grid points with grid points between; the surface is convex
      along it where none of these lies above it, :math:`L(m) \le (1 - t) L(p) + t L(q)`.
    - **Curvature.** The least-squares quadratic of the points next to the centre, in units of
      parameter space. Its condition number is the ratio of its principal curvatures.

    Args:
        variations: (lines,) T of every row, then column, whose losses are finite and not constant.
        chords: examined.
        convex_chords: those along which the surface is convex.
        drawn: whether the chords were drawn at random, or are all that there are.
        tolerance: violations up to this height do not count.
        violation: the largest height of a point above a chord, in units of the loss; at most 0 on a
            convex surface, NaN without chords.
        violation_points: (3, 2) coordinates of its first end, the point, and its second end.
        centre: (2,) coordinates of the point where the quadratic was fitted.
        fitted_loss: the quadratic's value there.
        gradient: (2,) its gradient by the coordinates.
        hessian: (2, 2) its second derivatives by the coordinates.
        curvatures: (2,) its principal curvatures per unit length in parameter space, the larger
            first.
        residual: the root mean square of what the quadratic leaves.
        fitted_points: their number.
        run: how the losses were computed.

    Raises:
        ValueError: Shapes that do not fit together.

    Reference:
        Wu, Jian, Du, Chen and Zhou, "Roughness Index for Loss Landscapes of Neural Network Models
        of Partial Differential Equations" (2023): there along random directions through the
        minimum, here along the lines of the grid.

    Example:
        >>> geometry = surface.geometry()
        >>> bool(0 <= geometry.convex_share <= 1), geometry.hessian.shape
        (True, (2, 2))
    """

    kind: ClassVar[str] = "surface_geometry"
    arrays: ClassVar[tuple[str, ...]] = (
        *("variations", "violation_points", "centre", "gradient", "hessian", "curvatures"),
    )

    variations: NDArray[np.float64]
    _: KW_ONLY
    chords: int
    convex_chords: int
    drawn: bool
    tolerance: float
    violation: float
    violation_points: NDArray[np.float64]
    centre: NDArray[np.float64]
    fitted_loss: float
    gradient: NDArray[np.float64]
    hessian: NDArray[np.float64]
    curvatures: NDArray[np.float64]
    residual: float
    fitted_points: int
    run: Run

    def __post_init__(self) -> None:
        shapes: dict[str, tuple[int, ...]] = {
            "variations": (len(self.variations),),
            "violation_points": (3, 2),
            "hessian": (2, 2),
            **dict.fromkeys(("centre", "gradient", "curvatures"), (2,)),
        }
        for name, shape in shapes.items():
            object.__setattr__(self, name, freeze_array(getattr(self, name), name, shape))

    @classmethod
    def compute(
        cls,
        axes: tuple[NDArray[np.float64], NDArray[np.float64]],
        losses: NDArray[np.float64],
        recipe: Recipe,
        run: Run,
        *,
        centre: tuple[float, float] | None,
        reach: int,
        tolerance: float,
        chords: int,
        seed: int,
    ) -> Self:
        """The geometry of losses on a grid; see `surface.geometry`."""
        if not (math.isfinite(tolerance) and tolerance >= 0):
            raise ValueError(f"tolerance={tolerance}, expected a share of the range from 0 up")
        for name, count in (("reach", reach), ("chords", chords)):
            if count < 1:
                raise ValueError(f"{name}={count}, expected at least 1")
        _require_even_axes(axes)
        low, high = finite_range(losses)
        height = tolerance * (high - low) if high > low else 0.0
        examined, convex, violation, worst = _core.convexity(
            losses, tolerance=height, chords=chords, seed=seed
        )
        row, column = _find_centre(axes, losses, centre)
        value, gradient, (xx, xy, yy), residual, fitted = _core.fit_quadratic(
            axes, losses, (row, column), reach
        )
        hessian = np.array([[xx, xy], [xy, yy]])
        return cls(
            _core.total_variations(losses),
            chords=examined,
            convex_chords=convex,
            drawn=losses.size * (losses.size - 1) // 2 > chords,
            tolerance=height,
            violation=violation if examined else math.nan,
            violation_points=_find_points(axes, worst),
            centre=np.array([axes[0][column], axes[1][row]]),
            fitted_loss=value,
            gradient=np.array(gradient),
            hessian=hessian,
            curvatures=_principal_curvatures(hessian, recipe),
            residual=residual,
            fitted_points=fitted,
            run=run,
        )

    @property
    def total_variation(self) -> float:
        """The mean normalised total variation of grid lines; NaN without lines."""
        return float(self.variations.mean()) if len(self.variations) else math.nan

    @property
    def roughness(self) -> float:
        """Standard deviation over mean of the variations; NaN without lines."""
        if not len(self.variations):
            return math.nan
        return float(self.variations.std() / self.variations.mean())

    @property
    def convex_share(self) -> float:
        """The share of chords along which the surface is convex; NaN without chords."""
        return self.convex_chords / self.chords if self.chords else math.nan

    @property
    def convex_share_error(self) -> float:
        """Its standard error where the chords were drawn; 0 where they are all."""
        if not self.drawn or not self.chords:
            return 0.0
        share = self.convex_share
        return math.sqrt(share * (1 - share) / self.chords)

    @property
    def condition(self) -> float:
        """The larger principal curvature over the smaller; NaN unless both are positive."""
        larger, smaller = self.curvatures
        return float(larger / smaller) if smaller > 0 else math.nan

    def __repr__(self) -> str:
        (larger, smaller), (x, y) = self.curvatures, self.centre
        share = f"{100 * self.convex_share:.3g}% of {self.chords} chords"
        if self.drawn:
            share += f" (+- {100 * self.convex_share_error:.1g}%, drawn at random)"
        fit = f"{larger:.4g} and {smaller:.4g}, condition {self.condition:.4g}"
        mean = f"{self.total_variation:.4g} of the range along a line, on average"
        return "\n".join(
            [
                self._title("SurfaceGeometry"),
                f"variation   {mean}; roughness index {self.roughness:.3g}",
                f"convexity   {share}; largest violation {self.violation:.4g}",
                f"curvatures  {fit}, at ({x:.3g}, {y:.3g}) from {self.fitted_points} points",
            ]
        )


def _require_even_axes(axes: tuple[NDArray[np.float64], ...]) -> None:
    for name, axis in zip(("alpha", "beta"), axes, strict=True):
        steps = np.diff(axis)
        if np.ptp(steps) > 1e-9 * np.abs(axis).max():
            raise ValueError(
                f"{name} has steps from {steps.min():.4g} to {steps.max():.4g}; expected equal "
                "ones, so that grid points lie on chords"
            )


def _find_centre(
    axes: tuple[NDArray[np.float64], NDArray[np.float64]],
    losses: NDArray[np.float64],
    centre: tuple[float, float] | None,
) -> tuple[int, int]:
    """The grid point next to the centre: the origin, or the lowest where that lies outside."""
    inside = all(axis[0] <= 0 <= axis[-1] for axis in axes)
    if centre is None and not inside:
        finite = np.where(np.isfinite(losses), losses, np.inf)
        row, column = divmod(int(np.argmin(finite)), len(axes[0]))
        return row, column
    point = (0.0, 0.0) if centre is None else tuple(centre)
    if len(point) != 2 or not all(
        axis[0] <= value <= axis[-1] for axis, value in zip(axes, point, strict=False)
    ):
        limits = " and ".join(f"{axis[0]:.4g} .. {axis[-1]:.4g}" for axis in axes)
        raise ValueError(f"centre={centre!r}, expected two coordinates within {limits}")
    nearest = [int(np.abs(axis - v).argmin()) for axis, v in zip(axes, point, strict=True)]
    return nearest[1], nearest[0]


def _find_points(
    axes: tuple[NDArray[np.float64], NDArray[np.float64]], worst: Any
) -> NDArray[np.float64]:
    if worst is None:
        return np.full((3, 2), np.nan)
    rows, columns = np.divmod(np.array(worst), len(axes[0]))
    return np.column_stack([axes[0][columns], axes[1][rows]])


def _principal_curvatures(hessian: NDArray[np.float64], recipe: Recipe) -> NDArray[np.float64]:
    """The extremes of x'Hx / |x_1 u + x_2 v|^2."""
    norms, cosine = np.array(recipe.norms), recipe.cosine or 0.0
    gram = np.outer(norms, norms) * np.array([[1.0, cosine], [cosine, 1.0]])
    root = np.linalg.cholesky(gram)
    half = np.linalg.solve(root, hessian)
    return np.linalg.eigvalsh(np.linalg.solve(root, half.T))[::-1]

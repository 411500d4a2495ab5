"""Spectrum: eigenvalues of a curvature, each with its residual and a bound on its error."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results._flat import Flat
from landscape._results._values import frozen_array
from landscape._results.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CONFIDENCE = 1.96  # standard errors on each side of a 95% interval
_SHOWN = 12


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Flat):
    """Eigenvalues lambda_i of a symmetric matrix H, with what is known of their errors.

    Args:
        values: (n,) descending; ascending for "smallest"; by descending absolute value for
            "magnitude".
        residuals: (n,) norms of H v - lambda v: an eigenvalue of H lies within each of its value.
        bounds: (n,) on the errors of the values: the residual r, or r^2/gap where the gap to the
            other values found is wider than r.
        products: multiplications by H that it took.
        status: how the run ended, as a sentence.
        which: "largest", "smallest", "magnitude" or "both".
        tolerance: a pair has converged when its residual is at most this times the scale.
        scale: the largest absolute value of all approximate eigenvalues, wanted or not; of the
            power iteration, the largest norm of H v.
        method: "lanczos" or "power".
        vectors: (n, d) orthonormal eigenvectors, where they were asked for.
        standard_errors: (n,) of the drawing of samples to first order, where the data are a random
            subset.
        multiplicity: what the search for copies found, where it was asked for.
        run: how the numbers were made; its evaluations are products.
        figure: set by the `plot_*` calls alone; takes no part in equality or saving.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> spectrum = landscape.hessian(model, data).eigenvalues(k=2)
        >>> spectrum.interval.shape, bool(spectrum.converged.all())
        ((2, 2), True)
    """

    kind: ClassVar[str] = "spectrum"
    arrays: ClassVar[tuple[str, ...]] = (
        "values",
        "residuals",
        "bounds",
        "standard_errors",
        "vectors",
    )

    values: NDArray[np.float64]
    residuals: NDArray[np.float64]
    bounds: NDArray[np.float64]
    _: KW_ONLY
    products: int
    status: str
    which: str
    tolerance: float
    scale: float
    method: str
    vectors: NDArray[Any] | None = None
    standard_errors: NDArray[np.float64] | None = None
    multiplicity: str | None = None
    run: Run
    figure: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        count = np.size(self.values)
        for name in ("values", "residuals", "bounds", "standard_errors"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, frozen_array(getattr(self, name), name, (count,)))
        if self.vectors is not None:
            vectors = np.array(self.vectors, order="C", copy=True)
            if vectors.ndim != 2 or len(vectors) != count:
                raise ValueError(
                    f"vectors has shape {vectors.shape}; expected ({count}, d), one row a value"
                )
            vectors.setflags(write=False)
            object.__setattr__(self, "vectors", vectors)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(n,) whether the residual is at most tolerance times scale."""
        return self.residuals <= self.tolerance * self.scale

    @property
    def errors(self) -> NDArray[np.float64]:
        """(n,) half-widths of the intervals: the bounds, and 95% of what the drawing adds."""
        drawn = self.standard_errors
        return self.bounds if drawn is None else self.bounds + _CONFIDENCE * drawn

    @property
    def interval(self) -> NDArray[np.float64]:
        """(n, 2) where the eigenvalue lies: 95% of the time where samples were drawn."""
        return np.stack([self.values - self.errors, self.values + self.errors], axis=1)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """The eigenvalues as bars with whiskers: `landscape.plot.spectrum`.

        Args:
            ax: where to draw; None makes a figure of its own (`.figure` of what is returned).
            options: those of `landscape.plot.spectrum`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.spectrum(self, ax, **options)

    def __repr__(self) -> str:
        lines = [f"Spectrum of {len(self)} eigenvalues, {self.which}"]
        rows = zip(self.values, self.errors, self.residuals, self.converged, strict=True)
        for index, (value, error, residual, good) in enumerate(rows):
            if index == _SHOWN:
                lines.append(f"  ... and {len(self) - _SHOWN} more")
                break
            mark = "" if good else "  not converged"
            lines.append(f"  {value:12.6g} +- {error:8.2g}   residual {residual:8.2g}{mark}")
        lines += self._made(f"{self.products}, {self.method}", copies=self.multiplicity)
        return "\n".join(lines)

    def _repr_png_(self) -> Any:
        """The figure where a plot_* call made one; notebooks show it in place of the table."""
        return None if self.figure is None else self.figure._repr_png_()

"""Spectra: eigenvalues with error bounds, and the share of the gradient in their eigenspaces."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results.base import Result
from landscape._results.frozen import freeze_array
from landscape._results.provenance import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_CONFIDENCE = 1.96  # standard errors on each side of a 95% interval
_SHOWN = 12


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Result):
    """Eigenvalues lambda_i of a symmetric matrix H, with bounds on their errors.

    Args:
        values: (n,) descending; ascending for "smallest"; by descending absolute value for
            "magnitude".
        residuals: (n,) norms of H v - lambda v: an eigenvalue of H lies within each of its value.
        bounds: (n,) on the errors of the values: the residual r, or r^2/gap where the gap to the
            other computed values is wider than r.
        products: Hessian products computed.
        status: how the run ended, as a sentence.
        which: "largest", "smallest", "magnitude" or "both".
        tolerance: a pair has converged when its residual is at most this times the scale.
        scale: the largest absolute value of the requested end of the spectrum (of the weaker one
            for "both"), at least so large that rounding is within the tolerance; of the power
            iteration, the largest norm of H v.
        method: "lanczos" or "power".
        vectors: (n, d) orthonormal eigenvectors, where they were requested.
        standard_errors: (n,) of sampling the data, to first order, where the data are a random
            subset.
        multiplicity: the outcome of the check for multiple eigenvalues, where it was requested.
        run: how the numbers were computed; its evaluations are products.

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

    def __post_init__(self) -> None:
        count = np.size(self.values)
        for name in ("values", "residuals", "bounds", "standard_errors"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, freeze_array(getattr(self, name), name, (count,)))
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
        """(n,) half-widths of the intervals: the bounds, and 95% of what sampling the data adds."""
        sampling = self.standard_errors
        return self.bounds if sampling is None else self.bounds + _CONFIDENCE * sampling

    @property
    def interval(self) -> NDArray[np.float64]:
        """(n, 2) the interval of each eigenvalue, of 95% coverage where samples were drawn."""
        return np.stack([self.values - self.errors, self.values + self.errors], axis=1)

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """The eigenvalues as bars with whiskers: `landscape.plot.spectrum`.

        Args:
            ax: Where to draw; None creates a figure (`.figure` of the returned Axes).
            options: Those of `landscape.plot.spectrum`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.spectrum(self, ax, **options)

    def __repr__(self) -> str:
        lines = [self._title(f"Spectrum of {len(self)} eigenvalues, {self.which}")]
        rows = zip(self.values, self.errors, self.residuals, self.converged, strict=True)
        for index, (value, error, residual, good) in enumerate(rows):
            if index == _SHOWN:
                lines.append(f"  ... and {len(self) - _SHOWN} more")
                break
            mark = "" if good else "  not converged"
            lines.append(f"  {value:12.6g} +- {error:8.2g}   residual {residual:8.2g}{mark}")
        lines += self._describe_run(f"{self.products}, {self.method}", copies=self.multiplicity)
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class GradientEnergy(Result):
    r"""Shares of the squared gradient norm in the spaces of the top eigenvectors.

    .. math:: s_j = \sum_{i \le j} (v_i^T g)^2 / \lVert g \rVert^2, \quad j = 1, \dots, k

    Args:
        shares: (k,) the s_j, ascending; a random direction would have j/d.
        bounds: (k,) on the errors of the shares: what the eigenvectors' residuals allow.
        values: (k,) the eigenvalues, descending.
        gradient_norm: the norm of g.
        dim: d, the number of parameters.
        products: Hessian products computed.
        status: how the run ended, as a sentence.
        run: how the numbers were computed; its evaluations are products.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> energy = landscape.hessian(model, data).gradient_energy(k=2)
        >>> energy.shares.shape, bool(energy.shares[1] <= 1)
        ((2,), True)
    """

    kind: ClassVar[str] = "gradient_energy"
    arrays: ClassVar[tuple[str, ...]] = ("shares", "bounds", "values")

    shares: NDArray[np.float64]
    bounds: NDArray[np.float64]
    values: NDArray[np.float64]
    _: KW_ONLY
    gradient_norm: float
    dim: int
    products: int
    status: str
    run: Run

    def __post_init__(self) -> None:
        count = np.size(self.values)
        for name in self.arrays:
            object.__setattr__(self, name, freeze_array(getattr(self, name), name, (count,)))

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        lines = [
            f"GradientEnergy in the top {len(self)} of {self.dim}, norm {self.gradient_norm:.4g}"
        ]
        rows = zip(self.values, self.shares, self.bounds, strict=True)
        for index, (value, share, bound) in enumerate(rows):
            if index == _SHOWN:
                lines.append(f"  ... and {len(self) - _SHOWN} more")
                break
            lines.append(
                f"  top {index + 1:<4} {100 * share:6.2f}% +- {100 * bound:.2g}%"
                f"   eigenvalue {value:.6g}"
            )
        lines += self._describe_run(str(self.products))
        return "\n".join(lines)

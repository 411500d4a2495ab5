"""Critical points: one classified point, one search, and surveys of many searches."""

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


@dataclass(frozen=True, eq=False, repr=False)
class CriticalPoint(Result):
    r"""A point classified by the signs of its Hessian's eigenvalues.

    Args:
        index: (3,) the number of eigenvalues below -threshold, and the ends of its interval.
        near_zero: (3,) the number within the threshold of 0, and the ends of its interval.
        lowest: the smallest eigenvalue.
        highest: the largest.
        nature: "minimum", "maximum", "saddle", or "degenerate" (one sign, and zeros).
        loss: L at the point.
        gradient_norm: the norm of the gradient at the point.
        gradient_tolerance: the norm up to which a point counts as critical.
        threshold: the largest \|eigenvalue\| that counts as zero.
        level: probability of the intervals; they have no width where all eigenvalues are known.
        dim: d, the number of eigenvalues.
        method: "dense" (all eigenvalues) or "density" (estimated counts, both ends by Lanczos).
        products: Hessian products computed.
        status: whether the point is critical, as a sentence.
        values: (d,) all eigenvalues, descending, where they are known.
        run: how the numbers were computed; its evaluations are products.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> point = landscape.hessian(model, data).classify()
        >>> bool(0 <= point.fraction_negative[0] <= 1)
        True
    """

    kind: ClassVar[str] = "critical_point"
    arrays: ClassVar[tuple[str, ...]] = ("index", "near_zero", "values")

    index: NDArray[np.float64]
    near_zero: NDArray[np.float64]
    _: KW_ONLY
    lowest: float
    highest: float
    nature: str
    loss: float
    gradient_norm: float
    gradient_tolerance: float
    threshold: float
    level: float
    dim: int
    method: str
    products: int
    status: str
    values: NDArray[Any] | None = None
    run: Run

    def __post_init__(self) -> None:
        for name in ("index", "near_zero"):
            object.__setattr__(self, name, freeze_array(getattr(self, name), name, (3,)))
        if self.values is not None:
            values = freeze_array(self.values, "values", (self.dim,))
            object.__setattr__(self, "values", values)

    @property
    def critical(self) -> bool:
        """Whether the gradient's norm is within its tolerance."""
        return self.gradient_norm <= self.gradient_tolerance

    @property
    def fraction_negative(self) -> NDArray[np.float64]:
        """(3,) the share of negative eigenvalues, and the ends of its interval."""
        return self.index / self.dim

    def __repr__(self) -> str:
        name = self.nature.capitalize() + ("" if self.critical else " in curvature alone")
        ends = f"{self.lowest:.6g} .. {self.highest:.6g}"
        lines = [self._title(f"{name}, loss {self.loss:.6g}, eigenvalues {ends}")]
        for name, count in (("index", self.index), ("near zero", self.near_zero)):
            text = f"{count[0]:.6g} of {self.dim}"
            if count[1] < count[2]:
                text += f" ({count[1]:.4g} .. {count[2]:.4g} at {100 * self.level:g}%)"
            lines.append(f"{name:<10}{text}")
        lines += self._describe_run(f"{self.products}, {self.method}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class CriticalSearch(Result):
    """A search for a critical point: the point that it ended at, and every step.

    Args:
        theta: (d,) the point; `landscape.ParameterLayout.unflatten` makes a state dict of it.
        losses: (steps + 1,) L at the start and after every step.
        gradient_norms: (steps + 1,) norms of its gradient.
        lengths: (steps + 1,) lengths of the steps; that of the start is 0.
        method: "newton_mr" or "saddle_free".
        ending: "converged", "flat" (gradient-flat), "stalled", "max_steps" or "interrupted".
        tolerance: norm of the gradient of a critical point.
        products: Hessian products computed.
        status: how it ended, as a sentence.
        run: how the numbers were computed; its evaluations are points at which L was evaluated.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> result = landscape.find_critical_point(model, data, max_steps=3)
        >>> point = landscape.hessian(model, data, theta=result.theta).classify()
    """

    kind: ClassVar[str] = "critical_search"
    arrays: ClassVar[tuple[str, ...]] = ("theta", "losses", "gradient_norms", "lengths")

    theta: NDArray[Any]
    losses: NDArray[np.float64]
    gradient_norms: NDArray[np.float64]
    lengths: NDArray[np.float64]
    _: KW_ONLY
    method: str
    ending: str
    tolerance: float
    products: int
    status: str
    run: Run

    def __post_init__(self) -> None:
        theta = np.array(self.theta)
        theta.setflags(write=False)
        object.__setattr__(self, "theta", theta)
        count = np.size(self.losses)
        for name in ("losses", "gradient_norms", "lengths"):
            object.__setattr__(self, name, freeze_array(getattr(self, name), name, (count,)))

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.losses) - 1

    @property
    def converged(self) -> bool:
        """Whether the point is critical and, for saddle-free Newton, has no negative curvature."""
        return self.ending == "converged"

    def __repr__(self) -> str:
        first, last = self.gradient_norms[[0, -1]]
        losses = f"loss {self.losses[0]:.6g} to {self.losses[-1]:.6g}"
        norms = f"gradient norm {first:.3g} to {last:.3g}"
        lines = [self._title(f"CriticalSearch, {self.steps} steps: {losses}, {norms}")]
        lines += self._describe_run(
            f"{self.products}, {self.run.evaluations} losses, {self.method}"
        )
        return "\n".join(lines)


_SHOWN = 20


@dataclass(frozen=True, eq=False, repr=False)
class CriticalPoints(Result):
    """Critical points found by searches from many starting points.

    Args:
        points: (n, d) the parameters.
        losses: (n,) L at the points.
        gradient_norms: (n,) norms of its gradient.
        fractions: (n, 3) the share of negative eigenvalues, and the ends of its interval.
        natures: (n,) "minimum", "maximum", "saddle" or "degenerate".
        endings: (n,) how each search ended: "converged", "flat", "stalled" or "max_steps".
        tolerance: norm of the gradient of a critical point.
        level: probability of the intervals; they have no width where all eigenvalues are known.
        products: Hessian products computed.
        status: how many searches have converged, as a sentence.
        run: how the numbers were computed; its evaluations are points at which L was evaluated.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> result = landscape.critical_points(model, data, starts=2, max_steps=2, dtype="float64")
        >>> result.losses.shape, result.fractions.shape
        ((2,), (2, 3))
    """

    kind: ClassVar[str] = "critical_points"
    arrays: ClassVar[tuple[str, ...]] = ("points", "losses", "gradient_norms", "fractions")

    points: NDArray[Any]
    losses: NDArray[np.float64]
    gradient_norms: NDArray[np.float64]
    fractions: NDArray[np.float64]
    _: KW_ONLY
    natures: tuple[str, ...]
    endings: tuple[str, ...]
    tolerance: float
    level: float
    products: int
    status: str
    run: Run

    def __post_init__(self) -> None:
        count = np.size(self.losses)
        points = np.array(self.points)
        if points.ndim != 2 or len(points) != count:
            raise ValueError(f"points has shape {points.shape}; expected ({count}, d)")
        points.setflags(write=False)
        object.__setattr__(self, "points", points)
        shapes = {"losses": (count,), "gradient_norms": (count,), "fractions": (count, 3)}
        for name, shape in shapes.items():
            object.__setattr__(self, name, freeze_array(getattr(self, name), name, shape))
        for name in ("natures", "endings"):
            labels = tuple(getattr(self, name))
            if len(labels) != count:
                raise ValueError(f"{name} has {len(labels)} entries; expected {count}")
            object.__setattr__(self, name, labels)

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(n,) whether the gradient's norm is within the tolerance."""
        return self.gradient_norms <= self.tolerance

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Index against loss: `landscape.plot.critical_points`.

        Args:
            ax: Where to draw; None creates a figure (`.figure` of the returned Axes).
            options: Those of `landscape.plot.critical_points`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.critical_points(self, ax, **options)

    def _row(self, row: int) -> str:
        share, norm = 100 * self.fractions[row, 0], self.gradient_norms[row]
        return (
            f"  loss {self.losses[row]:12.6g}   {share:6.2f}% negative   {self.natures[row]:<10} "
            f"gradient {norm:8.2g}   {self.endings[row]}"
        )

    def __repr__(self) -> str:
        lines = [
            self._title(f"CriticalPoints, {int(self.converged.sum())} of {len(self)} converged")
        ]
        order = np.argsort(self.losses)
        lines += [self._row(row) for row in order[:_SHOWN]]
        if len(self) > _SHOWN:
            lines.append(f"  ... and {len(self) - _SHOWN} more")
        lines += self._describe_run(str(self.products))
        return "\n".join(lines)

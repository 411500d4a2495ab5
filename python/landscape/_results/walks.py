"""Walks through flat directions, and relaxation after a shift of one parameter."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results.base import Result
from landscape._results.frozen import freeze_array, freeze_vectors
from landscape._results.provenance import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False, repr=False)
class Walk(Result):
    """A walk from a minimum along directions of near-zero curvature.

    Args:
        points: (steps + 1, d) the parameters, the start first.
        losses: (steps + 1,) L at the points: none exceeds the first by more than the tolerance.
        distances: (steps + 1,) from the start.
        lengths: (steps + 1,) of the steps; that of the start is 0.
        curvatures: (steps + 1,) v'Hv along the unit direction of each step, at its first
            point, from its Krylov space; 0 for the start.
        scales: (steps + 1,) the largest absolute Ritz value so far.
        ending: "reached", "stalled", "max_steps" or "interrupted".
        tolerance: by how much the loss may exceed that of the start.
        products: Hessian products computed.
        status: how it ended, as a sentence.
        run: how the numbers were computed; its evaluations are points at which L was evaluated.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> walk = landscape.walk(model, data, distance=0.1, tolerance=1.0)
        >>> bool((walk.losses <= walk.losses[0] + walk.tolerance).all())
        True
    """

    kind: ClassVar[str] = "walk"
    arrays: ClassVar[tuple[str, ...]] = (
        *("points", "losses", "distances", "lengths", "curvatures", "scales"),
    )

    points: NDArray[Any]
    losses: NDArray[np.float64]
    distances: NDArray[np.float64]
    lengths: NDArray[np.float64]
    curvatures: NDArray[np.float64]
    scales: NDArray[np.float64]
    _: KW_ONLY
    ending: str
    tolerance: float
    products: int
    status: str
    run: Run

    def __post_init__(self) -> None:
        count = np.size(self.losses)
        points = freeze_vectors(self.points)
        if points.ndim != 2 or len(points) != count:
            raise ValueError(f"points has shape {points.shape}; expected ({count}, d)")
        object.__setattr__(self, "points", points)
        for name in self.arrays[1:]:
            object.__setattr__(self, name, freeze_array(getattr(self, name), name, (count,)))

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.losses) - 1

    @property
    def rise(self) -> float:
        """By how much the highest loss exceeds that of the start."""
        return float(self.losses.max() - self.losses[0])

    @property
    def length(self) -> float:
        """The length of all steps together."""
        return float(self.lengths.sum())

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Losses against the distance from the start: `landscape.plot.walk`.

        Args:
            ax: Where to draw; None creates a figure (`.figure` of the returned Axes).
            options: Those of `landscape.plot.walk`.

        Returns:
            The Axes drawn on.
        """
        from landscape import plot  # noqa: PLC0415  (matplotlib takes a while to import)

        return plot.walk(self, ax, **options)

    def __repr__(self) -> str:
        where = f"{self.distances[-1]:.5g} from the start after {self.length:.5g}"
        lines = [self._title(f"Walk, {self.steps} steps: {where}")]
        lines.append(
            f"loss      {self.losses[0]:.6g}, at most {self.rise:.3g} more along the walk "
            f"(tolerance {self.tolerance:.3g})"
        )
        if self.steps:
            lines.append(
                f"curvature {np.abs(self.curvatures[1:]).max():.3g} along the steps at most, of "
                f"{self.scales.max():.5g}"
            )
        lines += self._describe_run(f"{self.products}, {self.run.evaluations} losses")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class Relaxation(Result):
    """One parameter shifted and frozen, the others trained again, beside a control.

    Args:
        shifts: (k,) of the parameter; the first is 0, the control.
        shifted: (k,) L directly after the shift.
        relaxed: (k,) L after the other parameters were trained again, with this one frozen.
        moved: (k,) distance that the other parameters moved.
        gradient_norms: (k,) norms of the gradient over the others, in the end.
        points: (k, d) all parameters in the end.
        parameter: its tensor and index, such as "0.weight[2, 1]".
        value: of the parameter before the shift.
        tolerance: by how much a relaxed loss may exceed the control's for the minimum to continue.
        products: Hessian products computed.
        status: for how many shifts the minimum continues, as a sentence.
        run: how the numbers were computed; its evaluations are points at which L was evaluated.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> result = landscape.perturb_and_relax(model, data, parameter="weight", index=(0, 1),
        ...     shifts=0.1, max_steps=3)
        >>> result.continues.tolist()[0]
        True
    """

    kind: ClassVar[str] = "relaxation"
    arrays: ClassVar[tuple[str, ...]] = (
        *("shifts", "shifted", "relaxed", "moved", "gradient_norms", "points"),
    )

    shifts: NDArray[np.float64]
    shifted: NDArray[np.float64]
    relaxed: NDArray[np.float64]
    moved: NDArray[np.float64]
    gradient_norms: NDArray[np.float64]
    points: NDArray[Any]
    _: KW_ONLY
    parameter: str
    value: float
    tolerance: float
    products: int
    status: str
    run: Run

    def __post_init__(self) -> None:
        count = np.size(self.shifts)
        for name in self.arrays[:-1]:
            object.__setattr__(self, name, freeze_array(getattr(self, name), name, (count,)))
        points = np.array(self.points)
        if points.ndim != 2 or len(points) != count or self.shifts[0] != 0:
            raise ValueError(
                f"points has shape {points.shape} and the first shift is {self.shifts[0]}; "
                f"expected ({count}, d) and 0"
            )
        points.setflags(write=False)
        object.__setattr__(self, "points", points)

    @property
    def control(self) -> float:
        """L after the same training without a shift."""
        return float(self.relaxed[0])

    @property
    def continues(self) -> NDArray[np.bool_]:
        """(k,) whether the relaxed loss is within the tolerance of the control's."""
        return self.relaxed <= self.control + self.tolerance

    def __repr__(self) -> str:
        lines = [self._title(f"Relaxation of {self.parameter} = {self.value:.5g}")]
        for k, shift in enumerate(self.shifts):
            verdict = "control" if k == 0 else "continues" if self.continues[k] else "ends"
            lines.append(
                f"  {shift:+10.4g}: loss {self.shifted[k]:.6g}, relaxed {self.relaxed[k]:.6g}, "
                f"others moved {self.moved[k]:.3g}; {verdict}"
            )
        lines += self._describe_run(f"{self.products}, {self.run.evaluations} losses")
        return "\n".join(lines)

"""Relaxation: one parameter shifted and held, the others trained again, beside a control."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results._flat import Flat
from landscape._results._values import frozen_array
from landscape._results.run import Run


@dataclass(frozen=True, eq=False, repr=False)
class Relaxation(Flat):
    """What a minimum makes of shifts of one parameter.

    Args:
        shifts: (k,) of the parameter; the first is 0, the control.
        shifted: (k,) L directly after the shift.
        relaxed: (k,) L after the others were trained again, with the parameter held.
        moved: (k,) how far the others went.
        gradient_norms: (k,) norms of the gradient over the others, in the end.
        points: (k, d) all parameters in the end.
        parameter: its tensor and index, such as "0.weight[2, 1]".
        value: of the parameter before.
        tolerance: by how much a relaxed loss may exceed the control's for the minimum to go on.
        products: Hessian products that it took.
        status: for how many shifts the minimum goes on, as a sentence.
        run: how the numbers were made; its evaluations are points at which L was evaluated.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> found = landscape.perturb_and_relax(model, data, parameter="weight", index=(0, 1),
        ...     shifts=0.1, max_steps=3)
        >>> found.continues.tolist()[0]
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
            object.__setattr__(self, name, frozen_array(getattr(self, name), name, (count,)))
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
        lines = [f"Relaxation of {self.parameter} = {self.value:.5g}"]
        for k, shift in enumerate(self.shifts):
            verdict = "control" if k == 0 else "goes on" if self.continues[k] else "is left"
            lines.append(
                f"  {shift:+10.4g}: loss {self.shifted[k]:.6g}, relaxed {self.relaxed[k]:.6g}, "
                f"others moved {self.moved[k]:.3g}; {verdict}"
            )
        lines += self._made(f"{self.products}, {self.run.evaluations} losses")
        return "\n".join(lines)

"""`critical_sharpness` and `relative_critical_sharpness`: the step at which the loss rises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from landscape._sharpness.context import GRADIENT, LOSS
from landscape._sharpness.crossing import find_crossings
from landscape._sharpness.definition import DerivativeDefinition, NotApplicable, Outcome
from landscape._sharpness.optimizer import compute_update, read_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["CriticalSharpness", "RelativeCriticalSharpness"]

_TYPICAL_LOSSES = 7
_RANGE = 1e9  # of steps on either side of the first
_ROUNDING = 8.0  # epsilons of the loss, below which a fall cannot be told from rounding

Along = Literal["gradient", "optimizer"]


@dataclass(frozen=True)
class CriticalSharpness(DerivativeDefinition):
    r"""Two over the smallest step along the update at which the loss is higher than before.

    .. math:: \lambda_c = 2 / \eta_c, \quad
        \eta_c = \min \{ \eta > 0 : L(\theta - \eta \Delta) > L(\theta) \}

    For a quadratic it is the directional sharpness
    :math:`\Delta^T H \Delta / \Delta^T \nabla L`, which along the gradient is a mean of eigenvalues
    and at most the largest. It takes one gradient and about six losses: the step is doubled or
    halved, and in the bracket :math:`(L(\theta - \eta \Delta) - L(\theta)) / \eta` is interpolated,
    which is linear in eta for a quadratic.

    Args:
        along: The update Delta: ``"gradient"``, or ``"optimizer"``: the next step that
            ``optimizer=`` would take at a learning rate of 1, with its momentum and preconditioner.
        tolerance: Of the step, relative.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> landscape.sharpness(model, data, measures=["critical_sharpness"])
    """

    name: ClassVar[str] = "critical_sharpness"
    reference: ClassVar[str] = (
        "Kalra et al. (2026), A Scalable Measure of Loss Landscape Curvature for Analyzing the "
        "Training Dynamics of LLMs, definition 2.1"
    )
    rescaling: ClassVar[Invariance] = "no"
    accuracy: ClassVar[float] = 0.04

    along: Along = "gradient"
    tolerance: float = 0.02

    def __post_init__(self) -> None:
        if self.along not in get_args(Along):
            raise ValueError(f"along={self.along!r}, expected 'gradient' or 'optimizer'")
        _check_tolerance(self.tolerance)

    def require(self, context: Context) -> None:
        """Refuse a loss without a gradient, or a call without the optimizer that is meant.

        Raises:
            NotApplicable: With the reason.
        """
        super().require(context)
        if self.along == "optimizer":
            read_steps(context)

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """A gradient and the losses of a typical search."""
        return GRADIENT + _TYPICAL_LOSSES * LOSS

    def compute(self, context: Context) -> Outcome:
        """The search along the update."""
        gradient = context.gradient.astype(np.float64)
        update = gradient if self.along == "gradient" else compute_update(context)
        slope = float(gradient @ update)
        if not slope > 0:
            is_zero = not update.any()
            return Outcome(
                None,
                status="failed: the update is zero"
                if is_zero
                else f"failed: the update ascends, with a slope of {-slope:.3g}",
            )
        return _search(context, update, slope, self.tolerance)


@dataclass(frozen=True)
class RelativeCriticalSharpness(DerivativeDefinition):
    r"""The same along the update of another task: how far it can be trained without harm to this.

    .. math:: \lambda_c^{1 \to 2} = 2 / \eta_c, \quad
        \eta_c = \min \{ \eta > 0 : L_1(\theta - \eta \nabla L_2) > L_1(\theta) \}

    L_1 is the loss of ``data``, and L_2 that of the other task, which ``test=`` holds: fine-tuning
    at a learning rate above eta_c leaves the basin of the first task. Where the gradients of both
    tasks point in opposite directions there is no such step, and the status says so.

    Args:
        task: The name of the other task in ``test=``; not needed where it holds one alone.
        tolerance: Of the step, relative.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> names = ["relative_critical_sharpness"]
        >>> landscape.sharpness(model, data, measures=names, test={"math": data})
    """

    name: ClassVar[str] = "relative_critical_sharpness"
    reference: ClassVar[str] = (
        "Kalra et al. (2026), A Scalable Measure of Loss Landscape Curvature for Analyzing the "
        "Training Dynamics of LLMs, section 4: relative critical sharpness"
    )
    rescaling: ClassVar[Invariance] = "no"
    accuracy: ClassVar[float] = 0.04

    task: str | None = None
    tolerance: float = 0.02

    def __post_init__(self) -> None:
        _check_tolerance(self.tolerance)

    def require(self, context: Context) -> None:
        """Refuse a loss without a gradient, or a call without the other task.

        Raises:
            NotApplicable: With the reason.
        """
        super().require(context)
        self._find(context)

    def estimate_cost(self, context: Context) -> float:
        """A gradient of each task and the losses of a typical search."""
        share = context.test[self._find(context)].samples / context.samples
        return GRADIENT * (1 + share) + _TYPICAL_LOSSES * LOSS

    def compute(self, context: Context) -> Outcome:
        """The search along the other task's gradient."""
        task = self._find(context)
        other = context.test[task]
        own = context.gradient.astype(np.float64)
        update = other.gradient(context.theta).astype(np.float64)
        context.charge(GRADIENT * other.samples / context.samples)
        slope = float(own @ update)
        lengths = float(np.linalg.norm(own) * np.linalg.norm(update))
        if not lengths > 0:
            return Outcome(None, status="failed: the gradient of a task is zero")
        if not slope > 0:
            return Outcome(
                None,
                status=f"infinite: the first step on {task!r} raises the loss of this task",
                details={"task": task, "cosine": slope / lengths},
            )
        outcome = _search(context, update, slope, self.tolerance)
        details = {**outcome.details, "task": task, "cosine": slope / lengths}
        return Outcome(outcome.value, status=outcome.status, details=details, curves=outcome.curves)

    def _find(self, context: Context) -> str:
        known = list(context.test)
        if not known:
            raise NotApplicable("it needs test=: the data of the other task")
        if self.task is None and len(known) == 1:
            return known[0]
        if self.task not in known:
            raise NotApplicable(
                f"task={self.task!r} is none of test=, which has {', '.join(known)}; name one"
            )
        return self.task


def _check_tolerance(tolerance: float) -> None:
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance={tolerance}, expected a number between 0 and 1")


def _search(
    context: Context, update: NDArray[np.float64], slope: float, tolerance: float
) -> Outcome:
    """The step at which (L(theta - step update) - L) / step + slope exceeds the slope."""
    visited: list[tuple[float, float]] = []

    def evaluate(_: Any, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        step = float(steps[0])
        rise = float(context.losses_around([-step * update])[0]) - context.loss
        visited.append((step, rise))
        return np.array([rise / step + slope])

    # the step at which a line with this slope would lower the loss to 0
    start = abs(context.loss) / slope or 1.0
    found = find_crossings(
        evaluate,
        1,
        slope,
        start,
        tolerance=tolerance,
        largest=start * _RANGE,
        smallest=start / _RANGE,
    )
    visited.sort()
    steps, rises = np.array(visited).T
    curves = {"steps": steps, "rises": rises}
    step = float(found.radii[0])
    details = {"critical_step": step, "losses": len(visited), "slope": slope}
    if not found.is_found[0]:
        where = "up to" if step else "already at"
        end = start * _RANGE if step else start / _RANGE
        return Outcome(
            None,
            status=f"failed: the loss {'does not rise' if step else 'rises'} {where} {end:.3g}",
            details={"slope": slope},
            curves=curves,
        )
    fall = slope * step / 4  # that of a quadratic, at half the step
    if fall <= _ROUNDING * context.objective.epsilon * abs(context.loss):
        return Outcome(
            None,
            status=f"failed: the loss falls by about {fall:.2g} before it rises, which is "
            "rounding; the gradient is too small, or compute in float64",
            details={"slope": slope},
            curves=curves,
        )
    return Outcome(2 / step, details=details, curves=curves)

"""`keskar` and `keskar_subspace`: the largest loss in a small box, in percent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from landscape import _core
from landscape._sharpness.context import GRADIENT
from landscape._sharpness.definition import DerivativeDefinition, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["Keskar", "KeskarSubspace"]

AscentMethod = Literal["lbfgs", "apgd"]

_TOLERANCE = 1e-4  # of the projected gradient, relative to the largest gradient met
_EVALUATIONS_PER_STEP = 1.3  # of the line search, on average


@dataclass(frozen=True)
class Keskar(DerivativeDefinition):
    r"""Epsilon-sharpness: how far the loss rises in a box around the minimum, in percent.

    .. math:: \phi = 100 \cdot \frac{\max_{z \in C} L(\theta + z) - L(\theta)}{1 + L(\theta)}, \quad
        C = \{ z : |z_i| \le \epsilon (|\theta_i| + 1) \}

    The maximum is searched from the minimum itself and from random corners of the box, by bounded
    L-BFGS as in the paper (ten iterations) or by projected ascent; the value is a lower bound of
    it, and ``details["search"]`` says whether the search converged. The paper's other epsilon is
    5e-4.

    Args:
        epsilon: The size of the box, relative to \|theta_i\| + 1.
        method: ``"lbfgs"`` (bounded), or ``"apgd"``: projected ascent with an adaptive step.
        steps: The maximum number of iterations; a hundred are more than convergence takes.
        starts: Points at which a search starts: the minimum and random corners. At an exact
            minimum the gradient is zero, so that one start would stay there.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.Keskar(epsilon=5e-4)])
    """

    name: ClassVar[str] = "keskar"
    reference: ClassVar[str] = (
        "Keskar, Mudigere, Nocedal, Smelyanskiy and Tang (2017), On Large-Batch Training for Deep "
        "Learning: Generalization Gap and Sharp Minima, metric 2.1 with A = I"
    )
    rescaling: ClassVar[Invariance] = "no"
    accuracy: ClassVar[float] = 0.02  # searches from other points end at other local maxima

    epsilon: float = 1e-3
    method: AscentMethod = "lbfgs"
    steps: int = 10
    starts: int = 2

    def __post_init__(self) -> None:
        validate_search(self.epsilon, self.method, self.steps, self.starts)

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """Iterations with their line searches, from every start."""
        return self.starts * (1 + _EVALUATIONS_PER_STEP * self.steps) * GRADIENT

    def compute(self, context: Context) -> Outcome:
        """Search the box, all starts together."""
        theta = context.theta
        scale = np.abs(theta) + 1
        starts = _draw_starts(context, self.name, self.starts, self.epsilon * scale)
        found = _maximise(self, context, starts, scale, None)
        best = int(np.nanargmax(found.losses)) if np.isfinite(found.losses).any() else 0
        return _make_outcome(context, found.losses[best : best + 1], found, self.epsilon)


@dataclass(frozen=True)
class KeskarSubspace(DerivativeDefinition):
    r"""Epsilon-sharpness in random subspaces.

    .. math:: \phi = 100 \cdot \frac{\max_{y \in C} L(\theta + A y) - L(\theta)}{1 + L(\theta)},
        \quad C = \{ y : |y_j| \le \epsilon (|(A^+ \theta)_j| + 1) \}

    with p random columns of unit length in A (d x p) and its pseudo-inverse. The value is the mean
    over several subspaces, with the standard error of that mean.

    Args:
        dimension: p, at most d.
        epsilon: The size of the box, relative to \|(A^+ theta)_j\| + 1.
        method: As for :class:`Keskar`.
        steps: As for :class:`Keskar`.
        subspaces: How many are drawn, at least 2.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.KeskarSubspace(dimension=4)
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "keskar_subspace"
    reference: ClassVar[str] = (
        "Keskar, Mudigere, Nocedal, Smelyanskiy and Tang (2017), On Large-Batch Training for Deep "
        "Learning: Generalization Gap and Sharp Minima, metric 2.1 with a random A"
    )
    rescaling: ClassVar[Invariance] = "no"
    accuracy: ClassVar[float] = 0.02  # searches from other points end at other local maxima

    dimension: int = 100
    epsilon: float = 1e-3
    method: AscentMethod = "lbfgs"
    steps: int = 10
    subspaces: int = 3

    def __post_init__(self) -> None:
        validate_search(self.epsilon, self.method, self.steps, 1)
        if self.dimension < 1 or self.subspaces < 2:
            raise ValueError(
                f"dimension={self.dimension} and subspaces={self.subspaces}, expected at least 1 "
                "and at least 2"
            )

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """Iterations with their line searches, in every subspace from two starts."""
        return 2 * self.subspaces * (1 + _EVALUATIONS_PER_STEP * self.steps) * GRADIENT

    def compute(self, context: Context) -> Outcome:
        """Search one box after another."""
        count = min(self.dimension, context.dim)
        losses, found = [], None
        for index in range(self.subspaces):
            basis = np.stack(list(context.iter_gaussians(self.name, count, index * count)))
            basis /= np.linalg.norm(basis, axis=1, keepdims=True)
            gram = _core.gram(list(basis))
            slopes = np.array([_core.dot(row, context.theta) for row in basis])
            coordinates = np.linalg.lstsq(gram, slopes, rcond=None)[0]  # A+ theta
            scale = (np.abs(coordinates) + 1).astype(context.theta.dtype)
            name = f"{self.name} {index}"
            starts = _draw_starts(context, name, 2, self.epsilon * scale)
            found = _maximise(self, context, starts, scale, basis)
            losses.append(np.nanmax(found.losses, initial=-np.inf))
        assert found is not None
        return _make_outcome(context, np.array(losses), found, self.epsilon)


def validate_search(radius: float, method: str, steps: int, starts: int) -> None:
    """Refuse the options of a search that are out of range.

    Raises:
        ValueError: With what was expected.
    """
    if not (np.isfinite(radius) and radius > 0):
        raise ValueError(f"epsilon={radius}, expected a number above 0")
    if method not in ("lbfgs", "apgd"):
        raise ValueError(f"method={method!r}, expected 'lbfgs' or 'apgd'")
    if steps < 1 or starts < 1:
        raise ValueError(f"steps={steps} and starts={starts}, expected at least 1 each")


def _draw_starts(context: Context, name: str, count: int, widths: NDArray[Any]) -> NDArray[Any]:
    """Displacements at which searches start: none, and random corners of the box.

    The maximum of a convex loss is at a corner, and searches from corners end at better ones than
    those from the inside do.
    """
    starts = np.zeros((count, widths.size), context.theta.dtype)
    generator = np.random.default_rng(context.stream(name))
    for row in starts[1:]:
        # rounding must not carry a coordinate over the border
        row[:] = 0.999 * widths * generator.choice([-1.0, 1.0], widths.size)
    return starts


def _maximise(
    options: Keskar | KeskarSubspace,
    context: Context,
    starts: NDArray[Any],
    scale: NDArray[Any],
    basis: NDArray[Any] | None,
) -> _Found:
    """The highest loss that a search meets from each start."""
    solver = _core.Ascent(
        context.gradient_source,
        context.theta,
        starts,
        scale=scale,
        method=options.method,
        constraint="box",
        radius=options.epsilon,
        steps=options.steps,
        tolerance=_TOLERANCE if options.method == "lbfgs" else None,
        basis=basis,
    )
    context.solve(solver, cost=len(starts) * GRADIENT)
    context.charge(solver.gradients * GRADIENT)
    return _Found(solver.losses(), solver.status, solver.history())


@dataclass(frozen=True)
class _Found:
    losses: NDArray[np.float64]
    status: str
    history: NDArray[np.float64]


def _make_outcome(
    context: Context, losses: NDArray[np.float64], found: _Found, epsilon: float
) -> Outcome:
    if not np.isfinite(losses).all():
        return Outcome(None, status="diverged: no finite loss was found in the box")
    values = 100 * (np.maximum(losses, context.loss) - context.loss) / (1 + context.loss)
    error = None
    if len(values) > 1:
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Outcome(
        float(values.mean()),
        error,
        freedom=None if error is None else len(values) - 1,
        details={"search": found.status, "rise": float(losses.mean() - context.loss)},
        curves={"history": found.history, "epsilon": np.array([epsilon])},
    )

"""`curvature_map`: the extreme eigenvalues of the Hessian over the plane of a surface."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core
from landscape._directions import PlaneContext
from landscape._outside import Outside
from landscape._results import Surface
from landscape._runs import (
    CallbackProblem,
    LossFunctions,
    ObjectiveOptions,
    SolverRun,
    SolverState,
    build_objective,
    grid_coordinates,
    read_array,
)
from landscape._surface import (
    Normalize,
    OneDimensional,
    check_outside_applies,
    compare_models,
    make_axes,
    parse_directions,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from landscape._directions import Axes
    from landscape._objective import CurvatureOperator, Objective
    from landscape._progress import Choice

__all__ = ["curvature_map"]

_BASIS_SIZE = 60
_MIN_PRODUCTS = 10  # at a point: the first Ritz values may all come from the bulk
_START_NOISE = 0.1  # of a warm start, so that no eigenvector is orthogonal to it
_COLUMNS = ("loss", "lambda_max", "lambda_min", "lambda_max bound", "lambda_min bound", "products")
_SUBSET_NOTE = "what another draw of samples would change is not in the bounds"


def curvature_map(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    directions: Any = "random",
    normalize: Normalize = "auto",
    one_dimensional: OneDimensional = "zero",
    span: float | Sequence[Sequence[float]] | None = None,
    points: int | tuple[int, int] = 21,
    outside: Outside = "error",
    tolerance: float = 5e-3,
    max_products: int = 200,
    seed: int = 0,
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Surface:
    r"""The largest and the smallest eigenvalue of the Hessian over a plane.

    A surface shows L along two of d directions, the eigenvalues at its points its curvature along
    all of them: where :math:`\lambda_{\min} / \lambda_{\max}` is far below zero, L is not convex,
    even if the surface is.

    Every point's Lanczos iteration starts from its neighbour's eigenvectors, with some noise, and
    so takes few products.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for :func:`landscape.surface`.
        loss: As for :func:`landscape.surface`.
        directions: As for :func:`landscape.surface`; the same options and seed give the same plane.
        normalize: As for :func:`landscape.surface`.
        one_dimensional: As for :func:`landscape.surface`.
        span: As for :func:`landscape.surface`.
        points: Grid points along each axis, or ``(n_alpha, n_beta)``; at least 2.
        outside: As for :func:`landscape.surface`.
        tolerance: Of both residuals, relative to the largest \|eigenvalue\| at the point. A
            smallest eigenvalue within its bound of 0 has no certain sign; lower the
            tolerance.
        max_products: The maximum number of products at a point.
        seed: Of the directions, the subset, the split, the masks and the noise.
        resume: The checkpoint file: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, points).
        options: Those of :class:`landscape.Objective`.

    Returns:
        A surface whose metrics are ``"lambda_max"``, ``"lambda_min"``, their bounds
        (``"lambda_max bound"``, ``"lambda_min bound"``: an eigenvalue lies within each; that none
        lies further out is likely, not proven), ``"ratio"`` (lambda_min over the larger
        of their absolute values) and the ``"products"`` of each point. Points where the loss or
        a product is not finite hold NaN. :func:`landscape.plot.curvature` draws it.

    Raises:
        ValueError: An option or the data do not fit; the text says what was expected.

    Reference:
        Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of Neural Nets"
        (2018), section 6 and figure 7.

    Example:
        >>> result = landscape.curvature_map(model, data, points=3)
        >>> result.metrics["ratio"].shape
        (3, 3)
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance={tolerance}, expected a number between 0 and 1")
    if max_products < 1:
        raise ValueError(f"max_products={max_products}, expected at least 1")
    axes_plan = parse_directions(directions, normalize, one_dimensional, seed)
    check_outside_applies(axes_plan, outside)
    objective = build_objective(
        curvature_map, model, data, loss, seed=seed, options=options, progress=progress
    )
    axes, objective, _ = make_axes(
        axes_plan, objective.with_default_batch_norm("frozen"), None, progress
    )
    notes = compare_models(axes_plan, objective, outside)
    alpha, beta = grid_coordinates(axes, span, points)
    _core.require_memory(
        f"the curvature at {len(alpha) * len(beta)} points",
        [len(alpha), len(beta), 2 * len(_COLUMNS)],
    )
    solver = _PlaneSolver(axes, (alpha, beta), tolerance, max_products, seed)
    inputs = {
        "axes": [[float(axis[0]), float(axis[-1]), len(axis)] for axis in (alpha, beta)],
        "directions": axes.recipe.fingerprint,
        "tolerance": tolerance,
        "max_products": max_products,
        "seed": seed,
    }
    size = len(alpha) * len(beta)
    problem = CallbackProblem(objective, axes.origin)
    run = SolverRun("curvature_map", problem, inputs, size, progress, resume, unit="point")
    state = run.load_state()
    if state is not None:
        with run.reading():
            solver.restore(state)
    run.execute(solver, _describe_tick, solver.get_state, len(solver.rows))
    columns = solver.columns()
    scale = np.maximum(np.abs(columns["lambda_max"]), np.abs(columns["lambda_min"]))
    zeros = np.zeros_like(scale)
    columns["ratio"] = np.divide(columns["lambda_min"], scale, out=zeros, where=scale != 0)
    products = int(np.nansum(columns["products"]))
    worst = np.maximum(columns["lambda_max bound"], columns["lambda_min bound"])
    unconverged = int((worst > tolerance * scale).sum())
    status = f"complete: {products} products"
    if unconverged:
        status += f"; {unconverged} of {size} points stopped at max_products={max_products}"
    run.notes += notes
    if objective.is_random_subset:
        run.notes += (_SUBSET_NOTE,)
    return Surface(
        alpha,
        beta,
        losses=columns.pop("loss"),
        metrics=columns,
        recipe=axes.recipe,
        run=run.make_run(products, status, seed),
        context=PlaneContext.of(objective, axes, axes_plan),
    )


@dataclass
class _PlaneSolver:
    """Lanczos at every point in serpentine order, each started from its predecessor's vectors."""

    axes: Axes
    coordinates: tuple[NDArray[np.float64], NDArray[np.float64]]
    tolerance: float
    max_products: int
    seed: int
    rows: list[list[float]] = field(default_factory=list)
    guess: NDArray[Any] | None = None

    def grid_index(self, index: int) -> tuple[int, int]:
        """Row and column of a point; odd rows run backwards."""
        row, column = divmod(index, len(self.coordinates[0]))
        return row, len(self.coordinates[0]) - 1 - column if row % 2 else column

    def run(self, functions: LossFunctions, tick: Callable[..., bool]) -> bool:
        """Measure the remaining points, until a tick pauses it."""
        while len(self.rows) < len(self.coordinates[0]) * len(self.coordinates[1]):
            self.rows.append(self._measure_point(functions))
            if not tick(len(self.rows), *self.rows[-1][:3]):
                return False
        return True

    def _measure_point(self, functions: LossFunctions) -> list[float]:
        row, column = self.grid_index(len(self.rows))
        steps = np.array([1.0, self.coordinates[0][column], self.coordinates[1][row]])
        theta = _core.combine([self.axes.origin, *self.axes.basis], steps)
        loss = float(functions.losses(theta[None])[0])
        if not np.isfinite(loss):
            return [loss] + [np.nan] * (len(_COLUMNS) - 1)
        try:
            return [loss, *self._extreme_eigenvalues(functions.curvature_at(theta), theta)]
        except FloatingPointError:  # a derivative that is not finite is data
            return [loss] + [np.nan] * (len(_COLUMNS) - 1)

    def _extreme_eigenvalues(self, products: CurvatureOperator, theta: NDArray[Any]) -> list[float]:
        dim = theta.size
        solver = _core.Lanczos(
            dim,
            "float64" if theta.dtype == np.float64 else "float32",
            count=1,
            which="both",
            tolerance=0.0,
            relative_to="norm",
            basis=min(dim, _BASIS_SIZE),
            max_products=self.max_products,
            seed=self.seed,
            start=None if self.guess is None else self._perturb_guess(),
        )

        def continue_(done: int, _: int, values: Any, residuals: Any) -> bool:
            """Whether to go on: too few products for both ends, or residuals too large."""
            return done < _MIN_PRODUCTS or not _has_converged(values, residuals, self.tolerance)

        solver.run(products, continue_)
        values, residuals = solver.values(), solver.residuals()
        self.guess = solver.vectors()[[0, -1]].sum(axis=0)
        ends = [values[0], values[-1], residuals[0], residuals[-1], solver.products]
        return [float(number) for number in ends]

    def _perturb_guess(self) -> NDArray[Any]:
        guess: NDArray[Any] = np.asarray(self.guess)
        dtype: Any = guess.dtype.name
        noise = _core.gaussian(guess.size, seed=self.seed, stream=len(self.rows), dtype=dtype)
        start: NDArray[Any] = guess + guess.dtype.type(_START_NOISE / np.sqrt(guess.size)) * noise
        return start

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Every number over the plane, (n_beta, n_alpha)."""
        shape = len(self.coordinates[1]), len(self.coordinates[0])
        values = np.full((*shape, len(_COLUMNS)), np.nan)
        for index, row in enumerate(self.rows):
            values[self.grid_index(index)] = row
        return {name: values[..., column] for column, name in enumerate(_COLUMNS)}

    def get_state(self) -> SolverState:
        """The state for a checkpoint."""
        guess = np.zeros(0) if self.guess is None else self.guess
        rows = np.array(self.rows, np.float64).reshape(-1, len(_COLUMNS))
        return "", {"rows": rows, "guess": guess}

    def restore(self, state: SolverState) -> None:
        """Restore the state from a checkpoint."""
        _, arrays = state
        rows = read_array(arrays, "rows", (None, len(_COLUMNS)))
        size = len(self.coordinates[0]) * len(self.coordinates[1])
        if len(rows) > size:
            raise ValueError(f"it has {len(rows)} of {size} points")
        guess = read_array(arrays, "guess", (None,))
        if guess.size not in (0, self.axes.origin.size):
            raise ValueError(f"the array 'guess' has {guess.size} entries")
        self.rows, self.guess = rows.tolist(), guess if guess.size else None


def _has_converged(
    values: NDArray[np.float64], residuals: NDArray[np.float64], tolerance: float
) -> bool:
    return bool((residuals <= tolerance * np.abs(values).max()).all())


def _describe_tick(loss: float, high: float, low: float) -> Mapping[str, float]:
    return {"loss": loss, "high": high, "low": low}

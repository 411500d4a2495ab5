"""`curvature_map`: the ends of the Hessian's spectrum over the plane of a surface.

Depends on the plans of directions, on the core's Lanczos and on the iteration.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape import _core
from landscape._critical import Losses, Start
from landscape._iteration import Iteration
from landscape._plans import Normalize, OneDimensional, prepared, surface_plan
from landscape._results import Surface
from landscape._sampling import ObjectiveOptions, coordinates, objectives

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from landscape._directions import Axes
    from landscape._objective import CurvatureOperator, Objective
    from landscape._progress import Choice

__all__ = ["curvature_map"]

_BASIS = 60
_LEAST = 10  # products at a point: the first Ritz values may all come from the bulk
_NOISE = 0.1  # of a warm start, so that no eigenvector is orthogonal to it
_COLUMNS = ("loss", "lambda_max", "lambda_min", "lambda_max bound", "lambda_min bound", "products")
_UNDRAWN = "what another draw of samples would change is not in the bounds"


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
    tolerance: float = 5e-3,
    max_products: int = 200,
    seed: int = 0,
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Surface:
    r"""The largest and the smallest eigenvalue of the Hessian over a plane: where is L convex?

    A picture of the loss shows two directions of many; the curvature at its points is that of all
    of them. Where :math:`\lambda_{\min} / \lambda_{\max}` is far below zero, what looks convex is
    not.

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
        tolerance: Of both residuals, relative to the largest \|eigenvalue\| at the point. A
            smallest eigenvalue within its bound of 0 has no certain sign; a smaller tolerance
            tells.
        max_products: The most products at a point.
        seed: Of the directions, the subset, the split, the masks and the noise.
        resume: A file that keeps the run: created when absent, continued when present.
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
        >>> found = landscape.curvature_map(model, data, points=3)
        >>> found.metrics["ratio"].shape
        (3, 3)
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance={tolerance}, expected a number between 0 and 1")
    if max_products < 1:
        raise ValueError(f"max_products={max_products}, expected at least 1")
    plan = surface_plan(directions, normalize, one_dimensional, seed)
    objective, _ = objectives(model, data, loss, test=None, seed=seed, options=options)
    axes, objective, _ = prepared(plan, objective.with_default_batch_norm("frozen"), None, progress)
    alpha, beta = coordinates(axes, span, points)
    ends = _Ends(axes, (alpha, beta), tolerance, max_products, seed)
    inputs = {
        "axes": [[float(axis[0]), float(axis[-1]), len(axis)] for axis in (alpha, beta)],
        "directions": axes.recipe.fingerprint,
        "tolerance": tolerance,
        "max_products": max_products,
        "seed": seed,
    }
    size = len(alpha) * len(beta)
    subject = Start(objective, axes.origin)
    iteration = Iteration("curvature_map", subject, inputs, size, progress, resume, unit="point")
    begun = iteration.begun()
    if begun is not None:
        ends.take(*begun)
    iteration.execute(ends, _shown, ends.state, len(ends.rows))
    columns = ends.columns()
    scale = np.maximum(np.abs(columns["lambda_max"]), np.abs(columns["lambda_min"]))
    flat = np.zeros_like(scale)
    columns["ratio"] = np.divide(columns["lambda_min"], scale, out=flat, where=scale != 0)
    products = int(np.nansum(columns["products"]))
    worst = np.maximum(columns["lambda_max bound"], columns["lambda_min bound"])
    open_ends = int((worst > tolerance * scale).sum())
    status = f"complete: {products} products"
    if open_ends:
        status += f"; {open_ends} of {size} points stopped at max_products={max_products}"
    if objective.is_random_subset:
        iteration.notes += (_UNDRAWN,)
    return Surface(
        alpha,
        beta,
        losses=columns.pop("loss"),
        metrics=columns,
        recipe=axes.recipe,
        run=iteration.run(products, status, seed),
    )


@dataclass
class _Ends:
    """Points of a plane in a line that turns at every row's end, each from the one before."""

    axes: Axes
    ticks: tuple[NDArray[np.float64], NDArray[np.float64]]
    tolerance: float
    max_products: int
    seed: int
    rows: list[list[float]] = field(default_factory=list)
    guess: NDArray[Any] | None = None

    def place(self, index: int) -> tuple[int, int]:
        """Row and column of a point; odd rows are gone through backwards."""
        row, column = divmod(index, len(self.ticks[0]))
        return row, len(self.ticks[0]) - 1 - column if row % 2 else column

    def run(self, losses: Losses, tick: Callable[..., bool]) -> bool:
        """Go on from point to point, until a tick pauses it."""
        while len(self.rows) < len(self.ticks[0]) * len(self.ticks[1]):
            self.rows.append(self._point(losses))
            if not tick(len(self.rows), *self.rows[-1][:3]):
                return False
        return True

    def _point(self, losses: Losses) -> list[float]:
        row, column = self.place(len(self.rows))
        steps = np.array([1.0, self.ticks[0][column], self.ticks[1][row]])
        theta = _core.combine([self.axes.origin, *self.axes.basis], steps)
        loss = float(losses.losses(theta[None])[0])
        if not np.isfinite(loss):
            return [loss] + [np.nan] * (len(_COLUMNS) - 1)
        try:
            return [loss, *self._solved(losses.curvature_at(theta), theta)]
        except FloatingPointError:  # a slope that is not finite is a fact about the plane
            return [loss] + [np.nan] * (len(_COLUMNS) - 1)

    def _solved(self, products: CurvatureOperator, theta: NDArray[Any]) -> list[float]:
        dim = theta.size
        solver = _core.Lanczos(
            dim,
            "float64" if theta.dtype == np.float64 else "float32",
            count=1,
            which="both",
            tolerance=0.0,
            basis=min(dim, _BASIS),
            max_products=self.max_products,
            seed=self.seed,
            start=None if self.guess is None else self._start(),
        )

        def more(done: int, _: int, values: Any, residuals: Any) -> bool:
            """Whether products are too few to have seen both ends, or residuals too large."""
            return done < _LEAST or not _settled(values, residuals, self.tolerance)

        solver.run(products, more)
        values, residuals = solver.values(), solver.residuals()
        self.guess = solver.vectors()[[0, -1]].sum(axis=0)
        ends = [values[0], values[-1], residuals[0], residuals[-1], solver.products]
        return [float(number) for number in ends]

    def _start(self) -> NDArray[Any]:
        guess: NDArray[Any] = np.asarray(self.guess)
        storage: Any = guess.dtype.name
        noise = _core.gaussian(guess.size, seed=self.seed, stream=len(self.rows), dtype=storage)
        start: NDArray[Any] = guess + guess.dtype.type(_NOISE / np.sqrt(guess.size)) * noise
        return start

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Every number over the plane, (n_beta, n_alpha)."""
        shape = len(self.ticks[1]), len(self.ticks[0])
        found = np.full((*shape, len(_COLUMNS)), np.nan)
        for index, row in enumerate(self.rows):
            found[self.place(index)] = row
        return {name: found[..., column] for column, name in enumerate(_COLUMNS)}

    def state(self) -> tuple[str, Mapping[str, NDArray[Any]]]:
        """What a resume needs."""
        guess = np.zeros(0) if self.guess is None else self.guess
        rows = np.array(self.rows, np.float64).reshape(-1, len(_COLUMNS))
        return "", {"rows": rows, "guess": guess}

    def take(self, _: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take that up."""
        self.rows = arrays["rows"].tolist()
        self.guess = arrays["guess"] if arrays["guess"].size else None


def _settled(values: NDArray[np.float64], residuals: NDArray[np.float64], tolerance: float) -> bool:
    return bool((residuals <= tolerance * np.abs(values).max()).all())


def _shown(loss: float, high: float, low: float) -> Mapping[str, float]:
    return {"loss": loss, "high": high, "low": low}

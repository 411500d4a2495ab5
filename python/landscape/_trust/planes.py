"""The rise of the loss on random planes through a point, and on the plane of a surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from landscape import _core
from landscape._directions import RandomDirections
from landscape._progress import reporter, start_up

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._directions import Axes, PlaneContext
    from landscape._progress import Choice
    from landscape._results import Recipe, Surface

__all__ = ["PlaneSample", "choose_seeds", "sample_planes"]

_EQUAL = 1e-6  # of lengths: float32 directions cannot distinguish less


@dataclass(frozen=True)
class PlaneSample:
    """Losses on ellipses around the centre: of a surface's plane, then of random ones."""

    centre_loss: float
    radii: NDArray[np.float64]
    losses: NDArray[np.float64]
    """Shape (1 + planes, radii, angles)."""

    @property
    def evaluations(self) -> int:
        """The number of losses."""
        return 1 + self.losses.size


def choose_seeds(recipe: Recipe, count: int, seed: int) -> tuple[int, ...]:
    """The seeds of random planes: the next ones that are not the surface's own."""
    own = recipe.seed if recipe.kind == "random" else None
    return tuple(s for s in range(seed + 1, seed + count + 2) if s != own)[:count]


def sample_planes(
    context: PlaneContext,
    surface: Surface,
    seeds: Sequence[int],
    shape: tuple[int, int],
    progress: Choice,
) -> PlaneSample:
    """Evaluate every plane at the same coordinates.

    Args:
        context: The function and the surface's own plane.
        surface: Its extent and the recipe of its directions.
        seeds: Of the random planes.
        shape: The numbers of radii and of angles.
        progress: How progress is shown.
    """
    objective, axes = context.objective, context.axes
    radii = np.arange(1, shape[0] + 1) / shape[0]
    angles = np.arange(shape[1]) * (2 * np.pi / shape[1])
    half = np.ptp(surface.alpha) / 2, np.ptp(surface.beta) / 2
    circle = np.column_stack([half[0] * np.cos(angles), half[1] * np.sin(angles)])
    points = (radii[:, None, None] * circle).reshape(-1, 2)
    with start_up(progress):
        strategy = objective.strategy
    size = 1 + (1 + len(seeds)) * len(points)
    centre, rows = np.nan, []
    with reporter(progress, size, "trust: random planes", start=0) as bar:
        done = 0
        for seed in (None, *seeds):
            basis = axes.basis if seed is None else _draw_basis(context, surface.recipe, seed)
            subspace = objective.subspace(axes.origin, basis, strategy=strategy)
            if seed is None:
                centre = float(subspace.losses([[0.0, 0.0]])[0])
                done += 1
            losses: list[NDArray[np.float64]] = []
            for start in range(0, len(points), strategy.chunk):
                losses.append(subspace.losses(points[start : start + strategy.chunk]))
                done += len(losses[-1])
                bar.update(done)
            rows.append(np.concatenate(losses).reshape(shape))
    return PlaneSample(centre, radii, np.array(rows))


def _draw_basis(context: PlaneContext, recipe: Recipe, seed: int) -> tuple[NDArray[Any], ...]:
    """Two random directions of the surface's normalisation, as long as its own.

    Where the surface's directions were not drawn, each filter has its share of the length: an
    isotropic direction would move small weights far more than any plane of interest does.
    """
    axes, layout = context.axes, context.objective.layout
    drawn = _describe(recipe, seed).axes(axes.origin, layout)
    return tuple(
        _rescale(vector, norm / own)
        for vector, own, norm in zip(drawn.basis, drawn.recipe.norms, _lengths(axes), strict=True)
    )


def _describe(recipe: Recipe, seed: int) -> RandomDirections:
    if recipe.kind != "random":
        return RandomDirections(2, seed, "filter", "include")
    normalize = cast('Literal["filter", "layer", "model"] | None', recipe.normalize)
    one_dimensional = cast('Literal["zero", "include"]', recipe.one_dimensional)
    return RandomDirections(2, seed, normalize, one_dimensional)


def _lengths(axes: Axes) -> tuple[float, ...]:
    return axes.recipe.norms


def _rescale(vector: NDArray[Any], factor: float) -> NDArray[Any]:
    if abs(factor - 1) <= _EQUAL:
        return vector
    return _core.combine([vector], np.array([factor]))

"""The examination of a surface, part by part, with what is not available named."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._directions import PlaneContext, RandomDirections
from landscape._objective import Objective
from landscape._results import Trust
from landscape._runs import RunPlan
from landscape._runs.checkpoint import list_differences, to_plain
from landscape._surface import make_axes, parse_directions
from landscape._trust.derivatives import (
    GRADIENT_LOSSES,
    compare_curvatures,
    compare_gradients,
)
from landscape._trust.interpolation import compute_held_out_error
from landscape._trust.planes import choose_seeds, sample_planes
from landscape._trust.trajectory import compare_trajectory

if TYPE_CHECKING:
    from landscape._progress import Choice
    from landscape._results import Recipe, Surface
    from landscape._runs import Interrupt

__all__ = ["examine_surface"]

_FEWEST_PRODUCTS = 30  # of which a trace makes an interval
_ELSEWHERE = ("device", "inferred")
"""What may differ between a saved surface's function and the same function here."""


@dataclass(frozen=True)
class _Options:
    planes: int
    radii: int
    angles: int
    tolerance: float
    trace_error: float
    max_products: int
    seed: int

    def __post_init__(self) -> None:
        for name, least in (("planes", 0), ("radii", 1), ("angles", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)}, expected at least {least}")
        if self.planes in (1, 2):
            raise ValueError(
                f"planes={self.planes}, expected 0 or at least 3: fewer have no spread"
            )
        _core.require_memory("losses on random planes", [1 + self.planes, self.radii, self.angles])
        for name in ("tolerance", "trace_error"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}, expected between 0 and 1")
        if 0 < self.max_products < _FEWEST_PRODUCTS or self.max_products < 0:
            raise ValueError(
                f"max_products={self.max_products}, expected 0 (no curvature) or at least "
                f"{_FEWEST_PRODUCTS}, of which a trace makes its interval"
            )


def examine_surface(
    surface: Surface,
    objective: Any = None,
    *,
    directions: Any = None,
    planes: int = 5,
    radii: int = 4,
    angles: int = 8,
    tolerance: float = 0.01,
    trace_error: float = 0.1,
    max_products: int = 200,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    progress: Choice = None,
) -> Trust:
    """Examine what a surface shows; see :meth:`landscape.Surface.trust`."""
    options = _Options(planes, radii, angles, tolerance, trace_error, max_products, seed)
    if interrupt not in ("raise", "return"):
        raise ValueError(f"interrupt={interrupt!r}, expected 'raise' or 'return'")
    context = find_context(surface, objective, directions, progress)
    start = time.perf_counter()
    parts = _Parts(interrupt)
    found = _examine_parts(context, surface, options, progress, parts)
    function = context.objective
    plan = RunPlan.start(function.device)
    run = plan.make_run(
        function,
        function.strategy,
        evaluations=parts.evaluations,
        seconds=time.perf_counter() - start,
        seed=seed,
        status=parts.status,
    )
    return Trust(
        loss_range=surface.range,
        dim=function.dim,
        cosine=context.axes.recipe.cosine or 0.0,
        unavailable=parts.unavailable,
        status=parts.status,
        run=run,
        **found,
    )


@dataclass
class _Parts:
    """Runs one part after another; what is not available is noted with the reason."""

    interrupt: Interrupt

    def __post_init__(self) -> None:
        self.unavailable: dict[str, str] = {}
        self.evaluations = 0
        self.is_interrupted = False

    @property
    def status(self) -> str:
        return "interrupted" if self.is_interrupted else "complete"

    def run(self, name: str, compute: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """The fields of a part, none where it is not available."""
        if self.is_interrupted:
            self.unavailable[name] = "interrupted before"
            return {}
        try:
            return compute()
        except (ValueError, FloatingPointError) as error:
            self.unavailable[name] = str(error).rstrip(".")
        except KeyboardInterrupt:
            if self.interrupt == "raise":
                raise
            self.is_interrupted = True
            self.unavailable[name] = "interrupted"
        return {}


def _examine_parts(
    context: PlaneContext,
    surface: Surface,
    options: _Options,
    progress: Choice,
    parts: _Parts,
) -> dict[str, Any]:
    found: dict[str, Any] = {"centre_loss": surface.centre_loss, "products": 0}
    seeds = choose_seeds(surface.recipe, options.planes, options.seed)

    def compute_planes() -> dict[str, Any]:
        shape = options.radii, options.angles
        sample = sample_planes(context, surface, seeds, shape, progress)
        parts.evaluations += sample.evaluations
        with np.errstate(invalid="ignore"):
            rises = sample.losses - sample.centre_loss
        return {
            "radii": sample.radii,
            "rises": rises,
            "plane_seeds": seeds,
            "centre_loss": sample.centre_loss,
        }

    if options.planes:
        found |= parts.run("planes", compute_planes)
    elif np.isnan(found["centre_loss"]):
        found["centre_loss"] = context.objective.loss(context.axes.origin)
    found |= parts.run("gradient", lambda: compare_gradients(context, found["centre_loss"]))
    parts.evaluations += GRADIENT_LOSSES * ("gradient_norm" in found)
    if options.max_products:
        settings = asdict(options)
        names = ("tolerance", "trace_error", "max_products", "seed")
        chosen = {name: settings[name] for name in names}
        found |= parts.run(
            "curvature", lambda: compare_curvatures(context, progress=progress, **chosen)
        )
    checkpoints = context.checkpoints
    if checkpoints is not None:
        found |= parts.run(
            "trajectory", lambda: compare_trajectory(context, checkpoints, surface, progress)
        )
        parts.evaluations += len(found.get("checkpoint_losses", ()))
    found |= parts.run("interpolation", lambda: _read_interpolation_error(surface))
    if surface.standard_error is not None:
        errors = surface.standard_error[np.isfinite(surface.standard_error)]
        if errors.size:
            found["subset_error"] = (float(np.median(errors)), float(errors.max()))
    return found


def _read_interpolation_error(surface: Surface) -> dict[str, Any]:
    """The error that an interpolated surface knows, or that at held-out points of a full grid."""
    known = surface.error
    if known is None:
        pair, scale = compute_held_out_error(surface)
        source = "held-out points"
    else:
        pair, scale = (known.quantile95, known.maximum), known.scale
        source = "estimate" if known.confidence is None else "bound"
    return {
        "interpolation_error": pair,
        "interpolation_scale": scale,
        "interpolation_source": source,
    }


def find_context(
    surface: Surface, objective: Any, directions: Any, progress: Choice
) -> PlaneContext:
    """The function and the plane of a surface: those it remembers, or the caller's.

    Raises:
        TypeError: What was passed is no Objective.
        ValueError: There is none, or it is another function or plane than the surface's.
    """
    context: PlaneContext | None = surface.context
    if objective is None:
        if context is None:
            raise ValueError(
                "this surface has no Objective: it was loaded from a file, which holds no model "
                "and no data, or is the surface of test data; pass one: "
                "surface.trust(landscape.Objective(model, data))"
            )
        if directions is not None:
            raise ValueError("directions go with an Objective; leave them out, or pass both")
    else:
        if not isinstance(objective, Objective):
            raise TypeError(
                f"got a {type(objective).__name__}, expected a landscape.Objective: "
                "surface.trust(landscape.Objective(model, data))"
            )
        context = _rebuild_context(surface, objective, directions, progress)
    _require_same_function(surface, context.objective)
    return context


def _rebuild_context(
    surface: Surface, objective: Objective, directions: Any, progress: Choice
) -> PlaneContext:
    recipe = surface.recipe
    if directions is not None:
        plan = parse_directions(directions, "auto", "zero", 0)
        if isinstance(plan, RandomDirections):
            plan = _drawn(recipe)
    elif recipe.kind == "random":
        plan = _drawn(recipe)
    else:
        raise ValueError(
            f"the directions of this surface ({recipe.kind}) are not in its file; pass them as "
            "landscape.surface got them: surface.trust(objective, directions=...)"
        )
    axes, objective, _ = make_axes(plan, objective, None, progress)
    if axes.recipe.fingerprint != recipe.fingerprint:
        raise ValueError(
            "the plane of this Objective and these directions is another one than the surface's; "
            "pass the model with the parameters that it had, in the same dtype, and the same "
            "directions"
        )
    return PlaneContext.of(objective, replace(axes, recipe=recipe), plan)


def _drawn(recipe: Recipe) -> RandomDirections:
    normalize: Any = recipe.normalize
    one_dimensional: Any = recipe.one_dimensional
    return RandomDirections(2, recipe.seed or 0, normalize, one_dimensional)


def _require_same_function(surface: Surface, objective: Objective) -> None:
    recorded, here = to_plain(surface.run.policy), to_plain(objective.policy)
    common = [name for name in here if name in recorded and name not in _ELSEWHERE]
    differences = list_differences(
        {name: recorded[name] for name in common}, {name: here[name] for name in common}
    )
    if differences:
        text = "; ".join(differences).replace("in the file", "on the surface")
        raise ValueError(
            f"the Objective is another function than the surface's: {text}. Pass the same model, "
            "data and options"
        )

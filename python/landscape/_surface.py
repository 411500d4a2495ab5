"""`surface` and `line`: the loss on a plane or along a line through parameter space."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

from landscape._directions import (
    NORMALIZATIONS,
    ONE_DIMENSIONAL,
    LineBetween,
    PlaneContext,
    PlaneThrough,
    PrincipalComponents,
    RandomDirections,
    RandomPlane,
    UserDirections,
)
from landscape._eigenplane import EigenDirections
from landscape._outside import Outside, compare_outside, validate_outside
from landscape._results import Line, Surface
from landscape._runs import (
    Accuracy,
    ErrorScale,
    ObjectiveOptions,
    SubsetChoice,
    build_objectives,
    grid_coordinates,
    read_accuracy,
    sample_grid,
    sample_to_tolerance,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from landscape._directions import Axes, Directions
    from landscape._objective import MetricLike, Objective
    from landscape._progress import Choice

__all__ = [
    "Normalize",
    "OneDimensional",
    "check_outside_applies",
    "compare_models",
    "line",
    "make_axes",
    "parse_direction",
    "parse_directions",
    "surface",
]

_JOINING = (LineBetween, PlaneThrough, PrincipalComponents)
"""Directions on which other models lie."""

_GRID_POINTS = 51
_DRAWN_POINTS = 101

Normalize = Literal["auto", "filter", "layer", "model"] | None
OneDimensional = Literal["zero", "include"]


def surface(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    directions: Any = "random",
    normalize: Normalize = "auto",
    one_dimensional: OneDimensional = "zero",
    span: float | Sequence[Sequence[float]] | None = None,
    points: int | tuple[int, int] | None = None,
    tolerance: float | None = None,
    tolerance_of: ErrorScale = "loss",
    confidence: float | None = None,
    evaluations: int | None = None,
    seconds: float | None = None,
    subset: SubsetChoice | None = None,
    preview: Callable[[Surface], object] | None = None,
    outside: Outside = "error",
    test: Any = None,
    seed: int = 0,
    metrics: Sequence[MetricLike] | MetricLike = (),
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Surface:
    r"""The loss on a plane through parameter space.

    .. math:: f(\alpha, \beta) = L(\theta + \alpha u + \beta v)

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: ``(inputs, targets)``, a Dataset, a DataLoader or any re-iterable of batches.
        loss: None (inferred), a torch loss, ``f(outputs, targets)`` or ``batch_loss(f)``.
        directions: ``"random"``; ``"eigen"`` (the top two eigenvectors of the Hessian) or
            :func:`landscape.eigenplane` of others; :func:`landscape.pca` of checkpoints;
            :func:`landscape.plane` through two more models; :func:`landscape.random_plane`; or a
            pair of flat vectors, shape (d,), or state dicts.
        normalize: ``"auto"`` (filter for random directions, none for all others), ``"filter"``,
            ``"layer"``, ``"model"`` or None.
        one_dimensional: Under normalisation, ``"zero"`` leaves biases and normalisation scales
            where they are, ``"include"`` moves each tensor of them like one filter.
        span: Half-width, or ``((a0, a1), (b0, b1))``, in unit steps of the directions. None is
            1.0, or the bounding box of the models of a plane or a trajectory.
        points: Grid points along each axis, or ``(n_alpha, n_beta)``; at least 2. All are
            evaluated, 51 along each axis where nothing is said; with a tolerance they are where the
            interpolant is drawn, 101 along each axis.
        tolerance: The relative error that 95% of the area may have, such as 0.05. The loss is then
            evaluated where this needs it, from 81 points up to 129 along each axis, and
            interpolated between; ``.error`` says what remains and ``.evaluated`` where it was
            evaluated. None evaluates a full grid.
        tolerance_of: What the tolerance is relative to: ``"loss"``, the loss at the same point, or
            ``"range"``, the largest difference on the surface, where small losses need less.
        confidence: With a tolerance: a bound of the error that holds with this probability, from
            fresh random points (59 for 0.95) whose largest error is ``.error.quantile95``.
        evaluations: With a tolerance: the most evaluations, at least 81 and the random points;
            ``.error`` says what was reached. The lowest loss of a subset is computed besides.
        seconds: With a tolerance: the time of evaluation after which no further level is refined.
            The first 81 points, the pilots of a subset and the random points are evaluated anyway.
        subset: With a tolerance, whether losses are estimated from a part of the samples with
            calibrated weights, half of the tolerance being for their error: ``"auto"`` (from 5,000
            samples on, where it is possible and expected to take at most half of 289 evaluations;
            the same as None), ``"always"`` (an error where it is not possible) or ``"never"``. The
            centre and the lowest point are computed on all data. A call that is interrupted while
            its pilots are evaluated begins them anew.
        preview: With a tolerance: called with a surface as it is after every level of refinement.
        outside: With models as directions: as for :func:`line`, of each of them and the first.
        test: Further data for the same plane; their surface is the result's ``.test``.
        seed: Of the directions, the sample subset, the batch split and the dropout masks.
        metrics: ``"accuracy"``, ``"error"`` or functions ``metric(outputs, targets)``.
        resume: The checkpoint file: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, total).
        options: Those of :class:`landscape.Objective`.

    Returns:
        The surface; ``losses[i_beta, i_alpha]`` are mean losses over samples. NaN and infinities
        are kept.

    Raises:
        ValueError: An option or the data do not fit; the text says what was expected.
        OSError: ``resume`` cannot be written.

    Reference:
        Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of Neural Nets"
        (2018), equation (1) and section 4; of the subset, Deville and Särndal, "Calibration
        Estimators in Survey Sampling" (1992).

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        >>> data = (torch.randn(64, 4), torch.randint(3, (64,)))
        >>> landscape.surface(model, data, points=5).losses.shape
        (5, 5)
    """
    axes_plan = parse_directions(directions, normalize, one_dimensional, seed)
    check_outside_applies(axes_plan, outside)
    accuracy = read_accuracy(
        2,
        tolerance=tolerance,
        tolerance_of=tolerance_of,
        evaluations=evaluations,
        seconds=seconds,
        confidence=confidence,
    )
    _check_preview(preview, accuracy)
    if subset is not None and accuracy is None:
        raise ValueError(f"got subset={subset!r} without tolerance=, whose option it is")
    objective, on_test = build_objectives(
        surface, model, data, loss, test=test, seed=seed, options=options, progress=progress
    )
    axes, objective, on_test = make_axes(axes_plan, objective, on_test, progress)
    notes = compare_models(axes_plan, objective, outside)
    default = _DRAWN_POINTS if accuracy else _GRID_POINTS
    alpha, beta = grid_coordinates(axes, span, default if points is None else points)

    context = PlaneContext.of(objective, axes, axes_plan)

    def make_surface(fields: dict[str, Any], test_fields: dict[str, Any] | None) -> Surface:
        test_surface = Surface(alpha, beta, **test_fields) if test_fields else None
        return Surface(alpha, beta, **fields, test=test_surface, context=context)

    return make_surface(
        *_sample(
            objective,
            on_test,
            axes,
            (alpha, beta),
            accuracy,
            label="surface",
            notes=notes,
            metrics=metrics,
            resume=resume,
            progress=progress,
            subset=subset or "auto",
            preview=preview and (lambda *fields: preview(make_surface(*fields))),
        )
    )


def line(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    to: Any = None,
    direction: Any = "random",
    normalize: Normalize = "auto",
    one_dimensional: OneDimensional = "zero",
    span: float | Sequence[float] | None = None,
    points: int = 101,
    tolerance: float | None = None,
    tolerance_of: ErrorScale = "loss",
    confidence: float | None = None,
    evaluations: int | None = None,
    seconds: float | None = None,
    preview: Callable[[Line], object] | None = None,
    outside: Outside = "error",
    test: Any = None,
    seed: int = 0,
    metrics: Sequence[MetricLike] | MetricLike = (),
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Line:
    r"""The loss along a line through parameter space, or from one model to another.

    .. math:: f(t) = L(\theta + t u), \quad u = \theta_B - \theta \text{ when } to = B

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for :func:`surface`.
        loss: As for :func:`surface`.
        to: Another model (module, state dict, ``.safetensors`` path or flat vector): t = 0 is the
            first model and t = 1 is this one. Batch statistics are then re-estimated at every
            point, unless ``batch_norm=`` says otherwise.
        direction: Without ``to``: ``"random"``, ``"eigen"`` (the top eigenvector of the Hessian),
            a flat vector, shape (d,), or a state dict.
        normalize: As for :func:`surface`.
        one_dimensional: As for :func:`surface`.
        span: Half-width, or ``(low, high)``; None is 1.0, or (-0.5, 1.5) between two models.
        points: Points on the line, at least 2: all are evaluated, or with a tolerance drawn.
        tolerance: As for :func:`surface`, of the whole line: the loss is evaluated at 9 to 257
            points.
        tolerance_of: As for :func:`surface`.
        confidence: As for :func:`surface`.
        evaluations: As for :func:`surface`; at least 9.
        seconds: As for :func:`surface`; the first 9 points are evaluated anyway.
        preview: As for :func:`surface`.
        outside: With ``to``: what to do where that model holds something else than the first one
            besides its parameters and batch-norm statistics (buffers, frozen parameters, ties,
            activations, code), and its own loss is therefore not L at its parameters:
            ``"error"``, which lists what differs, or ``"first"``: the first model with these
            parameters is meant.
        test: Further data for the same line; their line is the result's ``.test``.
        seed: As for :func:`surface`.
        metrics: As for :func:`surface`.
        resume: As for :func:`surface`.
        progress: As for :func:`surface`.
        options: Those of :class:`landscape.Objective`.

    Returns:
        The line.

    Raises:
        ValueError: An option or the data do not fit; the text says what was expected.
        OSError: ``resume`` cannot be written.

    Reference:
        Goodfellow, Vinyals and Saxe, "Qualitatively Characterizing Neural Network Optimization
        Problems" (2015), section 3.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> data = (torch.randn(64, 4), torch.randint(3, (64,)))
        >>> a, b = nn.Linear(4, 3), nn.Linear(4, 3)
        >>> landscape.line(a, data, to=b, points=11).positions[0]
        np.float64(-0.5)
    """
    axes_plan = parse_direction(to, direction, normalize, one_dimensional, seed)
    check_outside_applies(axes_plan, outside)
    accuracy = read_accuracy(
        1,
        tolerance=tolerance,
        tolerance_of=tolerance_of,
        evaluations=evaluations,
        seconds=seconds,
        confidence=confidence,
    )
    _check_preview(preview, accuracy)
    objective, on_test = build_objectives(
        line, model, data, loss, test=test, seed=seed, options=options, progress=progress
    )
    axes, objective, on_test = make_axes(axes_plan, objective, on_test, progress)
    notes = compare_models(axes_plan, objective, outside)
    (positions,) = grid_coordinates(axes, span, points)

    def make_line(fields: dict[str, Any], test_fields: dict[str, Any] | None) -> Line:
        test_line = Line(positions, **test_fields) if test_fields else None
        return Line(positions, **fields, test=test_line)

    return make_line(
        *_sample(
            objective,
            on_test,
            axes,
            (positions,),
            accuracy,
            label="line",
            notes=notes,
            metrics=metrics,
            resume=resume,
            progress=progress,
            subset="never",
            preview=preview and (lambda *fields: preview(make_line(*fields))),
        )
    )


def _sample(
    objective: Objective,
    on_test: Objective | None,
    axes: Axes,
    coordinates: tuple[NDArray[np.float64], ...],
    accuracy: Accuracy | None,
    *,
    preview: Callable[..., object] | None,
    subset: SubsetChoice,
    **options: Any,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Evaluate a full grid, or what a tolerance needs of it."""
    if accuracy is None:
        return sample_grid(objective, on_test, axes, coordinates, **options)
    return sample_to_tolerance(
        objective,
        on_test,
        axes,
        coordinates,
        accuracy,
        preview=preview,
        subset=subset,
        **options,
    )


def _check_preview(preview: Callable[..., object] | None, accuracy: Accuracy | None) -> None:
    if preview is not None and (accuracy is None or not callable(preview)):
        raise ValueError(
            f"preview={preview!r}, expected a function, together with tolerance=: a full grid has "
            "no levels"
        )


def parse_directions(
    directions: Any, normalize: Normalize, one_dimensional: OneDimensional, seed: int
) -> Directions | EigenDirections:
    """Parse the directions of a surface; see :func:`surface` for the options.

    Raises:
        ValueError: An option is unknown, or does not go with these directions.
    """
    _check_normalization(normalize, one_dimensional)
    if isinstance(directions, str):
        return _parse_name(directions, 2, normalize, one_dimensional, seed)
    if isinstance(directions, (PlaneThrough, PrincipalComponents, RandomPlane, EigenDirections)):
        _refuse_normalization(normalize, "the plane that is meant")
        return directions
    try:
        pair = tuple(directions)
    except TypeError:
        pair = ()
    if len(pair) != 2 or isinstance(directions, dict):
        raise ValueError(
            f"directions is a {type(directions).__name__}, expected 'random', 'eigen', "
            "landscape.pca(...), landscape.plane(...), landscape.eigenplane(...), "
            "landscape.random_plane(...) or a pair of flat vectors or state dicts"
        )
    return UserDirections(pair, None if normalize == "auto" else normalize, one_dimensional)


def parse_direction(
    to: Any, direction: Any, normalize: Normalize, one_dimensional: OneDimensional, seed: int
) -> Directions | EigenDirections:
    """Parse the direction of a line; see :func:`line` for the options.

    Raises:
        ValueError: An option is unknown, or ``to`` is passed together with a direction.
    """
    _check_normalization(normalize, one_dimensional)
    if to is not None:
        if not (isinstance(direction, str) and direction == "random"):
            raise ValueError("pass either to= (another model) or direction=, not both")
        _refuse_normalization(normalize, "a line between models")
        return LineBetween(to)
    if isinstance(direction, str):
        return _parse_name(direction, 1, normalize, one_dimensional, seed)
    chosen = None if normalize == "auto" else normalize
    return UserDirections((direction,), chosen, one_dimensional)


def make_axes(
    axes_plan: Directions | EigenDirections,
    objective: Objective,
    test_objective: Objective | None,
    progress: Choice,
) -> tuple[Axes, Objective, Objective | None]:
    """Make the axes, and set the batch-norm policy that they need in both Objectives."""
    if isinstance(axes_plan, EigenDirections):
        axes_plan = axes_plan.compute(objective.with_default_batch_norm("frozen"), progress)
    axes = axes_plan.axes(objective.theta, objective.layout)
    policy: Literal["frozen", "recalibrated"] = "recalibrated" if axes.joins_models else "frozen"
    return (
        axes,
        objective.with_default_batch_norm(policy),
        test_objective.with_default_batch_norm(policy) if test_objective else None,
    )


def compare_models(
    axes_plan: Directions | EigenDirections, objective: Objective, outside: Outside
) -> tuple[str, ...]:
    """Compare what the models of a line or plane hold outside theta; see :func:`line`.

    Returns:
        Notes for the run record.

    Raises:
        ValueError: A model is another function at its own parameters.
    """
    models = axes_plan.models if isinstance(axes_plan, _JOINING) else {}
    notes = [
        note
        for name, source in models.items()
        for note in compare_outside(objective, source, name=name, outside=outside)
    ]
    return tuple(dict.fromkeys(notes))


def check_outside_applies(axes_plan: Directions | EigenDirections, outside: Outside) -> None:
    """Refuse ``outside`` where no other model lies on the axes.

    Raises:
        ValueError: It is unknown, or does not apply.
    """
    validate_outside(outside)
    if outside != "error" and not isinstance(axes_plan, _JOINING):
        raise ValueError(
            f"outside={outside!r} is about other models, and none lies on these axes; leave it out"
        )


def _parse_name(
    name: str, count: int, normalize: Normalize, one_dimensional: OneDimensional, seed: int
) -> Directions | EigenDirections:
    if name == "eigen":
        _refuse_normalization(normalize, "the eigenvectors' plane")
        return EigenDirections(range(1, count + 1), seed=seed)
    if name != "random":
        raise ValueError(f"direction {name!r} is unknown, expected 'random', 'eigen' or vectors")
    return RandomDirections(
        count, seed, "filter" if normalize == "auto" else normalize, one_dimensional
    )


def _check_normalization(normalize: Normalize, one_dimensional: OneDimensional) -> None:
    if normalize not in ("auto", None, *NORMALIZATIONS):
        raise ValueError(
            f"normalize={normalize!r}, expected 'auto', 'filter', 'layer', 'model' or None"
        )
    if one_dimensional not in ONE_DIMENSIONAL:
        raise ValueError(f"one_dimensional={one_dimensional!r}, expected 'zero' or 'include'")


def _refuse_normalization(normalize: Normalize, what: str) -> None:
    if normalize not in ("auto", None):
        raise ValueError(f"normalize={normalize!r} would move the models off {what}; leave it out")

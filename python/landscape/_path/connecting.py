"""`connect` and `barrier`: from two models to a path and its evidence.

Depends on the other files of this folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, get_args

import numpy as np

from landscape._align import align as matched
from landscape._iteration import Interrupt
from landscape._path.bands import MOST_PIVOTS, PIVOTS, SCHEDULE, BandOptions
from landscape._path.curves import CURVE_SCHEDULE, CurveOptions
from landscape._path.ends import far_end
from landscape._path.profiling import profiled
from landscape._path.reporting import made_path
from landscape._path.schedules import Optimizer
from landscape._path.searching import Options, searched
from landscape._path.subject import Ends, descended
from landscape._results import Curve, Path
from landscape._sampling import ObjectiveOptions, objectives

if TYPE_CHECKING:
    import os

    from torch import nn

    from landscape._objective import MetricLike, Objective
    from landscape._progress import Choice

__all__ = ["barrier", "connect"]

Method = Literal["autoneb", "bezier", "polychain", "linear"]
METHODS = get_args(Method)
Matched = Literal["weights", "activations"]


def connect(
    model_a: nn.Module | Objective,
    model_b: Any,
    data: Any = None,
    loss: Any = None,
    *,
    method: Method = "autoneb",
    align: bool | Matched = False,
    test: Any = None,
    metrics: Sequence[MetricLike] | MetricLike = (),
    points: int = 61,
    schedule: Sequence[tuple[int, float]] | None = None,
    optimizer: Optimizer = "adam",
    pivots: int | None = None,
    max_pivots: int | None = None,
    insertion: float = 0.2,
    spring: float | None = None,
    climb: int = 0,
    tolerance: float = 0.0,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Path:
    r"""Find a path of low loss between two models, and say how high its pass is.

    .. math:: \text{barrier} = \max_s L(\theta(s)) - \max(L(\theta(0)), L(\theta(1)))

    ``"autoneb"`` is an elastic band: pivots between the models move down across the band, by
    F = -(g - (g.t) t) with the improved tangent t, each on a mini-batch of its own, and are spread
    evenly along it; after every cycle a look at the whole band, on all data, adds pivots where the
    loss between two of them rises above the line, and keeps the best band so far.

    ``"bezier"`` and ``"polychain"`` are curves theta(t) = sum_j c_j(t) P_j whose inner control
    points P_j minimise the mean of L over t uniform on [0, 1]: each step draws four values of t,
    one in each quarter, each with a mini-batch of its own.

    At the end the path is evaluated densely, under the batch-norm policy of the Objective, and
    more densely about its highest loss. Where batch statistics are re-estimated at every point
    (the default for models with batch norm) the search itself differentiates through those of the
    mini-batch.

    Args:
        model_a: The one model, or an Objective in place of model, data and loss.
        model_b: The other one: a module, a state dict, a ``.safetensors`` path or a flat vector.
        data: As for the Objective.
        loss: As for the Objective.
        method: ``"autoneb"``; ``"bezier"``, a curve of the degree that its control points allow;
            ``"polychain"``, straight segments between control points; or ``"linear"``, the straight
            segment.
        align: Permute the hidden units of model_b first, so that it lies close to model_a:
            ``True`` or ``"weights"``, or ``"activations"``; see :func:`landscape.align`. The path
            then ends at the permuted model, which is the same function.
        test: Further data for the same path; their losses are the result's ``.test``.
        metrics: ``"accuracy"``, ``"error"``, functions ``metric(outputs, targets)``; and of each
            place together with the first model ``"disagreement"``, the share of samples that are
            predicted otherwise, and ``"ensemble_accuracy"``, that of the mean of both.
        points: Places along the path at which it is evaluated in the end, at equal distances.
        schedule: Pairs (steps, learning rate), one a cycle, after each of which the whole path is
            looked at; three cycles when None.
        optimizer: ``"adam"``, or ``"sgd"`` with a momentum of 0.9.
        pivots: Inner points at the beginning; 3 when None. Of a curve its inner control points; 1
            when None: a Bezier curve of degree 2.
        max_pivots: The most pivots of a band; 30 when None.
        insertion: A pivot is added where the loss rises above the line between two pivots by more
            than this share of the range of losses on the band.
        spring: The stiffness of springs between pivots; None spreads them evenly instead.
        climb: In so many last cycles the highest pivot climbs to the saddle.
        tolerance: A largest force across the band that ends the search early; needs gradients of
            all data (``batch_size=`` their number).
        seed: Of the order of mini-batches, the sample subset, the split and the dropout masks.
        interrupt: What Ctrl-C and numbers that are not finite do: ``"raise"``, or ``"return"`` the
            best path so far.
        resume: A file that keeps the run: created when absent, continued when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, most)
            steps.
        options: Those of :class:`landscape.Objective`. Data that come in one piece are split into
            mini-batches of about 256 for the search unless ``batch_size`` says otherwise.

    Returns:
        The path: its points, losses, barrier and excess, and models at any place.

    Raises:
        ValueError: The models' layouts differ, they are equal, or an option or the data do not fit.
        FloatingPointError: A loss or a gradient is not finite; the text names pivot and step.

    Reference:
        Draxler, Veschgini, Salmhofer and Hamprecht, "Essentially No Barriers in Neural Network
        Energy Landscape" (2018), algorithm 1; Henkelman and Jonsson, "Improved Tangent Estimate in
        the Nudged Elastic Band Method" (2000), equations 8 to 11; Kolsbjerg, Groves and Hammer,
        "An Automated Nudged Elastic Band Method" (2016); Garipov, Izmailov, Podoprikhin, Vetrov
        and Wilson, "Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs" (2018), section
        3, for curves.

    Example:
        >>> path = landscape.connect(model, other, data, schedule=[(20, 0.02), (20, 0.005)])
        >>> path.barrier <= landscape.barrier(model, other, data).barrier
        True
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r}, expected one of {', '.join(METHODS)}")
    made, tested = objectives(model_a, data, loss, test=test, seed=seed, options=options)
    functions = [f.with_default_batch_norm("recalibrated") for f in (made, tested) if f is not None]
    notes: tuple[str, ...] = ()
    if align:
        model_b, notes = _aligned(made, model_b, "weights" if align is True else align, seed)
    ends = Ends(descended(functions[0]), np.stack([made.theta, far_end(made, model_b)]))
    meant: dict[str, Any] = {
        "functions": functions,
        "model_b": model_b,
        "ends": ends,
        "notes": notes,
    }
    watched: dict[str, Any] = {"points": points, "metrics": metrics, "progress": progress}
    if method == "linear":
        straight = Curve(ends.points, "polyline")
        found = profiled(functions, straight, **watched, inputs=ends.fingerprint, resume=resume)
        return made_path(straight, method, found, None, **meant)
    given: Options
    if method == "autoneb":
        given = BandOptions(
            schedule=SCHEDULE if schedule is None else schedule,
            optimizer=optimizer,
            spring=spring,
            climb=climb,
            tolerance=tolerance,
            pivots=PIVOTS if pivots is None else pivots,
            max_pivots=MOST_PIVOTS if max_pivots is None else max_pivots,
            insertion=insertion,
            seed=seed,
        )
    else:
        given = CurveOptions(
            kind=method,
            schedule=CURVE_SCHEDULE if schedule is None else schedule,
            optimizer=optimizer,
            bends=1 if pivots is None else pivots,
            seed=seed,
        )
    way = searched(method, ends, given, resume=resume, progress=progress, interrupt=interrupt)
    curve = Curve(way.points, "bezier" if method == "bezier" else "polyline")
    found = profiled(functions, curve, **watched, inputs={}, resume=None)
    return made_path(curve, method, found, way, **meant)


def _aligned(
    objective: Objective, model_b: Any, method: Matched, seed: int
) -> tuple[nn.Module, tuple[str, ...]]:
    """The other end with its units in the order of the first, and what to say of it."""
    found = matched(objective, model_b, method=method, seed=seed)
    before, after = found.distances
    told = (
        f"model_b was aligned by {method}: {found.moved} units moved, distance {before:.4g} before "
        f"and {after:.4g} after"
    )
    return found.model, (told,)


def barrier(
    model_a: nn.Module | Objective,
    model_b: Any,
    data: Any = None,
    loss: Any = None,
    *,
    align: bool | Matched = False,
    test: Any = None,
    metrics: Sequence[MetricLike] | MetricLike = (),
    points: int = 61,
    seed: int = 0,
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Path:
    r"""The loss on the straight segment between two models, and its barrier by both definitions.

    .. math:: \theta(s) = (1 - s)\, \theta_A + s\, \theta_B

    ``.barrier`` is the highest loss less that of the higher end; ``.excess`` the largest rise above
    the line between the losses of the ends (linear mode connectivity). ``.train.rise("error")`` is
    the same of a metric, and ``.test`` of test data. The place 1/2 is the average of the weights.

    Args:
        model_a: As for :func:`connect`.
        model_b: As for :func:`connect`.
        data: As for the Objective.
        loss: As for the Objective.
        align: As for :func:`connect`.
        test: As for :func:`connect`.
        metrics: As for :func:`connect`.
        points: As for :func:`connect`.
        seed: Of the sample subset, the split and the dropout masks.
        resume: A file that keeps the run: created when absent, continued when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, total).
        options: Those of :class:`landscape.Objective`.

    Returns:
        The straight path.

    Raises:
        ValueError: The models' layouts differ, they are equal, or an option or the data do not fit.

    Reference:
        Frankle, Dziugaite, Roy and Carbin, "Linear Mode Connectivity and the Lottery Ticket
        Hypothesis" (2020), section 2; Entezari, Sedghi, Saukh and Neyshabur, "The Role of
        Permutation Invariance in Linear Mode Connectivity of Neural Networks" (2022), definition
        2.1, for the excess.

    Example:
        >>> straight = landscape.barrier(model, other, data, points=11)
        >>> straight.barrier <= straight.excess
        True
    """
    return connect(
        model_a,
        model_b,
        data,
        loss,
        method="linear",
        align=align,
        test=test,
        metrics=metrics,
        points=points,
        seed=seed,
        resume=resume,
        progress=progress,
        **options,
    )

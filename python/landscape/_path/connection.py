"""`connect` and `barrier`: paths between two models, and evidence that the models are minima."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from landscape import _core
from landscape._align import align as align_models
from landscape._outside import Outside, compare_outside, validate_outside
from landscape._path.context import ObjectiveContext
from landscape._path.endpoints import (
    EndpointEvidence,
    compute_stored_losses,
    measure_endpoints,
    read_far_end,
)
from landscape._path.evaluation import EvaluatedPath, evaluate_path
from landscape._path.methods import Linear, Method, method_options, parse_method
from landscape._path.solvers import PathSearch, batched_objective, describe_search, search_path
from landscape._results import Curve, Path
from landscape._runs import (
    BatchedProblem,
    Interrupt,
    ObjectiveOptions,
    build_objectives,
    check_option_names,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from landscape._objective import MetricLike, Objective
    from landscape._progress import Choice
    from landscape._results import Run

__all__ = ["AlignMethod", "barrier", "connect"]

AlignMethod = Literal["weights", "activations"]

_STRAIGHT_POINTS = 25  # on the straight line, with which a path that was searched is compared
_REFINED = 0.01  # of the barrier: a change in the last cycle that is worth a note
_BETTER = 1e-6  # of the highest loss: a path that is lower by less is no better


def connect(
    model_a: nn.Module | Objective,
    model_b: Any,
    data: Any = None,
    loss: Any = None,
    *,
    method: Method = "autoneb",
    align: bool | AlignMethod = False,
    outside: Outside = "error",
    test: Any = None,
    metrics: Sequence[MetricLike] | MetricLike = (),
    points: int | None = None,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Path:
    r"""Find a path of low loss between two models, and its barrier.

    .. math:: \text{barrier} = \max_s L(\theta(s)) - \max(L(\theta(0)), L(\theta(1)))

    At the end the path is evaluated at equal distances, under the batch-norm policy of the
    Objective, and again around its highest loss and its largest rise above the chord. So is the
    straight line, coarsely: a search that found nothing better says so. Where batch statistics
    are re-estimated at every point (the default for models with batch norm) the search itself
    differentiates through those of the mini-batch.

    Args:
        model_a: The first model, or an Objective in place of model, data and loss.
        model_b: The second: a module, a state dict, a ``.safetensors`` path or a flat vector.
        data: As for the Objective.
        loss: As for the Objective.
        method: :class:`landscape.AutoNEB`, :class:`landscape.Bezier`,
            :class:`landscape.Polychain` or :class:`landscape.Linear` with their options, or
            ``"autoneb"``, ``"bezier"``, ``"polychain"``, ``"linear"`` for the defaults.
        align: Permute the hidden units of model_b first, so that it lies close to model_a:
            ``True`` or ``"weights"``, or ``"activations"``; see :func:`landscape.align`. The path
            then ends at the permuted model, which is the same function.
        outside: What to do where model_b holds something else than model_a besides its parameters
            and batch-norm statistics (buffers, frozen parameters, ties, activations, code), and
            its own loss is therefore not L at its parameters: ``"error"``, which lists what
            differs, or ``"first"``: model_a with these parameters is meant.
        test: Further data for the same path; their losses are the result's ``.test``.
        metrics: ``"accuracy"``, ``"error"``, functions ``metric(outputs, targets)``; and of each
            position together with the first model ``"disagreement"``, the share of samples that
            are predicted otherwise, and ``"ensemble_accuracy"``, that of the mean of both.
        points: Positions at equal distances at which the path is evaluated in the end; None takes
            as many as keep a cubic spline within 1% of the range of the losses. The highest loss
            is bracketed and refined in both cases.
        seed: Of the order of mini-batches, the sample subset, the split and the dropout masks.
        interrupt: What Ctrl-C and numbers that are not finite do: ``"raise"``, or ``"return"`` the
            best path so far.
        resume: The checkpoint file: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, maximum)
            steps.
        options: Those of :class:`landscape.Objective`. Data that come in one piece are split into
            mini-batches of about 256 for the search unless ``batch_size`` says otherwise.

    Returns:
        The path: its points, losses, barrier and excess, and models at any position.

    Raises:
        TypeError: An option belongs to a method: pass it there.
        ValueError: The models' layouts differ, they are equal, they are different functions outside
            their parameters, or an option or the data do not fit.
        FloatingPointError: A loss or a gradient is not finite; the text names pivot and step.

    Reference:
        See the methods.

    Example:
        >>> method = landscape.AutoNEB(cycles=[(20, 0.02), (20, 0.005)])
        >>> path = landscape.connect(model, other, data, method=method)
        >>> path.barrier <= landscape.barrier(model, other, data).barrier
        True
    """
    path_method = parse_method(method)
    refuse_method_options(options)
    validate_outside(outside)
    built, on_test = build_objectives(
        connect, model_a, data, loss, test=test, seed=seed, options=options, progress=progress
    )
    functions = [
        f.with_default_batch_norm("recalibrated") for f in (built, on_test) if f is not None
    ]
    notes: tuple[str, ...] = ()
    if align:
        align_method: AlignMethod = "weights" if align is True else align
        alignment = align_models(built, model_b, method=align_method, outside=outside, seed=seed)
        before, after = alignment.distances
        note = (
            f"model_b was aligned by {align_method}: {alignment.moved} units moved, distance "
            f"{before:.4g} before and {after:.4g} after"
        )
        notes = (note,)
        model_b = alignment.model
    ends = np.stack([built.theta, read_far_end(built, model_b)])
    notes += compare_outside(functions[0], model_b, name="model_b", outside=outside)
    problem = BatchedProblem(batched_objective(functions[0]), ends)
    search: PathSearch | None = None
    points_of_curve, inputs = ends, problem.fingerprint
    if not isinstance(path_method, Linear):
        search = search_path(
            path_method,
            problem,
            seed=seed,
            resume=resume,
            progress=progress,
            interrupt=interrupt,
        )
        points_of_curve, inputs, resume = search.points, {}, None
    curve = Curve(points_of_curve, path_method.curve)
    evaluated = evaluate_path(
        functions, curve, points, metrics, inputs=inputs, resume=resume, progress=progress
    )
    evidence = measure_endpoints(problem.objective, ends)
    if search is not None:
        notes = (*notes, *describe_search(functions[0], problem.objective))
        notes = (*notes, *_compare_with_straight_line(functions[0], curve, evaluated))
        notes = (*notes, *_describe_refinement(search.history, evaluated))
    notes = (*notes, *_warn_of_endpoints(evaluated, evidence))
    notes = (*notes, *([evaluated.note] if evaluated.note else []))
    train = evaluated.train
    straight = np.array([[0.0, len(curve.points) - 2, train.losses[train.saddle]]])
    status = "complete" if search is None else search.status
    return Path(
        curve.points,
        straight if search is None else search.history,
        curve=curve.kind,
        method=path_method.name,
        train=train,
        test=evaluated.test,
        gradient_norms=evidence.gradient_norms,
        descent_gain=evidence.descent_gain,
        stored_losses=compute_stored_losses(functions[0], model_b),
        distance=_core.norm(ends[1] - ends[0]),
        status=status,
        run=_make_run(functions[0], evaluated, search, status, notes),
        context=ObjectiveContext(functions[0]),
    )


def barrier(
    model_a: nn.Module | Objective,
    model_b: Any,
    data: Any = None,
    loss: Any = None,
    *,
    align: bool | AlignMethod = False,
    outside: Outside = "error",
    test: Any = None,
    metrics: Sequence[MetricLike] | MetricLike = (),
    points: int | None = None,
    seed: int = 0,
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Path:
    r"""The loss on the straight segment between two models, and its barrier by both definitions.

    .. math:: \theta(s) = (1 - s)\, \theta_A + s\, \theta_B

    ``.barrier`` is the highest loss less that of the higher end; ``.excess`` the largest rise above
    the line between the losses of the ends (linear mode connectivity). ``.train.rise("error")`` is
    the same of a metric, and ``.test`` of test data. The position 1/2 is the average of the
    weights.

    Args:
        model_a: As for :func:`connect`.
        model_b: As for :func:`connect`.
        data: As for the Objective.
        loss: As for the Objective.
        align: As for :func:`connect`.
        outside: As for :func:`connect`.
        test: As for :func:`connect`.
        metrics: As for :func:`connect`.
        points: As for :func:`connect`.
        seed: Of the sample subset, the split and the dropout masks.
        resume: The checkpoint file: created when absent, resumed when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, total).
        options: Those of :class:`landscape.Objective`.

    Returns:
        The straight path.

    Raises:
        ValueError: The models' layouts differ, they are equal, they are different functions outside
            their parameters, or an option or the data do not fit.

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
    check_option_names(barrier, options)
    return connect(
        model_a,
        model_b,
        data,
        loss,
        method=Linear(),
        align=align,
        outside=outside,
        test=test,
        metrics=metrics,
        points=points,
        seed=seed,
        resume=resume,
        progress=progress,
        **options,
    )


def refuse_method_options(options: ObjectiveOptions) -> None:
    """Refuse options of a path method that are passed as keywords of the function.

    Raises:
        TypeError: There are some; the text names the class that each belongs to.
    """
    for name in options:
        classes = method_options(name)
        if classes:
            calls = " or ".join(f"landscape.{cls}({name}=...)" for cls in classes)
            raise TypeError(f"{name}= is an option of a path method; pass method={calls}")


def _make_run(
    objective: Objective,
    evaluated: EvaluatedPath,
    search: PathSearch | None,
    status: str,
    notes: tuple[str, ...],
) -> Run:
    if search is None:
        return evaluated.plan.make_run(
            objective,
            evaluated.plan.strategies[0],
            evaluations=evaluated.evaluations,
            seconds=evaluated.seconds,
            status=status,
            notes=notes,
        )
    passes = search.passes + evaluated.evaluations + _STRAIGHT_POINTS
    run = search.run.make_run(passes, status, objective.seed)
    return replace(
        run,
        seconds=run.seconds + evaluated.seconds,
        policy={**objective.policy, "inferred": objective.has_inferred_loss},
        notes=(*run.notes, *notes),
    )


def _describe_refinement(history: NDArray[np.float64], evaluated: EvaluatedPath) -> tuple[str, ...]:
    """Say so where the last cycle still lowered the barrier by more than a hundredth of it.

    Args:
        history: Rows of the search, the highest loss of the path in the last column.
        evaluated: The path.
    """
    highest = np.minimum.accumulate(history[:, 2])[-2:]
    barrier = evaluated.train.barrier
    if len(highest) < 2 or not np.isfinite(highest).all() or barrier <= 0:
        return ()
    share = (highest[0] - highest[1]) / barrier
    if share <= _REFINED:
        return ()
    note = (
        f"the last cycle still lowered the barrier by {100 * share:.2g}%, so that it is an upper "
        "bound, not refined to 1%: pass more cycles for a lower one"
    )
    return (note,)


def _compare_with_straight_line(
    objective: Objective, curve: Curve, evaluated: EvaluatedPath
) -> tuple[str, ...]:
    """Say so where a search found nothing better than the straight line."""
    start, end = curve.points[0], curve.points[-1]
    highest = float(np.max(evaluated.train.losses))
    with evaluated.plan.thread_count():
        line = objective.subspace(start, [end - start], strategy=evaluated.plan.strategies[0])
        losses = line.evaluate(np.linspace(0.0, 1.0, _STRAIGHT_POINTS)[:, None])[:, 0]
    straight = float(np.max(losses))
    if highest < straight - _BETTER * abs(straight):
        return ()
    barrier = straight - max(evaluated.train.ends)
    verdict = (
        "which has no barrier either"
        if barrier <= _BETTER * abs(straight)
        else (f"whose barrier is {barrier:.4g}: more cycles, pivots or control points may find one")
    )
    note = (
        f"nothing better than the straight line was found: highest losses of {highest:.6g} on the "
        f"path and {straight:.6g} on the line, {verdict}"
    )
    return (note,)


def _warn_of_endpoints(evaluated: EvaluatedPath, evidence: EndpointEvidence) -> tuple[str, ...]:
    """Warn where the ends are no minima, so that a low barrier says little."""
    gain, barrier = max(evidence.descent_gain), evaluated.train.barrier
    if not barrier < gain:
        return ()
    norms = evidence.gradient_norms
    warning = (
        f"the barrier, {barrier:.2g}, is less than what steepest descent alone takes off the loss "
        f"of an end, {gain:.2g} (gradient norms {norms[0]:.2g} and {norms[1]:.2g}): the ends are "
        "not minima, and so low a barrier says little; train them further"
    )
    warnings.warn(warning, UserWarning, stacklevel=3)
    return (warning,)

"""`sharpness`: measures of flatness and generalisation in one call, and their plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from landscape._progress import reporter, start_up
from landscape._results import Measure, Sharpness, pack_measures, unpack_measures
from landscape._runs import (
    Checkpoint,
    Interrupt,
    ObjectiveOptions,
    RunPlan,
    build_objective,
    hash_array,
    read_mapping,
    read_number,
    read_seconds,
)
from landscape._sharpness.context import Context
from landscape._sharpness.definition import Definition, NotApplicable, make_measure
from landscape._sharpness.inputs import Inputs
from landscape._sharpness.invariance import CHECK_COPIES, check_invariance
from landscape._sharpness.table import read_measures

if TYPE_CHECKING:
    import os

    from torch import nn

    from landscape._objective import Objective
    from landscape._progress import Choice

__all__ = ["PlannedMeasure", "SharpnessPlan", "plan_sharpness", "sharpness"]

MeasureChoice = str | Definition | Iterable[str | Definition]
_SUBSET_NOTE = (
    "the samples are a random subset: what another draw would change is in the errors of "
    "eigenvalues, traces, margins and gaps alone"
)

InvarianceChoice = Literal["declared", "check"]


def sharpness(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    measures: MeasureChoice = "standard",
    test: Any = None,
    initial: Any = None,
    prior: Any = None,
    optimizer: Any = None,
    fit: Callable[..., Any] | None = None,
    invariance: InvarianceChoice = "declared",
    level: float = 0.95,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Sharpness:
    r"""Measures of how flat a minimum is and how well it may generalise, with error bars.

    Every measure comes with its value, its standard error and interval, its cost, its source, and
    whether it survives a change of the weights that leaves the function unchanged: with ReLU,
    units can be rescaled so that any measure without that invariance takes almost any value
    (Dinh et al. 2017). A measure without meaning for this model, loss or call has no value but a
    reason. No measure is a proof of good generalisation: docs/sharpness.md says what was found.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: The training data, as for the Objective.
        loss: As for the Objective.
        measures: ``"fast"`` (below ten gradient-equivalents), ``"standard"``, ``"all"``, names, or
            options such as ``landscape.measures.SAM(radius=0.1)``; several in a list.
        test: Test data, or a mapping of names to several (in and out of distribution).
        initial: The weights at initialisation: a model, a state dict, a ``.safetensors`` path or a
            flat vector.
        prior: The mean of a PAC-Bayes prior that does not depend on the training data, as
            ``initial``.
        optimizer: The optimizer that trained the model, for its learning rate and state; or a
            learning rate.
        fit: ``fit(model, data)`` trains a copy of the model from its initialisation on data of the
            given form, for complexities that retrain.
        invariance: ``"declared"`` says what is known by theorem; ``"check"`` computes every measure
            again on rescaled and permuted copies, at about six times the cost.
        level: Probability of the intervals.
        seed: Of all random numbers, the subset, the split and the masks.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the finished measures.
        resume: The file of finished measures: created when absent, continued when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, total)
            gradient-equivalents.
        options: Those of :class:`landscape.Objective`.

    Returns:
        The measures by name.

    Raises:
        TypeError: An argument is of another type.
        ValueError: An option or the data do not fit, or a measure is unknown.

    Reference:
        Dinh, Pascanu, Bengio and Bengio (2017), "Sharp Minima Can Generalize For Deep Nets"; Jiang,
        Neyshabur, Mobahi, Krishnan and Bengio (2020), "Fantastic Generalization Measures and Where
        to Find Them"; Andriushchenko, Croce, Müller, Hein and Flammarion (2023), "A Modern Look at
        the Relationship between Sharpness and Generalization".

    Example:
        >>> result = landscape.sharpness(model, data, measures=["max_eigenvalue", "sam"])
        >>> list(result)
        ['max_eigenvalue', 'sam']
    """
    definitions = read_measures(measures)
    _validate(invariance, level, interrupt)
    built = build_objective(
        sharpness, model, data, loss, seed=seed, options=options, progress=progress
    )
    objective = built.with_default_batch_norm("frozen")
    with start_up(progress):
        inputs = Inputs.read(
            objective, test=test, initial=initial, prior=prior, optimizer=optimizer, fit=fit
        )
    run = _SharpnessRun(
        objective,
        definitions,
        inputs,
        invariance=invariance,
        level=level,
        seed=seed,
        resume=resume,
    )
    return run.execute(interrupt, progress)


@dataclass(frozen=True)
class PlannedMeasure:
    """What a measure is expected to cost.

    Args:
        name: The measure.
        cost: In gradient-equivalents, computed alone; 0 where it is not applicable.
        status: "planned", or why it is not applicable.

    Example:
        >>> landscape.plan_sharpness(model, data, measures=["sam"]).measures[0].status
        'planned'
    """

    name: str
    cost: float
    status: str


@dataclass(frozen=True)
class SharpnessPlan:
    """What :func:`sharpness` would compute, and what it is expected to cost.

    Args:
        measures: Each with its cost, which includes the check of its invariance.

    Example:
        >>> landscape.plan_sharpness(model, data, measures="fast").cost < 10
        True
    """

    measures: tuple[PlannedMeasure, ...]

    @property
    def cost(self) -> float:
        """The total in gradient-equivalents: an upper estimate, for measures share values."""
        return sum(measure.cost for measure in self.measures)

    def __str__(self) -> str:
        lines = [f"{'measure':<26}{'gradients':>10}"]
        for measure in self.measures:
            reason = "" if measure.status == "planned" else f"   {measure.status}"
            lines.append(f"{measure.name:<26}{measure.cost:>10.1f}{reason}")
        return "\n".join([*lines, f"{'total':<26}{self.cost:>10.1f}"])


def plan_sharpness(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    measures: MeasureChoice = "standard",
    test: Any = None,
    initial: Any = None,
    prior: Any = None,
    optimizer: Any = None,
    fit: Callable[..., Any] | None = None,
    invariance: InvarianceChoice = "declared",
    seed: int = 0,
    **options: Unpack[ObjectiveOptions],
) -> SharpnessPlan:
    """What :func:`sharpness` would compute, and its expected cost, before anything is computed.

    Args:
        model: As for :func:`sharpness`, and so are the others.
        data: The training data.
        loss: The loss.
        measures: The measures.
        test: Test data.
        initial: The weights at initialisation.
        prior: The mean of the prior.
        optimizer: The optimizer, or a learning rate.
        fit: The function that trains.
        invariance: Whether invariances are checked.
        seed: Of the subset and the split.
        options: Those of :class:`landscape.Objective`.

    Returns:
        The measures with their costs; printed, it is a table.

    Raises:
        TypeError: An argument is of another type.
        ValueError: An option or the data do not fit, or a measure is unknown.

    Example:
        >>> plan = landscape.plan_sharpness(model, data, measures=["sam", "noise_rise"])
        >>> [measure.name for measure in plan.measures]
        ['sam', 'noise_rise']
    """
    definitions = read_measures(measures)
    _validate(invariance, 0.95, "raise")
    built = build_objective(
        plan_sharpness, model, data, loss, seed=seed, options=options, progress="off"
    )
    objective = built.with_default_batch_norm("frozen")
    inputs = Inputs.read(
        objective, test=test, initial=initial, prior=prior, optimizer=optimizer, fit=fit
    )
    strategy = objective.plain_strategy  # a plan evaluates nothing, so that none is measured
    context = Context(objective, (strategy, strategy), inputs, seed=seed)
    times = _count_copies(invariance)
    planned = []
    for definition in definitions:
        try:
            definition.require(context)
            cost, status = times * definition.estimate_cost(context), "planned"
        except NotApplicable as reason:
            cost, status = 0.0, f"not applicable: {reason}"
        planned.append(PlannedMeasure(definition.name, float(cost), status))
    return SharpnessPlan(tuple(planned))


def _count_copies(invariance: str) -> int:
    """How many times each measure is computed."""
    return 1 if invariance == "declared" else 1 + CHECK_COPIES


def _validate(invariance: str, level: float, interrupt: str) -> None:
    if invariance not in ("declared", "check"):
        raise ValueError(f"invariance={invariance!r}, expected 'declared' or 'check'")
    if interrupt not in ("raise", "return"):
        raise ValueError(f"interrupt={interrupt!r}, expected 'raise' or 'return'")
    if not 0 < level < 1:
        raise ValueError(f"level={level}, expected a probability such as 0.95")


class _SharpnessRun:
    """Measures computed one after the other; each finished one is kept in the checkpoint."""

    def __init__(
        self,
        objective: Objective,
        definitions: tuple[Definition, ...],
        inputs: Inputs,
        *,
        invariance: InvarianceChoice,
        level: float,
        seed: int,
        resume: str | os.PathLike[str] | None,
    ) -> None:
        self._definitions = definitions
        self._inputs = inputs
        self._invariance = invariance
        self._level, self._seed = level, seed
        self._checkpoint = Checkpoint(
            resume,
            {
                "what": "sharpness",
                "policy": objective.policy,
                "theta": hash_array(objective.theta),
                "measures": {d.name: d.list_options() for d in definitions},
                **inputs.fingerprint,
                "invariance": invariance,
                "level": level,
                "seed": seed,
            },
        )
        self._objective = objective
        self._finished: list[Measure] = []
        self._spent = 0.0  # for the finished measures
        self._checked = 0.0  # for the copies that invariance is checked on
        self._counted: frozenset[str] = frozenset()
        self._seconds = 0.0
        self._loss = float("nan")
        self._descent_gain: float | None = None

    def execute(self, interrupt: Interrupt, progress: Choice) -> Sharpness:
        """Compute what is not in the checkpoint."""
        start = time.perf_counter()
        plan = self._load(progress)
        total = self._estimate_total(plan)
        status = "complete"
        with plan.thread_count(), reporter(progress, total, "sharpness", unit="gradient") as bar:
            before, seconds = self._spent, self._seconds

            def report(spent: float) -> None:
                bar.update(min(total, int(before + spent)))

            context = self._make_context(
                self._objective, self._inputs, plan, report=report, counted=self._counted
            )

            def save() -> None:
                self._seconds = seconds + time.perf_counter() - start
                self._save(plan)

            try:
                self._loss = context.loss
                for definition in self._definitions[len(self._finished) :]:
                    self._finished.append(self._compute(definition, context, plan))
                    self._spent = before + context.spent + self._checked
                    self._counted = context.counted
                    if self._checkpoint.due:
                        save()
            except BaseException as error:
                self._checkpoint.close(save, error)
                if interrupt == "raise" or not isinstance(error, KeyboardInterrupt):
                    raise
                left = len(self._definitions) - len(self._finished)
                status = f"interrupted: {left} of {len(self._definitions)} measures are missing"
            else:
                failure = self._checkpoint.close(save, None)
                if failure:
                    plan = plan.with_note(failure)
            self._seconds = seconds + time.perf_counter() - start
        return self._make_result(plan, status)

    def _compute(self, definition: Definition, context: Context, plan: RunPlan) -> Measure:
        context.begin()
        try:
            definition.require(context)
            outcome = definition.compute(context)
        except NotApplicable as reason:
            return make_measure(definition, None, context, f"not applicable: {reason}")
        except FloatingPointError as failure:
            return make_measure(definition, None, context, f"failed: {failure}")
        cost = context.charged
        if context.has_derivatives and self._descent_gain is None:
            self._descent_gain = context.descent_gain
        measure = make_measure(definition, outcome, context, outcome.status, cost)
        if self._invariance == "declared":
            return measure

        def make_copy(model: nn.Module) -> Context:
            objective, inputs = self._objective.with_model(model), self._inputs.with_model(model)
            return self._make_context(objective, inputs, plan)

        checked, spent = check_invariance(measure, definition, context, make_copy)
        self._checked += spent
        return checked

    def _make_context(
        self,
        objective: Objective,
        inputs: Inputs,
        plan: RunPlan,
        *,
        counted: Iterable[str] = (),
        report: Callable[[float], None] = lambda _: None,
    ) -> Context:
        losses, derivatives = plan.strategies
        return Context(
            objective.with_strategies(losses, derivatives),
            (losses, derivatives),
            inputs,
            level=self._level,
            seed=self._seed,
            counted=counted,
            report=report,
        )

    def _estimate_total(self, plan: RunPlan) -> int:
        context = self._make_context(self._objective, self._inputs, plan)
        total, times = self._spent, _count_copies(self._invariance)
        for definition in self._definitions[len(self._finished) :]:
            try:
                definition.require(context)
                total += times * definition.estimate_cost(context)
            except NotApplicable:
                continue
        return max(1, round(total))

    def _load(self, progress: Choice) -> RunPlan:
        stored = self._checkpoint.load()
        device = self._objective.device
        if stored is None:
            with start_up(progress):
                strategies = self._objective.strategy, self._objective.derivative_engine.strategy
            return RunPlan.start(device).with_strategies(strategies)
        with self._checkpoint.reading():
            record = stored.record
            plan = RunPlan.resume(read_mapping(record, "plan"), device)
            if len(plan.strategies) != 2:
                raise ValueError(f"got {len(plan.strategies)} strategies, expected two")
            self._finished = list(unpack_measures(record["finished"], stored.arrays))
            self._seconds = read_seconds(record)
            self._spent = read_number(record, "spent")
            counted = record["counted"]
            if not isinstance(counted, (list, tuple)):
                raise ValueError(f"'counted' is {counted!r}, expected a list")
            self._counted = frozenset(map(str, counted))
            gain = record["descent_gain"]
            self._descent_gain = None if gain is None else read_number(record, "descent_gain")
            names = [d.name for d in self._definitions][: len(self._finished)]
            if [measure.name for measure in self._finished] != names:
                raise ValueError(f"it holds {[m.name for m in self._finished]}, expected {names}")
        return plan

    def _save(self, plan: RunPlan) -> None:
        records, arrays = pack_measures(tuple(self._finished))
        self._checkpoint.save(
            {
                "plan": plan.to_record(),
                "seconds": self._seconds,
                "spent": self._spent,
                "counted": sorted(self._counted),
                "descent_gain": self._descent_gain,
                "finished": records,
            },
            arrays,
        )

    def _make_result(self, plan: RunPlan, status: str) -> Sharpness:
        objective, (losses, derivatives) = self._objective, plan.strategies
        return Sharpness(
            tuple(self._finished),
            loss=self._loss,
            dim=objective.dim,
            samples=objective.samples,
            descent_gain=self._descent_gain,
            run=plan.make_run(
                objective.with_strategies(losses, derivatives),
                losses,
                evaluations=int(np.ceil(self._spent)),
                seconds=self._seconds,
                seed=self._seed,
                status=status,
                notes=(_SUBSET_NOTE,) if objective.is_random_subset else (),
            ),
        )

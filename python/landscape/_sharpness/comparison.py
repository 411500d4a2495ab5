"""`compare`: the measures of several models side by side, with profiles, surfaces and lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
from torch import nn

from landscape._align import NoEquivalent, rescale_units
from landscape._objective import Objective
from landscape._progress import reporter, start_up
from landscape._results import (
    Comparison,
    Line,
    Result,
    Sharpness,
    Surface,
    pack_parts,
    unpack_parts,
)
from landscape._runs import (
    Checkpoint,
    Interrupt,
    ObjectiveOptions,
    RunPlan,
    build_objective,
    hash_array,
    read_seconds,
)
from landscape._sharpness.definition import Definition
from landscape._sharpness.inputs import Inputs
from landscape._sharpness.measurement import InvarianceChoice, MeasureChoice, sharpness
from landscape._sharpness.table import read_measures
from landscape._surface import line, surface

if TYPE_CHECKING:
    import os

    from landscape._progress import Choice

__all__ = ["compare"]

View = Literal["profiles", "surfaces", "lines"]

_VIEWS = ("profiles", "surfaces", "lines")
_PARTS: dict[str, type[Result]] = {
    "models": Sharpness,
    "rescaled": Sharpness,
    "profiles": Line,
    "surfaces": Surface,
}
"""What is kept of each finished model."""
_FEW = 4  # models, up to which all straight lines between two are drawn by default
_LOSS = 1 / 3  # gradient-equivalents of a loss


def compare(
    models: Mapping[str, nn.Module],
    data: Any,
    loss: Any = None,
    *,
    test: Any = None,
    measures: MeasureChoice = "standard",
    views: Sequence[View] | None = None,
    points: int = 31,
    control: Literal["none", "rescaling"] = "none",
    hyperparameters: Mapping[str, Mapping[str, Any]] | None = None,
    initial: Mapping[str, Any] | None = None,
    optimizer: Mapping[str, Any] | None = None,
    fit: Callable[..., Any] | None = None,
    invariance: InvarianceChoice = "declared",
    level: float = 0.95,
    seed: int = 0,
    interrupt: Interrupt = "raise",
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Comparison:
    r"""Measure several models on the same data, and show them side by side.

    With three or more models, :meth:`Comparison.correlations` ranks every measure by Kendall's tau
    with the generalisation gap. Read it with the intervals, the granulated form
    (``hyperparameters=``) and the control: measures of weights can be changed at will by rescaling
    units, while the function, and so its generalisation, stays.

    Args:
        models: Name -> trained module. Architectures may differ.
        data: The training data, as for the Objective.
        loss: As for the Objective.
        test: Test data, or a mapping of names to several; adds the generalisation gap.
        measures: As for :func:`landscape.sharpness`.
        views: What to draw besides: ``"profiles"`` (one random filter-normalised direction through
            each model), ``"surfaces"``, ``"lines"`` (straight lines between every two models of
            one architecture). None: profiles, and lines for up to four models.
        points: On each axis of a view.
        control: ``"rescaling"`` measures a rescaled copy of every model too, which computes the
            same function.
        hyperparameters: Model name -> what it was trained with, such as ``{"width": 32}``.
        initial: Model name -> weights at its initialisation.
        optimizer: Model name -> its optimizer, or a learning rate.
        fit: As for :func:`landscape.sharpness`.
        invariance: As for :func:`landscape.sharpness`.
        level: Probability of the intervals.
        seed: Of all random numbers; the same for every model.
        interrupt: What Ctrl-C does: ``"raise"``, or ``"return"`` the models that are finished.
        resume: The file of finished models: created when absent, continued when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, total)
            models.
        options: Those of :class:`landscape.Objective`.

    Returns:
        The measures and views of every model.

    Raises:
        TypeError: `models` is no mapping of names to modules.
        ValueError: There are fewer than two models, or an option or the data do not fit.

    Reference:
        Jiang, Neyshabur, Mobahi, Krishnan and Bengio (2020), "Fantastic Generalization Measures
        and Where to Find Them"; Dziugaite et al. (2020), "In Search of Robust Measures of
        Generalization", for what correlations over models can and cannot show.

    Example:
        >>> comparison = landscape.compare({"a": model_a, "b": model_b}, data, measures=["norms"])
        >>> comparison.ranks("norms").keys() == {"a", "b"}
        True
    """
    _validate(models, control, interrupt)
    chosen = _read_views(views, len(models))
    definitions = read_measures(measures)
    if test is not None and "generalisation_gap" not in {d.name for d in definitions}:
        definitions = (*definitions, *read_measures("generalisation_gap"))
    per_model = _read_per_model(models, initial=initial, optimizer=optimizer)
    names = list(models)
    if hyperparameters is not None and set(hyperparameters) != set(names):
        raise ValueError(
            f"hyperparameters= has {sorted(hyperparameters)}, expected one mapping for each of "
            f"{sorted(names)}"
        )
    started = time.perf_counter()
    objectives: dict[str, Objective] = {}
    with start_up(progress):
        for name, model in models.items():
            built = build_objective(compare, model, data, loss, seed=seed, options=options)
            objectives[name] = built
        inputs = {
            name: Inputs.read(
                objective.with_default_batch_norm("frozen"),
                test=test if objective is next(iter(objectives.values())) else None,
                fit=fit,
                **{"initial": None, "prior": None, "optimizer": None, **per_model[name]},
            )
            for name, objective in objectives.items()
        }
    work = _Comparer(
        objectives,
        definitions,
        test=inputs[names[0]].test,
        inputs={name: read.fingerprint for name, read in inputs.items()},
        per_model=per_model,
        fit=fit,
        invariance=invariance,
        level=level,
        seed=seed,
        views=chosen,
        points=points,
        control=control,
    )
    if control == "rescaling":
        work.make_copies()
    checkpoint = Checkpoint(resume, work.fingerprint)
    work.load(checkpoint)
    status = "complete"
    with reporter(progress, len(names), "compare", unit="model", start=len(work.models)) as bar:
        try:
            for name in names[len(work.models) :]:
                work.measure(name)
                bar.update(len(work.models))
                checkpoint.save(*work.state(started))
            lines = work.draw_lines()
        except KeyboardInterrupt:
            if interrupt == "raise" or not work.models:
                raise
            left, lines = len(names) - len(work.models), {}
            status = f"interrupted: {left} of {len(names)} models and the lines are missing"
    first = objectives[names[0]].with_default_batch_norm("frozen")
    cost = work.cost + sum(_LOSS * len(between.losses) for between in lines.values())
    run = RunPlan.start(first.device).make_run(
        first,
        first.plain_strategy,
        engine=next(iter(work.models.values())).run.engine,
        evaluations=int(np.ceil(cost)),
        seconds=work.seconds + time.perf_counter() - started,
        status=status,
        seed=seed,
    )
    return Comparison(
        work.models,
        rescaled=work.rescaled,
        profiles=work.profiles,
        surfaces=work.surfaces,
        lines=lines,
        hyperparameters={} if hyperparameters is None else hyperparameters,
        level=level,
        run=run,
    )


def _validate(models: Any, control: str, interrupt: str) -> None:
    if not isinstance(models, Mapping) or not all(
        isinstance(m, nn.Module) for m in models.values()
    ):
        raise TypeError(
            f"models is a {type(models).__name__}, expected a mapping of names to modules such as "
            "{'sgd': model_a, 'sam': model_b}"
        )
    if len(models) < 2:
        raise ValueError(f"got {len(models)} models, expected two or more")
    if control not in ("none", "rescaling"):
        raise ValueError(f"control={control!r}, expected 'none' or 'rescaling'")
    if interrupt not in ("raise", "return"):
        raise ValueError(f"interrupt={interrupt!r}, expected 'raise' or 'return'")


def _read_views(views: Sequence[View] | None, models: int) -> tuple[str, ...]:
    if views is None:
        return ("profiles", "lines") if models <= _FEW else ("profiles",)
    given = (views,) if isinstance(views, str) else tuple(views)
    unknown = [view for view in given if view not in _VIEWS]
    if unknown:
        raise ValueError(f"views= has {unknown[0]!r}, expected some of {', '.join(_VIEWS)}")
    return given


def _read_per_model(
    models: Mapping[str, nn.Module], **given: Mapping[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """Arguments of `sharpness` that differ from model to model."""
    found: dict[str, dict[str, Any]] = {name: {} for name in models}
    for argument, by_name in given.items():
        if by_name is None:
            continue
        unknown = sorted(set(by_name) - set(models)) if isinstance(by_name, Mapping) else None
        if unknown is None or unknown:
            raise ValueError(
                f"{argument}= must map names of models ({', '.join(models)}) to values"
                + (f"; {unknown[0]!r} is none of them" if unknown else "")
            )
        for name, value in by_name.items():
            found[name][argument] = value
    return found


class _Comparer:
    """The models measured so far, and how the others will be."""

    def __init__(
        self,
        objectives: Mapping[str, Objective],
        definitions: tuple[Definition, ...],
        *,
        test: Mapping[str, Objective],
        inputs: Mapping[str, Any],
        per_model: Mapping[str, Mapping[str, Any]],
        fit: Callable[..., Any] | None,
        invariance: InvarianceChoice,
        level: float,
        seed: int,
        views: tuple[str, ...],
        points: int,
        control: str,
    ) -> None:
        self._objectives = objectives
        self._definitions = definitions
        self._test = test
        self._inputs = inputs
        self._per_model = per_model
        self._fit = fit
        self._invariance: InvarianceChoice = invariance
        self._level, self._seed = level, seed
        self._views, self._points = views, points
        self._control = control
        self._copies: dict[str, nn.Module] = {}
        self.models: dict[str, Sharpness] = {}
        self.rescaled: dict[str, Sharpness] = {}
        self.profiles: dict[str, Line] = {}
        self.surfaces: dict[str, Surface] = {}
        self.seconds = 0.0

    def make_copies(self) -> None:
        """Rescale every model, before any of them is measured.

        Raises:
            ValueError: A model cannot be rescaled.
        """
        for name, objective in self._objectives.items():
            try:
                (self._copies[name],) = rescale_units(objective, [self._seed])
            except NoEquivalent as reason:
                raise ValueError(
                    f"control='rescaling' does not apply to the model {name!r}: {reason}"
                ) from reason

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What the numbers depend on, as plain data."""
        return {
            "what": "comparison",
            "models": {
                name: {"policy": o.policy, "theta": hash_array(o.theta)}
                for name, o in self._objectives.items()
            },
            "inputs": self._inputs,
            "measures": {d.name: d.list_options() for d in self._definitions},
            "views": self._views,
            "points": self._points,
            "control": self._control,
            "invariance": self._invariance,
            "level": self._level,
            "seed": self._seed,
        }

    @property
    def cost(self) -> float:
        """In gradient-equivalents."""
        parts = (*self.models.values(), *self.rescaled.values())
        views = (*self.profiles.values(), *self.surfaces.values())
        return sum(part.run.evaluations for part in parts) + sum(
            _LOSS * view.losses.size for view in views
        )

    def measure(self, name: str) -> None:
        """Measure one model, and what is drawn of it."""
        objective = self._objectives[name]
        found = self._call(objective, name)
        if name in self._copies:
            self.rescaled[name] = self._call(objective.with_model(self._copies[name]), name)
        frozen = objective.with_default_batch_norm("frozen")
        points, seed, test = self._points, self._seed, self._first_test
        if "profiles" in self._views:
            self.profiles[name] = line(frozen, test=test, points=points, seed=seed, progress="off")
        if "surfaces" in self._views:
            self.surfaces[name] = surface(
                frozen, test=test, points=points, seed=seed, progress="off"
            )
        self.models[name] = found  # last: a model is finished when all of it is

    @property
    def _first_test(self) -> Objective | None:
        """The test data that views show."""
        return next(iter(self._test.values()), None)

    def _call(self, objective: Objective, name: str) -> Sharpness:
        return sharpness(
            objective,
            measures=self._definitions,
            test=self._test,
            fit=self._fit,
            invariance=self._invariance,
            level=self._level,
            seed=self._seed,
            progress="off",
            **self._per_model[name],
        )

    def draw_lines(self) -> dict[str, Line]:
        """The straight lines between every two models of one layout."""
        found: dict[str, Line] = {}
        if "lines" not in self._views:
            return found
        for one, other in combinations(self._objectives, 2):
            start, end = self._objectives[one], self._objectives[other]
            if start.layout != end.layout or np.array_equal(start.theta, end.theta):
                continue
            found[f"{one}, {other}"] = line(
                start,
                to=end.model,
                points=self._points,
                test=self._first_test,
                seed=self._seed,
                progress="off",
            )
        return found

    def state(self, started: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """The finished models as a record and arrays."""
        record, arrays = pack_parts({name: getattr(self, name) for name in _PARTS})
        return {**record, "seconds": self.seconds + time.perf_counter() - started}, arrays

    def load(self, checkpoint: Checkpoint) -> None:
        """Take the finished models of a checkpoint."""
        stored = checkpoint.load()
        if stored is None:
            return
        with checkpoint.reading():
            self.seconds = read_seconds(stored.record)
            for name, parts in unpack_parts(_PARTS, stored.record, stored.arrays).items():
                getattr(self, name).update(parts)
            names = list(self._objectives)[: len(self.models)]
            if list(self.models) != names:
                raise ValueError(f"it holds {list(self.models)}, expected {names}")

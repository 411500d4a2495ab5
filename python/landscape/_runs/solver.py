"""SolverRun: an iterative solver with checkpoint, progress and interrupts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from landscape._progress import reporter, start_up
from landscape._runs.checkpoint import Checkpoint
from landscape._runs.fields import read_mapping, read_seconds, read_text
from landscape._runs.plan import RunPlan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Engine, Objective, Strategy
    from landscape._progress import Choice
    from landscape._results import Run

__all__ = ["Interrupt", "Problem", "Solver", "SolverRun", "SolverState"]

Interrupt = Literal["raise", "return"]
SolverState = tuple[str, Mapping[str, "NDArray[Any]"]]
"""A solver as a checkpoint keeps it: a text and named arrays."""


class Problem(Protocol):
    """What a solver works on: a function, or a matrix of its derivatives."""

    @property
    def objective(self) -> Objective:
        """The function."""

    @property
    def engine(self) -> Engine:
        """The backend that evaluates it."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What its numbers depend on, as plain data."""

    def operator(self, strategy: Strategy) -> Any:
        """The callbacks of the solver."""


class Solver(Protocol):
    """An iterative solver."""

    def run(self, operator: Any, tick: Callable[..., bool], /) -> bool:
        """Iterate until it has ended (True) or `tick` pauses it (False)."""


@dataclass
class SolverRun:
    """A solver's run on a problem.

    Args:
        label: What is computed; shown beside the progress bar.
        problem: What it is computed on.
        inputs: What the numbers depend on besides the problem: a resume with others is refused.
        max_units: The maximum units of work.
        progress: How progress is shown.
        resume: The file that keeps the run; None keeps nothing.
        interrupt: What Ctrl-C does: "raise", or "return" what there is.
        unit: Of work: "product", "step", ...

    Raises:
        ValueError: `interrupt` is unknown.
    """

    label: str
    problem: Problem
    inputs: Mapping[str, Any]
    max_units: int
    progress: Choice = None
    resume: str | os.PathLike[str] | None = None
    interrupt: Interrupt = "raise"
    unit: str = "product"
    interrupted: bool = False
    stop: BaseException | None = None
    """What ended the run before its end: Ctrl-C, or a checkpoint that could not be written."""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    plan: RunPlan = field(init=False)
    """How the problem is evaluated; known once the state is loaded."""

    def __post_init__(self) -> None:
        if self.interrupt not in ("raise", "return"):
            raise ValueError(f"interrupt={self.interrupt!r}, expected 'raise' or 'return'")
        inputs = {"what": self.label, **self.problem.fingerprint, **self.inputs}
        self._checkpoint = Checkpoint(self.resume, inputs)

    def load_state(self) -> SolverState | None:
        """The solver's state in the checkpoint, None in a new run; chooses the strategy.

        Raises:
            OSError: The file could not be written.
            ValueError: It belongs to another computation; the difference is named.
        """
        device = self.problem.objective.device
        stored = self._checkpoint.load()
        if stored is None:
            with start_up(self.progress):
                strategy = self.problem.engine.strategy
            self.plan = RunPlan.start(device).with_strategies([strategy])
            return None
        with self._checkpoint.reading():
            self.plan = RunPlan.resume(read_mapping(stored.record, "plan"), device)
            self.seconds = read_seconds(stored.record)
            if len(self.plan.strategies) != 1:
                raise ValueError(f"got {len(self.plan.strategies)} strategies, expected one")
            return read_text(stored.record, "state"), stored.arrays

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what goes wrong with a loaded state into the reader's error, which names the file.

        Raises:
            ValueError: A field is missing, or is not what it must be.
        """
        with self._checkpoint.reading():
            yield

    @property
    def strategy(self) -> Strategy:
        """How the problem is evaluated."""
        return self.plan.strategies[0]

    def execute(
        self,
        solver: Solver,
        describe: Callable[..., Mapping[str, float]],
        get_state: Callable[[], SolverState] | None = None,
        done: int = 0,
    ) -> None:
        """Run to the end, or to an interrupt that returns what there is.

        Args:
            solver: The solver.
            describe: From the arguments of a tick to the numbers shown beside the bar.
            get_state: The solver's state for the checkpoint; None keeps nothing.
            done: Units of work done before.
        """
        start, before = time.perf_counter(), self.seconds
        with start_up(self.progress):
            operator = self.problem.operator(self.strategy)

        def save() -> None:
            self.seconds = before + time.perf_counter() - start
            if self.resume is not None and get_state is not None:
                text, arrays = get_state()
                plan = self.plan.to_record()
                record = {"plan": plan, "seconds": self.seconds, "state": text}
                self._checkpoint.save(record, arrays)

        with (
            self.plan.thread_count(),
            reporter(self.progress, self.max_units, self.label, unit=self.unit, start=done) as bar,
        ):

            def tick(done: int, *values: Any) -> bool:
                bar.update(done, **describe(*values))
                return not self._checkpoint.due

            try:
                failure = self._advance(lambda: solver.run(operator, tick), save)
            except BaseException as error:
                failure = self._checkpoint.close(save, error)
                self.interrupted, self.stop = isinstance(error, KeyboardInterrupt), error
                if self.interrupt == "raise" or not self.interrupted:
                    raise
            else:
                failure = failure or self._checkpoint.close(save, None)
            if failure:  # what is in hand is returned
                self.plan = self.plan.with_note(failure)

    def _advance(self, run: Callable[[], bool], save: Callable[[], None]) -> str | None:
        """Run to the end with saves in between.

        Returns:
            Why a save ended the run where what there is is asked for; None where none did.
        """
        while not run():
            try:
                save()
            except OSError as failure:
                text = self._checkpoint.explain(failure)
                if self.interrupt == "raise":
                    failure.add_note(text)
                    raise
                self.interrupted, self.stop = True, failure
                return text
        return None

    def require_something(self, *, there_is: bool) -> None:
        """Raise what stopped the run where there is nothing in hand that could be returned."""
        if not there_is:
            raise self.stop or KeyboardInterrupt

    def make_run(self, evaluations: int, status: str, seed: int) -> Run:
        """The provenance of the result."""
        native = self.strategy.kind == "native"
        return self.plan.make_run(
            self.problem.objective,
            self.strategy,
            engine="native" if native else self.problem.engine.name,
            evaluations=evaluations,
            seconds=self.seconds,
            seed=seed,
            status=status,
            notes=self.notes,
        )

"""A core iteration as a run: shown while it lasts, kept in a file, stopped and gone on with.

Depends on the store, on what unfinished runs share, and on the progress reporter.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch

from landscape import _store
from landscape._environment import environment, thread_count, versions
from landscape._objective import Strategy
from landscape._progress import reporter
from landscape._results import Run
from landscape._resuming import SaveTimes, check_same, other_environment, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Engine, Objective
    from landscape._progress import Choice

__all__ = ["Interrupt", "Iteration", "Solver", "Subject"]

Interrupt = Literal["raise", "return"]


class Subject(Protocol):
    """What is computed on: a matrix, or a function."""

    @property
    def objective(self) -> Objective:
        """The function that it comes from."""

    @property
    def engine(self) -> Engine:
        """Who evaluates it."""

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What its numbers depend on, as plain data."""

    def operator(self, strategy: Strategy) -> Any:
        """What the core calls back."""


class Solver(Protocol):
    """An iteration of the core."""

    def run(self, operator: Any, tick: Callable[..., bool], /) -> bool:
        """Go on until it has ended (True) or `tick` pauses it (False)."""


@dataclass
class Iteration:
    """What is computed, on what, and how it is watched."""

    label: str
    subject: Subject
    inputs: Mapping[str, Any]
    """What the numbers depend on besides the subject: a resume is refused where it differs."""
    most: int
    """The most units of work."""
    progress: Choice = None
    resume: str | os.PathLike[str] | None = None
    interrupt: Interrupt = "raise"
    unit: str = "product"
    interrupted: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    _times: SaveTimes = field(default_factory=SaveTimes)
    _plan: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.interrupt not in ("raise", "return"):
            raise ValueError(f"interrupt={self.interrupt!r}, expected 'raise' or 'return'")

    def begun(self) -> tuple[str, dict[str, NDArray[Any]]] | None:
        """The state that the file holds, None where there is none; settles how products are made.

        Raises:
            OSError: The file could not be written.
            ValueError: It belongs to another computation; the difference is named.
        """
        objective = self.subject.objective
        here = environment(objective.device)
        self._plan = {"threads": torch.get_num_threads(), "environment": here}
        if self.resume is not None:
            _store.check_writable(self.resume)
            if Path(self.resume).exists():
                return self._found(here)
        self._plan["strategy"] = self.subject.engine.strategy.record()
        return None

    def _found(self, here: Mapping[str, Any]) -> tuple[str, dict[str, NDArray[Any]]]:
        if self.resume is None:
            raise ValueError("there is no file to go on from")
        stored = _store.read(self.resume, "partial")
        check_same(self.resume, stored.record["inputs"], self._inputs)
        self._plan = dict(stored.record["plan"])
        self.notes = other_environment(self._plan["environment"], here)
        self.seconds = stored.record["seconds"]
        return stored.record["state"], stored.arrays

    @property
    def _inputs(self) -> dict[str, Any]:
        return {"what": self.label, **self.subject.fingerprint, **self.inputs}

    @property
    def strategy(self) -> Strategy:
        """How products are made."""
        return Strategy.from_record(self._plan["strategy"])

    def execute(
        self,
        solver: Solver,
        shown: Callable[..., Mapping[str, float]],
        state: Callable[[], tuple[str, Mapping[str, NDArray[Any]]]] | None = None,
        done: int = 0,
    ) -> None:
        """Run to the end, or to an interrupt that is to return what there is.

        Args:
            solver: The core's iteration.
            shown: From what a tick brings to what is shown beside the bar.
            state: What a resume needs.
            done: Units of work that were done before.
        """
        started = time.perf_counter()
        before = self.seconds
        operator = self.subject.operator(self.strategy)
        with (
            thread_count(self._plan["threads"]),
            reporter(self.progress, self.most, self.label, unit=self.unit, start=done) as bar,
        ):

            def tick(done: int, *values: Any) -> bool:
                bar.update(done, **shown(*values))
                return self.resume is None or not self._times.due

            try:
                while not solver.run(operator, tick):
                    self.seconds = before + time.perf_counter() - started
                    self._keep(state)
            except KeyboardInterrupt:
                self.interrupted = True
                if self.interrupt == "raise":
                    raise
            finally:
                self.seconds = before + time.perf_counter() - started
                self._keep(state)

    def _keep(self, state: Callable[[], tuple[str, Mapping[str, NDArray[Any]]]] | None) -> None:
        if self.resume is None or state is None:
            return
        with self._times.save():
            text, arrays = state()
            record = {
                "inputs": plain(self._inputs),
                "plan": self._plan,
                "seconds": self.seconds,
                "state": text,
            }
            _store.write(self.resume, "partial", record, arrays)

    def run(self, evaluations: int, status: str, seed: int) -> Run:
        """The record of a result."""
        objective = self.subject.objective
        name = "native" if self.strategy.kind == "native" else self.subject.engine.name
        return Run(
            engine=name,
            strategy={
                **self.strategy.record(),
                "threads": self._plan["threads"],
                **self._plan["environment"],
            },
            policy=objective.policy,
            evaluations=evaluations,
            seconds=self.seconds,
            seed=seed,
            status=status,
            versions=versions(),
            notes=(*objective.notes, *self.notes),
        )

"""RunPlan: how a run evaluates its points, fixed at its start and kept in its checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from landscape._environment import environment, thread_count, versions
from landscape._objective import Strategy
from landscape._results import Run
from landscape._runs.checkpoint import list_differences
from landscape._runs.fields import read_count, read_mapping

if TYPE_CHECKING:
    from landscape._objective import Objective

__all__ = ["RunPlan"]


@dataclass(frozen=True)
class RunPlan:
    """Strategies, threads and environment: what decides the last bits of a run's numbers."""

    strategies: tuple[Strategy, ...]
    """One for each function; empty until they are chosen."""
    threads: int
    """PyTorch's thread count."""
    environment: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @classmethod
    def start(cls, device: torch.device) -> RunPlan:
        """The plan of a new run, its strategies not chosen yet."""
        return cls((), torch.get_num_threads(), environment(device))

    @classmethod
    def resume(cls, record: Mapping[str, Any], device: torch.device) -> RunPlan:
        """The plan in a checkpoint; warns where this environment may change the last bits."""
        records = record["strategies"] if "strategies" in record else [record["strategy"]]
        if not isinstance(records, Sequence):
            raise ValueError(f"'strategies' is {records!r}, expected a list")
        strategies = tuple(Strategy.from_record(item) for item in records if item)
        threads = read_count(record, "threads", least=1)
        differences = list_differences(read_mapping(record, "environment"), environment(device))
        notes: tuple[str, ...] = ()
        if differences:
            note = (
                f"resumed in another environment ({'; '.join(differences)}): numbers before and "
                "after may differ in their last bits"
            )
            warnings.warn(note, UserWarning, stacklevel=5)
            notes = (note,)
        return cls(strategies, threads, record["environment"], notes)

    def with_strategies(self, strategies: Sequence[Strategy]) -> RunPlan:
        """The same plan with the strategies chosen."""
        return replace(self, strategies=tuple(strategies))

    def with_note(self, note: str) -> RunPlan:
        """The same plan with a remark for the user, of which it also warns."""
        warnings.warn(note, UserWarning, stacklevel=4)
        return replace(self, notes=(*self.notes, note))

    def to_record(self) -> dict[str, Any]:
        """As plain data, for a checkpoint."""
        return {
            "strategies": [strategy.record() for strategy in self.strategies],
            "threads": self.threads,
            "environment": dict(self.environment),
        }

    def thread_count(self) -> AbstractContextManager[None]:
        """Set PyTorch's thread count to that of the run's start."""
        return thread_count(self.threads)

    def make_run(
        self,
        objective: Objective,
        strategy: Strategy,
        *,
        evaluations: int,
        seconds: float,
        status: str,
        engine: str | None = None,
        seed: int | None = None,
        notes: Sequence[str] = (),
    ) -> Run:
        """The provenance of a result.

        Args:
            objective: The function that was evaluated.
            strategy: How points were evaluated; it decides the engine's name.
            evaluations: Passes over the data, or products.
            seconds: Wall-clock time.
            status: How the run ended, as a sentence.
            engine: The backend's name with its reason; what the objective says when None.
            seed: Of the computation; the objective's own when None.
            notes: Further remarks for the user.
        """
        return Run(
            engine=objective.describe_engine(strategy) if engine is None else engine,
            strategy={**strategy.record(), "threads": self.threads, **self.environment},
            policy={**objective.policy, "inferred": objective.has_inferred_loss},
            evaluations=evaluations,
            seconds=seconds,
            seed=objective.seed if seed is None else seed,
            status=status,
            versions=versions(),
            notes=(*objective.notes, *self.notes, *notes),
            check=objective.check,
        )

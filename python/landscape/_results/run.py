"""Run: how numbers were made. JSON-able throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from landscape._results._values import frozen_json
from landscape._store import Json


@dataclass(frozen=True)
class Run:
    """The record of a computation, enough to understand its numbers and to repeat them.

    Args:
        engine: who evaluated the loss: "torch".
        strategy: how points were evaluated: kind, chunk, threads, device, dtype, ...
        policy: which function the loss is: name, reduction, batch norm, dropout, samples, ...
        evaluations: the number of points evaluated, each a full pass over the data.
        seconds: wall-clock time.
        seed: of the sample subset, the split and the dropout; that of directions is in the recipe.
        status: how it ended, as a sentence; "complete" where nothing is left to say.
        versions: of landscape, torch, numpy and python.
        notes: what the user should know: dropped samples, frozen augmentation, held parameters.

    Sequences inside `strategy` and `policy` become tuples, so that a run read from a file equals
    the one that was written.
    """

    engine: str
    strategy: Mapping[str, Json]
    policy: Mapping[str, Json]
    evaluations: int
    seconds: float
    seed: int
    status: str
    versions: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("strategy", "policy", "versions"):
            object.__setattr__(self, name, frozen_json(getattr(self, name)))
        object.__setattr__(self, "notes", tuple(self.notes))

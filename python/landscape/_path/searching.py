"""A search for a path as a run: stopped, gone on with, and ended by numbers that are not finite.

Depends on the iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from landscape._iteration import Interrupt, Iteration

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from landscape._path.subject import Batched, Ends
    from landscape._progress import Choice
    from landscape._results import Run

__all__ = ["Options", "Searched", "Solver", "searched"]

Begun = tuple[str, Mapping[str, "NDArray[Any]"]] | None


class Solver(Protocol):
    """A search of the core."""

    @property
    def ending(self) -> str:
        """How it ended."""

    @property
    def done(self) -> int:
        """Steps so far."""

    @property
    def evaluations(self) -> tuple[int, int]:
        """Losses of all data, and gradients of single batches."""

    def run(self, operator: Any, tick: Callable[..., bool], /) -> bool:
        """Go on until it has ended (True) or `tick` pauses it (False)."""

    def settle(self, operator: Any, /) -> None:
        """Look at where it is, so that the best path knows of it."""

    def looks(self) -> NDArray[Any]:
        """Rows of steps, inner points and highest loss."""

    def best(self) -> NDArray[Any]:
        """The points of the lowest path that was looked at."""

    def memory(self) -> NDArray[Any]:
        """The optimiser's."""

    def record(self) -> str:
        """All else."""


class Options(Protocol):
    """What a search is asked for."""

    @property
    def most(self) -> int:
        """The most steps."""

    def limits(self) -> dict[str, Any]:
        """The options as plain data."""

    def solver(self, losses: Batched, ends: Ends, begun: Begun) -> Any:
        """The search, at its beginning or where a file has left it."""

    def moving(self, solver: Any) -> Mapping[str, NDArray[Any]]:
        """The points that move, by the name under which a file keeps them."""

    def described(self, solver: Any) -> str:
        """How it ended, as a sentence."""


@dataclass(frozen=True)
class Searched:
    """What a search has found."""

    points: NDArray[Any]
    looks: NDArray[Any]
    status: str
    passes: int
    run: Callable[[int, str, int], Run]
    """From passes over the data, a status and a seed to the record."""


def searched(
    method: str,
    ends: Ends,
    options: Options,
    *,
    resume: str | os.PathLike[str] | None,
    progress: Choice,
    interrupt: Interrupt,
) -> Searched:
    """Run a search to its end, or to where it has to stop.

    Raises:
        FloatingPointError: A loss or a gradient is not finite, and ``interrupt`` says to raise.
        KeyboardInterrupt: The same of Ctrl-C.
    """
    iteration = Iteration(
        method, ends, options.limits(), options.most, progress, resume, interrupt, "step"
    )
    begun = iteration.begun()
    losses = ends.operator(iteration.strategy)
    solver: Solver = options.solver(losses, ends, begun)

    def state() -> tuple[str, Mapping[str, NDArray[Any]]]:
        kept = {"best": solver.best(), "memory": solver.memory()}
        return solver.record(), {**options.moving(solver), **kept}

    stopped = ""
    try:
        iteration.execute(solver, _shown, state, solver.done)
    except FloatingPointError as error:
        stopped = str(error)
        if interrupt == "raise":
            error.add_note(
                "interrupt='return' returns the last good path; resume= keeps it in a file"
            )
            raise
    if stopped or iteration.interrupted:
        solver.settle(losses)
    status = options.described(solver)
    if iteration.interrupted:
        status = f"interrupted after {solver.done} of {options.most} steps"
    if stopped:
        status = f"stopped: {stopped}"
    evaluated, batches = solver.evaluations
    passes = evaluated + -(-batches // ends.objective.batches)
    return Searched(solver.best(), solver.looks(), status, passes, iteration.run)


def _shown(barrier: float, force: float) -> Mapping[str, float]:
    """What stands beside the bar."""
    return {"barrier": barrier, "force": force}

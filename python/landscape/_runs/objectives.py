"""The Objectives of a public function, built from its arguments."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import torch

from landscape._objective import Objective
from landscape._progress import start_up

if TYPE_CHECKING:
    from landscape._progress import Choice

__all__ = ["ObjectiveOptions", "build_objective", "build_objectives", "check_option_names"]


class ObjectiveOptions(TypedDict, total=False):
    """The keywords of :class:`Objective` that every function takes."""

    engine: Literal["auto", "torch", "native"]
    batch_norm: Literal["frozen", "recalibrated", "batch"] | None
    device: torch.device | str | None
    dtype: torch.dtype | str | None
    parameters: str | Iterable[str] | None
    samples: int | Sequence[int] | None
    dropout: Literal["off", "seeded"]
    weight_decay: float
    batch_size: int | None
    weight: Callable[[Any], Any] | None
    memory_budget: int
    check: Literal["on", "off"]


def check_option_names(
    function: Callable[..., Any], options: Iterable[str], more: Iterable[str] = ()
) -> None:
    """Refuse options that a public function does not know.

    Args:
        function: The function, whose own keywords are known besides those of an Objective.
        options: The names that were passed beyond its own keywords.
        more: Further names that it knows.

    Raises:
        TypeError: A name is unknown; the text has the nearest known one.
    """
    own = inspect.signature(function).parameters.values()
    known = [*(p.name for p in own if p.kind is p.KEYWORD_ONLY), *more]
    known += ObjectiveOptions.__annotations__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            advice = f"did you mean {near[0]}=?" if near else f"it knows {', '.join(known)}"
            raise TypeError(f"{function.__name__}() got an unknown option {name}=; {advice}")


def build_objective(
    function: Callable[..., Any],
    model: Any,
    data: Any,
    loss: Any,
    *,
    seed: int,
    options: ObjectiveOptions,
    progress: Choice = "off",
) -> Objective:
    """Build the Objective of a public function, or take the one that it was given.

    Args:
        function: The public function that was called.
        model: The model, or an Objective.
        data: The training data.
        loss: The loss.
        seed: That of the Objective.
        options: Its other options.
        progress: How the start-up is shown.

    Raises:
        TypeError: An option is unknown, or an Objective is passed together with what it already
            holds.
    """
    check_option_names(function, options)
    if isinstance(model, Objective):
        redundant = [n for n, value in (("data", data), ("loss", loss)) if value is not None]
        redundant += list(options)
        if redundant:
            raise TypeError(
                f"got an Objective together with {', '.join(redundant)}; an Objective already "
                "holds them: leave them out, or pass the model itself"
            )
        return model
    if data is None:
        raise TypeError("data is missing; pass (inputs, targets), a Dataset or a DataLoader")
    with start_up(progress):
        return Objective(model, data, loss, seed=seed, **options)


def build_objectives(
    function: Callable[..., Any],
    model: Any,
    data: Any,
    loss: Any,
    *,
    test: Any,
    seed: int,
    options: ObjectiveOptions,
    progress: Choice = "off",
) -> tuple[Objective, Objective | None]:
    """Build the same, and the Objective of the test data where there are any (None without).

    Raises:
        TypeError: As for :func:`build_objective`.
    """
    objective = build_objective(
        function, model, data, loss, seed=seed, options=options, progress=progress
    )
    with start_up(progress):
        return objective, None if test is None else objective.with_data(test)

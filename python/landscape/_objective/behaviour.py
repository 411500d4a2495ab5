"""What a model does besides mapping inputs to outputs, and how its traces are wiped.

Depends on PyTorch alone.
"""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass
from typing import Any

from torch import nn

__all__ = ["Attributes", "Behaviour"]

_CONTAINERS = {dict, OrderedDict, defaultdict, list, set, deque}


@dataclass(frozen=True)
class Behaviour:
    """What was seen when the model ran for the first time; the worst is assumed until then."""

    draws: bool = True
    """Draws random numbers: they are made the same at every point."""
    remembers: bool = True
    """Changes its attributes or buffers: they are put back before every pass over the data."""
    overwrites: bool = True
    """Writes into its inputs: it is handed copies."""
    differentiates: bool = True
    """Takes derivatives itself, as of an energy: a graph is recorded wherever it runs."""
    mixes: bool = True
    """Lets the samples of a batch see each other: batches are never cut."""

    def joined(self, other: Behaviour) -> Behaviour:
        """What either of two looks has shown."""
        return Behaviour(*(a or b for a, b in zip(astuple(self), astuple(other), strict=True)))


class Attributes:
    """The attributes of modules, and what their plain containers hold, to be put back."""

    def __init__(self, modules: Iterable[nn.Module], besides: Collection[str] = ()) -> None:
        self._besides = frozenset(besides)
        self._taken: list[tuple[dict[str, Any], dict[str, Any], list[tuple[Any, Any]]]] = []
        for module in modules:
            kept = {n: value for n, value in module.__dict__.items() if n not in self._besides}
            containers = [(c, copy.copy(c)) for c in kept.values() if type(c) in _CONTAINERS]
            self._taken.append((module.__dict__, kept, containers))

    def changed(self) -> bool:
        """Whether any attribute or member of a container is another object than it was."""
        return any(
            {n: id(value) for n, value in now.items() if n not in self._besides}
            != {n: id(value) for n, value in kept.items()}
            or any(_members(container) != _members(before) for container, before in containers)
            for now, kept, containers in self._taken
        )

    def restore(self) -> None:
        """Put everything back."""
        for now, kept, containers in self._taken:
            for name in now.keys() - kept.keys() - self._besides:
                del now[name]
            now.update(kept)
            for container, before in containers:
                if container or before:
                    container.clear()
                    add = container.extend if hasattr(container, "extend") else container.update
                    add(before)


def _members(container: Any) -> list[int]:
    values = container.values() if isinstance(container, dict) else ()
    return [*map(id, container), *map(id, values)]

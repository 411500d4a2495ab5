"""The native networks of one model: made when they are needed, and kept while they are used.

Depends on how one is built.
"""

from __future__ import annotations

import threading
from typing import Any, Self

from landscape._export import Unsupported
from landscape._objective.data import Batches
from landscape._objective.evaluate import Evaluator
from landscape._objective.native import NativeNetwork
from landscape._objective.native_build import native_network

__all__ = ["Natives"]

_KEPT = 3  # sets of data: training, test, and one more
_BUILDING = threading.RLock()
"""One at a time, in the whole process: tracing a model changes what PyTorch keeps for all."""


class Natives:
    """One network for each set of data that was used lately.

    They are made anew when a held parameter, a buffer or a module of the model has changed: theta
    is handed over with every call, but what is held was exported. A copy begins with none.
    """

    def __init__(self) -> None:
        self._held: tuple[Any, ...] = ()
        self._made: dict[tuple[int, int], tuple[Batches, Batches, NativeNetwork | Unsupported]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()

    def of(self, evaluator: Evaluator) -> NativeNetwork:
        """The native network of an evaluator.

        Raises:
            Unsupported: There is none.
        """
        with _BUILDING:
            found = self._network(evaluator)
        if isinstance(found, Unsupported):
            raise found
        found.check(evaluator.batch_norm)
        return found

    def _network(self, evaluator: Evaluator) -> NativeNetwork | Unsupported:
        held = evaluator.stage.held_print()
        if held != self._held:
            self._held = held
            self._made.clear()
        key = (id(evaluator.batches), id(evaluator.statistics))
        # the data are kept too, so that no others can take their place in memory
        entry = self._made.pop(key, None) or (
            evaluator.batches,
            evaluator.statistics,
            _built(evaluator),
        )
        self._made[key] = entry  # the last one is the one used last
        while len(self._made) > _KEPT:
            self._made.pop(next(iter(self._made)))
        return entry[2]


def _built(evaluator: Evaluator) -> NativeNetwork | Unsupported:
    try:
        return native_network(evaluator)
    except Unsupported as reason:
        return reason

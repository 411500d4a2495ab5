"""The native networks of one model: made when they are needed, and kept while they are used.

Depends on how one is built.
"""

from __future__ import annotations

import threading
from typing import Any, Self

from landscape._export import Unsupported
from landscape._objective.data.batches import Batches
from landscape._objective.native_backend.build import build_network
from landscape._objective.native_backend.network import NativeNetwork
from landscape._objective.torch_backend.evaluator import Evaluator

__all__ = ["NativeCache"]

_KEPT = 3  # sets of data: training, test, and one more
_BUILDING = threading.RLock()
"""One at a time, in the whole process: tracing a model changes what PyTorch keeps for all."""


class NativeCache:
    """One network for each set of data that was used lately.

    They are made anew when a held parameter, a buffer or a module of the model has changed: theta
    is handed over with every call, but what is held was exported. A copy begins with none.
    """

    def __init__(self) -> None:
        self._fingerprint: tuple[Any, ...] = ()
        self._networks: dict[
            tuple[int, int], tuple[Batches, Batches, NativeNetwork | Unsupported]
        ] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()

    def get(self, evaluator: Evaluator) -> NativeNetwork:
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
        fingerprint = evaluator.model.frozen_fingerprint()
        if fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self._networks.clear()
        key = (id(evaluator.batches), id(evaluator.statistics))
        # the data are kept too, so that no others can take their place in memory
        entry = self._networks.pop(key, None) or (
            evaluator.batches,
            evaluator.statistics,
            _built(evaluator),
        )
        self._networks[key] = entry  # the last one is the one used last
        while len(self._networks) > _KEPT:
            self._networks.pop(next(iter(self._networks)))
        return entry[2]


def _built(evaluator: Evaluator) -> NativeNetwork | Unsupported:
    try:
        return build_network(evaluator)
    except Unsupported as reason:
        return reason

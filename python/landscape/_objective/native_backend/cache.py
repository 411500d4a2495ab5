"""The cache of native networks: one for each set of data that was used recently."""

from __future__ import annotations

from typing import Any, Self

from landscape._export import Unsupported
from landscape._objective.data.batches import Batches
from landscape._objective.native_backend.build import build_network
from landscape._objective.native_backend.findings import find
from landscape._objective.native_backend.network import NativeNetwork
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._turns import held

__all__ = ["NativeCache"]

_CAPACITY = 3  # sets of data: training, test, and one more

Network = NativeNetwork | Unsupported


class NativeCache:
    """The native networks of one model, or the reasons why there are none.

    A network is rebuilt when a frozen parameter, a buffer or a module of the model has changed:
    theta is passed with every call, but frozen values were exported. A copy starts empty.
    """

    def __init__(self) -> None:
        self._fingerprint: tuple[Any, ...] = ()
        self._networks: dict[tuple[int, int], tuple[Batches, Batches, Network]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()

    def get(self, evaluator: Evaluator) -> NativeNetwork:
        """The native network of an evaluator, built at the first use.

        Raises:
            Unsupported: The model, its data or its loss cannot be native.
        """
        with held(evaluator.model.module):
            network = self._get_or_build(evaluator)
        if isinstance(network, Unsupported):
            raise network
        network.check(evaluator.batch_norm)
        return network

    def _get_or_build(self, evaluator: Evaluator) -> Network:
        fingerprint = evaluator.model.frozen_fingerprint()
        if fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self._networks.clear()
        key = (id(evaluator.batches), id(evaluator.statistics))
        # the data are kept too, so that their ids are not used again
        entry = self._networks.pop(key, None) or (
            evaluator.batches,
            evaluator.statistics,
            _build_or_refuse(evaluator),
        )
        self._networks[key] = entry  # the most recently used one is last
        while len(self._networks) > _CAPACITY:
            self._networks.pop(next(iter(self._networks)))
        return entry[2]


def _build_or_refuse(evaluator: Evaluator) -> Network:
    try:
        return build_network(evaluator, find(evaluator.model.module))
    except Unsupported as reason:
        return reason

"""The user's model with other tensors swapped in for an evaluation, and restored after it.

The module is neither copied nor moved: for an evaluation other tensors take the positions of its
parameters and buffers. This file alone writes into the user's module.
"""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from landscape._objective.data.batches import compute_checksum
from landscape._objective.isolation import (
    DeferredInterrupt,
    isolate_random_state,
    seed_generators,
)
from landscape._parameters import ParameterLayout

__all__ = ["AttributeSnapshot", "Behaviour", "SwappedModel"]

_CONTAINERS = {dict, OrderedDict, defaultdict, list, set, deque}

# what SwappedModel itself replaces while other tensors are swapped in
_SWAPPED = ("_parameters", "_buffers", "_flat_weights", "_flat_weight_refs")
_FINGERPRINT_SIZE = 4096  # numbers of a tensor that enter its fingerprint


@dataclass(frozen=True)
class Behaviour:
    """Side effects of a model, as observed in its first run.

    Until then it is assumed to have all of them.
    """

    is_random: bool = True
    """Draws random numbers: they are made the same at every point."""
    is_stateful: bool = True
    """Changes its attributes or buffers: they are restored before every pass over the data."""
    remembers: bool = True
    """Outputs depend on what an earlier call left behind: batches are never cut."""
    overwrites_inputs: bool = True
    """Writes into its inputs: it is passed copies."""
    differentiates: bool = True
    """Takes derivatives itself, as of an energy: a graph is recorded wherever it runs."""
    mixes_samples: bool = True
    """Outputs depend on the other samples of a batch: batches are never cut."""

    def union(self, other: Behaviour) -> Behaviour:
        """The side effects that either of two has."""
        return Behaviour(*(a or b for a, b in zip(astuple(self), astuple(other), strict=True)))


class AttributeSnapshot:
    """The attributes of modules, and the members of their plain containers, to be restored."""

    def __init__(self, modules: Iterable[nn.Module], excluded: Collection[str] = ()) -> None:
        self._excluded = frozenset(excluded)
        self._saved: list[tuple[dict[str, Any], dict[str, Any], list[tuple[Any, Any]]]] = []
        for module in modules:
            saved = {n: value for n, value in module.__dict__.items() if n not in self._excluded}
            containers = [(c, copy.copy(c)) for c in saved.values() if type(c) in _CONTAINERS]
            self._saved.append((module.__dict__, saved, containers))

    def changed(self) -> bool:
        """Whether any attribute or member of a container is another object than it was."""
        return any(
            {n: id(value) for n, value in current.items() if n not in self._excluded}
            != {n: id(value) for n, value in saved.items()}
            or any(_members(container) != _members(before) for container, before in containers)
            for current, saved, containers in self._saved
        )

    def restore(self) -> None:
        """Restore every attribute and every container."""
        for current, saved, containers in self._saved:
            for name in current.keys() - saved.keys() - self._excluded:
                del current[name]
            current.update(saved)
            for container, before in containers:
                if container or before:
                    container.clear()
                    add = container.extend if hasattr(container, "extend") else container.update
                    add(before)


class SwappedModel:
    """The user's module, with the positions in it where other tensors are swapped in."""

    def __init__(
        self,
        module: nn.Module,
        layout: ParameterLayout,
        *,
        device: torch.device,
        dtype: torch.dtype | None,
        seed: int,
    ) -> None:
        self.module = module
        self.device = device
        self.dtype = dtype
        self.seed = seed
        self.behaviour = Behaviour()
        self._interrupts = DeferredInterrupt()
        self._uses_dropout = False
        self._attributes = AttributeSnapshot(())
        self._working_buffers: list[tuple[dict[str, Any], str, Tensor, Tensor, int]] = []
        self._modules = list(module.modules())
        self._recurrent = [m for m in self._modules if isinstance(m, nn.RNNBase)]
        embeddings = (nn.Embedding, nn.EmbeddingBag)
        self._sparse = [m for m in self._modules if isinstance(m, embeddings) and m.sparse]
        slots: dict[int, list[tuple[dict[str, Any], str]]] = {}
        for part in self._modules:
            for name, parameter in part._parameters.items():
                if parameter is not None:
                    slots.setdefault(id(parameter), []).append((part._parameters, name))
        varied = {id(module.get_parameter(entry.name)) for entry in layout.entries}
        self._slots = [slots[id(module.get_parameter(e.name))] for e in layout.entries]
        self._frozen = [own for key, own in slots.items() if key not in varied]
        self.dtypes = [
            self._working_dtype(module.get_parameter(entry.name).dtype) for entry in layout.entries
        ]

    @contextmanager
    def swapped_in(self, *, dropout: str) -> Iterator[None]:
        """Prepare the model inside the block and restore it, bit for bit, after it.

        Frozen parameters are detached, buffers are working copies, batch norm reads its stored
        statistics, random generators are isolated, and autocast and attention's inference fast
        path (whose kernels differ from those that gradients come from) are off.
        """
        with self._interrupts:
            originals = AttributeSnapshot(self._modules)
            fast_path = torch.backends.mha.get_fastpath_enabled()
            try:
                with ExitStack() as stack:
                    stack.enter_context(isolate_random_state(self.seed))
                    for kind in {"cpu", self.device.type}:
                        stack.enter_context(torch.autocast(kind, enabled=False))
                    torch.backends.mha.set_fastpath_enabled(False)
                    self._set_flags(dropout)
                    self._swap_frozen_and_buffers()
                    if self.behaviour.is_stateful:
                        self._attributes = self.attributes()
                    yield
            finally:
                torch.backends.mha.set_fastpath_enabled(fast_path)
                self._attributes = AttributeSnapshot(())
                originals.restore()

    def install(self, tensors: Sequence[Tensor]) -> None:
        """Swap in the varied parameters' tensors; only inside :meth:`swapped_in`."""
        for slots, tensor in zip(self._slots, tensors, strict=True):
            for container, name in slots:
                container[name] = tensor
        for module in self._recurrent:  # these keep a second list of their weights
            module.__dict__["_flat_weights"] = [
                getattr(module, name, None) for name in module._flat_weights_names
            ]

    def frozen_checksum(self) -> int:
        """A CRC-32 of what L depends on besides theta: frozen parameters, and buffers."""
        return compute_checksum([*self._frozen_tensors(), *self.module.buffers()])

    def frozen_fingerprint(self) -> tuple[tuple[int, int, int], ...]:
        """A value that changes whenever a frozen parameter or a buffer does, at next to no cost.

        A write through ``.data`` leaves no trace in a tensor's version, but does in its numbers; of
        a long tensor some thousands enter. A replaced module is seen, a replaced attribute of a
        module is not.
        """
        modules = tuple((id(module), 0, 0) for module in self.module.modules())
        return modules + tuple(
            (id(tensor), -1 if tensor.is_inference() else tensor._version, _sample_checksum(tensor))
            for tensor in (*self._frozen_tensors(), *self.module.buffers())
        )

    def attributes(self) -> AttributeSnapshot:
        """The attributes of a swapped-in model, without the tensors that are swapped."""
        return AttributeSnapshot(self._modules, _SWAPPED)

    def buffers_changed(self) -> bool:
        """Whether the model wrote into its working buffers since they were last reset."""
        return any(
            container[name] is not working or working._version != version
            for container, name, working, _, version in self._working_buffers
        )

    def begin_batch(self, index: int) -> None:
        """Handle a pending Ctrl-C, and give a batch the same random numbers at every point."""
        self._interrupts.check()
        if self.behaviour.is_random or self._uses_dropout:  # seeding costs more than a small layer
            seed_generators(self.seed + index)

    def reset(self) -> None:
        """Undo what the last pass did to buffers and attributes: L depends on theta alone."""
        self._attributes.restore()
        for container, name, working, original, version in self._working_buffers:
            if container[name] is not working or working._version != version:
                container[name] = working.copy_(original)
        self._working_buffers = [
            (container, name, working, original, working._version)
            for container, name, working, original, _ in self._working_buffers
        ]

    def _frozen_tensors(self) -> list[Tensor]:
        return [slots[0][0][slots[0][1]] for slots in self._frozen]

    def _set_flags(self, dropout: str) -> None:
        self._uses_dropout = dropout == "seeded"
        for module in self._modules:
            normalises = isinstance(module, _NormBase)
            module.__dict__["training"] = self._uses_dropout and not normalises
            module.__dict__["_compiled_call_impl"] = (
                None  # run the module itself, not its compiled form
            )
        for module in self._sparse:  # sparse gradients have no derivatives, and equal dense ones
            module.__dict__["sparse"] = False

    def _swap_frozen_and_buffers(self) -> None:
        for slots in self._frozen:
            container, name = slots[0]
            frozen = self._to_working(container[name].detach())
            for container, name in slots:
                container[name] = frozen
        self._working_buffers = []
        for module in self._modules:
            is_watched = not isinstance(module, _NormBase)  # those follow the batch-norm policy
            for name, buffer in module._buffers.items():
                if buffer is None:
                    continue
                original = self._to_working(buffer.detach())
                working = original.clone()
                module._buffers[name] = working
                if is_watched:
                    slot = (module._buffers, name, working, original, working._version)
                    self._working_buffers.append(slot)

    def _to_working(self, tensor: Tensor) -> Tensor:
        tensor = tensor.clone() if tensor.is_inference() else tensor
        return tensor.to(device=self.device, dtype=self._working_dtype(tensor.dtype))

    def _working_dtype(self, stored: torch.dtype) -> torch.dtype:
        return self.dtype if self.dtype is not None and stored.is_floating_point else stored


def _members(container: Any) -> list[int]:
    values = container.values() if isinstance(container, dict) else ()
    return [*map(id, container), *map(id, values)]


def _sample_checksum(tensor: Tensor) -> int:
    numbers = tensor.detach().reshape(-1)
    return compute_checksum(numbers[:: max(1, len(numbers) // _FINGERPRINT_SIZE)])

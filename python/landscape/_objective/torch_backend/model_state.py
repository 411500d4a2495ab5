"""The model, lent for an evaluation: its tensors exchanged while a block lasts, then put back.

Depends on the parameter layout. The only place that touches the user's module, which is neither
copied nor moved: other tensors take the places of its parameters and buffers.
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

from landscape._objective.data.batches import checksum
from landscape._objective.isolation import DeferredInterrupt, isolate_random_state, seed_generators
from landscape._parameters import ParameterLayout

__all__ = ["AttributeSnapshot", "Behaviour", "SwappedModel"]

# what the model itself exchanges while the model is lent
_EXCHANGED = ("_parameters", "_buffers", "_flat_weights", "_flat_weight_refs")
_GLANCE = 4096  # numbers of a tensor that are looked at


class SwappedModel:
    """The user's model and where other tensors are put into it."""

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
        self._dropping = False
        self._attributes = AttributeSnapshot(())
        self._working_buffers: list[tuple[dict[str, Any], str, Tensor, Tensor, int]] = []
        self._modules = list(module.modules())
        self._recurrent = [m for m in self._modules if isinstance(m, nn.RNNBase)]
        places: dict[int, list[tuple[dict[str, Any], str]]] = {}
        for part in self._modules:
            for name, parameter in part._parameters.items():
                if parameter is not None:
                    places.setdefault(id(parameter), []).append((part._parameters, name))
        varied = {id(module.get_parameter(entry.name)) for entry in layout.entries}
        self._places = [places[id(module.get_parameter(e.name))] for e in layout.entries]
        self._frozen = [spots for key, spots in places.items() if key not in varied]
        self.dtypes = [
            self._working(module.get_parameter(entry.name).dtype) for entry in layout.entries
        ]

    @contextmanager
    def swapped_in(self, *, dropout: str) -> Iterator[None]:
        """Make the model ready inside the block and bit-identical to its old self after it.

        Parameters that do not vary are detached, buffers are working copies, batch norm reads its
        stored statistics, random streams are isolated, and autocast and attention's inference
        fast path (whose kernels differ from those that gradients come from) are off.
        """
        with self._interrupts:
            yield from self._lent(dropout)

    def _lent(self, dropout: str) -> Iterator[None]:
        originals = AttributeSnapshot(self._modules)
        fast_path = torch.backends.mha.get_fastpath_enabled()
        try:
            with ExitStack() as stack:
                stack.enter_context(isolate_random_state(self.seed))
                for kind in {"cpu", self.device.type}:
                    stack.enter_context(torch.autocast(kind, enabled=False))
                torch.backends.mha.set_fastpath_enabled(False)
                self._set_flags(dropout)
                self._exchange_fixed()
                self._attributes = (
                    self.attributes() if self.behaviour.remembers else AttributeSnapshot(())
                )
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            self._attributes = AttributeSnapshot(())
            originals.restore()

    def install(self, tensors: Sequence[Tensor]) -> None:
        """Put the varied parameters' tensors in their places; only inside :meth:`lent`."""
        for spots, tensor in zip(self._places, tensors, strict=True):
            for container, name in spots:
                container[name] = tensor
        for module in self._recurrent:  # these keep a second list of their weights
            module.__dict__["_flat_weights"] = [
                getattr(module, name, None) for name in module._flat_weights_names
            ]

    def frozen_checksum(self) -> int:
        """A CRC-32 of what L depends on besides theta: parameters that are frozen, and buffers."""
        frozen = [spots[0][0][spots[0][1]] for spots in self._frozen]
        return checksum([*frozen, *self.module.buffers()])

    def frozen_fingerprint(self) -> tuple[tuple[int, int, int], ...]:
        """What changes whenever a frozen parameter or a buffer does, at next to no cost.

        A write through ``.data`` leaves no trace in a tensor's version, but does in its numbers; of
        a long tensor some thousands are looked at. A module that took another's place is seen, an
        attribute that was set anew is not.
        """
        modules = tuple((id(module), 0, 0) for module in self.module.modules())
        frozen = [spots[0][0][spots[0][1]] for spots in self._frozen]
        return modules + tuple(
            (id(tensor), -1 if tensor.is_inference() else tensor._version, _glance(tensor))
            for tensor in (*frozen, *self.module.buffers())
        )

    def attributes(self) -> AttributeSnapshot:
        """The lent model's attributes, without the tensors that are exchanged."""
        return AttributeSnapshot(self._modules, _EXCHANGED)

    def buffers_changed(self) -> bool:
        """Whether the model wrote into its working buffers since they were last reset."""
        return any(
            container[name] is not working or working._version != version
            for container, name, working, _, version in self._working_buffers
        )

    def begin_batch(self, index: int) -> None:
        """Obey a Ctrl-C, and make the random numbers of a batch the same at every point."""
        self._interrupts.check()
        if self.behaviour.draws or self._dropping:  # seeding costs more than a small layer
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

    def _set_flags(self, dropout: str) -> None:
        self._dropping = dropout == "seeded"
        for module in self._modules:
            normalises = isinstance(module, _NormBase)
            module.__dict__["training"] = self._dropping and not normalises
            module.__dict__["_compiled_call_impl"] = None  # compiled in place: run as written

    def _exchange_fixed(self) -> None:
        for spots in self._frozen:
            container, name = spots[0]
            fixed = self._placed(container[name].detach())
            for container, name in spots:
                container[name] = fixed
        self._working_buffers = []
        for module in self._modules:
            watched = not isinstance(module, _NormBase)  # those are set by the batch-norm policy
            for name, buffer in module._buffers.items():
                if buffer is None:
                    continue
                original = self._placed(buffer.detach())
                working = original.clone()
                module._buffers[name] = working
                if watched:
                    spot = (module._buffers, name, working, original, working._version)
                    self._working_buffers.append(spot)

    def _placed(self, tensor: Tensor) -> Tensor:
        tensor = tensor.clone() if tensor.is_inference() else tensor
        return tensor.to(device=self.device, dtype=self._working(tensor.dtype))

    def _working(self, stored: torch.dtype) -> torch.dtype:
        return self.dtype if self.dtype is not None and stored.is_floating_point else stored


def _glance(tensor: Tensor) -> int:
    numbers = tensor.detach().reshape(-1)
    return checksum(numbers[:: max(1, len(numbers) // _GLANCE)])


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

    def concatenate(self, other: Behaviour) -> Behaviour:
        """What either of two looks has shown."""
        return Behaviour(*(a or b for a, b in zip(astuple(self), astuple(other), strict=True)))


class AttributeSnapshot:
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

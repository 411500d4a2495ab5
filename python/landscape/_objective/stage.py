"""The model, lent for an evaluation: its tensors exchanged while a block lasts, then put back.

Depends on the parameter layout. The only place that touches the user's module, which is neither
copied nor moved: other tensors take the places of its parameters and buffers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from landscape._objective.behaviour import Attributes, Behaviour
from landscape._objective.data import checksum
from landscape._objective.interruption import Deferral
from landscape._objective.points import Points
from landscape._objective.randomness import isolated_randomness, seed_streams
from landscape._parameters import ParameterLayout

__all__ = ["PointBuffer", "Stage"]

# what the stage itself exchanges while the model is lent
_EXCHANGED = ("_parameters", "_buffers", "_flat_weights", "_flat_weight_refs")
_GLANCE = 4096  # numbers of a tensor that are looked at


class PointBuffer:
    """One parameter vector theta, and the tensors by which the model reads it.

    The tensors are views of the flat vector wherever the model computes in its dtype, so that
    writing a point costs one pass over d numbers and no allocation.
    """

    def __init__(
        self,
        layout: ParameterLayout,
        dtypes: Sequence[torch.dtype],
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.flat = torch.empty(layout.size, dtype=dtype, device=device)
        pieces = [self.flat[entry.span].view(entry.shape) for entry in layout.entries]
        self.tensors = [
            piece if piece.dtype == wanted else torch.empty_like(piece, dtype=wanted)
            for piece, wanted in zip(pieces, dtypes, strict=True)
        ]
        self._casts = [
            (tensor, piece)
            for tensor, piece in zip(self.tensors, pieces, strict=True)
            if tensor is not piece
        ]

    def fill(self, points: Points, index: int) -> None:
        """Take one of the points; tensors of other dtypes follow the flat vector."""
        points.write(index, self.flat)
        for tensor, piece in self._casts:
            tensor.copy_(piece)

    def leaves(self) -> list[Tensor]:
        """The tensors as leaves of a new graph."""
        return [tensor.detach().requires_grad_() for tensor in self.tensors]


class Stage:
    """The user's model and where other tensors are put into it."""

    def __init__(
        self,
        model: nn.Module,
        layout: ParameterLayout,
        *,
        device: torch.device,
        dtype: torch.dtype | None,
        seed: int,
    ) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype
        self.seed = seed
        self.behaviour = Behaviour()
        self._interrupts = Deferral()
        self._dropping = False
        self._attributes = Attributes(())
        self._working_buffers: list[tuple[dict[str, Any], str, Tensor, Tensor, int]] = []
        self._modules = list(model.modules())
        self._recurrent = [m for m in self._modules if isinstance(m, nn.RNNBase)]
        places: dict[int, list[tuple[dict[str, Any], str]]] = {}
        for module in self._modules:
            for name, parameter in module._parameters.items():
                if parameter is not None:
                    places.setdefault(id(parameter), []).append((module._parameters, name))
        varied = {id(model.get_parameter(entry.name)) for entry in layout.entries}
        self._places = [places[id(model.get_parameter(e.name))] for e in layout.entries]
        self._held = [spots for key, spots in places.items() if key not in varied]
        self.dtypes = [
            self._working(model.get_parameter(entry.name).dtype) for entry in layout.entries
        ]

    @contextmanager
    def lent(self, *, dropout: str) -> Iterator[None]:
        """Make the model ready inside the block and bit-identical to its old self after it.

        Parameters that do not vary are detached, buffers are working copies, batch norm reads its
        stored statistics, random streams are isolated, and autocast and attention's inference
        fast path (whose kernels differ from those that gradients come from) are off.
        """
        with self._interrupts:
            yield from self._lent(dropout)

    def _lent(self, dropout: str) -> Iterator[None]:
        originals = Attributes(self._modules)
        fast_path = torch.backends.mha.get_fastpath_enabled()
        try:
            with ExitStack() as stack:
                stack.enter_context(isolated_randomness(self.seed))
                for kind in {"cpu", self.device.type}:
                    stack.enter_context(torch.autocast(kind, enabled=False))
                torch.backends.mha.set_fastpath_enabled(False)
                self._set_flags(dropout)
                self._exchange_fixed()
                self._attributes = self.attributes() if self.behaviour.remembers else Attributes(())
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            self._attributes = Attributes(())
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

    def held_checksum(self) -> int:
        """A CRC-32 of what L depends on besides theta: parameters that are held, and buffers."""
        held = [spots[0][0][spots[0][1]] for spots in self._held]
        return checksum([*held, *self.model.buffers()])

    def held_print(self) -> tuple[tuple[int, int, int], ...]:
        """What changes whenever a held parameter or a buffer does, at next to no cost.

        A write through ``.data`` leaves no trace in a tensor's version, but does in its numbers; of
        a long tensor some thousands are looked at. A module that took another's place is seen, an
        attribute that was set anew is not.
        """
        modules = tuple((id(module), 0, 0) for module in self.model.modules())
        held = [spots[0][0][spots[0][1]] for spots in self._held]
        return modules + tuple(
            (id(tensor), -1 if tensor.is_inference() else tensor._version, _glance(tensor))
            for tensor in (*held, *self.model.buffers())
        )

    def attributes(self) -> Attributes:
        """The lent model's attributes, without the tensors that are exchanged."""
        return Attributes(self._modules, _EXCHANGED)

    def buffers_changed(self) -> bool:
        """Whether the model wrote into its working buffers since they were last reset."""
        return any(
            container[name] is not copy or copy._version != version
            for container, name, copy, _, version in self._working_buffers
        )

    def begin_batch(self, index: int) -> None:
        """Obey a Ctrl-C, and make the random numbers of a batch the same at every point."""
        self._interrupts.check()
        if self.behaviour.draws or self._dropping:  # seeding costs more than a small layer
            seed_streams(self.seed + index)

    def reset(self) -> None:
        """Undo what the last pass did to buffers and attributes: L depends on theta alone."""
        self._attributes.restore()
        for container, name, copy, original, version in self._working_buffers:
            if container[name] is not copy or copy._version != version:
                container[name] = copy.copy_(original)
        self._working_buffers = [
            (container, name, copy, original, copy._version)
            for container, name, copy, original, _ in self._working_buffers
        ]

    def _set_flags(self, dropout: str) -> None:
        self._dropping = dropout == "seeded"
        for module in self._modules:
            normalises = isinstance(module, _NormBase)
            module.__dict__["training"] = self._dropping and not normalises
            module.__dict__["_compiled_call_impl"] = None  # compiled in place: run as written

    def _exchange_fixed(self) -> None:
        for spots in self._held:
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
                copy = original.clone()
                module._buffers[name] = copy
                if watched:
                    spot = (module._buffers, name, copy, original, copy._version)
                    self._working_buffers.append(spot)

    def _placed(self, tensor: Tensor) -> Tensor:
        tensor = tensor.clone() if tensor.is_inference() else tensor
        return tensor.to(device=self.device, dtype=self._working(tensor.dtype))

    def _working(self, stored: torch.dtype) -> torch.dtype:
        return self.dtype if self.dtype is not None and stored.is_floating_point else stored


def _glance(tensor: Tensor) -> int:
    numbers = tensor.detach().reshape(-1)
    return checksum(numbers[:: max(1, len(numbers) // _GLANCE)])

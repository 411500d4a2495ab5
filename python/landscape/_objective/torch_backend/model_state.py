"""The user's model with other tensors swapped in for an evaluation, and restored after it.

The module is neither copied nor moved: for an evaluation other tensors take the positions of its
parameters and buffers. This file alone writes into the user's module.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from landscape._interrupts import DeferredInterrupt
from landscape._objective.data.batches import compute_checksum
from landscape._objective.isolation import isolate_random_state, seed_generators
from landscape._parameters import ParameterLayout
from landscape._threadwise import WhileAnyone
from landscape._turns import RANDOM, TRACING, registered, suspended, take_turn, undisturbed

__all__ = ["AttributeSnapshot", "Behaviour", "SwappedModel"]

_CONTAINERS = {dict, OrderedDict, defaultdict, list, set, deque}

# what SwappedModel itself replaces while other tensors are swapped in
_SWAPPED = ("_parameters", "_buffers", "_flat_weights", "_flat_weight_refs")
_ONE_VALUE = "Expected more than 1 value per channel"
_FINGERPRINT_SIZE = 4096  # numbers of a tensor that enter its fingerprint
_ATTENTION = (nn.MultiheadAttention, nn.TransformerEncoderLayer)
"""Modules that have a fused kernel for inference, which gradients do not come from."""


def _switch_fast_path_off() -> Callable[[], None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    return lambda: torch.backends.mha.set_fastpath_enabled(before)


_NO_FAST_PATH = WhileAnyone(_switch_fast_path_off)


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


class _OneSampleError(ValueError):
    """A batch of one sample has no variance."""


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


@dataclass(eq=False)
class _Evaluation:
    """What one evaluation of a swapped-in model keeps."""

    modules: frozenset[int]
    parts: Sequence[nn.Module]
    interrupts: DeferredInterrupt
    originals: AttributeSnapshot
    uses_dropout: bool
    batch: int | None = None
    """The batch that the model was called on last."""
    attributes: AttributeSnapshot = field(default_factory=lambda: AttributeSnapshot(()))
    """The attributes at the start of a pass."""
    buffers: list[tuple[dict[str, Any], str, Tensor, Tensor, int]] = field(default_factory=list)
    """Container, name, working copy, original and version of each watched buffer."""

    def suspend(self) -> Callable[[], None]:
        """Give the model back as its owner left it; returns the function that goes on."""
        present = AttributeSnapshot(self.parts)
        self.originals.restore()
        return present.restore


class SwappedModel:
    """The user's module, with the positions in it where other tensors are swapped in.

    One thread at a time evaluates it, see :mod:`landscape._turns`. An evaluation inside another one
    of the same thread (a metric that asks for a loss) suspends the outer one.
    """

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
        self._evaluations: list[_Evaluation] = []
        """Those under way, one inside the other."""
        with undisturbed(module):
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
                self._working_dtype(module.get_parameter(entry.name).dtype)
                for entry in layout.entries
            ]

    def __getstate__(self) -> dict[str, Any]:
        """Without the evaluations under way, which belong to this process."""
        return {**self.__dict__, "_evaluations": []}

    @contextmanager
    def swapped_in(self, *, dropout: str, draws: bool = False) -> Iterator[None]:
        """Prepare the model inside the block and restore it, bit for bit, after it.

        Frozen parameters are detached, buffers are working copies, batch norm reads its stored
        statistics, and autocast and attention's inference fast path (whose kernels differ from
        those that gradients come from) are off. Random generators are isolated where the model
        draws from them; they are those of all threads, so that one such evaluation runs at a time.

        Args:
            dropout: ``"off"`` or ``"seeded"``.
            draws: Whether something besides the model may draw random numbers, such as a metric.

        Raises:
            RuntimeError: Two threads would wait for each other's models, or the process was forked.
        """
        draws = draws or dropout == "seeded" or self.behaviour.is_random
        # where nobody else can see it, also for a model that draws only at times
        draws = draws or threading.active_count() == 1
        with DeferredInterrupt() as interrupts:
            turn = take_turn(
                self._modules,
                alone=(RANDOM,) if draws else (),
                shared=(TRACING,),
                check=interrupts.check,
            )
            try:
                with suspended(turn.alone), ExitStack() as stack:
                    if draws:
                        stack.enter_context(isolate_random_state(self.seed))
                    for kind in {"cpu", self.device.type}:
                        stack.enter_context(torch.autocast(kind, enabled=False))
                    if any(map(_overrides_attention, self._modules)):
                        stack.enter_context(_NO_FAST_PATH)
                    stack.enter_context(self._evaluation(interrupts, dropout))
                    yield
            finally:
                turn.end()

    @contextmanager
    def _evaluation(self, interrupts: DeferredInterrupt, dropout: str) -> Iterator[None]:
        evaluation = _Evaluation(
            frozenset(map(id, self._modules)),
            self._modules,
            interrupts,
            AttributeSnapshot(self._modules),
            uses_dropout=dropout == "seeded",
        )
        self._evaluations.append(evaluation)
        try:
            with registered(evaluation):
                self._set_flags(uses_dropout=evaluation.uses_dropout)
                evaluation.buffers = self._swap_frozen_and_buffers()
                if self.behaviour.is_stateful:
                    evaluation.attributes = self.attributes()
                yield
        except Exception as error:
            self._explain(error, evaluation)
            raise
        finally:
            self._evaluations.pop()
            evaluation.originals.restore()

    def _explain(self, error: Exception, evaluation: _Evaluation) -> None:
        """Say in a note how the model was called when it, or its loss, raised.

        Raises:
            ValueError: A batch norm has no variance over a batch of one sample.
        """
        where = "a few samples" if evaluation.batch is None else f"batch {evaluation.batch}"
        if _ONE_VALUE in str(error) and not isinstance(error, _OneSampleError):
            raise _OneSampleError(
                f"{where} (counting from 0) has one sample, over which a batch norm has no "
                "variance; pass another batch_size=, so that the last batch is not of one sample, "
                "or a loader with drop_last=True"
            ) from error
        mode = "train mode with seeded dropout" if evaluation.uses_dropout else "eval mode"
        dtypes = ", ".join(sorted({str(dtype) for dtype in self.dtypes}))
        note = f"landscape called the model on {where} in {mode}, in {dtypes} on {self.device}"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)

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
        with undisturbed(self.module):
            return compute_checksum([*self._frozen_tensors(), *self.module.buffers()])

    def frozen_fingerprint(self) -> tuple[tuple[int, int, int], ...]:
        """A value that changes whenever a frozen parameter or a buffer does, at next to no cost.

        A write through ``.data`` leaves no trace in a tensor's version, but does in its numbers; of
        a long tensor some thousands enter. A replaced module is seen, a replaced attribute of a
        module is not.
        """
        with undisturbed(self.module):
            modules = tuple((id(module), 0, 0) for module in self.module.modules())
            return modules + tuple(
                (id(tensor), _get_version(tensor), sample_checksum(tensor))
                for tensor in (*self._frozen_tensors(), *self.module.buffers())
            )

    def attributes(self) -> AttributeSnapshot:
        """The attributes of a swapped-in model, without the tensors that are swapped."""
        return AttributeSnapshot(self._modules, _SWAPPED)

    def buffers_changed(self) -> bool:
        """Whether the model wrote into its working buffers since they were last reset."""
        return any(
            container[name] is not working or working._version != version
            for container, name, working, _, version in self._evaluations[-1].buffers
        )

    def begin_batch(self, index: int) -> None:
        """Handle a pending Ctrl-C, and give a batch the same random numbers at every point."""
        evaluation = self._evaluations[-1]
        evaluation.interrupts.check()
        evaluation.batch = index
        if (
            self.behaviour.is_random or evaluation.uses_dropout
        ):  # seeding costs more than a small layer
            seed_generators(self.seed + index)

    def reset(self) -> None:
        """Undo what the last pass did to buffers and attributes: L depends on theta alone."""
        evaluation = self._evaluations[-1]
        evaluation.attributes.restore()
        for container, name, working, original, version in evaluation.buffers:
            if container[name] is not working or working._version != version:
                container[name] = working.copy_(original)
        evaluation.buffers = [
            (container, name, working, original, working._version)
            for container, name, working, original, _ in evaluation.buffers
        ]

    def _frozen_tensors(self) -> list[Tensor]:
        return [slots[0][0][slots[0][1]] for slots in self._frozen]

    def _set_flags(self, *, uses_dropout: bool) -> None:
        for module in self._modules:
            normalises = isinstance(module, _NormBase)
            module.__dict__["training"] = uses_dropout and not normalises
            if not uses_dropout and _has_fast_path(module):
                # "training" without dropout: as in evaluation, but not by the fused kernel, whose
                # switch is one for all threads
                module.__dict__["training"] = True
                if isinstance(module, nn.MultiheadAttention):
                    module.__dict__["dropout"] = 0.0
            module.__dict__["_compiled_call_impl"] = (
                None  # run the module itself, not its compiled form
            )
        for module in self._sparse:  # sparse gradients have no derivatives, and equal dense ones
            module.__dict__["sparse"] = False

    def _swap_frozen_and_buffers(self) -> list[tuple[dict[str, Any], str, Tensor, Tensor, int]]:
        """Swap in working copies; returns those that a pass resets."""
        for slots in self._frozen:
            container, name = slots[0]
            frozen = self._to_working(container[name].detach())
            for container, name in slots:
                container[name] = frozen
        watched = []
        for module in self._modules:
            is_watched = not isinstance(module, _NormBase)  # those follow the batch-norm policy
            for name, buffer in module._buffers.items():
                if buffer is None:
                    continue
                original = self._to_working(buffer.detach())
                working = original.clone()
                module._buffers[name] = working
                if is_watched:
                    watched.append((module._buffers, name, working, original, working._version))
        return watched

    def _to_working(self, tensor: Tensor) -> Tensor:
        tensor = tensor.clone() if tensor.is_inference() else tensor
        return tensor.to(device=self.device, dtype=self._working_dtype(tensor.dtype))

    def _working_dtype(self, stored: torch.dtype) -> torch.dtype:
        return self.dtype if self.dtype is not None and stored.is_floating_point else stored


def _has_fast_path(module: nn.Module) -> bool:
    """Whether a module runs PyTorch's own forward, which chooses a fused kernel by the mode."""
    return any(type(module).forward is kind.forward for kind in _ATTENTION)


def _overrides_attention(module: nn.Module) -> bool:
    """Whether a module has a forward of its own around PyTorch's attention."""
    return isinstance(module, _ATTENTION) and not _has_fast_path(module)


def _get_version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


def _members(container: Any) -> list[int]:
    values = container.values() if isinstance(container, dict) else ()
    return [*map(id, container), *map(id, values)]


def sample_checksum(tensor: Tensor) -> int:
    numbers = tensor.detach().reshape(-1)
    return compute_checksum(numbers[:: max(1, len(numbers) // _FINGERPRINT_SIZE)])

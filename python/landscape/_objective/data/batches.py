"""The samples that L is a mean over, in three forms: resident, ragged and streamed."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from landscape._objective.data.forms import convert_arrays
from landscape._objective.data.pytree import iter_tensors, map_tensors, storages, take_rows
from landscape._objective.isolation import iterate_seeded

__all__ = [
    "Batch",
    "Batches",
    "RaggedBatches",
    "ResidentBatches",
    "StreamedBatches",
    "WeightFunction",
    "compute_checksum",
    "count_bytes",
]

_COPIES = 4  # of outputs: in float64, their logarithms, and the derivatives of both

WeightFunction: TypeAlias = "Callable[[Any], Any] | None"
"""The user's ``weight=``: a batch's content to its weight."""


@dataclass(frozen=True)
class Batch:
    """Some samples together, on the device where the model runs."""

    content: Any
    size: int
    weigh: WeightFunction = None
    """The user's ``weight=``; None where a batch's weight is its size."""

    @property
    def weight(self) -> float:
        """The number of samples (or tokens) that an opaque loss of this batch is a mean over.

        Raises:
            TypeError: The user's function returns no number.
            ValueError: The number is negative or not finite.
        """
        return float(self.size) if self.weigh is None else _read_weight(self.weigh(self.content))

    def clone(self) -> Batch:
        """A copy whose tensors share no memory with this one."""
        return replace(self, content=map_tensors(torch.clone, self.content))


def _read_weight(value: Any) -> float:
    expected = "expected one number from 0 up: the samples that the batch's loss is a mean over"
    shape = tuple(getattr(value, "shape", ()))
    if math.prod(shape) != 1:
        raise ValueError(f"weight= returned a value of shape {shape}, {expected}")
    try:
        weight = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"weight= returned a {type(value).__name__}, {expected}") from None
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"weight= returned {weight}, {expected}")
    return weight


class Batches(Protocol):
    """The data, cut into a split that never changes.

    The split matters where outputs depend on the other samples of a batch (batch statistics),
    and for opaque losses and mini-batch gradients. Elsewhere the evaluator chooses its own blocks.
    """

    @property
    def samples(self) -> int:
        """The number of samples."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of samples in each batch of the split."""

    @property
    def weigh(self) -> WeightFunction:
        """The user's ``weight=`` of a batch."""

    def batch(self, index: int) -> Batch:
        """Return one batch of the split."""

    def iter_batches(self) -> Iterator[Batch]:
        """Yield the batches of the split, always the same ones in the same order."""

    def iter_blocks(self, size: int | None) -> Iterator[Batch]:
        """Yield all samples in blocks of about ``size``, in the order of the data where possible.

        With None the blocks are as large as possible.
        """

    def checksum(self) -> int:
        """A CRC-32 of all samples and their split."""


@dataclass(frozen=True)
class ResidentBatches:
    """One tree of tensors, sliced as needed, on the device or moved to it."""

    content: Any
    samples: int
    device: torch.device
    sizes: tuple[int, ...]
    order: Tensor | None = None
    """Rows of the data in the order of the split; None where the split keeps the data's order."""
    weigh: WeightFunction = None
    largest_block: int | None = None
    """The samples whose outputs fit in memory; None where all do."""

    @property
    def on_device(self) -> bool:
        """Whether the samples are on the model's device, so that slices of them cost nothing."""
        return all(tensor.device == self.device for tensor in iter_tensors(self.content))

    def take_first(self, count: int) -> ResidentBatches:
        """The first samples, as one batch."""
        count = min(count, self.samples)
        content = take_rows(slice(count), self.content)
        return replace(self, content=content, samples=count, sizes=(count,), order=None)

    def batch(self, index: int) -> Batch:
        """Return one batch of the split."""
        start = sum(self.sizes[:index])
        stop = start + self.sizes[index]
        if self.order is None:
            return self._rows(slice(start, stop))
        picked = take_rows(self.order[start:stop], self.content)
        return Batch(self._to_device(picked), stop - start, self.weigh)

    def iter_batches(self) -> Iterator[Batch]:
        """Yield the batches of the split."""
        return (self.batch(index) for index in range(len(self.sizes)))

    def iter_blocks(self, size: int | None) -> Iterator[Batch]:
        """Yield consecutive rows of the data."""
        step = min(n for n in (size, self.largest_block, self.samples) if n is not None)
        return (
            self._rows(slice(start, min(start + step, self.samples)))
            for start in range(0, self.samples, step)
        )

    def fitting(self, sample_bytes: int, budget: int) -> ResidentBatches:
        """The same samples in blocks whose outputs fit in memory, as those of a batch must.

        Args:
            sample_bytes: The bytes of one sample's outputs in float64.
            budget: The bytes that outputs may take, with copies and derivatives.
        """
        own = max(self.sizes) if len(self.sizes) > 1 else 1
        largest = max(own, budget // max(_COPIES * sample_bytes, 1))
        return replace(self, largest_block=largest) if largest < self.samples else self

    def with_split(self, sizes: tuple[int, ...], order: Tensor | None) -> ResidentBatches:
        """The same samples under another split."""
        return replace(self, sizes=sizes, order=order)

    def checksum(self) -> int:
        """A CRC-32 of all samples and their split."""
        order = [] if self.order is None else [self.order]
        return compute_checksum([self.content, *order, torch.tensor(self.sizes)])

    def _rows(self, rows: slice) -> Batch:
        if rows == slice(0, self.samples):
            return Batch(self._to_device(self.content), self.samples, self.weigh)
        picked = take_rows(rows, self.content)
        return Batch(self._to_device(picked), rows.stop - rows.start, self.weigh)

    def _to_device(self, tree: Any) -> Any:
        return map_tensors(lambda tensor: tensor.to(self.device), tree)


@dataclass(frozen=True)
class RaggedBatches:
    """Batches that cannot be concatenated (ragged tokens, graphs), kept as they were read."""

    contents: tuple[Any, ...]
    sizes: tuple[int, ...]
    placement: Callable[[Any], Any]
    weigh: WeightFunction = None

    @property
    def samples(self) -> int:
        """The number of samples."""
        return sum(self.sizes)

    def batch(self, index: int) -> Batch:
        """Return one batch of the split."""
        return Batch(self.placement(self.contents[index]), self.sizes[index], self.weigh)

    def iter_batches(self) -> Iterator[Batch]:
        """Yield the batches as they were read."""
        return (self.batch(index) for index in range(len(self.sizes)))

    def iter_blocks(self, size: int | None) -> Iterator[Batch]:  # noqa: ARG002 - they cannot be cut
        """Yield the batches as they were read: they cannot be cut."""
        return self.iter_batches()

    def checksum(self) -> int:
        """A CRC-32 of all samples and their split."""
        return compute_checksum([*self.contents, torch.tensor(self.sizes)])


@dataclass(frozen=True)
class StreamedBatches:
    """Batches too large to keep: read again in every pass, and compared with the first pass."""

    source: Any
    sizes: tuple[int, ...]
    checksums: tuple[int, ...]
    placement: Callable[[Any], Any]
    seed: int
    weigh: WeightFunction = None

    @property
    def samples(self) -> int:
        """The number of samples."""
        return sum(self.sizes)

    def batch(self, index: int) -> Batch:
        """Return one batch of the split, reading up to it."""
        for position, batch in enumerate(self.iter_batches()):
            if position == index:
                return batch
        raise IndexError(f"batch {index} of {len(self.sizes)}")

    def iter_batches(self) -> Iterator[Batch]:
        """Yield the batches of one pass.

        Raises:
            RuntimeError: This pass differs from the first one.
        """
        count = 0
        for count, raw in enumerate(iterate_seeded(self.source, self.seed), start=1):
            content = convert_arrays(raw)
            if count > len(self.sizes) or compute_checksum(content) != self.checksums[count - 1]:
                raise _make_pass_error(count)
            yield Batch(self.placement(content), self.sizes[count - 1], self.weigh)
        if count != len(self.sizes):
            raise _make_pass_error(count + 1)

    def iter_blocks(self, size: int | None) -> Iterator[Batch]:  # noqa: ARG002 - batches stay as they are
        """Yield the batches of one pass."""
        return self.iter_batches()

    def checksum(self) -> int:
        """A CRC-32 of all samples and their split."""
        return compute_checksum(torch.tensor([*self.checksums, *self.sizes]))


def compute_checksum(tree: Any) -> int:
    """A CRC-32 of a batch's bytes: enough to see that two passes over the data differ."""
    value = 0
    for tensor in iter_tensors(map_tensors(lambda tensor: tensor, tree)):
        for part in storages(tensor):
            host = part.detach().cpu().contiguous().reshape(-1)
            value = zlib.crc32(host.view(torch.uint8).numpy().data, value)
    return value


def count_bytes(tree: Any) -> int:
    """The bytes of a batch's tensors."""
    return sum(part.nbytes for tensor in iter_tensors(tree) for part in storages(tensor))


def _make_pass_error(count: int) -> RuntimeError:
    return RuntimeError(
        f"two passes over the data differ (first at batch {count}), so the loss is not a function "
        "of the parameters; switch shuffling and random augmentation off, or raise memory_budget "
        "so that the data are read once and kept"
    )

"""Reading the user's data once, into batches: kept where they fit, streamed where they do not."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence, Sized
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence
from torch.utils.data import DataLoader, IterableDataset

from landscape._objective.data.batches import (
    Batches,
    RaggedBatches,
    ResidentBatches,
    StreamedBatches,
    WeightFunction,
    compute_checksum,
    count_bytes,
)
from landscape._objective.data.counting import (
    Parts,
    SampleCounts,
    SampleLists,
    describe_parts,
    mark_sample_lists,
)
from landscape._objective.data.forms import Form, convert_arrays, read_form
from landscape._objective.data.pytree import (
    can_concatenate,
    concatenate,
    map_parts,
    map_tensors,
    take_rows,
)
from landscape._objective.isolation import iterate_seeded
from landscape._progress import reporter, start_up_choice

__all__ = ["Placement", "Reading", "is_batched", "read_data", "split_into_batches"]

_READ_SIZE = 256
_SUBSET, _SPLIT = 1, 2  # streams of the seed
_EMPTY = "data yielded 0 samples; pass a non-empty DataLoader, Dataset or (inputs, targets) pair"
_MOST_SAMPLES = 10_000_000  # read from data that do not know their length


@dataclass(frozen=True)
class Placement:
    """The device and dtypes of the data's tensors, and how many bytes may be kept."""

    device: torch.device
    dtype: torch.dtype | None
    """Every floating tensor's dtype, where the user fixed one."""
    array_dtype: torch.dtype
    """The dtype of floating NumPy arrays, whose float64 is a default rather than a choice."""
    budget: int
    """Bytes of data that may be kept."""
    exact_targets: bool
    """Whether targets keep their dtype: a recognised loss takes them in float64."""

    sample_lists: frozenset[Any] = frozenset()
    """The parts of a batch that are lists with one entry for each sample."""

    def __call__(self, tree: Any) -> Any:
        """Move a batch to the device."""
        marked = mark_sample_lists(tree, self.sample_lists)
        moved = map_tensors(self._to_device, self.cast(marked))
        return moved.to(self.device) if _has_to_method(moved) else moved

    def cast(self, tree: Any) -> Any:
        """Give the floating tensors of a batch their dtype."""
        if self.exact_targets and _has_parts(tree) and len(tree) > 1:
            parts = [*map(self._cast, tree[:-1]), map_tensors(lambda tensor: tensor, tree[-1])]
            return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
        return self._cast(tree)

    def _cast(self, tree: Any) -> Any:
        arrays = self.dtype or self.array_dtype
        if isinstance(tree, np.ndarray):
            return map_tensors(lambda tensor: _cast_tensor(tensor, arrays), tree)
        if isinstance(tree, Mapping) or _has_parts(tree):
            return map_parts(self._cast, tree)
        return map_tensors(lambda tensor: _cast_tensor(tensor, self.dtype), tree)

    def _to_device(self, tensor: Tensor) -> Tensor:
        return _detach(tensor).to(self.device)


@dataclass(frozen=True)
class Reading:
    """The batches that were read, with notes for the user."""

    batches: Batches
    population: int
    """The number of samples before a subset was drawn."""
    notes: tuple[str, ...]
    counts: SampleCounts
    """What the parts of every batch say about its number of samples."""
    at_random: bool = False
    """Whether the samples are a random subset of the population."""


def read_data(
    data: Any,
    placement: Placement,
    *,
    batch_size: int | None,
    samples: int | Sequence[int] | None,
    seed: int,
    weigh: WeightFunction = None,
    pairs: bool = True,
) -> Reading:
    """Read the data once and fix their split.

    Args:
        data: Tensors or arrays ``(inputs, targets)``, a Dataset, a DataLoader or any re-iterable
            of batches.
        placement: The device and dtypes of the tensors.
        batch_size: The split of data that come without batches; one batch of all when None.
        samples: A count (a seeded subset; the first of data without a length) or the indices of
            the samples to use.
        seed: Seeds the split, the subset and the pass over the data.
        weigh: The user's weight of a batch.
        pairs: Whether batches must be pairs of inputs and targets.

    Returns:
        The batches with the notes for the run record.

    Raises:
        TypeError: The data are none of these, or can be read only once.
        ValueError: There are no samples, they are too many, or a subset cannot be drawn.
    """
    form = read_form(data, pairs=pairs)
    count = samples if _is_count(samples) else None
    notes: tuple[str, ...] = ()
    if form.kind == "whole":
        parts = describe_parts(form.data)
        read = _Contents([placement.cast(form.data)], [parts])
        read.lists.add(form.data, parts)
        batches, counts = _gather(read, placement, weigh, as_one=True)
    else:
        source = _Source.of(form, None if _has_length(form.data) else count)
        batches, counts, notes = _read_batches(source, placement, seed, weigh)
        if source.first is not None:
            samples = None
    if batches.samples == 0:
        raise ValueError(_EMPTY)
    if batch_size is not None and form.kind == "batches" and samples is None:
        raise ValueError(
            f"batch_size={batch_size} was given, but the data come in batches of their own; leave "
            "batch_size out, or pass a Dataset or (inputs, targets)"
        )
    population = batches.samples
    if samples is not None:
        batches = _select_samples(batches, samples, seed, counts)
        notes += (f"{batches.samples} of {population} samples are used",)
    if batch_size is not None:
        batches = split_into_batches(batches, batch_size, seed, counts)
    return Reading(batches, population, notes, counts, at_random=_is_count(samples))


def is_batched(data: Any) -> bool:
    """Whether data come in batches, as opposed to one tree of tensors or a Dataset."""
    return read_form(data, pairs=True).kind == "batches"


def _is_count(samples: Any) -> TypeGuard[int]:
    return isinstance(samples, (int, np.integer)) and not isinstance(samples, bool)


def _has_length(data: Any) -> bool:
    try:
        len(data)
    except TypeError:
        return False
    return True


@dataclass
class _Contents:
    """Batches as they were read, and what their parts say."""

    contents: list[Any] = field(default_factory=list)
    parts: list[Parts] = field(default_factory=list)
    lists: SampleLists = field(default_factory=SampleLists)


def _gather(
    read: _Contents, placement: Placement, weigh: WeightFunction, *, as_one: bool
) -> tuple[Batches, SampleCounts]:
    """Join batches that can be cut anew; keep others as they were read."""
    counts = SampleCounts(tuple(read.parts))
    lists = read.lists
    placement = replace(placement, sample_lists=lists.keys)
    contents = [mark_sample_lists(content, lists.keys) for content in read.contents]
    sizes = counts.sizes
    if lists.unknown or counts.disputed is not None or not can_concatenate(contents, list(sizes)):
        kept = tuple(map_tensors(_detach, content) for content in contents)
        return RaggedBatches(kept, sizes, placement, weigh), counts
    content = map_tensors(_detach, concatenate(contents))
    fits = count_bytes(content) <= placement.budget
    if placement.device.type == "cpu" or fits:
        content = placement(content)
    total = sum(sizes)
    split = (total,) if as_one else sizes
    return ResidentBatches(content, total, placement.device, split, weigh=weigh), counts


def _detach(tensor: Tensor) -> Tensor:
    if tensor.is_nested and not tensor.requires_grad:
        return tensor  # there are no views of some of them in inference mode
    # inference tensors cannot enter a graph, and a graph behind an input is not part of L
    return tensor.clone() if tensor.is_inference() else tensor.detach()


@dataclass(frozen=True)
class _Source:
    """An iterable of batches, and how many samples of it are read."""

    batches: Any
    as_one: bool
    """Whether the batches are of our own making, from single samples."""
    first: int | None
    """The number of samples after which reading ends; None reads all."""
    has_length: bool

    @classmethod
    def of(cls, form: Form, first: int | None) -> _Source:
        """The batches of data that are no tree of tensors."""
        data, has_length = form.data, _has_length(form.data)
        if form.kind == "batches":
            return cls(data, as_one=False, first=first, has_length=has_length)
        if has_length and not isinstance(data, IterableDataset) and len(data) == 0:
            raise ValueError(_EMPTY)
        size = _READ_SIZE if first is None else max(1, min(_READ_SIZE, first))
        loader = DataLoader(data, batch_size=size)
        return cls(loader, as_one=True, first=first, has_length=has_length)

    @property
    def samples(self) -> int | None:
        """The number of samples that will be read, where that is known."""
        if self.first is not None or not self.has_length:
            return self.first
        dataset = getattr(self.batches, "dataset", None)
        return len(dataset) if isinstance(dataset, Sized) else None


def _read_batches(
    source: _Source, placement: Placement, seed: int, weigh: WeightFunction
) -> tuple[Batches, SampleCounts, tuple[str, ...]]:
    read, checksums, nbytes, total = _Contents(), [], 0, 0
    shared: dict[Parts, Parts] = {}  # most batches say the same
    with (
        reporter(start_up_choice(), source.samples, "reading data", unit="sample") as shown,
        closing(cast("Generator[Any]", iterate_seeded(source.batches, seed))) as items,
    ):
        for raw in _explain_collation(items, source):
            content = convert_arrays(raw)
            parts = describe_parts(content)
            if source.first is not None and total + parts.size > source.first:
                content = _cut(content, parts, source.first - total, source.first)
                parts = describe_parts(content)
            read.parts.append(shared.setdefault(parts, parts))
            read.lists.add(content, parts)
            checksums.append(compute_checksum(content))
            batch = placement.cast(content)
            nbytes += count_bytes(batch)
            total += parts.size
            if nbytes <= placement.budget:
                read.contents.append(batch)
            else:
                read.contents.clear()
            shown.update(total)
            if total == source.first:
                break
            _check_endless(source, total)
    if source.first is not None and total < source.first:
        raise ValueError(f"samples={source.first}, but the data yielded {total} samples")
    if total == 0:
        raise ValueError(_EMPTY)
    counts = SampleCounts(tuple(read.parts))
    notes = _describe_source(source, total)
    if nbytes <= placement.budget:
        batches, counts = _gather(read, placement, weigh, as_one=source.as_one)
        return batches, counts, notes
    if source.first is not None:
        raise ValueError(
            f"the first {source.first} samples ({nbytes:,} bytes) exceed memory_budget "
            f"({placement.budget:,}); pass fewer samples=, or a larger memory_budget"
        )
    note = (
        f"the data ({nbytes:,} bytes) exceed memory_budget ({placement.budget:,}) and are "
        "streamed: every pass reads them anew and is compared with the first"
    )
    streamed = StreamedBatches(
        source.batches,
        counts.sizes,
        tuple(checksums),
        replace(placement, sample_lists=read.lists.keys),
        seed,
        weigh,
    )
    return streamed, counts, (*notes, note)


def _explain_collation(items: Iterator[Any], source: _Source) -> Iterator[Any]:
    """Add to an exception of the loader that we made of single samples what would help."""
    try:
        yield from items
    except Exception as error:
        if source.as_one:
            error.add_note(
                "landscape joined the samples into batches with DataLoader's default; where they "
                "differ in size, pass a DataLoader with a collate_fn that pads them"
            )
        raise


def _describe_source(source: _Source, total: int) -> tuple[str, ...]:
    if source.first is not None:
        return (f"the data have no length: their first {total} samples are used",)
    notes = _describe_dropped(source.batches, total)
    if isinstance(source.batches, DataLoader):
        note = (
            "the data were read once and kept: shuffling cannot change the loss, and random "
            "augmentation is frozen as it was drawn"
        )
        notes += (note,)
    return notes


def _cut(content: Any, parts: Parts, size: int, total: int) -> Any:
    """The first samples of the batch in which the requested ones end."""
    if not can_concatenate([content], [parts.size]):
        raise ValueError(
            f"samples={total} ends inside a batch of {parts.size} samples that cannot be cut "
            f"({parts}); pass a count at which batches end"
        )
    return take_rows(slice(size), map_tensors(lambda tensor: tensor, content))


def _check_endless(source: _Source, total: int) -> None:
    if source.first is None and not source.has_length and total >= _MOST_SAMPLES:
        raise ValueError(
            f"the data have no length, and {total:,} samples of them were read without an end; "
            "pass samples= a count, and the first that many are used"
        )


def _describe_dropped(source: Any, read: int) -> tuple[str, ...]:
    batch_sampler = getattr(source, "batch_sampler", None)
    batcher = source if batch_sampler is None else batch_sampler
    if not getattr(batcher, "drop_last", False):
        return ()
    sampler = getattr(batcher, "sampler", None)
    try:
        offered = len(sampler) if sampler is not None else len(source.dataset)
    except TypeError:  # an iterable dataset need not know its length
        return ("the loader drops its last incomplete batch (drop_last)",)
    dropped = offered - read
    return (f"the loader drops {dropped} of {offered} samples (drop_last)",) if dropped else ()


def _select_samples(
    batches: Batches, samples: int | Sequence[int], seed: int, counts: SampleCounts
) -> ResidentBatches:
    if not isinstance(batches, ResidentBatches):
        raise ValueError(
            f"samples= needs data whose samples can be picked one by one{_say_why(counts)}; pass a "
            "Dataset or (inputs, targets)"
        )
    if _is_count(samples):
        if not 1 <= samples <= batches.samples:
            raise ValueError(f"samples={samples}, expected a count between 1 and {batches.samples}")
        picked = np.random.default_rng([seed, _SUBSET]).permutation(batches.samples)[: int(samples)]
        rows = np.sort(picked)
    else:
        rows = np.asarray(samples)
        integers = rows.ndim == 1 and rows.size > 0 and rows.dtype.kind in "iu"
        if not integers or rows.min() < 0 or rows.max() >= batches.samples:
            raise ValueError(
                f"samples must be a count or integer indices between 0 and {batches.samples - 1}, "
                "at least one; for a mask, pass numpy.flatnonzero(mask)"
            )
    index = torch.from_numpy(rows.astype(np.int64))
    content = take_rows(index, batches.content)
    size = len(rows)
    return ResidentBatches(content, size, batches.device, (size,), weigh=batches.weigh)


def _say_why(counts: SampleCounts | None) -> str:
    """Why batches cannot be cut, where their parts contradict each other."""
    if counts is None or counts.disputed is None:
        return ""
    return f" (batch {counts.disputed}: {counts.batches[counts.disputed]})"


def split_into_batches(
    batches: Batches, batch_size: int, seed: int, counts: SampleCounts | None = None
) -> Batches:
    """The same samples in a seeded split into batches of this size, the last one smaller.

    Raises:
        ValueError: The data cannot be cut.
    """
    if not isinstance(batches, ResidentBatches):
        raise ValueError(
            f"batch_size={batch_size} needs data that can be cut, and these are ragged or "
            f"streamed{_say_why(counts)}; leave it out, or pass a DataLoader with that batch size"
        )
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}, expected at least 1")
    total = batches.samples
    sizes = tuple(min(batch_size, total - start) for start in range(0, total, batch_size))
    # sorted data would give batches of a single class, unlike those of training
    order = torch.from_numpy(np.random.default_rng([seed, _SPLIT]).permutation(total))
    return batches.with_split(sizes, order if len(sizes) > 1 else None)


def _cast_tensor(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def _has_parts(tree: Any) -> bool:
    return isinstance(tree, (tuple, list)) and not isinstance(tree, PackedSequence)


def _has_to_method(value: Any) -> bool:
    return not isinstance(value, (Tensor, Mapping, tuple, list)) and hasattr(value, "to")

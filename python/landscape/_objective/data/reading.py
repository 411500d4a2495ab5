"""Reading the user's data once, into batches: kept where they fit, streamed where they do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from landscape._objective.data.batches import (
    Batches,
    RaggedBatches,
    ResidentBatches,
    StreamedBatches,
    compute_checksum,
)
from landscape._objective.data.pytree import (
    can_concatenate,
    concatenate,
    count_samples,
    iter_tensors,
    map_tensors,
)
from landscape._objective.isolation import iterate_seeded

__all__ = ["Placement", "Reading", "is_batched", "read_data", "split_into_batches"]

_READ_SIZE = 256
_SUBSET, _SPLIT = 1, 2  # streams of the seed
_EMPTY = "data yielded 0 samples; pass a non-empty DataLoader, Dataset or (inputs, targets) pair"
_FORMS = "(inputs, targets), a Dataset, a DataLoader or a list of batches"


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

    def __call__(self, tree: Any) -> Any:
        """Move a batch to the device."""
        moved = map_tensors(self._to_device, self.cast(tree))
        return moved.to(self.device) if _has_to_method(moved) else moved

    def cast(self, tree: Any) -> Any:
        """Give the floating tensors of a batch their dtype."""
        if self.exact_targets and isinstance(tree, (tuple, list)) and len(tree) > 1:
            parts = [*map(self._cast, tree[:-1]), map_tensors(lambda tensor: tensor, tree[-1])]
            return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
        return self._cast(tree)

    def _cast(self, tree: Any) -> Any:
        arrays = self.dtype or self.array_dtype
        if isinstance(tree, np.ndarray):
            return _cast_tensor(map_tensors(lambda tensor: tensor, tree), arrays)
        if isinstance(tree, Mapping):
            return {key: self._cast(value) for key, value in tree.items()}
        if isinstance(tree, tuple) and hasattr(tree, "_fields"):
            return type(tree)(*(self._cast(value) for value in tree))
        if isinstance(tree, (tuple, list)):
            return type(tree)(self._cast(value) for value in tree)
        return _cast_tensor(tree, self.dtype)

    def _to_device(self, tensor: Tensor) -> Tensor:
        return _detach(tensor).to(self.device)


@dataclass(frozen=True)
class Reading:
    """The batches that were read, with notes for the user."""

    batches: Batches
    population: int
    """The number of samples before a subset was drawn."""
    notes: tuple[str, ...]
    at_random: bool = False
    """Whether the samples are a random subset of the population."""


def read_data(
    data: Any,
    placement: Placement,
    *,
    batch_size: int | None,
    samples: int | Sequence[int] | None,
    seed: int,
) -> Reading:
    """Read the data once and fix their split.

    Args:
        data: Tensors or arrays ``(inputs, targets)``, a Dataset, a DataLoader or any re-iterable
            of batches.
        placement: The device and dtypes of the tensors.
        batch_size: The split of data that come without batches; one batch of all when None.
        samples: A count (seeded subset) or the indices of the samples to use.
        seed: Seeds the split, the subset and the pass over the data.

    Returns:
        The batches with the notes for the run record.

    Raises:
        TypeError: The data are none of these, or can be read only once.
        ValueError: There are no samples, lengths differ, or a subset cannot be drawn.
    """
    whole = _as_tensor_tree(data)
    if whole is not None:
        _check_lengths(whole)
        notes: tuple[str, ...] = ()
        batches: Batches = _gather([placement.cast(whole)], placement, as_one=True)
    else:
        batches, notes = _read_batches(data, placement, seed)
    if batches.samples == 0:
        raise ValueError(_EMPTY)
    if batch_size is not None and is_batched(data) and samples is None:
        raise ValueError(
            f"batch_size={batch_size} was given, but the data come in batches of their own; leave "
            "batch_size out, or pass a Dataset or (inputs, targets)"
        )
    population = batches.samples
    if samples is not None:
        batches = _select_samples(batches, samples, seed)
        notes += (f"{batches.samples} of {population} samples are used",)
    if batch_size is not None:
        batches = split_into_batches(batches, batch_size, seed)
    at_random = isinstance(samples, (int, np.integer))
    return Reading(batches, population, notes, at_random)


def is_batched(data: Any) -> bool:
    """Whether data come in batches, as opposed to one tree of tensors or a Dataset."""
    return _as_tensor_tree(data) is None and not isinstance(data, Dataset)


def _as_tensor_tree(data: Any) -> Any | None:
    """Data that are one tree of tensors already; None for an iterable of batches.

    A tuple or list of two arrays is (inputs, targets); inputs may themselves be a tuple or a dict.
    A longer tuple of arrays is several inputs and the targets.
    """
    if isinstance(data, TensorDataset):
        return tuple(data.tensors)
    if isinstance(data, (Tensor, np.ndarray, Mapping)):
        return data
    if isinstance(data, tuple) and len(data) > 2 and all(map(_is_array, data)):
        return (tuple(data[:-1]), data[-1])
    if isinstance(data, (tuple, list)) and len(data) == 2 and _is_array(data[1]):
        inputs = data[0]
        parts = inputs.values() if isinstance(inputs, Mapping) else inputs
        if _is_array(inputs) or (
            isinstance(inputs, (tuple, list, Mapping)) and all(map(_is_array, parts))
        ):
            return (inputs, data[1])
    return None


def _check_lengths(whole: Any) -> None:
    if not isinstance(whole, tuple) or len(whole) != 2:
        return
    inputs, targets = (count_samples(map_tensors(lambda tensor: tensor, part)) for part in whole)
    if inputs != targets:
        raise ValueError(
            f"data has {inputs} inputs and {targets} targets; expected one target for each sample"
        )


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype != object)


def _gather(contents: list[Any], placement: Placement, *, as_one: bool) -> Batches:
    sizes = tuple(count_samples(content) for content in contents)
    if not can_concatenate(contents):
        return RaggedBatches(
            tuple(map_tensors(_detach, content) for content in contents), sizes, placement
        )
    content = map_tensors(_detach, concatenate(contents))
    fits = sum(tensor.nbytes for tensor in iter_tensors(content)) <= placement.budget
    if placement.device.type == "cpu" or fits:
        content = placement(content)
    total = sum(sizes)
    return ResidentBatches(content, total, placement.device, (total,) if as_one else sizes)


def _detach(tensor: Tensor) -> Tensor:
    # inference tensors cannot enter a graph, and a graph behind an input is not part of L
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def _read_batches(data: Any, placement: Placement, seed: int) -> tuple[Batches, tuple[str, ...]]:
    as_one = isinstance(data, Dataset)
    source = DataLoader(data, batch_size=_READ_SIZE) if isinstance(data, Dataset) else data
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset) and len(data) == 0:  # type: ignore[arg-type]
        raise ValueError(_EMPTY)
    _check_re_iterable(source)
    contents, sizes, checksums, nbytes = [], [], [], 0
    for raw in iterate_seeded(source, seed):
        batch = placement.cast(raw)
        sizes.append(count_samples(map_tensors(lambda tensor: tensor, raw)))
        checksums.append(compute_checksum(raw))
        nbytes += sum(tensor.nbytes for tensor in iter_tensors(batch))
        if nbytes <= placement.budget:
            contents.append(batch)
        else:
            contents.clear()
    notes = _describe_dropped(source, sum(sizes))
    if nbytes > placement.budget:
        note = (
            f"the data ({nbytes:,} bytes) exceed memory_budget ({placement.budget:,}) and are "
            "streamed: every pass reads them anew and is compared with the first"
        )
        notes += (note,)
        return StreamedBatches(source, tuple(sizes), tuple(checksums), placement, seed), notes
    if isinstance(source, DataLoader):
        note = (
            "the data were read once and kept: shuffling cannot change the loss, and random "
            "augmentation is frozen as it was drawn"
        )
        notes += (note,)
    if not contents:
        raise ValueError(_EMPTY)
    return _gather(contents, placement, as_one=as_one), notes


def _check_re_iterable(source: Any) -> None:
    if isinstance(source, (str, bytes)) or not isinstance(source, Iterable):
        raise TypeError(f"data is a {type(source).__name__}; pass {_FORMS}")
    # an iterator is its own iterator; asking a loader would draw random numbers or start workers
    if isinstance(source, Iterator):
        raise TypeError(
            f"data is a {type(source).__name__} that can be read only once; pass {_FORMS} "
            "(list(...) makes a list of its batches)"
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


def _select_samples(batches: Batches, samples: int | Sequence[int], seed: int) -> ResidentBatches:
    if not isinstance(batches, ResidentBatches):
        raise ValueError(
            "samples= needs data whose samples can be picked one by one; pass a Dataset or "
            "(inputs, targets)"
        )
    if isinstance(samples, (int, np.integer)) and not isinstance(samples, bool):
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
    content = map_tensors(lambda tensor: tensor[index.to(tensor.device)], batches.content)
    return ResidentBatches(content, len(rows), batches.device, (len(rows),))


def split_into_batches(batches: Batches, batch_size: int, seed: int) -> Batches:
    """The same samples in a seeded split into batches of this size, the last one smaller.

    Raises:
        ValueError: The data cannot be cut.
    """
    if not isinstance(batches, ResidentBatches):
        raise ValueError(
            f"batch_size={batch_size} needs data that can be cut, and these are ragged or "
            "streamed; leave it out, or pass a DataLoader with that batch size"
        )
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}, expected at least 1")
    total = batches.samples
    sizes = tuple(min(batch_size, total - start) for start in range(0, total, batch_size))
    # sorted data would give batches of a single class, unlike those of training
    order = torch.from_numpy(np.random.default_rng([seed, _SPLIT]).permutation(total))
    return batches.with_split(sizes, order if len(sizes) > 1 else None)


def _cast_tensor(value: Any, dtype: torch.dtype | None) -> Any:
    if dtype is not None and isinstance(value, Tensor) and value.is_floating_point():
        return value.to(dtype)
    return value


def _has_to_method(value: Any) -> bool:
    return not isinstance(value, (Tensor, Mapping, tuple, list)) and hasattr(value, "to")

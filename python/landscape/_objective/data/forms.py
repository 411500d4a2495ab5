"""The forms in which data come: one tree of tensors, single samples, or batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Number
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from landscape._objective.data.pytree import is_array, is_graph, is_namedtuple, map_parts

__all__ = ["Form", "convert_arrays", "read_form"]

_EXPECTED = "(inputs, targets), a Dataset, a DataLoader or a list of batches"


@dataclass(frozen=True)
class Form:
    """Data, and what they are."""

    kind: Literal["whole", "samples", "batches"]
    """One tree of tensors; a dataset of single samples; or an iterable of batches."""
    data: Any


def read_form(data: Any, *, pairs: bool) -> Form:
    """Find out in which form data come.

    Args:
        data: What the user passed.
        pairs: Whether batches must be pairs of inputs and targets, as they must for every loss
            but a :func:`batch_loss`.

    Returns:
        The data as one tree, as a map-style dataset of samples, or as an iterable of batches.

    Raises:
        TypeError: The data are none of these, can be read only once, or hold no numbers.
        ValueError: Two readings are possible, and would give different losses.
    """
    if (known := _read_collection(data)) is not None:
        return known
    if isinstance(data, (tuple, list)) and data and not isinstance(data, PackedSequence):
        return _read_sequence(data, pairs=pairs)
    converted = convert_arrays(data)
    if is_array(converted):
        return Form("whole", converted)
    if isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        raise TypeError(f"data is a {type(data).__name__}; pass {_EXPECTED}")
    # an iterator is its own iterator; asking a loader would draw random numbers or start workers
    if isinstance(data, Iterator):
        raise TypeError(
            f"data is a {type(data).__name__} that can be read only once; pass {_EXPECTED} "
            "(list(...) makes a list of its batches)"
        )
    return Form("batches", data)


def _read_collection(data: Any) -> Form | None:
    """The form of datasets, tables, graphs and mappings, which say themselves what they are."""
    if isinstance(data, TensorDataset):
        return Form("whole", tuple(data.tensors))
    if _is_table_of_rows(data):
        return Form("samples", _make_rows(data))
    if isinstance(data, Dataset):
        return Form("samples", data)
    if is_graph(data):
        return Form("batches", [data])
    if _is_frame(data):
        raise TypeError(
            f"data is a {type(data).__name__}, which does not say what are inputs and what are "
            "targets; pass (frame[[...]], frame['target'])"
        )
    if isinstance(data, Mapping):
        _refuse_splits(data)
        return Form("whole", convert_arrays(data))
    return None


def _read_sequence(data: Any, *, pairs: bool) -> Form:
    if pairs and _is_sample(data[0]) and all(type(entry) is type(data[0]) for entry in data):
        return Form("samples", _Samples(data))
    parts = [convert_arrays(part) for part in data[:_MOST_PARTS]]
    _refuse_texts(parts)
    whole = Form("whole", type(data)(*parts) if is_namedtuple(data) else type(data)(parts))
    batches = Form("batches", data)
    is_long_list = isinstance(data, list) and len(data) > 2 and all(map(is_array, parts))
    if not 2 <= len(data) <= _MOST_PARTS or not all(map(_holds_tensors, parts)) or is_long_list:
        return batches
    if all(map(is_array, parts)):
        if isinstance(data, list) and not pairs and _signature(parts[0]) == _signature(parts[1]):
            raise ValueError(
                "data is a list of two tensors of one form, which may be inputs and targets or two "
                "batches; pass a tuple (inputs, targets), or torch.cat(data) with batch_size="
            )
        return whole
    # batches are all alike
    is_whole = (len(data) == 2 and _is_pair(parts)) or len({_kind(part) for part in parts}) > 1
    return whole if is_whole else _read_pair_of_pairs(data, parts, pairs, (whole, batches))


def _read_pair_of_pairs(
    data: Any,
    parts: list[Any],
    pairs: bool,
    forms: tuple[Form, Form],
) -> Form:
    """Two tuples: nested inputs and nested targets, or two batches."""
    whole, batches = forms
    if len(data) > 2 or isinstance(data, list):
        return batches
    sizes = {
        0 if leaf.ndim == 0 else leaf.size(0) if isinstance(leaf, Tensor) else len(leaf)
        for part in parts
        for leaf in _leaves(part)
    }
    if len(sizes) > 1:
        return batches
    signatures = [_signature(part) for part in parts]
    if signatures[0] != signatures[1]:
        return whole
    if not pairs and len(set(signatures[0])) == 1:
        raise ValueError(
            "data is a tuple of two tuples of one form, which may be inputs and targets or two "
            "batches; pass a list for batches, or a dict for one batch of named parts"
        )
    return batches


_MOST_PARTS = 16  # a longer tuple is one of batches


def _kind(part: Any) -> Any:
    """What a part is at its outermost level."""
    if isinstance(part, Mapping):
        return tuple(map(str, part))
    return "tensor" if is_array(part) else "sequence"


def _holds_tensors(part: Any) -> bool:
    """Whether all leaves of a part are tensors."""
    if isinstance(part, Mapping):
        return all(map(_holds_tensors, part.values()))
    if isinstance(part, (tuple, list)) and not isinstance(part, PackedSequence):
        return bool(part) and all(map(_holds_tensors, part))
    return is_array(part) or isinstance(part, PackedSequence)


def _is_pair(parts: list[Any]) -> bool:
    """Whether the second of two parts is the targets of the first, which may be several inputs."""
    inputs, targets = parts
    if not is_array(targets):
        return False
    if isinstance(inputs, PackedSequence):
        return True
    values = list(inputs.values()) if isinstance(inputs, Mapping) else inputs
    return isinstance(values, (tuple, list)) and bool(values) and all(map(is_array, values))


def _is_sample(entry: Any) -> bool:
    """Whether an entry of a list is a single sample: its targets are one number."""
    if isinstance(entry, Mapping):
        return any(_is_number(entry[key]) for key in ("labels", "label") if key in entry) or any(
            isinstance(value, list) and value and _is_number(value[0]) for value in entry.values()
        )
    return isinstance(entry, (tuple, list)) and len(entry) > 1 and _is_number(entry[-1])


def _is_number(value: Any) -> bool:
    if isinstance(value, (Tensor, np.ndarray)):
        return value.ndim == 0
    return isinstance(value, (Number, np.generic))


def _leaves(part: Any) -> Iterator[Any]:
    if is_array(part) or isinstance(part, PackedSequence):
        yield part if is_array(part) else part.data
    else:
        for value in part.values() if isinstance(part, Mapping) else part:
            yield from _leaves(value)


def _signature(part: Any) -> Any:
    """Dtypes and shapes of a part's tensors without their first axis."""
    return [
        (str(leaf.dtype), None if getattr(leaf, "is_nested", False) else tuple(leaf.shape[1:]))
        for leaf in _leaves(part)
    ]


def _refuse_texts(parts: list[Any]) -> None:
    """Refuse inputs or targets that are lists of Python's numbers, or hold no numbers."""
    if len(parts) != 2 or not any(map(is_array, parts)):
        return
    for name, part in zip(("inputs", "targets"), parts, strict=True):
        if isinstance(part, np.ndarray) and not is_array(part):
            raise TypeError(
                f"the {name} are an array of {part.dtype}, expected numbers; encode them first"
            )
        if isinstance(part, (tuple, list)) and part and _is_number(part[0]):
            raise TypeError(
                f"the {name} are a {type(part).__name__} of {type(part[0]).__name__}, expected a "
                f"tensor; pass torch.tensor({name})"
            )


def _refuse_splits(data: Mapping[Any, Any]) -> None:
    """Refuse a dict of datasets, one for each split."""
    for key, value in data.items():
        if isinstance(value, Dataset) or _is_table_of_rows(value):
            raise TypeError(
                f"data is a {type(data).__name__} of datasets; pass one of them, such as "
                f"data[{key!r}]"
            )


def _is_frame(value: Any) -> bool:
    """Whether a value is a table of columns, as pandas and polars have them."""
    return hasattr(value, "to_numpy") and hasattr(value, "columns") and hasattr(value, "dtypes")


def _is_table_of_rows(data: Any) -> bool:
    """Whether data are rows of named columns, as the library datasets has them."""
    return (
        not isinstance(data, Mapping)
        and hasattr(data, "column_names")
        and hasattr(data, "with_format")
    )


class _Samples(Dataset[Any]):
    """A list of samples, lists of numbers in them as tensors."""

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        sample = self.samples[index]
        if not isinstance(sample, Mapping):
            return sample
        return {
            key: torch.tensor(value) if isinstance(value, list) else value
            for key, value in sample.items()
        }


class _RowStream(IterableDataset[Any]):
    """Rows of named columns in sequence."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def __iter__(self) -> Iterator[Any]:
        return iter(self.table)


def _make_rows(table: Any) -> Dataset[Any]:
    """Rows of named columns as samples that are dicts of tensors."""
    form = getattr(table, "format", None)
    has_form = isinstance(form, Mapping) and form.get("type") is not None
    rows = table if has_form else table.with_format("torch")
    return _Samples(rows) if hasattr(rows, "__len__") else _RowStream(rows)


def convert_arrays(tree: Any) -> Any:
    """Turn tables and arrays of other libraries into NumPy's, and refuse what holds no numbers.

    Raises:
        TypeError: A table has columns that are no numbers, an array is masked, or a tensor is
            quantised, masked or without data.
    """
    if isinstance(tree, (Tensor, np.ndarray)):
        return _check_tensor(tree) if isinstance(tree, Tensor) else _check_array(tree)
    if isinstance(tree, _LEAVES) or is_graph(tree):
        return tree
    if isinstance(tree, (Mapping, tuple, list)):
        is_text = isinstance(tree, (tuple, list)) and tree and isinstance(tree[0], (str, Number))
        return tree if is_text else map_parts(convert_arrays, tree)
    if hasattr(tree, "to_numpy"):
        return _convert_table(tree)
    return _check_array(np.asarray(tree)) if hasattr(type(tree), "__array__") else tree


_LEAVES = (str, bytes, PackedSequence, np.generic, type(None))


def _convert_table(table: Any) -> Any:
    array = np.asarray(table.to_numpy())
    if array.dtype.kind in "biuf":
        return array
    names = list(table.columns) if hasattr(table, "columns") else [getattr(table, "name", None)]
    columns = [table[name] for name in names] if hasattr(table, "columns") else [table]
    wrong = [
        f"{name!r} ({column.dtype})"
        for name, column in zip(names, columns, strict=True)
        if np.asarray(column.to_numpy()).dtype.kind not in "biuf"
    ]
    if not wrong:  # numbers of several kinds, which only together have no dtype
        return np.stack([np.asarray(column.to_numpy(), np.float64) for column in columns], axis=1)
    raise TypeError(
        f"a {type(table).__name__} has columns that are no numbers: {', '.join(wrong)}; encode "
        "them, or leave them out"
    )


def _check_array(array: Any) -> Any:
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            "data hold a masked array, whose mask would be lost; pass array.filled(value), or the "
            "samples that are not masked"
        )
    return array


def _check_tensor(tensor: Tensor) -> Tensor:
    advice = None
    if tensor.is_quantized:
        advice = "is quantised; pass tensor.dequantize()"
    elif tensor.is_meta:
        advice = "is on the meta device and holds no numbers; pass one with data"
    elif type(tensor).__name__ == "MaskedTensor":
        advice = "is a MaskedTensor, whose mask losses ignore; pass tensor.to_tensor(value)"
    if advice:
        shape = "" if tensor.is_nested else f" of shape {tuple(tensor.shape)}"
        raise TypeError(f"a tensor{shape} in the data {advice}")
    return tensor

"""How many samples a batch has: what its targets, lengths and first axes agree on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from landscape._objective.data.pytree import (
    is_array,
    is_graph,
    is_namedtuple,
    is_samples,
    list_attributes,
    mark_samples,
)

__all__ = [
    "Parts",
    "SampleCounts",
    "SampleLists",
    "Statement",
    "advise_weight",
    "count_outputs",
    "describe_parts",
    "mark_sample_lists",
]

_WEIGHT_ADVICE = (
    "pass weight=f, where f(batch) is the number of samples (or tokens) that the batch's loss is "
    "a mean over"
)


@dataclass(frozen=True)
class Statement:
    """What one part of a batch says about the number of samples."""

    part: str
    """The part's name: "inputs", "targets", a key."""
    form: str
    """The part's form: "shape (9, 8, 3)", "a list of 16"."""
    counts: tuple[int, ...]
    """The numbers that it may mean: of a list of tensors its length, or their first axis."""
    is_target: bool = False

    def __str__(self) -> str:
        """The statement in words."""
        return f"{self.part} ({self.form}) {' or '.join(map(str, self.counts))}"


@dataclass(frozen=True)
class Parts:
    """What the parts of one batch say."""

    statements: tuple[Statement, ...]
    shape: tuple[int, ...] = ()
    """The shape of the targets, or of the first tensor where there are none."""

    @property
    def agreed(self) -> int | None:
        """The number that all parts agree on, if there is one."""
        if not self.statements:
            return None
        first, *others = self.statements
        shared = (n for n in first.counts if all(n in other.counts for other in others))
        return next(shared, None)

    @property
    def targets(self) -> int | None:
        """The number of targets, where the batch has any."""
        return next((s.counts[0] for s in self.statements if s.is_target), None)

    @property
    def size(self) -> int:
        """The number of samples: what is agreed on, or that of the targets, or any."""
        for number in (self.agreed, self.targets):
            if number is not None:
                return number
        return self.statements[0].counts[0] if self.statements else 1

    @property
    def inputs(self) -> int:
        """The number that the first part says which is not the targets."""
        others = (s.counts[0] for s in self.statements if not s.is_target)
        return next(others, self.size)

    def __str__(self) -> str:
        """All statements in words."""
        return ", ".join(map(str, self.statements)) or "no part says it"


@dataclass(frozen=True)
class SampleCounts:
    """What every batch's parts say, in the order of the batches."""

    batches: tuple[Parts, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of samples in each batch."""
        return tuple(parts.size for parts in self.batches)

    @property
    def disputed(self) -> int | None:
        """The first batch whose parts do not agree; None where all do."""
        wrong = (i for i, parts in enumerate(self.batches) if parts.agreed is None)
        return next(wrong, None)

    def describe_dispute(self) -> str | None:
        """Why the batches' weights are unknown; None where the mean of all is known regardless.

        Parts that contradict each other do no harm where all that they say is proportional, as it
        is for a single batch: the mean over batches is then the same for each.
        """
        index = self.disputed
        if index is None or self._is_proportional():
            return None
        return f"the parts of batch {index} do not agree on its number of samples: " + str(
            self.batches[index]
        )

    def describe_positions(self) -> str | None:
        """Why a mean over positions would be weighted wrongly; None where all samples are alike."""
        shapes = [parts.shape for parts in self.batches]
        first = shapes[0]
        odd = next((i for i, s in enumerate(shapes) if s[1:] != first[1:]), None)
        if odd is None:
            return None
        return (
            f"the targets of batch 0 have the shape {first} and those of batch {odd} "
            f"{shapes[odd]}: a mean over samples and one over all their positions would weight "
            "these batches differently, and the loss does not say which it is"
        )

    def describe_axes(self) -> str | None:
        """Why another axis than the first seems to count samples; None where the first does.

        Loaders cut equal batches and a smaller last one. Where the first axis is not like that,
        and another one is, the data are time-first or the like.
        """
        shapes = [parts.shape for parts in self.batches]
        if len({len(shape) for shape in shapes}) > 1 or not shapes[0]:
            return None
        columns = list(zip(*shapes, strict=True))
        if _is_cut(columns[0]):
            return None
        axis = next((i for i, column in enumerate(columns) if _is_cut(column)), None)
        if axis is None:
            return None
        return (
            f"axis {axis} of the batches seems to count samples rather than their first axis "
            f"(sizes {_list_few(columns[axis])}, and {_list_few(columns[0])} of the first): "
            "if so, batches would be weighted wrongly"
        )

    def _is_proportional(self) -> bool:
        rows = [[n for s in parts.statements for n in s.counts] for parts in self.batches]
        first = rows[0]
        if not first or any(len(row) != len(first) for row in rows):
            return len(rows) == 1
        return all(
            a * row[0] == b * first[0] for row in rows for a, b in zip(first, row, strict=True)
        )


def advise_weight(problem: str) -> ValueError:
    """The error of batches whose weights are unknown."""
    return ValueError(f"{problem}; {_WEIGHT_ADVICE}")


def _is_cut(sizes: Sequence[int]) -> bool:
    """Whether sizes are those of a loader's batches: equal, but for a smaller last one."""
    return len(set(sizes[:-1])) == 1 and sizes[-1] < sizes[0]


def _list_few(sizes: Sequence[int]) -> str:
    few = ", ".join(map(str, sizes[:4]))
    return f"{few}, ..." if len(sizes) > 4 else few


def describe_parts(content: Any) -> Parts:
    """What the parts of a batch say about its number of samples."""
    statements = tuple(_list_statements(content))
    if not statements:
        statements = tuple(_count_entries(content))
    elif Parts(statements).agreed is None and _is_sample_dicts(content):
        statements = (Statement("the batch", _form(content), (len(content),)),)
    return Parts(statements, _leading_shape(content))


def _list_statements(content: Any) -> Iterator[Statement]:
    if is_graph(content):
        yield from _list_graph_statements(content)
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _state(f"{key!r}", value, is_target=key == "labels")
    elif isinstance(content, (tuple, list)) and not _is_leaf(content):
        last, fields = len(content) - 1, getattr(content, "_fields", ())
        for index, value in enumerate(content):
            if fields:
                name = fields[index]
            elif index == last and last:
                name = "targets"
            else:
                name = "inputs" if last < 2 else f"inputs[{index}]"
            yield from _state(name, value, is_target=index == last > 0)
    elif is_array(content) or _is_leaf(content):
        yield from _state("the batch", content)
    else:
        for name, value in list_attributes(content):
            yield from _state(f".{name}", value)


def _state(part: str, value: Any, *, is_target: bool = False) -> Iterator[Statement]:
    """The statements of one part: one, or one for each column of a mapping."""
    if isinstance(value, Mapping):
        for key, column in value.items():
            yield from _state(f"{part}[{key!r}]", column)
        return
    if is_graph(value):
        for statement in _list_graph_statements(value):
            yield Statement(f"{part}.{statement.part}", statement.form, statement.counts)
        return
    counts = tuple(dict.fromkeys(_list_counts(value)))
    if counts:
        yield Statement(part, _form(value), counts, is_target)


def _list_counts(value: Any) -> list[int]:
    """The numbers of samples that a value may mean, the likeliest first."""
    if isinstance(value, PackedSequence):
        return [int(n) for n in value.batch_sizes[:1]]
    if isinstance(value, Tensor):
        return [value.size(0)] if value.ndim else []
    if is_samples(value) or is_array(value):
        return [len(value)] if is_samples(value) or value.ndim else []
    if not isinstance(value, (tuple, list)) or not value:
        return []
    entries = [_list_counts(entry) for entry in value]
    shared = [n for n in entries[0] if all(n in other for other in entries[1:])]
    return [*shared, len(value)]


def _list_graph_statements(graph: Any) -> Iterator[Statement]:
    """What a graph, or a batch of graphs, says: its targets are of graphs or of nodes."""
    nodes, graphs = getattr(graph, "num_nodes", None), getattr(graph, "num_graphs", None)
    graphs = 1 if graphs is None else int(graphs)
    both = [Statement("num_graphs", "graphs", (graphs,))]
    if nodes is not None:
        both.append(Statement("num_nodes", "nodes", (int(nodes),)))
    targets = getattr(graph, "y", None)
    if not isinstance(targets, Tensor):
        yield from both
        return
    count = targets.shape[0] if targets.ndim else 1
    yield Statement("y", f"shape {tuple(targets.shape)}", (count,), is_target=True)
    if all(count not in statement.counts for statement in both):
        yield from both
    for name, mask in list_attributes(graph):
        if name.endswith("_mask") and isinstance(mask, Tensor) and mask.shape == (count,):
            yield Statement(name, "a mask", (int(mask.sum()),))


def _count_entries(content: Any) -> Iterator[Statement]:
    """The length of a batch without tensors: of texts, or of objects."""
    if hasattr(content, "__len__") and not isinstance(content, Mapping):
        yield Statement("the batch", _form(content), (len(content),))


def _is_sample_dicts(content: Any) -> bool:
    """Whether a batch is a list of dicts, one a sample, and not a pair of inputs and targets."""
    is_list = isinstance(content, (tuple, list)) and len(content) != 2
    return is_list and all(isinstance(entry, Mapping) for entry in content)


def _is_leaf(content: Any) -> bool:
    return is_samples(content) or isinstance(content, PackedSequence)


def _form(value: Any) -> str:
    if isinstance(value, PackedSequence):
        return "a packed sequence"
    if isinstance(value, Tensor) and value.is_nested:
        return "a nested tensor"
    if is_array(value):
        return f"shape {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"a {'list' if isinstance(value, list) else 'tuple'} of {len(value)}"
    return f"a {type(value).__name__}"


def _leading_shape(content: Any) -> tuple[int, ...]:
    """The shape of the targets, or of the first tensor where there are none."""
    if isinstance(content, Mapping):
        parts = [content["labels"]] if "labels" in content else list(content.values())
    elif isinstance(content, (tuple, list)) and not _is_leaf(content):
        parts = list(content[-1:]) if len(content) > 1 and is_array(content[-1]) else list(content)
    else:
        parts = [content]
    shapes = (_shape(part) for part in parts)
    return next((shape for shape in shapes if shape), ())


def _shape(part: Any) -> tuple[int, ...]:
    is_plain = is_array(part) and not (isinstance(part, Tensor) and part.is_nested)
    return tuple(part.shape) if is_plain else ()


def count_outputs(outputs: Any) -> tuple[tuple[int, ...], str]:
    """The numbers of samples that a model's outputs may mean, and their form."""
    if isinstance(outputs, Mapping):
        outputs = outputs.get("logits", list(outputs.values()))
    elif not isinstance(outputs, (Tensor, tuple, list)):
        outputs = getattr(outputs, "logits", ())
    return tuple(_list_counts(outputs)), _form(outputs)


class SampleLists:
    """Which parts of batches are lists with one entry for each sample.

    A part that is a list of tensors holds either several inputs, each with a row for each sample,
    or one entry for each sample. A batch whose number of samples is not the list's length, or not
    the tensors' first axis, tells which.
    """

    def __init__(self) -> None:
        self._forms: dict[Any, set[bool]] = {}

    def add(self, content: Any, parts: Parts) -> None:
        """Take a further batch into account, whose parts say this."""
        for key, value in _iter_lists(content):
            self._forms.setdefault(key, set()).update(_read_form(value, parts.size))

    @property
    def keys(self) -> frozenset[Any]:
        """The keys or indices of lists with one entry for each sample."""
        return frozenset(key for key, found in self._forms.items() if found == {True})

    @property
    def unknown(self) -> bool:
        """Whether a part may have either form, so that batches must not be cut."""
        return any(not found for found in self._forms.values())


def _iter_lists(content: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(content, Mapping):
        items: Any = content.items()
    elif isinstance(content, (tuple, list)) and not isinstance(content, PackedSequence):
        items = enumerate(content)
    else:
        return
    for key, value in items:
        if isinstance(value, (tuple, list)) and not is_namedtuple(value) and value:
            yield key, value


def _read_form(value: Any, size: int) -> set[bool]:
    """{True} for one entry a sample, {False} for several inputs, {} for either."""
    if len(value) != size:
        return {False}
    rows = all(is_array(v) and v.ndim and _list_counts(v) == [size] for v in value)
    return set() if rows else {True}


def mark_sample_lists(content: Any, keys: frozenset[Any]) -> Any:
    """Mark the parts that are lists with one entry for each sample."""
    if not keys:
        return content
    if isinstance(content, Mapping):
        return {k: mark_samples(v) if k in keys else v for k, v in content.items()}
    parts = [mark_samples(v) if i in keys else v for i, v in enumerate(content)]
    return type(content)(*parts) if is_namedtuple(content) else type(content)(parts)

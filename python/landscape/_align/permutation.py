"""Groups of units that can be permuted, each with its indices along tensors' axes.

Entries of axes are labelled with integers. Where data flow from one entry to another, a union-find
joins their labels, so that each set of joined entries is one unit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from landscape import _core
from landscape._align.reparametrised import owner_of_weight

__all__ = ["FIXED", "ZERO", "Axis", "EntryUnionFind", "Labels", "UnitGroup"]

Axis = tuple[str, int]
"""A tensor's name and one of its axes."""
Labels = NDArray[np.int64]
"""One integer for each entry; equal roots in the union-find mean the same unit."""

FIXED, ZERO = 0, -1
"""The label of entries that cannot be permuted (inputs, outputs, and whatever flows through an
unsupported operation), and that of zeros, which match any unit."""


@dataclass(frozen=True)
class UnitGroup:
    """Units that may be permuted among each other.

    A unit is one entry, or several, of each axis; ``entries[axis]`` has their indices, shape
    (units, entries of a unit).
    """

    name: str
    entries: dict[Axis, Labels]
    cells: Labels | None = None
    """Which cell each unit lies in, where units may only be permuted within cells, shape (units,);
    None where they are free."""
    cells_move: bool = False
    """Whether whole cells may be permuted among each other as well."""

    @property
    def size(self) -> int:
        """The number of units."""
        return len(next(iter(self.entries.values())))

    def best_permutation(self, weights: NDArray[np.float64]) -> Labels:
        """The permutation p that maximises sum_i weights[i, p[i]], among those that are allowed."""
        if self.cells is None:
            return _core.assignment(weights)
        members = [np.flatnonzero(self.cells == cell) for cell in np.unique(self.cells)]
        pairs = [
            (i, j)
            for i in range(len(members))
            for j in (range(len(members)) if self.cells_move else (i,))
        ]
        inner, values = {}, np.zeros((len(members), len(members)))
        for i, j in pairs:
            part = np.ascontiguousarray(weights[np.ix_(members[i], members[j])])
            inner[i, j] = _core.assignment(part)
            values[i, j] = part[np.arange(len(part)), inner[i, j]].sum()
        outer = _core.assignment(values) if self.cells_move else np.arange(len(members))
        permutation = np.arange(self.size)
        for i, j in enumerate(outer.tolist()):
            permutation[members[i]] = members[j][inner[i, j]]
        return permutation

    def restrict(self, keys: Sequence[Hashable]) -> UnitGroup:
        """The same units, of which only those with equal keys may be permuted."""
        cells = np.zeros(self.size, np.int64) if self.cells is None else self.cells
        combined = list(zip(cells.tolist(), keys, strict=True))
        if len(set(keys)) == 1:
            return self
        numbers = {key: number for number, key in enumerate(dict.fromkeys(combined))}
        restricted = np.array([numbers[key] for key in combined])
        return replace(self, cells=restricted, cells_move=False)

    def permute_axis(self, axis: Axis, permutation: Labels, length: int) -> Labels:
        """The former index of each entry of an axis under a permutation, shape (length,)."""
        index = np.arange(length)
        index[self.entries[axis]] = self.entries[axis][permutation]
        return index


@dataclass
class EntryUnionFind:
    """A union-find over the entries of tensors' axes."""

    starts: dict[Axis, int] = field(default_factory=dict)
    sizes: dict[Axis, int] = field(default_factory=dict)
    uses: Counter[Axis] = field(default_factory=Counter)
    """How many operations read each axis."""
    parents: list[int] = field(default_factory=lambda: [FIXED])
    partitions: list[Labels] = field(default_factory=list)
    """Labels in blocks, shape (blocks, entries of a block), each of which stays together."""

    def label_axis(self, name: str, axis: int, size: int) -> Labels:
        """The labels of an axis, created at the first use."""
        key = (name, axis)
        self.uses[key] += 1
        if key not in self.starts:
            self.starts[key], self.sizes[key] = len(self.parents), size
            self.parents.extend(range(len(self.parents), len(self.parents) + size))
        return np.arange(size) + self.starts[key]

    def find(self, label: int) -> int:
        """The root of a label's set."""
        while self.parents[label] != label:
            self.parents[label] = self.parents[self.parents[label]]
            label = self.parents[label]
        return label

    def join(self, one: Labels, other: Labels) -> Labels:
        """Join labels pair by pair; zeros match any label.

        Returns:
            The labels, with those of the other array where the one has zeros.
        """
        one, other = np.broadcast_arrays(one, other)
        both = (one >= 0) & (other >= 0)
        for a, b in set(zip(one[both].tolist(), other[both].tolist(), strict=True)):
            self._union(a, b)
        return np.where(one >= 0, one, other)

    def join_all(self, labels: Iterable[int]) -> None:
        """Join all labels into one set."""
        entries = [label for label in labels if label >= 0]
        for label in entries[1:]:
            self._union(entries[0], label)

    def keep_blocks(self, labels: Labels) -> None:
        """Permute entries only within blocks, and blocks as wholes; shape (blocks, entries)."""
        self.partitions.append(labels)

    def fix(self, labels: Labels) -> None:
        """Exclude entries from every permutation."""
        self.join_all([FIXED, *np.unique(labels).tolist()])

    def _union(self, a: int, b: int) -> None:
        low, high = sorted((self.find(a), self.find(b)))
        self.parents[high] = low  # FIXED is the lowest label, and stays a root

    def groups(self) -> tuple[UnitGroup, ...]:
        """Groups of two or more units whose entries lie in the same axes."""
        units: dict[int, dict[Axis, list[int]]] = {}
        for axis, start in self.starts.items():
            for index in range(self.sizes[axis]):
                root = self.find(start + index)
                if root != FIXED:
                    units.setdefault(root, {}).setdefault(axis, []).append(index)
        by_signature: dict[tuple[tuple[Axis, int], ...], list[int]] = {}
        for root, unit in units.items():
            signature = tuple((axis, len(indices)) for axis, indices in unit.items())
            by_signature.setdefault(signature, []).append(root)
        partitions = [_Partition.of(labels, self.find) for labels in self.partitions]
        groups: dict[str, UnitGroup] = {}
        for signature, members in by_signature.items():
            # a unit that one operation reads, of one tensor, has no inputs or no readers: no
            # permutation is needed
            is_alone = len({axis[0] for axis, _ in signature}) < 2
            if len(members) < 2 or (is_alone and max(self.uses[axis] for axis, _ in signature) < 2):
                continue
            name = _name_group(signature)
            while name in groups:
                name += "'"
            entries = {
                axis: np.array([units[root][axis] for root in members]) for axis, _ in signature
            }
            groups[name] = _keep_partitions(UnitGroup(name, entries), members, partitions)
        return tuple(groups.values())


def _name_group(signature: tuple[tuple[Axis, int], ...]) -> str:
    """The module that computes the units: that of the first tensor whose rows they are."""
    rows = [name for (name, axis), _ in signature if axis == 0]
    return owner_of_weight((rows or [signature[0][0][0]])[0])


@dataclass(frozen=True)
class _Partition:
    """Units in blocks that are normalised together."""

    blocks: tuple[frozenset[int], ...]
    """The roots in each block."""
    positions: dict[int, tuple[int, ...]]
    """The blocks that each root has an entry in, one for each entry."""

    @classmethod
    def of(cls, labels: Labels, find: Callable[[int], int]) -> _Partition:
        roots = [[find(label) for label in block] for block in labels.tolist()]
        positions: dict[int, tuple[int, ...]] = {}
        for index, block in enumerate(roots):
            for root in block:
                positions[root] = (*positions.get(root, ()), index)
        return cls(tuple(frozenset(block) for block in roots), positions)

    def cell(self, root: int) -> Hashable:
        """What units must have in common to be permuted; a unit in several blocks is fixed."""
        blocks = self.positions.get(root, ())
        return blocks if len(set(blocks)) < 2 else (root, blocks)


def _keep_partitions(
    group: UnitGroup, roots: Sequence[int], partitions: Sequence[_Partition]
) -> UnitGroup:
    """Restrict a group to permutations that map the blocks of every partition onto blocks."""
    touched = [p for p in partitions if any(root in p.positions for root in roots)]
    restricted = group.restrict([tuple(p.cell(root) for p in touched) for root in roots])
    if restricted.cells is None:
        return group
    cells: dict[int, set[int]] = {}
    for root, cell in zip(roots, restricted.cells.tolist(), strict=True):
        cells.setdefault(cell, set()).add(root)
    # whole cells move where each is a whole block of every partition, and all are of one size
    are_blocks = all(
        any(cell == block for block in p.blocks) for p in touched for cell in cells.values()
    )
    moves = are_blocks and len({len(cell) for cell in cells.values()}) == 1
    return replace(restricted, cells_move=moves)

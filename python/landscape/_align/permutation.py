"""Groups of units that can be permuted, each with its indices along tensors' axes.

Entries of axes are labelled with integers. Where data flow from one entry to another, a union-find
joins their labels, so that each set of joined entries is one unit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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

    @property
    def size(self) -> int:
        """The number of units."""
        return len(next(iter(self.entries.values())))

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
    parents: list[int] = field(default_factory=lambda: [FIXED])

    def label_axis(self, name: str, axis: int, size: int) -> Labels:
        """The labels of an axis, created at the first use."""
        key = (name, axis)
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
        by_signature: dict[tuple[tuple[Axis, int], ...], list[dict[Axis, list[int]]]] = {}
        for unit in units.values():
            signature = tuple((axis, len(indices)) for axis, indices in unit.items())
            by_signature.setdefault(signature, []).append(unit)
        groups: dict[str, UnitGroup] = {}
        for signature, members in by_signature.items():
            # a unit in one tensor alone has no inputs or no readers: no permutation is needed
            if len(members) < 2 or len({axis[0] for axis, _ in signature}) < 2:
                continue
            name = _name_group(signature)
            while name in groups:
                name += "'"
            entries = {axis: np.array([unit[axis] for unit in members]) for axis, _ in signature}
            groups[name] = UnitGroup(name, entries)
        return tuple(groups.values())


def _name_group(signature: tuple[tuple[Axis, int], ...]) -> str:
    """The module that computes the units: that of the first tensor whose rows they are."""
    rows = [name for (name, axis), _ in signature if axis == 0]
    return (rows or [signature[0][0][0]])[0].removesuffix(".weight")

"""Which entries of a model's tensors move together: a union-find over their positions.

Depends on NumPy alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["FIXED", "ZERO", "Axis", "Group", "Strands"]

Axis = tuple[str, int]
"""A tensor's name and one of its axes."""
Atoms = NDArray[np.int64]

FIXED, ZERO = 0, -1
"""What does not move (inputs, outputs, and what is not understood); zeros, which go with all."""


@dataclass(frozen=True)
class Group:
    """Units that may take each other's places.

    A unit is one entry, or several, of each axis; ``places[axis]`` has them in their order, shape
    (units, entries).
    """

    name: str
    places: dict[Axis, Atoms]

    @property
    def size(self) -> int:
        """The number of units."""
        return len(next(iter(self.places.values())))

    def moved(self, axis: Axis, permutation: Atoms, length: int) -> Atoms:
        """Which old entry each new entry of an axis takes, shape (length,)."""
        found = np.arange(length)
        found[self.places[axis]] = self.places[axis][permutation]
        return found


@dataclass
class Strands:
    """Positions of tensors' axes as atoms, joined where data flow between them."""

    starts: dict[Axis, int] = field(default_factory=dict)
    sizes: dict[Axis, int] = field(default_factory=dict)
    parents: list[int] = field(default_factory=lambda: [FIXED])

    def axis(self, name: str, axis: int, size: int) -> Atoms:
        """The atoms of an axis, made at the first need."""
        key = (name, axis)
        if key not in self.starts:
            self.starts[key], self.sizes[key] = len(self.parents), size
            self.parents.extend(range(len(self.parents), len(self.parents) + size))
        return np.arange(size) + self.starts[key]

    def root(self, atom: int) -> int:
        """The one atom that stands for all that move with this one."""
        while self.parents[atom] != atom:
            self.parents[atom] = self.parents[self.parents[atom]]
            atom = self.parents[atom]
        return atom

    def join(self, one: Atoms, other: Atoms) -> Atoms:
        """Let atoms move together, pair by pair; zeros go with whatever they meet.

        Returns:
            The atoms, with those of the other array where the one has zeros.
        """
        one, other = np.broadcast_arrays(one, other)
        both = (one >= 0) & (other >= 0)
        for a, b in set(zip(one[both].tolist(), other[both].tolist(), strict=True)):
            self._union(a, b)
        return np.where(one >= 0, one, other)

    def tie(self, atoms: Iterable[int]) -> None:
        """Let all of these move as one."""
        listed = [atom for atom in atoms if atom >= 0]
        for atom in listed[1:]:
            self._union(listed[0], atom)

    def hold(self, atoms: Atoms) -> None:
        """Let these not move."""
        self.tie([FIXED, *np.unique(atoms).tolist()])

    def _union(self, a: int, b: int) -> None:
        low, high = sorted((self.root(a), self.root(b)))
        self.parents[high] = low  # FIXED is the lowest, and stays a root

    def groups(self) -> tuple[Group, ...]:
        """Units of one make, where there are two or more of them."""
        units: dict[int, dict[Axis, list[int]]] = {}
        for axis, start in self.starts.items():
            for index in range(self.sizes[axis]):
                root = self.root(start + index)
                if root != FIXED:
                    units.setdefault(root, {}).setdefault(axis, []).append(index)
        makes: dict[tuple[tuple[Axis, int], ...], list[dict[Axis, list[int]]]] = {}
        for unit in units.values():
            make = tuple((axis, len(entries)) for axis, entries in unit.items())
            makes.setdefault(make, []).append(unit)
        found: dict[str, Group] = {}
        for make, members in makes.items():
            # a unit that meets one tensor alone is read by nobody or fed by nobody
            if len(members) < 2 or len({axis[0] for axis, _ in make}) < 2:
                continue
            name = _name(make)
            while name in found:
                name += "'"
            places = {axis: np.array([unit[axis] for unit in members]) for axis, _ in make}
            found[name] = Group(name, places)
        return tuple(found.values())


def _name(make: tuple[tuple[Axis, int], ...]) -> str:
    """The module that makes the units: the first tensor whose rows they are."""
    rows = [name for (name, axis), _ in make if axis == 0]
    return (rows or [make[0][0][0]])[0].removesuffix(".weight")

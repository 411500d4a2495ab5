"""The permutations under which two models lie closest: by their weights, or by what units do.

Depends on the core's assignment and on the groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._align.strands import Group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._align.strands import Axis

__all__ = ["Matching", "by_activations", "by_weights"]

Arrays = Mapping[str, "NDArray[np.float64]"]
Permutations = dict[str, "NDArray[np.int64]"]

_GAIN = 1e-12  # of the scale: less is rounding


@dataclass
class Matching:
    """Permutations of the second model's units, and how well they fit the first."""

    first: Arrays
    second: Arrays
    groups: Sequence[Group]
    permutations: Permutations = field(init=False)
    _users: dict[str, list[tuple[int, Group]]] = field(init=False)

    def __post_init__(self) -> None:
        self.permutations = {g.name: np.arange(g.size) for g in self.groups}
        self._users = {}
        for group in self.groups:
            for name, axis in group.places:
                self._users.setdefault(name, []).append((axis, group))

    def moved(self, name: str, but: Axis | None = None) -> NDArray[np.float64]:
        """A tensor of the second model, permuted along all its axes (or all but one)."""
        found = self.second[name]
        for axis, group in self._users.get(name, []):
            if (name, axis) != but:
                index = group.moved((name, axis), self.permutations[group.name], found.shape[axis])
                found = np.take(found, index, axis)
        return found

    def similarity(self, group: Group) -> NDArray[np.float64]:
        """<unit i of the first, unit j of the second> over all weights, shape (units, units)."""
        total = np.zeros((group.size, group.size))
        for (name, axis), places in group.places.items():
            if name in self.first:
                there = self.moved(name, (name, axis))
                total += _rows(self.first[name], axis, places) @ _rows(there, axis, places).T
        return total

    def product(self, names: Sequence[str]) -> float:
        """<first, permuted second> over some tensors."""
        return sum(float(np.vdot(self.first[name], self.moved(name))) for name in names)

    def improve(self, group: Group) -> bool:
        """Give a group the best permutation while the others stay; whether that was better."""
        weights = self.similarity(group)
        found = _core.assignment(weights)
        old = self.permutations[group.name]
        names = sorted({name for name, _ in group.places if name in self.first})
        twice = len([axis for axis in group.places if axis[0] in self.first]) > len(names)
        rows = np.arange(group.size)
        scale = float(np.abs(weights[rows, found]).sum()) + 1e-300
        if not twice:
            gain = float(weights[rows, found].sum() - weights[rows, old].sum())
        else:  # a tensor whose rows and columns move together: no longer linear
            before = self.product(names)
            self.permutations[group.name] = found
            gain = self.product(names) - before
        better = gain > _GAIN * scale
        self.permutations[group.name] = found if better else old
        return better


def by_weights(matching: Matching, *, seed: int, sweeps: int) -> int:
    """Coordinate descent over groups in seeded random order, until no group improves.

    Returns:
        The number of sweeps.

    Reference:
        Ainsworth, Hayase and Srinivasa (2023), algorithm 1.
    """
    draw = np.random.default_rng(seed)
    for sweep in range(1, sweeps + 1):
        order = draw.permutation(len(matching.groups))
        better = [matching.improve(matching.groups[place]) for place in order]
        if not any(better):
            return sweep
    return sweeps


def by_activations(
    matching: Matching, first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[str, ...]:
    """Units whose activations correlate most.

    Args:
        matching: Whose permutations are set.
        first: What each module that makes units puts out: shape (units' entries, observations).
        second: The same of the second model.

    Returns:
        The groups whose units no module makes, which keep their places.
    """
    without = []
    for group in matching.groups:
        total = np.zeros((group.size, group.size))
        makers = [
            (n.removesuffix(".weight"), p) for (n, axis), p in group.places.items() if axis == 0
        ]
        makers = [(module, places) for module, places in makers if module in first]
        for module, places in makers:
            a, b = (_standard(side[module]) for side in (first, second))
            total += _rows(a, 0, places) @ _rows(b, 0, places).T
        if makers:
            matching.permutations[group.name] = _core.assignment(total)
        else:
            without.append(group.name)
    return tuple(without)


def _rows(tensor: NDArray[np.float64], axis: int, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """All that belongs to each unit along an axis, one row a unit."""
    taken = np.moveaxis(tensor, axis, 0)[places]
    rows: NDArray[np.float64] = taken.reshape(len(places), -1)
    return rows


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of mean 0 and norm 1; a dead unit is 0."""
    centred = values - values.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    found: NDArray[np.float64] = centred / np.where(norms > 0, norms, 1.0)
    return found

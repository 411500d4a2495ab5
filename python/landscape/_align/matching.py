"""Matching the units of two models: by their weights, or by their activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._align.permutation import UnitGroup
from landscape._align.reparametrised import owner_of_weight

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._align.permutation import Axis

__all__ = ["Matching", "match_activations", "match_weights"]

Arrays = Mapping[str, "NDArray[np.float64]"]
Permutations = dict[str, "NDArray[np.int64]"]

_MIN_GAIN = 1e-12  # relative to the scale: less is rounding


@dataclass
class Matching:
    """Permutations of the second model's units, and how well they fit the first."""

    first: Arrays
    second: Arrays
    groups: Sequence[UnitGroup]
    permutations: Permutations = field(init=False)
    _permuted_axes: dict[str, list[tuple[int, UnitGroup]]] = field(init=False)

    def __post_init__(self) -> None:
        self.permutations = {g.name: np.arange(g.size) for g in self.groups}
        self._permuted_axes = {}
        for group in self.groups:
            for name, axis in group.entries:
                self._permuted_axes.setdefault(name, []).append((axis, group))

    def permute(self, name: str, excluded: Axis | None = None) -> NDArray[np.float64]:
        """A tensor of the second model, permuted along all its axes except the excluded one."""
        tensor = self.second[name]
        for axis, group in self._permuted_axes.get(name, []):
            if (name, axis) != excluded:
                permutation = self.permutations[group.name]
                index = group.permute_axis((name, axis), permutation, tensor.shape[axis])
                tensor = np.take(tensor, index, axis)
        return tensor

    def similarity(self, group: UnitGroup) -> NDArray[np.float64]:
        """<unit i of the first, unit j of the second> over all weights, shape (units, units)."""
        total = np.zeros((group.size, group.size))
        for (name, axis), entries in group.entries.items():
            if name in self.first:
                second = self.permute(name, (name, axis))
                total += _unit_rows(self.first[name], axis, entries) @ (
                    _unit_rows(second, axis, entries).T
                )
        return total

    def inner_product(self, names: Sequence[str]) -> float:
        """<first, permuted second> over some tensors."""
        return sum(float(np.vdot(self.first[name], self.permute(name))) for name in names)

    def distance(self) -> float:
        """The Euclidean distance between the first model and the permuted second one."""
        squares = [
            float(np.square(values - self.permute(name)).sum())
            for name, values in self.first.items()
        ]
        return float(np.sqrt(sum(squares)))

    def improve(self, group: UnitGroup) -> bool:
        """Solve one group's assignment, the others fixed; return whether the inner product grew."""
        weights = self.similarity(group)
        candidate = group.best_permutation(weights)
        current = self.permutations[group.name]
        names = sorted({name for name, _ in group.entries if name in self.first})
        parameter_axes = [axis for axis in group.entries if axis[0] in self.first]
        is_quadratic = len(parameter_axes) > len(names)  # rows and columns of one tensor
        rows = np.arange(group.size)
        scale = float(np.abs(weights[rows, candidate]).sum()) + 1e-300
        if is_quadratic:
            before = self.inner_product(names)
            self.permutations[group.name] = candidate
            gain = self.inner_product(names) - before
        else:
            gain = float(weights[rows, candidate].sum() - weights[rows, current].sum())
        improved = gain > _MIN_GAIN * scale
        self.permutations[group.name] = candidate if improved else current
        return improved


def match_weights(matching: Matching, *, seed: int, sweeps: int) -> int:
    """Coordinate ascent over groups in seeded random order, until no group improves.

    Returns:
        The number of sweeps.

    Reference:
        Ainsworth, Hayase and Srinivasa (2023), algorithm 1.
    """
    random = np.random.default_rng(seed)
    for sweep in range(1, sweeps + 1):
        order = random.permutation(len(matching.groups))
        improved = [matching.improve(matching.groups[index]) for index in order]
        if not any(improved):
            return sweep
    return sweeps


def match_activations(
    matching: Matching,
    axes: Mapping[str, int],
    first: Mapping[str, Any],
    second: Mapping[str, Any],
) -> tuple[str, ...]:
    """Match the units whose activations correlate most.

    Args:
        matching: The matching, whose permutations are replaced.
        axes: Which axis of a module's weight counts its units.
        first: The first model's activations by module, shape (entries of units, observations).
        second: The same of the second model.

    Returns:
        The groups whose units no module computes, which are not permuted.
    """
    unmatched = []
    for group in matching.groups:
        total = np.zeros((group.size, group.size))
        modules = [
            (module, entries)
            for (name, axis), entries in group.entries.items()
            if (module := owner_of_weight(name)) in first
            and module in second
            and axis == axes[module]
        ]
        for module, entries in modules:
            a, b = (_standardise(side[module]) for side in (first, second))
            total += _unit_rows(a, 0, entries) @ _unit_rows(b, 0, entries).T
        if modules:
            matching.permutations[group.name] = group.best_permutation(total)
        else:
            unmatched.append(group.name)
    return tuple(unmatched)


def _unit_rows(
    tensor: NDArray[np.float64], axis: int, entries: NDArray[np.int64]
) -> NDArray[np.float64]:
    """All numbers of each unit along an axis, one row per unit."""
    slices = np.moveaxis(tensor, axis, 0)[entries]
    rows: NDArray[np.float64] = slices.reshape(len(entries), -1)
    return rows


def _standardise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale rows to mean 0 and norm 1; a constant row becomes 0."""
    centred = values - values.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    rows: NDArray[np.float64] = centred / np.where(norms > 0, norms, 1.0)
    return rows

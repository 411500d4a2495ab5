"""Alignment: permutations of hidden units that match one model to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from landscape._results.base import Result
from landscape._results.frozen import ReadOnly
from landscape._results.provenance import Run

if TYPE_CHECKING:
    from torch import nn

_SHOWN = 12


@dataclass(frozen=True, eq=False, repr=False)
class Alignment(Result):
    """Permutations of hidden units that leave the function of a model unchanged.

    Args:
        permutations: group of units -> (units,) the former index of each unit.
        axes: (group, tensor, axis) of each array of `entries`, as names and numbers.
        entries: one array for each of `axes`, shape (units, entries of a unit): the indices of the
            units along that axis.
        unsupported: operations through which units were not followed, and why; units that flow
            through them are not permuted.
        method: "weights" or "activations".
        distances: between the two models' weights, before and after.
        sweeps: over all groups, of weight matching.
        difference: of the outputs before and after, relative to their size, in float64.
        status: what was matched, as a sentence.
        run: how it was computed.
        permuted: the second model in the first one's order; None after `landscape.load`.

    Example:
        >>> from torch import nn
        >>> a, b = (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)) for _ in range(2))
        >>> alignment = landscape.align(a, b, data)
        >>> alignment.difference < 1e-9
        True
    """

    kind: ClassVar[str] = "alignment"
    unsaved: ClassVar[tuple[str, ...]] = ("permuted", "entries")
    former_names: ClassVar[Mapping[str, str]] = {"places": "axes", "held": "unsupported"}

    permutations: Mapping[str, NDArray[np.int64]]
    axes: tuple[tuple[str, str, int], ...]
    entries: tuple[NDArray[np.int64], ...]
    _: KW_ONLY
    unsupported: Mapping[str, str]
    method: str
    distances: tuple[float, float]
    sweeps: int
    difference: float
    status: str
    run: Run
    permuted: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        frozen = {name: _freeze_indices(values) for name, values in self.permutations.items()}
        for name, values in frozen.items():
            if sorted(values) != list(range(len(values))):
                raise ValueError(f"permutations[{name!r}] is no permutation")
        object.__setattr__(self, "permutations", ReadOnly(frozen))
        axes = tuple((str(g), str(t), int(axis)) for g, t, axis in self.axes)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "entries", tuple(_freeze_indices(rows) for rows in self.entries))
        object.__setattr__(self, "unsupported", ReadOnly(dict(self.unsupported)))
        object.__setattr__(self, "distances", tuple(self.distances))

    @property
    def model(self) -> nn.Module:
        """The second model with its units permuted: a new module.

        Raises:
            ValueError: The alignment was loaded from a file, which holds no model.
        """
        if self.permuted is None:
            raise ValueError(
                "this alignment was loaded from a file, which holds no model; "
                "model.load_state_dict(alignment.apply(model.state_dict())) permutes one"
            )
        permuted: nn.Module = self.permuted
        return permuted

    def apply(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Apply the permutations to other weights of the same architecture, such as a state dict.

        Args:
            tensors: Names to tensors or arrays; names that no permutation touches pass through.
        """
        permuted = dict(tensors)
        for (group, name, axis), rows in zip(self.axes, self.entries, strict=True):
            if name in permuted:
                index = np.arange(permuted[name].shape[axis])
                index[rows] = rows[self.permutations[group]]
                permuted[name] = permuted[name][(slice(None),) * axis + (index,)]
        return permuted

    @property
    def moved(self) -> int:
        """The number of units whose index changes."""
        changes = (p != np.arange(len(p)) for p in self.permutations.values())
        return int(sum(changed.sum() for changed in changes))

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The JSON record and the arrays."""
        record, arrays = super().pack()
        record["permutations"] = list(self.permutations)
        for index, values in enumerate(self.permutations.values()):
            arrays[f"permutation_{index}"] = values
        for index, rows in enumerate(self.entries):
            arrays[f"entries_{index}"] = rows
        return record, arrays

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild the alignment from what :meth:`pack` returned."""
        record = cls._rename(record)
        names = enumerate(record["permutations"])
        nested = {
            "permutations": {name: arrays[f"permutation_{index}"] for index, name in names},
            "entries": tuple(arrays[f"entries_{index}"] for index in range(len(record["axes"]))),
        }
        return super().unpack({**record, **nested}, arrays)

    def __repr__(self) -> str:
        units = sum(len(p) for p in self.permutations.values())
        lines = [self._title(f"Alignment by {self.method}: {self.moved} of {units} units moved")]
        for name, values in list(self.permutations.items())[:_SHOWN]:
            changed = int((values != np.arange(len(values))).sum())
            lines.append(f"  {name}: {changed} of {len(values)}")
        if len(self.permutations) > _SHOWN:
            lines.append(f"  ... and {len(self.permutations) - _SHOWN} more groups")
        lines += [f"  unsupported: {where} ({why})" for where, why in self.unsupported.items()]
        before, after = self.distances
        lines.append(f"distance  {before:.5g} before, {after:.5g} after")
        lines += self._describe_run(str(self.sweeps), "sweeps")
        return "\n".join(lines)


def _freeze_indices(values: Any) -> NDArray[np.int64]:
    indices = np.array(values, np.int64)
    indices.setflags(write=False)
    return indices

"""Alignment: the permutations that bring one model's hidden units next to another's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from landscape._results._flat import Flat
from landscape._results._values import ReadOnly
from landscape._results.run import Run

if TYPE_CHECKING:
    from torch import nn

_SHOWN = 12


@dataclass(frozen=True, eq=False, repr=False)
class Alignment(Flat):
    """Permutations of hidden units that leave a model's function as it is.

    Args:
        permutations: group of units -> (units,) the old place of each new unit.
        places: (group, tensor, axis) of each row of `entries`, as names and numbers.
        entries: one array a row of `places`, shape (units, entries of a unit): where the units lie
            along that axis.
        held: operations through which units were not followed, and why; what flows through them
            keeps its place.
        method: "weights" or "activations".
        distances: between the two models' weights, before and after.
        sweeps: over all groups, of weight matching.
        difference: of the outputs before and after, relative to their size, in float64.
        status: what was matched, as a sentence.
        run: how it was made.
        permuted: the second model in the first one's order; None after `landscape.load`.

    Example:
        >>> from torch import nn
        >>> a, b = (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)) for _ in range(2))
        >>> alignment = landscape.align(a, b, data)
        >>> alignment.difference < 1e-9
        True
    """

    kind: ClassVar[str] = "alignment"
    arrays: ClassVar[tuple[str, ...]] = ()

    permutations: Mapping[str, NDArray[np.int64]]
    places: tuple[tuple[str, str, int], ...]
    entries: tuple[NDArray[np.int64], ...]
    _: KW_ONLY
    held: Mapping[str, str]
    method: str
    distances: tuple[float, float]
    sweeps: int
    difference: float
    status: str
    run: Run
    permuted: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        frozen = {name: _whole(values) for name, values in self.permutations.items()}
        for name, values in frozen.items():
            if sorted(values) != list(range(len(values))):
                raise ValueError(f"permutations[{name!r}] is no permutation")
        object.__setattr__(self, "permutations", ReadOnly(frozen))
        places = tuple((str(g), str(t), int(axis)) for g, t, axis in self.places)
        object.__setattr__(self, "places", places)
        object.__setattr__(self, "entries", tuple(_whole(rows) for rows in self.entries))
        object.__setattr__(self, "held", ReadOnly(dict(self.held)))
        object.__setattr__(self, "distances", tuple(self.distances))

    @property
    def model(self) -> nn.Module:
        """The second model with its units permuted: a module of its own.

        Raises:
            ValueError: The alignment was loaded from a file, which holds no model.
        """
        if self.permuted is None:
            raise ValueError(
                "this alignment was loaded from a file, which holds no model; "
                "model.load_state_dict(alignment.apply(model.state_dict())) permutes one"
            )
        found: nn.Module = self.permuted
        return found

    def apply(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """The same permutations of other weights of the same architecture, such as a state dict.

        Args:
            tensors: Names to tensors or arrays; names that no permutation touches pass through.
        """
        moved = dict(tensors)
        for (group, name, axis), rows in zip(self.places, self.entries, strict=True):
            if name in moved:
                index = np.arange(moved[name].shape[axis])
                index[rows] = rows[self.permutations[group]]
                moved[name] = moved[name][(slice(None),) * axis + (index,)]
        return moved

    @property
    def moved(self) -> int:
        """How many units have another place than before."""
        found = (p != np.arange(len(p)) for p in self.permutations.values())
        return int(sum(changed.sum() for changed in found))

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """The record and the arrays, from which the alignment can be made again."""
        record, arrays = Flat.pack(replace(self, permuted=None))
        for name in ("permuted", "entries"):
            del record[name]
        record["permutations"] = list(self.permutations)
        for place, values in enumerate(self.permutations.values()):
            arrays[f"permutation_{place}"] = values
        for place, rows in enumerate(self.entries):
            arrays[f"entries_{place}"] = rows
        return record, arrays

    @classmethod
    def unpack(cls, record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The alignment that `pack` took apart."""
        names = enumerate(record["permutations"])
        given = {
            "permutations": {name: arrays[f"permutation_{place}"] for place, name in names},
            "entries": tuple(arrays[f"entries_{k}"] for k in range(len(record["places"]))),
        }
        return super().unpack({**record, **given}, arrays)

    def __repr__(self) -> str:
        units = sum(len(p) for p in self.permutations.values())
        lines = [f"Alignment by {self.method}: {self.moved} of {units} units moved"]
        for name, values in list(self.permutations.items())[:_SHOWN]:
            changed = int((values != np.arange(len(values))).sum())
            lines.append(f"  {name}: {changed} of {len(values)}")
        if len(self.permutations) > _SHOWN:
            lines.append(f"  ... and {len(self.permutations) - _SHOWN} more groups")
        lines += [f"  held: {where} ({why})" for where, why in self.held.items()]
        before, after = self.distances
        lines.append(f"distance  {before:.5g} before, {after:.5g} after")
        lines += self._made(str(self.sweeps), "sweeps")
        return "\n".join(lines)


def _whole(values: Any) -> NDArray[np.int64]:
    found = np.array(values, np.int64)
    found.setflags(write=False)
    return found

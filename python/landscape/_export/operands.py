"""Operands of the lowering: the values that names of the traced graph refer to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

from torch import Tensor

__all__ = ["Constant", "Operand", "Size", "Value", "Weight"]


@dataclass(frozen=True)
class Value:
    """A value that depends on the sample."""

    index: int
    """Its index in the lowered graph: 0 is the input."""
    shape: tuple[int, ...]
    """The axes of one sample, as the traced graph has them."""

    @property
    def features(self) -> int:
        """The number of entries."""
        return prod(self.shape)


@dataclass(frozen=True)
class Weight:
    """A parameter that varies, or a view of one under other axes."""

    name: str
    offset: int
    shape: tuple[int, ...]
    """As stored: before the transposition."""
    transposed: bool = False

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes as the traced graph has them."""
        return self.shape[::-1] if self.transposed else self.shape

    def reshape(self, shape: tuple[int, ...]) -> Weight:
        """The same parameter under other axes; only of a weight that is not transposed."""
        return replace(self, shape=shape)


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that is the same for every sample and at every point."""

    tensor: Tensor

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes."""
        return tuple(self.tensor.shape)


@dataclass(frozen=True)
class Size:
    """A number that depends on the batch size, or a value that is not a tensor.

    Only reshapes accept it, since the shape of their result is known.
    """


Operand: TypeAlias = Value | Weight | Constant | Size

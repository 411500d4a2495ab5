"""The type of a lowering rule: a function of an operation's call, which returns its result."""

from collections.abc import Callable
from typing import TypeAlias

from landscape._export.call import Call
from landscape._export.operands import Operand

__all__ = ["Rule"]

Rule: TypeAlias = Callable[[Call], Operand | tuple[Operand, ...]]

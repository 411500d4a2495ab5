"""The type of a rule: from an operation's call to the operand that its name refers to."""

from collections.abc import Callable
from typing import TypeAlias

from landscape._export.call import Call
from landscape._export.operands import Operand

__all__ = ["Rule"]

Rule: TypeAlias = Callable[[Call], Operand | tuple[Operand, ...]]

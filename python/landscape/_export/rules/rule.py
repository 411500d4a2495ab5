"""What a rule is: from an operation to what its name stands for from then on."""

from collections.abc import Callable
from typing import TypeAlias

from landscape._export.call import Call
from landscape._export.operands import Operand

__all__ = ["Rule"]

Rule: TypeAlias = Callable[[Call], Operand | tuple[Operand, ...]]

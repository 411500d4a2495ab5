"""The supported operations by family: PyTorch's names -> the rules that lower them.

An in-place operation is lowered by the rule of its functional form.
"""

from collections.abc import Mapping

from landscape._export.rules.activations import ACTIVATIONS
from landscape._export.rules.arithmetic import ARITHMETIC
from landscape._export.rules.linear import LINEAR
from landscape._export.rules.norms import NORMS
from landscape._export.rules.pooling import POOLING
from landscape._export.rules.reshapes import RESHAPES
from landscape._export.rules.rule import Rule
from landscape._export.rules.slicing import SLICING

__all__ = ["RULES", "Rule"]

RULES: Mapping[str, Rule] = {
    **ACTIVATIONS,
    **ARITHMETIC,
    **NORMS,
    **SLICING,
    **POOLING,
    **LINEAR,
    **RESHAPES,
}

"""The closed list of operations, family by family: from PyTorch's name to the rule that lowers it.

In-place forms go by the rules of the forms that they abbreviate.
"""

from collections.abc import Mapping

from landscape._export.rules.activations import ACTIVATIONS
from landscape._export.rules.arithmetic import ARITHMETIC
from landscape._export.rules.norms import NORMS
from landscape._export.rules.pieces import PIECES
from landscape._export.rules.pooling import POOLING
from landscape._export.rules.products import PRODUCTS
from landscape._export.rules.reshapes import RESHAPES
from landscape._export.rules.rule import Rule

__all__ = ["RULES", "Rule"]

RULES: Mapping[str, Rule] = {
    **ACTIVATIONS,
    **ARITHMETIC,
    **NORMS,
    **PIECES,
    **POOLING,
    **PRODUCTS,
    **RESHAPES,
}

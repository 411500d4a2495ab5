"""What a second model holds outside theta, compared with the first wherever they are joined.

L is built on the first model's code, buffers and frozen parameters, with which other weights are
measured: a second model with a buffer, a frozen parameter, a tie, an activation or code of its own
would be another function at its own end, in silence. Batch-norm statistics are left to the
batch-norm policy.
"""

from landscape._outside.outside import (
    Outside,
    adopt_weights,
    compare_outside,
    compare_with,
    holds_statistics,
    validate_outside,
)

__all__ = [
    "Outside",
    "adopt_weights",
    "compare_outside",
    "compare_with",
    "holds_statistics",
    "validate_outside",
]

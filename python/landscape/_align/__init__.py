"""Matching the hidden units of two models: which of them may be permuted, and how.

Depends on the traced graph, the core's assignment and the Objective.
"""

from landscape._align.aligning import align, as_model
from landscape._align.merging import merge
from landscape._align.repairing import repair

__all__ = ["align", "as_model", "merge", "repair"]

"""Permutation symmetry of hidden units: aligning, merging and repairing models."""

from landscape._align.alignment import align, as_model
from landscape._align.averaging import merge
from landscape._align.renormalisation import repair

__all__ = ["align", "as_model", "merge", "repair"]

"""Permutation symmetry of hidden units: aligning, merging and repairing models."""

from landscape._align.alignment import align, as_model
from landscape._align.averaging import merge
from landscape._align.equivalent import NoEquivalent, permute_units, rescale_units
from landscape._align.renormalisation import repair

__all__ = ["NoEquivalent", "align", "as_model", "merge", "permute_units", "repair", "rescale_units"]

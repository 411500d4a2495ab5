"""Minima as connected sets: walks through flat directions, and relaxation after a shift."""

from landscape._walk.null_space import walk
from landscape._walk.relaxation import perturb_and_relax

__all__ = ["perturb_and_relax", "walk"]

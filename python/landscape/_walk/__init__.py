"""Minima as connected sets: walks along flat directions, and parameters shifted and held.

Depends on the Objective, the core's walks and searches, and the iteration.
"""

from landscape._walk.relaxing import perturb_and_relax
from landscape._walk.walking import walk

__all__ = ["perturb_and_relax", "walk"]

"""Paths between models: straight, as elastic bands, as curves.

Depends on the Objective, the core's drivers, the directions and the sampling.
"""

from landscape._path.all_pairs import connect_all
from landscape._path.children import instability
from landscape._path.connecting import barrier, connect

__all__ = ["barrier", "connect", "connect_all", "instability"]

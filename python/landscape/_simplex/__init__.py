"""Simplices of low loss through minima.

Depends on the Objective, the core's drivers, the directions, the sampling, and on what searches
for paths share.
"""

from landscape._simplex.search import simplex

__all__ = ["simplex"]

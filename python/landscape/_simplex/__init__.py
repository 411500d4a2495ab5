"""Simplicial complexes of low loss through minima."""

from landscape._simplex.search import simplex

__all__ = ["simplex"]

"""Critical points: searches for one, and surveys of many."""

from landscape._critical.search import find_critical_point, saddle_free_newton
from landscape._critical.survey import critical_points

__all__ = ["critical_points", "find_critical_point", "saddle_free_newton"]

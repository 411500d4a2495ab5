"""Points without slope: ways there, ways off saddles, and many of them together.

Depends on the Objective, on the core's searches and on the Hessian.
"""

from landscape._critical.search import find_critical_point, saddle_free_newton
from landscape._critical.subject import Losses, Start
from landscape._critical.survey import critical_points

__all__ = ["Losses", "Start", "critical_points", "find_critical_point", "saddle_free_newton"]

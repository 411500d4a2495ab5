"""Curvature at a point: an operator, its eigenvalues, their density and their sums.

Depends on the Objective, the core's iterations and the results.
"""

from landscape._spectrum.curvature import Hessian, hessian
from landscape._spectrum.eigenvalues import Which
from landscape._spectrum.traces import Traced

__all__ = ["Hessian", "Traced", "Which", "hessian"]

"""Curvature at a point: the Hessian as an operator, and its eigenvalues.

Depends on the Objective, the core's iterations and the results.
"""

from landscape._spectrum.curvature import Hessian, hessian

__all__ = ["Hessian", "hessian"]

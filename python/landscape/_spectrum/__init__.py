"""Curvature at a point: the Hessian as an operator, its eigenvalues and its traces.

Depends on the Objective, the core's iterations and the results.
"""

from landscape._spectrum.hessian import Hessian, hessian

__all__ = ["Hessian", "hessian"]

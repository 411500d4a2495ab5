"""Curvature at a point: an operator, its eigenvalues, their density, and traces."""

from landscape._spectrum.curvature import Hessian, hessian
from landscape._spectrum.lanczos import EigenvalueOptions, Which, compute_spectrum
from landscape._spectrum.matrix import CurvatureMatrix
from landscape._spectrum.operator import SymmetricOperator, spectrum
from landscape._spectrum.stochastic_trace import Accuracy, estimate_trace

__all__ = [
    "Accuracy",
    "CurvatureMatrix",
    "EigenvalueOptions",
    "Hessian",
    "SymmetricOperator",
    "Which",
    "compute_spectrum",
    "estimate_trace",
    "hessian",
    "spectrum",
]

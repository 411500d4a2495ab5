"""Frozen results: arrays, their error bars and how they were made. NumPy alone; no PyTorch."""

from landscape._results._curve import Curve
from landscape._results._load import load
from landscape._results.alignment import Alignment
from landscape._results.connections import Connections
from landscape._results.critical import CriticalPoint
from landscape._results.density import Density
from landscape._results.directions import Recipe
from landscape._results.energy import GradientEnergy
from landscape._results.estimate import Estimate, Estimates
from landscape._results.instability import Instability
from landscape._results.line import Line
from landscape._results.noise import GradientNoise
from landscape._results.path import Path, packed, unpacked
from landscape._results.profile import Profile
from landscape._results.relaxation import Relaxation
from landscape._results.run import Run
from landscape._results.search import CriticalSearch
from landscape._results.simplices import SimplicialComplex, simplex_points
from landscape._results.spectrum import Spectrum
from landscape._results.surface import Surface
from landscape._results.survey import CriticalPoints
from landscape._results.walk import Walk

__all__ = [
    "Alignment",
    "Connections",
    "CriticalPoint",
    "CriticalPoints",
    "CriticalSearch",
    "Curve",
    "Density",
    "Estimate",
    "Estimates",
    "GradientEnergy",
    "GradientNoise",
    "Instability",
    "Line",
    "Path",
    "Profile",
    "Recipe",
    "Relaxation",
    "Run",
    "SimplicialComplex",
    "Spectrum",
    "Surface",
    "Walk",
    "load",
    "packed",
    "simplex_points",
    "unpacked",
]

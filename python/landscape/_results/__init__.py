"""Frozen results: arrays, their error bars and how they were computed. NumPy alone; no PyTorch."""

from landscape._results.alignment import Alignment
from landscape._results.base import Result
from landscape._results.comparison import Comparison, pack_parts, unpack_parts
from landscape._results.connections import Connections
from landscape._results.critical_points import CriticalPoint, CriticalPoints, CriticalSearch
from landscape._results.curve import Curve
from landscape._results.density import Density
from landscape._results.estimates import Estimate, Estimates
from landscape._results.geometry import SurfaceGeometry
from landscape._results.gradient_noise import GradientNoise
from landscape._results.grids import Line, Surface
from landscape._results.interpolation import EvaluatedPoints, Interpolation, SurfaceError
from landscape._results.io import load
from landscape._results.paths import Instability, Path, Profile, pack_paths, unpack_paths
from landscape._results.provenance import Recipe, Run
from landscape._results.rank_correlation import RankCorrelation
from landscape._results.sharpness import (
    Invariance,
    Measure,
    Sharpness,
    import_pandas,
    pack_measures,
    unpack_measures,
)
from landscape._results.simplices import SimplicialComplex, sample_simplex
from landscape._results.spectrum import GradientEnergy, Spectrum
from landscape._results.topology import Topology
from landscape._results.trust import Trust
from landscape._results.walks import Relaxation, Walk

__all__ = [
    "Alignment",
    "Comparison",
    "Connections",
    "CriticalPoint",
    "CriticalPoints",
    "CriticalSearch",
    "Curve",
    "Density",
    "Estimate",
    "Estimates",
    "EvaluatedPoints",
    "GradientEnergy",
    "GradientNoise",
    "Instability",
    "Interpolation",
    "Invariance",
    "Line",
    "Measure",
    "Path",
    "Profile",
    "RankCorrelation",
    "Recipe",
    "Relaxation",
    "Result",
    "Run",
    "Sharpness",
    "SimplicialComplex",
    "Spectrum",
    "Surface",
    "SurfaceError",
    "SurfaceGeometry",
    "Topology",
    "Trust",
    "Walk",
    "import_pandas",
    "load",
    "pack_measures",
    "pack_parts",
    "pack_paths",
    "sample_simplex",
    "unpack_measures",
    "unpack_parts",
    "unpack_paths",
]

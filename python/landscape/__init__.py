"""Loss landscapes of neural networks: surfaces, Hessian spectra, paths and flatness.

    landscape.plot_surface(model, data)                  # filter-normalised 2-D surface
    landscape.hessian(model, data).eigenvalues(k=5)      # top curvature, with residuals
    landscape.connect(model_a, model_b, data).barrier    # AutoNEB path between two minima
    landscape.sharpness(model, data)                     # flat against sharp, every measure

`__all__` is the whole public interface. A name is imported at its first use, so that
``import landscape`` itself costs neither PyTorch nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from landscape._core import __version__

if TYPE_CHECKING:
    from landscape import measures, plot
    from landscape._align import align, merge, repair
    from landscape._critical import critical_points, find_critical_point, saddle_free_newton
    from landscape._curvature_map import curvature_map
    from landscape._directions import Projection, RandomPlane, pca, plane, random_plane
    from landscape._eigenplane import eigenplane
    from landscape._export import Unsupported
    from landscape._gradient_noise import gradient_noise
    from landscape._objective import Objective, batch_loss
    from landscape._parameters import ParameterLayout
    from landscape._path import (
        AutoNEB,
        Bezier,
        Linear,
        Polychain,
        barrier,
        connect,
        connect_all,
        instability,
    )
    from landscape._picture import plot_surface
    from landscape._results import (
        Alignment,
        Comparison,
        Connections,
        CriticalPoint,
        CriticalPoints,
        CriticalSearch,
        Density,
        Estimate,
        Estimates,
        EvaluatedPoints,
        GradientEnergy,
        GradientNoise,
        Instability,
        Line,
        Measure,
        Path,
        Profile,
        RankCorrelation,
        Recipe,
        Relaxation,
        Result,
        Run,
        Sharpness,
        SimplicialComplex,
        Spectrum,
        Surface,
        SurfaceError,
        SurfaceGeometry,
        Topology,
        Trust,
        Walk,
        load,
    )
    from landscape._sharpness import (
        PlannedMeasure,
        SharpnessPlan,
        compare,
        plan_sharpness,
        sharpness,
    )
    from landscape._simplex import simplex
    from landscape._spectrum import Hessian, SymmetricOperator, hessian, spectrum
    from landscape._surface import line, surface
    from landscape._threads import set_threads
    from landscape._walk import perturb_and_relax, walk

__all__ = [
    "Alignment",
    "AutoNEB",
    "Bezier",
    "Comparison",
    "Connections",
    "CriticalPoint",
    "CriticalPoints",
    "CriticalSearch",
    "Density",
    "Estimate",
    "Estimates",
    "EvaluatedPoints",
    "GradientEnergy",
    "GradientNoise",
    "Hessian",
    "Instability",
    "Line",
    "Linear",
    "Measure",
    "Objective",
    "ParameterLayout",
    "Path",
    "PlannedMeasure",
    "Polychain",
    "Profile",
    "Projection",
    "RandomPlane",
    "RankCorrelation",
    "Recipe",
    "Relaxation",
    "Result",
    "Run",
    "Sharpness",
    "SharpnessPlan",
    "SimplicialComplex",
    "Spectrum",
    "Surface",
    "SurfaceError",
    "SurfaceGeometry",
    "SymmetricOperator",
    "Topology",
    "Trust",
    "Unsupported",
    "Walk",
    "__version__",
    "align",
    "barrier",
    "batch_loss",
    "compare",
    "connect",
    "connect_all",
    "critical_points",
    "curvature_map",
    "eigenplane",
    "find_critical_point",
    "gradient_noise",
    "hessian",
    "instability",
    "line",
    "load",
    "measures",
    "merge",
    "pca",
    "perturb_and_relax",
    "plan_sharpness",
    "plane",
    "plot",
    "plot_surface",
    "random_plane",
    "repair",
    "saddle_free_newton",
    "set_threads",
    "sharpness",
    "simplex",
    "spectrum",
    "surface",
    "walk",
]

_MODULES = ("measures", "plot")
_PACKAGES = {
    "Alignment": "_results",
    "AutoNEB": "_path",
    "Bezier": "_path",
    "Comparison": "_results",
    "Connections": "_results",
    "CriticalPoint": "_results",
    "CriticalPoints": "_results",
    "CriticalSearch": "_results",
    "Density": "_results",
    "Estimate": "_results",
    "Estimates": "_results",
    "EvaluatedPoints": "_results",
    "GradientEnergy": "_results",
    "GradientNoise": "_results",
    "Hessian": "_spectrum",
    "Instability": "_results",
    "Line": "_results",
    "Linear": "_path",
    "Measure": "_results",
    "Objective": "_objective",
    "ParameterLayout": "_parameters",
    "Path": "_results",
    "PlannedMeasure": "_sharpness",
    "Polychain": "_path",
    "Profile": "_results",
    "Projection": "_directions",
    "RandomPlane": "_directions",
    "RankCorrelation": "_results",
    "Recipe": "_results",
    "Relaxation": "_results",
    "Result": "_results",
    "Run": "_results",
    "Sharpness": "_results",
    "SharpnessPlan": "_sharpness",
    "SimplicialComplex": "_results",
    "Spectrum": "_results",
    "Surface": "_results",
    "SurfaceError": "_results",
    "SurfaceGeometry": "_results",
    "SymmetricOperator": "_spectrum",
    "Topology": "_results",
    "Trust": "_results",
    "Unsupported": "_export",
    "Walk": "_results",
    "align": "_align",
    "barrier": "_path",
    "batch_loss": "_objective",
    "compare": "_sharpness",
    "connect": "_path",
    "connect_all": "_path",
    "critical_points": "_critical",
    "curvature_map": "_curvature_map",
    "eigenplane": "_eigenplane",
    "find_critical_point": "_critical",
    "gradient_noise": "_gradient_noise",
    "hessian": "_spectrum",
    "instability": "_path",
    "line": "_surface",
    "load": "_results",
    "merge": "_align",
    "pca": "_directions",
    "perturb_and_relax": "_walk",
    "plan_sharpness": "_sharpness",
    "plane": "_directions",
    "plot_surface": "_picture",
    "random_plane": "_directions",
    "repair": "_align",
    "saddle_free_newton": "_critical",
    "set_threads": "_threads",
    "sharpness": "_sharpness",
    "simplex": "_simplex",
    "spectrum": "_spectrum",
    "surface": "_surface",
    "walk": "_walk",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"landscape.{name}")
    if name not in _PACKAGES:
        raise AttributeError(f"module 'landscape' has no attribute {name!r}")
    value = getattr(import_module(f"landscape.{_PACKAGES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

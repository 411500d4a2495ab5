"""Loss landscapes of neural networks: surfaces, Hessian spectra and paths between minima.

    landscape.plot_surface(model, data)                  # filter-normalised 2-D surface
    landscape.hessian(model, data).eigenvalues(k=5)      # top curvature, with residuals
    landscape.connect(model_a, model_b, data).barrier    # AutoNEB path between two minima

`__all__` is the whole public interface. A name is imported at its first use, so that
``import landscape`` itself costs neither PyTorch nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from landscape._core import __version__

if TYPE_CHECKING:
    from landscape import plot
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
        Connections,
        CriticalPoint,
        CriticalPoints,
        CriticalSearch,
        Density,
        Estimate,
        Estimates,
        GradientEnergy,
        GradientNoise,
        Instability,
        Line,
        Path,
        Profile,
        Recipe,
        Relaxation,
        Result,
        Run,
        SimplicialComplex,
        Spectrum,
        Surface,
        Walk,
        load,
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
    "Connections",
    "CriticalPoint",
    "CriticalPoints",
    "CriticalSearch",
    "Density",
    "Estimate",
    "Estimates",
    "GradientEnergy",
    "GradientNoise",
    "Hessian",
    "Instability",
    "Line",
    "Linear",
    "Objective",
    "ParameterLayout",
    "Path",
    "Polychain",
    "Profile",
    "Projection",
    "RandomPlane",
    "Recipe",
    "Relaxation",
    "Result",
    "Run",
    "SimplicialComplex",
    "Spectrum",
    "Surface",
    "SymmetricOperator",
    "Unsupported",
    "Walk",
    "__version__",
    "align",
    "barrier",
    "batch_loss",
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
    "merge",
    "pca",
    "perturb_and_relax",
    "plane",
    "plot",
    "plot_surface",
    "random_plane",
    "repair",
    "saddle_free_newton",
    "set_threads",
    "simplex",
    "spectrum",
    "surface",
    "walk",
]

_PACKAGES = {
    "Alignment": "_results",
    "AutoNEB": "_path",
    "Bezier": "_path",
    "Connections": "_results",
    "CriticalPoint": "_results",
    "CriticalPoints": "_results",
    "CriticalSearch": "_results",
    "Density": "_results",
    "Estimate": "_results",
    "Estimates": "_results",
    "GradientEnergy": "_results",
    "GradientNoise": "_results",
    "Hessian": "_spectrum",
    "Instability": "_results",
    "Line": "_results",
    "Linear": "_path",
    "Objective": "_objective",
    "ParameterLayout": "_parameters",
    "Path": "_results",
    "Polychain": "_path",
    "Profile": "_results",
    "Projection": "_directions",
    "RandomPlane": "_directions",
    "Recipe": "_results",
    "Relaxation": "_results",
    "Result": "_results",
    "Run": "_results",
    "SimplicialComplex": "_results",
    "Spectrum": "_results",
    "Surface": "_results",
    "SymmetricOperator": "_spectrum",
    "Unsupported": "_export",
    "Walk": "_results",
    "align": "_align",
    "barrier": "_path",
    "batch_loss": "_objective",
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
    "plane": "_directions",
    "plot_surface": "_picture",
    "random_plane": "_directions",
    "repair": "_align",
    "saddle_free_newton": "_critical",
    "set_threads": "_threads",
    "simplex": "_simplex",
    "spectrum": "_spectrum",
    "surface": "_surface",
    "walk": "_walk",
}


def __getattr__(name: str) -> Any:
    if name == "plot":
        return import_module("landscape.plot")
    if name not in _PACKAGES:
        raise AttributeError(f"module 'landscape' has no attribute {name!r}")
    value = getattr(import_module(f"landscape.{_PACKAGES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

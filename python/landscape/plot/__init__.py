"""Plots of results by matplotlib, without pyplot; no other package imports matplotlib.

Every function draws on the Axes that are passed, or makes a figure that pyplot does not know; it
returns the Axes and shows nothing.
"""

from landscape.plot._chains import chains
from landscape.plot._composite import compare, draw
from landscape.plot._connections import connections
from landscape.plot._contour import contour, filled_contour, trajectory
from landscape.plot._critical_points import critical_points
from landscape.plot._curvature import curvature
from landscape.plot._density import density
from landscape.plot._error_map import error_map
from landscape.plot._layers import layers
from landscape.plot._line import line
from landscape.plot._path import path
from landscape.plot._rise_profile import rise_profile
from landscape.plot._sharpness import comparison, profiles, sharpness
from landscape.plot._spectrum import spectrum
from landscape.plot._surface3d import surface_3d
from landscape.plot._topology import merge_tree, persistence_diagram, topological_profile
from landscape.plot._trust import trust
from landscape.plot._walk import walk

__all__ = [
    "chains",
    "compare",
    "comparison",
    "connections",
    "contour",
    "critical_points",
    "curvature",
    "density",
    "draw",
    "error_map",
    "filled_contour",
    "layers",
    "line",
    "merge_tree",
    "path",
    "persistence_diagram",
    "profiles",
    "rise_profile",
    "sharpness",
    "spectrum",
    "surface_3d",
    "topological_profile",
    "trajectory",
    "trust",
    "walk",
]

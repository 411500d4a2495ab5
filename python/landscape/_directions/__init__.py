"""Directions: the origin and the axes of a surface, and the recipe by which they were made."""

from landscape._directions.axes import AXIS_NAMES, Axes, Directions, make_recipe
from landscape._directions.context import PlaneContext
from landscape._directions.models import LineBetween, PlaneThrough, plane
from landscape._directions.principal import PrincipalComponents, pca
from landscape._directions.projection import Projection, RandomPlane, random_plane
from landscape._directions.random import NORMALIZATIONS, ONE_DIMENSIONAL, RandomDirections
from landscape._directions.user import UserDirections
from landscape._directions.weights import open_weights, read_weights

__all__ = [
    "AXIS_NAMES",
    "NORMALIZATIONS",
    "ONE_DIMENSIONAL",
    "Axes",
    "Directions",
    "LineBetween",
    "PlaneContext",
    "PlaneThrough",
    "PrincipalComponents",
    "Projection",
    "RandomDirections",
    "RandomPlane",
    "UserDirections",
    "make_recipe",
    "open_weights",
    "pca",
    "plane",
    "random_plane",
    "read_weights",
]

"""Directions: the origin and the axes of a picture, and the record of how they were made.

Depends on the core, the parameter layout and the recipe. Nothing here runs a model.
"""

from landscape._directions.axes import NAMES, Axes, Plan, recipe_of
from landscape._directions.given import GivenDirections
from landscape._directions.principal import PrincipalComponents, pca
from landscape._directions.random import NORMALIZATIONS, ONE_DIMENSIONAL, RandomDirections
from landscape._directions.through import LineBetween, PlaneThrough, plane
from landscape._directions.weights import flat_weights

__all__ = [
    "NAMES",
    "NORMALIZATIONS",
    "ONE_DIMENSIONAL",
    "Axes",
    "GivenDirections",
    "LineBetween",
    "Plan",
    "PlaneThrough",
    "PrincipalComponents",
    "RandomDirections",
    "flat_weights",
    "pca",
    "plane",
    "recipe_of",
]

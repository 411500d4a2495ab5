"""Measures of flatness and generalisation at a minimum, and their comparison between minima."""

from landscape._sharpness.comparison import compare
from landscape._sharpness.measurement import (
    PlannedMeasure,
    SharpnessPlan,
    plan_sharpness,
    sharpness,
)

__all__ = ["PlannedMeasure", "SharpnessPlan", "compare", "plan_sharpness", "sharpness"]

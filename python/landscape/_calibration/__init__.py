"""Estimates of the loss on large data from a small, weighted part of the samples.

At a few pilot points every sample's loss is computed. A random part of the samples is then weighted
so that it reproduces the mean losses there, and only these samples are evaluated elsewhere.
"""

from landscape._calibration.availability import SubsetUnavailable, explain_unavailable
from landscape._calibration.growth import calibrate_subset
from landscape._calibration.subset import CalibratedSubset, SubsetError, identify_point

__all__ = [
    "CalibratedSubset",
    "SubsetError",
    "SubsetUnavailable",
    "calibrate_subset",
    "explain_unavailable",
    "identify_point",
]

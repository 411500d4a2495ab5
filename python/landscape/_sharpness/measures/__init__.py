"""The measures, one file each: options, source, invariances, and the function that computes it."""

from landscape._sharpness.measures.max_eigenvalue import MaxEigenvalue
from landscape._sharpness.measures.noise_rise import NoiseRise
from landscape._sharpness.measures.sam import SAM, AdaptiveSAM
from landscape._sharpness.measures.trace import Trace

__all__ = ["SAM", "AdaptiveSAM", "MaxEigenvalue", "NoiseRise", "Trace"]

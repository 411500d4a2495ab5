"""The measures, one file each: options, source, invariances, and the function that computes it."""

from landscape._sharpness.measures.distance import DistanceFromInitialisation
from landscape._sharpness.measures.generalisation_gap import GeneralisationGap
from landscape._sharpness.measures.margin import Margin
from landscape._sharpness.measures.max_eigenvalue import MaxEigenvalue
from landscape._sharpness.measures.noise_rise import NoiseRise
from landscape._sharpness.measures.norms import Norms
from landscape._sharpness.measures.pac_bayes_bound import PACBayesBound
from landscape._sharpness.measures.parameter_count import ParameterCount
from landscape._sharpness.measures.path_norm import PathNorm
from landscape._sharpness.measures.rademacher import Rademacher
from landscape._sharpness.measures.sam import SAM, AdaptiveSAM
from landscape._sharpness.measures.spectral_norm_bound import SpectralNormBound
from landscape._sharpness.measures.trace import Trace
from landscape._sharpness.measures.vc_bound import VCBound

__all__ = [
    "SAM",
    "AdaptiveSAM",
    "DistanceFromInitialisation",
    "GeneralisationGap",
    "Margin",
    "MaxEigenvalue",
    "NoiseRise",
    "Norms",
    "PACBayesBound",
    "ParameterCount",
    "PathNorm",
    "Rademacher",
    "SpectralNormBound",
    "Trace",
    "VCBound",
]

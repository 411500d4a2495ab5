"""The measures, one file each: options, source, invariances, and the function that computes it."""

from landscape._sharpness.measures.average_case import AverageCase
from landscape._sharpness.measures.basin_volume import BasinVolume
from landscape._sharpness.measures.basins import MostCaseBasin, WorstCaseBasin
from landscape._sharpness.measures.critical_sharpness import (
    CriticalSharpness,
    RelativeCriticalSharpness,
)
from landscape._sharpness.measures.distance import DistanceFromInitialisation
from landscape._sharpness.measures.effective_dimension import EffectiveDimension
from landscape._sharpness.measures.fisher_rao import FisherRao
from landscape._sharpness.measures.frobenius import Frobenius
from landscape._sharpness.measures.generalisation_gap import GeneralisationGap
from landscape._sharpness.measures.input_noise_rise import InputNoiseRise
from landscape._sharpness.measures.keskar import Keskar, KeskarSubspace
from landscape._sharpness.measures.learning_coefficient import LearningCoefficient
from landscape._sharpness.measures.learning_rate_sharpness import (
    LearningRateSharpness,
    PreconditionedSharpness,
)
from landscape._sharpness.measures.local_entropy import LocalEntropy
from landscape._sharpness.measures.log_determinant import LogDeterminant
from landscape._sharpness.measures.margin import Margin
from landscape._sharpness.measures.max_eigenvalue import MaxEigenvalue
from landscape._sharpness.measures.neighbour_density import NeighbourDensity
from landscape._sharpness.measures.noise_rise import NoiseRise
from landscape._sharpness.measures.norms import Norms
from landscape._sharpness.measures.pac_bayes_bound import PACBayesBound
from landscape._sharpness.measures.pac_bayes_sigma import MagnitudeSigma, PACBayesSigma
from landscape._sharpness.measures.parameter_count import ParameterCount
from landscape._sharpness.measures.parameter_scaled_trace import ParameterScaledTrace
from landscape._sharpness.measures.path_norm import PathNorm
from landscape._sharpness.measures.rademacher import Rademacher
from landscape._sharpness.measures.relative_flatness import RelativeFlatness
from landscape._sharpness.measures.sam import SAM, AdaptiveSAM
from landscape._sharpness.measures.spectral_norm_bound import SpectralNormBound
from landscape._sharpness.measures.trace import Trace
from landscape._sharpness.measures.trace_per_parameter import TracePerParameter
from landscape._sharpness.measures.vc_bound import VCBound
from landscape._sharpness.measures.worst_case import WorstCase

__all__ = [
    "SAM",
    "AdaptiveSAM",
    "AverageCase",
    "BasinVolume",
    "CriticalSharpness",
    "DistanceFromInitialisation",
    "EffectiveDimension",
    "FisherRao",
    "Frobenius",
    "GeneralisationGap",
    "InputNoiseRise",
    "Keskar",
    "KeskarSubspace",
    "LearningCoefficient",
    "LearningRateSharpness",
    "LocalEntropy",
    "LogDeterminant",
    "MagnitudeSigma",
    "Margin",
    "MaxEigenvalue",
    "MostCaseBasin",
    "NeighbourDensity",
    "NoiseRise",
    "Norms",
    "PACBayesBound",
    "PACBayesSigma",
    "ParameterCount",
    "ParameterScaledTrace",
    "PathNorm",
    "PreconditionedSharpness",
    "Rademacher",
    "RelativeCriticalSharpness",
    "RelativeFlatness",
    "SpectralNormBound",
    "Trace",
    "TracePerParameter",
    "VCBound",
    "WorstCase",
    "WorstCaseBasin",
]

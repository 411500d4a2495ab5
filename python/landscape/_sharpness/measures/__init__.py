"""The measures, one file each: options, source, invariances, and the function that computes it."""

from landscape._sharpness.measures.average_case import AverageCase
from landscape._sharpness.measures.keskar import Keskar, KeskarSubspace
from landscape._sharpness.measures.learning_coefficient import LearningCoefficient
from landscape._sharpness.measures.max_eigenvalue import MaxEigenvalue
from landscape._sharpness.measures.noise_rise import NoiseRise
from landscape._sharpness.measures.sam import SAM, AdaptiveSAM
from landscape._sharpness.measures.trace import Trace
from landscape._sharpness.measures.worst_case import WorstCase

__all__ = [
    "SAM",
    "AdaptiveSAM",
    "AverageCase",
    "Keskar",
    "KeskarSubspace",
    "LearningCoefficient",
    "MaxEigenvalue",
    "NoiseRise",
    "Trace",
    "WorstCase",
]

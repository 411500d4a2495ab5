"""The table of all measures, the sets of them, and the reading of ``measures=``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from landscape._sharpness import measures
from landscape._sharpness.definition import Definition

__all__ = ["SETS", "TABLE", "read_measures"]

_ALL: tuple[type[Definition], ...] = (
    # curvature
    measures.MaxEigenvalue,
    measures.Trace,
    measures.TracePerParameter,
    measures.ParameterScaledTrace,
    measures.Frobenius,
    measures.LogDeterminant,
    measures.EffectiveDimension,
    measures.FisherRao,
    measures.RelativeFlatness,
    measures.LearningRateSharpness,
    measures.PreconditionedSharpness,
    # neighbourhoods
    measures.Keskar,
    measures.KeskarSubspace,
    measures.SAM,
    measures.AdaptiveSAM,
    measures.WorstCase,
    measures.AverageCase,
    measures.NoiseRise,
    measures.InputNoiseRise,
    measures.PACBayesSigma,
    measures.MagnitudeSigma,
    measures.LocalEntropy,
    measures.BasinVolume,
    # forward passes alone, but for a direction
    measures.CriticalSharpness,
    measures.RelativeCriticalSharpness,
    measures.MostCaseBasin,
    measures.WorstCaseBasin,
    measures.NeighbourDensity,
    # sampling
    measures.LearningCoefficient,
    # capacity, margins and bounds
    measures.ParameterCount,
    measures.Norms,
    measures.PathNorm,
    measures.DistanceFromInitialisation,
    measures.Margin,
    measures.SpectralNormBound,
    measures.VCBound,
    measures.Rademacher,
    measures.PACBayesBound,
    # generalisation
    measures.GeneralisationGap,
)

TABLE = {definition.name: definition for definition in _ALL}
"""Every measure by its name, in the order of ``measures="all"``."""

SETS: dict[str, tuple[str, ...]] = {
    "fast": (
        *("sam", "adaptive_sam", "critical_sharpness"),
        *("parameter_count", "norms", "margin", "generalisation_gap"),
    ),
    "standard": (
        *("max_eigenvalue", "trace", "keskar", "sam", "adaptive_sam", "noise_rise"),
        *("norms", "margin", "generalisation_gap"),
    ),
    "all": tuple(TABLE),
}
"""Sets of measures: "fast" costs less than ten gradient-equivalents."""


def read_measures(
    given: str | Definition | Iterable[str | Definition],
) -> tuple[Definition, ...]:
    """The measures that ``measures=`` names, each once.

    Args:
        given: A set, a name, an option object, or several of them.

    Raises:
        TypeError: An entry is neither a name nor an option object.
        ValueError: A name is unknown (the text has the nearest), or a measure comes twice with
            different options.
    """
    entries = [given] if isinstance(given, (str, Definition)) else list(given)
    chosen: dict[str, Definition] = {}
    for entry in entries:
        for definition in _expand(entry):
            known = chosen.setdefault(definition.name, definition)
            if known != definition and isinstance(entry, str):
                continue  # a set beside an option object: the options count
            if known != definition and known == TABLE[definition.name]():
                chosen[definition.name] = definition
            elif known != definition:
                raise ValueError(
                    f"measures= has {definition.name!r} twice with different options: {known} and "
                    f"{definition}; call sharpness once for each"
                )
    if not chosen:
        raise ValueError(f"measures= is empty; pass a set ({', '.join(SETS)}) or names")
    return tuple(chosen.values())


def _expand(entry: str | Definition) -> list[Definition]:
    if isinstance(entry, Definition):
        return [entry]
    if isinstance(entry, type) and issubclass(entry, Definition):
        raise TypeError(f"measures= has the class {entry.__name__}; pass {entry.__name__}()")
    if not isinstance(entry, str):
        raise TypeError(
            f"measures= has a {type(entry).__name__}, expected a name such as 'sam' or an object "
            "such as landscape.measures.SAM(radius=0.05)"
        )
    names = SETS.get(entry, (entry,))
    for name in names:
        if name not in TABLE:
            known = [*SETS, *TABLE]
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(known)}"
            raise ValueError(f"measures= has the unknown name {name!r}; {advice}")
    return [TABLE[name]() for name in names]

"""Reading a saved result of whatever kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from landscape import _store
from landscape._results import _pack
from landscape._results.alignment import Alignment
from landscape._results.connections import Connections
from landscape._results.critical import CriticalPoint
from landscape._results.density import Density
from landscape._results.energy import GradientEnergy
from landscape._results.estimate import Estimate, Estimates
from landscape._results.instability import Instability
from landscape._results.line import Line
from landscape._results.noise import GradientNoise
from landscape._results.path import Path
from landscape._results.relaxation import Relaxation
from landscape._results.search import CriticalSearch
from landscape._results.simplices import SimplicialComplex
from landscape._results.spectrum import Spectrum
from landscape._results.surface import Surface
from landscape._results.survey import CriticalPoints
from landscape._results.walk import Walk

Result = (
    Surface
    | Line
    | Spectrum
    | Density
    | Estimate
    | Estimates
    | GradientEnergy
    | GradientNoise
    | CriticalPoint
    | CriticalPoints
    | CriticalSearch
    | SimplicialComplex
    | Path
    | Alignment
    | Connections
    | Walk
    | Relaxation
    | Instability
)

_KINDS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Result]] = {
    Surface.kind: partial(_pack.unpack, Surface),
    Line.kind: partial(_pack.unpack, Line),
    Spectrum.kind: Spectrum.unpack,
    CriticalPoint.kind: CriticalPoint.unpack,
    CriticalPoints.kind: CriticalPoints.unpack,
    CriticalSearch.kind: CriticalSearch.unpack,
    Density.kind: Density.unpack,
    Estimate.kind: Estimate.unpack,
    Estimates.kind: Estimates.unpack,
    GradientEnergy.kind: GradientEnergy.unpack,
    GradientNoise.kind: GradientNoise.unpack,
    SimplicialComplex.kind: SimplicialComplex.unpack,
    Path.kind: Path.unpack,
    Alignment.kind: Alignment.unpack,
    Connections.kind: Connections.unpack,
    Walk.kind: Walk.unpack,
    Instability.kind: Instability.unpack,
    Relaxation.kind: Relaxation.unpack,
}


def load(path: str | os.PathLike[str]) -> Result:
    """Read the result that `save` wrote, equal to it bit for bit.

    Args:
        path: the file.

    Returns:
        The result of the kind that the file says; its figure is None. The points of a path and
        the vertices of a complex stay on the disk where they are large (64 MiB), and are read as
        they are used.

    Raises:
        ValueError: the file is cut short, damaged, of another program, of a newer landscape, or an
            unfinished run; the text says which and what to do.
        OSError: there is no such file, or it cannot be read.

    Example:
        >>> surface = landscape.load("surface.npz")
        >>> surface.plot().figure.savefig("surface.pdf")
    """
    stored = _store.read(path, *_KINDS, mapped=("points", "vertices"))
    try:
        return _KINDS[stored.kind](stored.record, stored.arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{os.fspath(path)} does not hold a whole {stored.kind} ({error!r}); it was changed "
            "after it was saved. Restore it from a copy or compute it again"
        ) from error

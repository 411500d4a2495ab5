"""Options of the measures of :func:`landscape.sharpness`, one class each.

A class is a frozen dataclass: ``landscape.sharpness(model, data, measures=[SAM(radius=0.1)])``.
`Definition`, `Outcome` and `NotApplicable` are for measures of one's own.
"""

from landscape._sharpness import measures as _measures
from landscape._sharpness.definition import Definition, NotApplicable, Outcome
from landscape._sharpness.measures import *  # noqa: F403

__all__ = ["Definition", "NotApplicable", "Outcome"]
__all__.extend(_measures.__all__)

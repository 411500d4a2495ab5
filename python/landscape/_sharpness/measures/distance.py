"""`distance_from_initialisation`: how far training moved the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landscape._sharpness.definition import Definition, NotApplicable, Outcome

if TYPE_CHECKING:
    from landscape._sharpness.context import Context

__all__ = ["DistanceFromInitialisation"]


@dataclass(frozen=True)
class DistanceFromInitialisation(Definition):
    r"""The Euclidean distance of the parameters from their initialisation.

    .. math:: \lVert \theta - \theta_0 \rVert_2

    It needs ``initial=``. The details have it for every tensor, and relative to the norm of the
    initialisation. A permutation of the model's units alone, without those of the initialisation,
    changes it.

    Example:
        >>> landscape.sharpness(
        ...     model, data, measures=["distance_from_initialisation"], initial=model
        ... )["distance_from_initialisation"].value
        0.0
    """

    name: ClassVar[str] = "distance_from_initialisation"
    reference: ClassVar[str] = (
        "Nagarajan and Kolter (2019), Generalization in Deep Networks: The Role of Distance from "
        "Initialization, section 3"
    )
    rescaling: ClassVar = "no"
    permutation: ClassVar = "no"

    def require(self, context: Context) -> None:
        """Refuse a call without ``initial=``."""
        if context.initial is None:
            raise NotApplicable("it needs initial=, the weights at initialisation")

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - nothing is evaluated
        """Nothing is evaluated."""
        return 0.0

    def compute(self, context: Context) -> Outcome:
        """The norm of the difference, in float64."""
        self.require(context)
        initial = np.asarray(context.initial, np.float64)
        moved = context.theta.astype(np.float64) - initial
        start = float(np.linalg.norm(initial))
        distance = float(np.linalg.norm(moved))
        tensors = {
            entry.name: float(np.linalg.norm(moved[entry.span]))
            for entry in context.objective.layout.entries
        }
        relative = distance / start if start > 0 else None
        return Outcome(distance, details={"relative": relative, "tensors": tensors})

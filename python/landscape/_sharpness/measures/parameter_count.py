"""`parameter_count`: the number of parameters that vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.definition import Definition, Outcome

if TYPE_CHECKING:
    from landscape._sharpness.context import Context

__all__ = ["ParameterCount"]


@dataclass(frozen=True)
class ParameterCount(Definition):
    """The number d of parameters that vary; a tied tensor counts once.

    The details have the number for every tensor, and d over the number of samples.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.ParameterCount()])
    """

    name: ClassVar[str] = "parameter_count"
    reference: ClassVar[str] = (
        "Jiang, Neyshabur, Mobahi, Krishnan and Bengio (2020), Fantastic Generalization Measures "
        "and Where to Find Them, appendix C.1"
    )
    rescaling: ClassVar = "exact"

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - nothing is evaluated
        """Nothing is evaluated."""
        return 0.0

    def compute(self, context: Context) -> Outcome:
        """Count."""
        sizes = {entry.name: entry.size for entry in context.objective.layout.entries}
        return Outcome(
            float(context.dim),
            details={"per_sample": context.dim / context.samples, "tensors": sizes},
        )

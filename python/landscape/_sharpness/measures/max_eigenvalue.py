"""`max_eigenvalue`: the largest eigenvalue of the Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.eigenvalue import TopEigenvalue, find_top_eigenvalue

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context
    from landscape._sharpness.definition import Outcome

__all__ = ["MaxEigenvalue"]


@dataclass(frozen=True)
class MaxEigenvalue(TopEigenvalue):
    r"""The largest eigenvalue of the Hessian, by Lanczos.

    .. math:: \lambda_{\max}(\nabla^2 L(\theta))

    The interval is the bound of the residual; where the data are a random subset, it has the
    sampling error besides. Units rescaled by c change the value up to c squared.

    Args:
        tolerance: Of the residual, relative to the eigenvalue.

    Raises:
        ValueError: The tolerance is not positive.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.MaxEigenvalue(1e-4)])
    """

    name: ClassVar[str] = "max_eigenvalue"
    reference: ClassVar[str] = (
        "Jastrzebski et al. (2020), The Break-Even Point on Optimization Trajectories of Deep "
        "Neural Networks"
    )
    rescaling: ClassVar[Invariance] = "no"

    def compute(self, context: Context) -> Outcome:
        """The top pair of the Hessian."""
        return context.share(
            f"top eigenvalue {self.tolerance}",
            lambda: find_top_eigenvalue(context, context.hessian(), self.tolerance),
        )

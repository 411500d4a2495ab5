"""`max_eigenvalue`: the largest eigenvalue of the Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from landscape._sharpness.context import PRODUCT
from landscape._sharpness.definition import DerivativeDefinition, Outcome

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context
    from landscape._spectrum import Hessian

__all__ = ["TYPICAL_PRODUCTS", "MaxEigenvalue", "find_top_eigenvalue"]

TYPICAL_PRODUCTS = 20
"""Of one eigenvalue by Lanczos."""


@dataclass(frozen=True)
class MaxEigenvalue(DerivativeDefinition):
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

    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ValueError(f"tolerance={self.tolerance}, expected a number above 0")

    def estimate_cost(self, context: Context) -> float:
        """That of a typical Lanczos run."""
        return min(TYPICAL_PRODUCTS, context.dim) * PRODUCT

    def compute(self, context: Context) -> Outcome:
        """The top pair of the Hessian."""
        return context.share(
            f"top eigenvalue {self.tolerance}",
            lambda: find_top_eigenvalue(context, context.hessian(), self.tolerance),
        )


def find_top_eigenvalue(context: Context, matrix: Hessian, tolerance: float) -> Outcome:
    """The largest eigenvalue of a matrix, with the bound of its residual."""
    spectrum = matrix.eigenvalues(
        1, tolerance=tolerance, seed=context.seed, progress=context.watch_products()
    )
    context.charge(spectrum.products * PRODUCT)
    value, bound = float(spectrum.values[0]), float(spectrum.errors[0])
    sampling = spectrum.standard_errors
    is_done = spectrum.status.startswith(("converged", "exact"))
    return Outcome(
        value,
        None if sampling is None else float(sampling[0]),
        (value - bound, value + bound),
        status="complete" if is_done else spectrum.status,
        details={"residual": float(spectrum.residuals[0])},
    )

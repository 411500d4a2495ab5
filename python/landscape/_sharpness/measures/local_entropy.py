"""`local_entropy`: how many good parameters lie around the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from landscape._sharpness.context import LOSS
from landscape._sharpness.curvature import count_terms
from landscape._sharpness.definition import Definition, Outcome
from landscape._sharpness.sampling import average_exponentials

if TYPE_CHECKING:
    from landscape._results import Invariance
    from landscape._sharpness.context import Context

__all__ = ["LocalEntropy"]


@dataclass(frozen=True)
class LocalEntropy(Definition):
    r"""The local free entropy, relative to that of a loss that is constant.

    .. math:: \log E_{\xi \sim N(0, 1)} \left[ e^{-\beta (L(\theta + \sigma \xi) - L(\theta))}
        \right]

    With :math:`\gamma = \sigma^{-2}` the paper's local entropy is
    :math:`\log \int e^{-\beta L(\theta') - \gamma \lVert \theta' - \theta \rVert^2 / 2} d\theta'
    = \text{value} - \beta L(\theta) + \frac{d}{2} \log (2 \pi \sigma^2)`, the detail
    ``log_integral``. The value is near 0 where the loss is flat at the distance
    :math:`\sigma \sqrt d`, and lower where it rises. For a quadratic minimum it is
    :math:`-\frac{1}{2} \log \det (1 + \beta \sigma^2 H)`.

    It is a mean over draws from the Gaussian, and honest where several of them count: the detail
    ``effective_draws`` says how many do, and the status where they are too few. Then lower sigma or
    beta.

    Args:
        sigma: Standard deviation of the Gaussian, in units of the parameters.
        inverse_temperature: beta; the denominator of L when None, so that beta L is the negative
            log-likelihood of the data.
        draws: The number of draws, at least 2.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.LocalEntropy(sigma=0.003, draws=128)
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "local_entropy"
    reference: ClassVar[str] = (
        "Chaudhari et al. (2017), Entropy-SGD: Biasing Gradient Descent Into Wide Valleys, "
        "definition 1"
    )
    rescaling: ClassVar[Invariance] = "no"

    sigma: float = 0.003
    inverse_temperature: float | None = None
    draws: int = 64

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f"sigma={self.sigma}, expected a standard deviation above 0")
        beta = self.inverse_temperature
        if beta is not None and not (np.isfinite(beta) and beta > 0):
            raise ValueError(f"inverse_temperature={beta}, expected a number above 0, or None")
        if self.draws < 2:
            raise ValueError(f"draws={self.draws}, expected at least 2 for a standard error")

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """One loss a draw, and that at the model."""
        return (self.draws + 1) * LOSS

    def compute(self, context: Context) -> Outcome:
        """Importance sampling from the Gaussian around the parameters."""
        beta = self.inverse_temperature or count_terms(context)
        noise = context.iter_gaussians(self.name, self.draws)
        rises = context.losses_around(self.sigma * vector for vector in noise) - context.loss
        # a point without a finite loss has no weight
        logarithms = np.where(np.isfinite(rises), -beta * np.nan_to_num(rises), -np.inf)
        mean = average_exponentials(logarithms)
        if mean.effective == 0:
            return Outcome(None, status=f"failed: none of {self.draws} draws has a finite loss")
        constant = context.dim / 2 * np.log(2 * np.pi * self.sigma**2)
        return Outcome(
            mean.value,
            mean.standard_error if np.isfinite(mean.standard_error) else None,
            status=mean.status,
            details={
                "effective_draws": mean.effective,
                "inverse_temperature": beta,
                "log_integral": mean.value - beta * context.loss + float(constant),
            },
            curves={"rises": rises},
        )

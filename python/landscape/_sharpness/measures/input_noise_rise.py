"""`input_noise_rise`: the expected rise of the loss under Gaussian noise in the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition, NotApplicable
from landscape._sharpness.noise import summarise_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._results import Invariance
    from landscape._sharpness.context import Context
    from landscape._sharpness.definition import Outcome

__all__ = ["InputNoiseRise"]


@dataclass(frozen=True)
class InputNoiseRise(Definition):
    r"""The expected rise of the loss under Gaussian noise in every floating-point input.

    .. math:: E_{\xi \sim N(0, 1)} \Big[ \frac{1}{n} \sum_i \ell(f_\theta(x_i + \sigma \xi_i), y_i)
        \Big] - \frac{1}{n} \sum_i \ell(f_\theta(x_i), y_i)

    To second order it is sigma squared times half the mean trace of the loss's Hessian by the
    inputs, which bounds curvature by the weights of the first layer. Noise comes in pairs of both
    signs. It depends on the function alone, so that no reparametrisation changes it.

    Args:
        sigma: Standard deviation of the noise, in units of the inputs.
        draws: The number of pairs, at least 2.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> measure = landscape.measures.InputNoiseRise(sigma=0.05)
        >>> landscape.sharpness(model, data, measures=[measure])
    """

    name: ClassVar[str] = "input_noise_rise"
    reference: ClassVar[str] = (
        "Bishop (1995), Training with Noise is Equivalent to Tikhonov Regularization; Ma and Ying "
        "(2021), On Linear Stability of SGD and Input-Smoothness of Neural Networks"
    )
    rescaling: ClassVar[Invariance] = "exact"

    sigma: float = 0.1
    draws: int = 8

    def __post_init__(self) -> None:
        if not (np.isfinite(self.sigma) and self.sigma > 0):
            raise ValueError(f"sigma={self.sigma}, expected a standard deviation above 0")
        if self.draws < 2:
            raise ValueError(f"draws={self.draws}, expected at least 2 for a standard error")

    def require(self, context: Context) -> None:
        """Refuse data without floating-point inputs.

        Raises:
            NotApplicable: With the reason.
        """
        try:
            inputs = context.objective.example_inputs(1)
        except ValueError as reason:
            raise NotApplicable(str(reason)) from None
        if not any(getattr(part, "is_floating_point", bool)() for part in inputs):
            raise NotApplicable("no input is a floating-point tensor, such as an image")

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """Two losses a pair, and that without noise."""
        return (2 * self.draws + 1) * LOSS

    def compute(self, context: Context) -> Outcome:
        """The mean over pairs of noisy copies of the data."""
        objective = context.objective
        base = objective.loss(context.theta)  # as the noisy losses are evaluated
        context.charge(LOSS)
        rises = np.empty((self.draws, 2))
        for draw in range(self.draws):
            for column, sign in enumerate((1.0, -1.0)):
                random = np.random.default_rng([context.stream(self.name), draw])

                def disturb(values: NDArray[Any], random: Any = random, sign: Any = sign) -> Any:
                    noise = random.standard_normal(values.shape)
                    return (values + sign * self.sigma * noise).astype(values.dtype)

                try:
                    noisy = objective.with_inputs(disturb)
                except ValueError as reason:
                    raise NotApplicable(str(reason)) from None
                rises[draw, column] = noisy.loss(context.theta) - base
                context.charge(LOSS)
        return summarise_pairs(rises.mean(1))

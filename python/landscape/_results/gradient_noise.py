"""GradientNoise: the variance of sample gradients, and the curvature along it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results.base import Result
from landscape._results.frozen import freeze_array
from landscape._results.provenance import Run


@dataclass(frozen=True, eq=False, repr=False)
class GradientNoise(Result):
    r"""The covariance Sigma of samples' gradients beside the gradient g and the Hessian H.

    Shape (3,) holds an estimate and the ends of its interval.

    Args:
        variance: (3,) tr Sigma: the variance of one sample's gradient, summed over parameters.
        noise_scale: (3,) tr Sigma / \|g\|^2, in samples: batches far smaller are mostly noise.
        curvature_noise_scale: (3,) tr(H Sigma) / g' H g, in samples: the noise scale weighted by
            curvature, which governs the loss after a step. Negative where the curvature along g is.
        noise_curvature: (3,) tr(H Sigma) / tr Sigma: the mean curvature along the noise.
        batch: the batch size B.
        samples: the number n of samples.
        gradient_norm: \|g\|.
        gradient_curvature: g' H g / \|g\|^2: the curvature along the gradient.
        alignment: the cosine between g and H g: 1 where g is an eigenvector.
        level: probability of the intervals.
        products: the number of products with H and Sigma.
        status: how the estimates ended, as a sentence.
        run: how the numbers were computed; its evaluations are products.

    Raises:
        ValueError: an estimate is not three numbers.

    Example:
        >>> noise = landscape.gradient_noise(model, data, batch=16, relative_error=0.1)
        >>> bool(noise.signal_to_noise[0] > 0)
        True
    """

    kind: ClassVar[str] = "gradient_noise"
    arrays: ClassVar[tuple[str, ...]] = (
        "variance",
        "noise_scale",
        "curvature_noise_scale",
        "noise_curvature",
    )

    variance: NDArray[np.float64]
    noise_scale: NDArray[np.float64]
    curvature_noise_scale: NDArray[np.float64]
    noise_curvature: NDArray[np.float64]
    _: KW_ONLY
    batch: int
    samples: int
    gradient_norm: float
    gradient_curvature: float
    alignment: float
    level: float
    products: int
    status: str
    run: Run

    def __post_init__(self) -> None:
        for name in self.arrays:
            object.__setattr__(self, name, freeze_array(getattr(self, name), name, (3,)))

    @property
    def batch_variance(self) -> NDArray[np.float64]:
        """(3,) tr Sigma (n - B) / (n - 1) / B: of a batch's mean, drawn without replacement."""
        share = (self.samples - self.batch) / max(self.samples - 1, 1)
        return self.variance * (share / self.batch)

    @property
    def signal_to_noise(self) -> NDArray[np.float64]:
        """(3,) the squared norm of g over the variance of a batch's mean."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.gradient_norm**2 / self.batch_variance[[0, 2, 1]]

    def __repr__(self) -> str:
        lines = [self._title(f"GradientNoise of batches of {self.batch} of {self.samples} samples")]
        rows = (
            ("gradient variance", self.variance, "a sample's, over all parameters"),
            ("noise scale", self.noise_scale, "samples"),
            ("by curvature", self.curvature_noise_scale, "samples"),
            ("signal to noise", self.signal_to_noise, f"of a batch of {self.batch}"),
            ("noise curvature", self.noise_curvature, "mean along the noise"),
        )
        for name, (value, low, high), unit in rows:
            lines.append(f"  {name:<18}{value:11.5g}   {low:.4g} .. {high:.4g}   {unit}")
        lines.append(
            f"  {'along gradient':<18}{self.gradient_curvature:11.5g}   curvature; "
            f"cosine with H g {self.alignment:.3f}"
        )
        lines += self._describe_run(str(self.products))
        return "\n".join(lines)

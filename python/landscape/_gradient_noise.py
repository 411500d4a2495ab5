"""`gradient_noise`: the covariance of sample gradients, and noise scales of batch sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from landscape._results import GradientNoise
from landscape._runs import ObjectiveOptions, SolverRun, build_objective
from landscape._spectrum import Accuracy, CurvatureMatrix, Hessian, estimate_trace

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import nn

    from landscape._objective import CurvatureOperator, Objective, Strategy
    from landscape._parameters import ParameterLayout
    from landscape._progress import Choice

__all__ = ["gradient_noise"]

_PRODUCTS = 4  # of one product with the symmetrised H Sigma
_SUBSET_NOTE = (
    "the samples are a random subset: what another draw would change is not in all intervals"
)


def gradient_noise(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    batch: int = 1,
    theta: ArrayLike | None = None,
    relative_error: float = 0.02,
    max_products: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> GradientNoise:
    r"""The variance of mini-batch gradients, and the batch size beyond which it hardly matters.

    .. math:: \Sigma = \frac{1}{n} \sum_i (g_i - g)(g_i - g)^T, \quad
        B_{\text{simple}} = \frac{\operatorname{tr} \Sigma}{\lVert g \rVert^2}, \quad
        B_{\text{noise}} = \frac{\operatorname{tr} H \Sigma}{g^T H g}

    with the gradient g_i of sample i. Both traces are estimated by Hutch++ from products.

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for the Objective.
        loss: As for the Objective; it must be a recognised one.
        batch: The batch size B, 1 to n.
        theta: The point, shape (d,); the model's own parameters when None.
        relative_error: Requested standard error of each trace, relative to it.
        max_products: The maximum number of products of each trace.
        level: Probability of the intervals.
        seed: Of the random vectors, the subset, the split and the masks.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, maximum)
            products.
        options: Those of :class:`landscape.Objective`.

    Returns:
        Variance, noise scales, signal-to-noise ratio and alignments, each with an interval.

    Raises:
        ValueError: An option or the data do not fit, or the loss is not a recognised one.
        FloatingPointError: A product is not finite.

    Reference:
        McCandlish, Kaplan, Amodei and the OpenAI Dota Team, "An Empirical Model of Large-Batch
        Training" (2018), equations 2.8 and 2.9.

    Example:
        >>> noise = landscape.gradient_noise(model, data, batch=16, relative_error=0.1)
        >>> noise.noise_scale.shape
        (3,)
    """
    built = build_objective(
        gradient_noise, model, data, loss, seed=seed, options=options, progress=progress
    )
    objective = built.with_default_batch_norm("frozen")
    if not 1 <= batch <= objective.samples:
        raise ValueError(f"batch={batch}, expected 1 to {objective.samples}, the samples there are")
    hessian = Hessian(objective, theta)
    noise = Hessian(objective, theta, "gradient_noise")
    accuracy = Accuracy(
        relative_error=relative_error,
        max_products=max_products,
        level=level,
        seed=seed,
        progress=progress,
    )
    variance = estimate_trace(noise, accuracy)
    weighted = estimate_trace(HessianNoiseProduct(hessian, noise), accuracy)
    gradient = hessian.gradient().astype(np.float64)
    image = hessian.matvec(gradient).astype(np.float64)
    square, curvature = float(gradient @ gradient), float(gradient @ image)
    products = variance.products + _PRODUCTS * weighted.products + 1
    run = SolverRun("gradient_noise", hessian, {}, 1)
    run.load_state()
    run.seconds = variance.run.seconds + weighted.run.seconds
    if objective.is_random_subset:
        run.notes += (_SUBSET_NOTE,)
    status = f"variance {variance.status}; with the Hessian {weighted.status}"
    traces = [np.array([trace.value, *trace.interval]) for trace in (variance, weighted)]
    with np.errstate(divide="ignore", invalid="ignore"):
        return GradientNoise(
            variance=traces[0],
            noise_scale=traces[0] / np.float64(square),
            curvature_noise_scale=_sort_ends(traces[1] / np.float64(curvature)),
            noise_curvature=_divide(traces[1], traces[0]),
            batch=batch,
            samples=objective.samples,
            gradient_norm=square**0.5,
            gradient_curvature=float(np.float64(curvature) / square),
            alignment=float(curvature / (np.sqrt(square) * np.linalg.norm(image))),
            level=level,
            products=products,
            status=status,
            run=run.make_run(products, status, seed),
        )


def _divide(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A quotient of two estimates; the halves of their intervals add in quadrature."""
    value = numerator[0] / denominator[0]
    sides = []
    for one, other in ((1, 2), (2, 1)):
        half = (
            (numerator[one] - numerator[0]) / denominator[0],
            value * (denominator[other] - denominator[0]) / denominator[0],
        )
        sides.append(np.hypot(*half))
    return np.array([value, value - sides[0], value + sides[1]])


def _sort_ends(estimate: NDArray[np.float64]) -> NDArray[np.float64]:
    """An estimate whose interval a negative denominator has reversed."""
    return np.array([estimate[0], *sorted(estimate[1:])])


class HessianNoiseProduct(CurvatureMatrix):
    """(H Sigma + Sigma H) / 2, whose trace is that of H Sigma."""

    def __init__(self, hessian: Hessian, noise: Hessian) -> None:
        super().__init__(hessian.objective, hessian.theta)
        self._pair = hessian, noise

    def operator(self, strategy: Strategy | None = None) -> CurvatureOperator:
        """Products of rows; each takes two with H and two with Sigma."""
        hessian, noise = (matrix.operator(strategy) for matrix in self._pair)
        return _SymmetrisedProduct(hessian, noise)

    def check_symmetric(self, seed: int) -> None:
        """Check the symmetry of both matrices."""
        for matrix in self._pair:
            matrix.check_symmetric(seed)

    def sampling_errors(
        self,
        vectors: NDArray[Any],  # noqa: ARG002
        weights: NDArray[np.float64] | None = None,  # noqa: ARG002
    ) -> None:
        """None: the sampling error of a product of two means is not estimated."""
        return

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What its entries depend on, as plain data."""
        return {**super().fingerprint, "curvature": "hessian times gradient_noise"}


@dataclass(frozen=True)
class _SymmetrisedProduct:
    first: CurvatureOperator
    second: CurvatureOperator

    @property
    def layout(self) -> ParameterLayout:
        return self.first.layout

    @property
    def retained(self) -> bool:
        return self.first.retained and self.second.retained

    def block(self, positions: Sequence[int]) -> _SymmetrisedProduct:
        return _SymmetrisedProduct(self.first.block(positions), self.second.block(positions))

    def __call__(self, vectors: ArrayLike) -> NDArray[Any]:
        one, other = self.first, self.second
        product: NDArray[Any] = (one(other(vectors)) + other(one(vectors))) / 2
        return product

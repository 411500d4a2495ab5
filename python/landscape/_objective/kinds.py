"""Which matrix of second-order information is meant, and what multiplies by it.

Depends on the parameter layout alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from landscape._parameters import ParameterLayout

__all__ = ["KINDS", "Curvature", "CurvatureKind", "Products"]

CurvatureKind = Literal[
    "hessian",
    "gauss_newton",
    "fisher",
    "monte_carlo_fisher",
    "empirical_fisher",
    "gradient_covariance",
    "gradient_noise",
]

KINDS: tuple[CurvatureKind, ...] = get_args(CurvatureKind)

_NATIVE = {
    "hessian": "hessian",
    "gauss_newton": "gauss_newton",
    "fisher": "fisher",
    "empirical_fisher": "empirical_fisher",
    "gradient_covariance": "empirical_fisher",
    "gradient_noise": "empirical_fisher",
}


@dataclass(frozen=True)
class Curvature:
    """A kind of matrix, with what its random labels depend on."""

    kind: CurvatureKind = "hessian"
    draws: int = 1
    """Random targets a sample, of the Monte-Carlo Fisher matrix."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"curvature={self.kind!r}, expected one of {', '.join(map(repr, KINDS))}"
            )
        if self.draws < 1:
            raise ValueError(f"draws={self.draws}, expected at least 1 random target a sample")

    @property
    def native(self) -> str | None:
        """What the native network calls it; None where it has no such matrix."""
        return _NATIVE.get(self.kind)

    @property
    def penalised(self) -> bool:
        """Whether weight decay, a part of L and of no sample's loss, is in it."""
        return self.kind in ("hessian", "gauss_newton")

    @property
    def semidefinite(self) -> bool:
        """Whether no eigenvalue is negative, whatever the loss."""
        return self.kind not in ("hessian", "gauss_newton")

    @property
    def centred(self) -> bool:
        """Whether the outer product of the mean gradient is subtracted."""
        return self.kind == "gradient_noise"

    @property
    def power(self) -> int:
        """That of the loss's denominator W in this matrix's own."""
        return 2 if self.kind in ("gradient_covariance", "gradient_noise") else 1

    def denominator(self, weight: float, samples: int) -> float:
        """What sums over samples are divided by, W being the denominator of L.

        A sample's share of the gradient is (n / W) s, so that the mean of shares is the gradient.
        """
        return weight if self.power == 1 else weight**2 / samples


class Products(Protocol):
    """A symmetric matrix at one point as an operator that keeps what its products share."""

    @property
    def layout(self) -> ParameterLayout:
        """The parameters of the rows and columns."""

    @property
    def retained(self) -> bool:
        """Whether what products share is kept between them."""

    def block(self, positions: Sequence[int]) -> Products:
        """The diagonal block of some of the layout's entries."""

    def __call__(self, vectors: ArrayLike) -> NDArray[Any]:
        """Multiply one vector, shape (d,), or several, shape (k, d).

        Raises:
            ValueError: The vectors do not have d entries.
        """

"""`Estimate` and `Estimates`: one number or several from random vectors, with error bars."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from landscape._results.base import Result
from landscape._results.frozen import freeze_array
from landscape._results.provenance import Run

_SHOWN = 12


@dataclass(frozen=True, eq=False, repr=False)
class Estimate(Result):
    """A number with its standard error and a confidence interval.

    Args:
        quantity: "trace", "frobenius" or "log_determinant".
        value: the estimate.
        standard_error: from the random vectors; rounding alone where the sum is exact.
        interval: where the quantity lies with probability `level`: from quantiles of Student's
            distribution with the samples' skewness taken into account, and with the sampling error
            where there is one.
        level: the probability of the interval.
        probes: independent random vectors.
        rank: dimension of the subspace that was summed exactly.
        products: Hessian products computed.
        status: how the run ended, as a sentence.
        method: "hutch++", "hutchinson" or "xtrace".
        sampling_error: standard error of sampling the data, where the data are a random
            subset; None where they are not, or it is not known (a note says so).
        run: how the number was made; its evaluations are products.

    Example:
        >>> trace = landscape.hessian(model, data).trace(relative_error=0.05)
        >>> bool(trace.interval[0] <= trace.value <= trace.interval[1])
        True
    """

    kind: ClassVar[str] = "estimate"
    arrays: ClassVar[tuple[str, ...]] = ("value", "standard_error", "interval")

    quantity: str
    value: float
    standard_error: float
    interval: tuple[float, float]
    _: KW_ONLY
    level: float
    probes: int
    rank: int
    products: int
    status: str
    method: str
    sampling_error: float | None = None
    run: Run

    def __post_init__(self) -> None:
        low, high = (float(end) for end in self.interval)
        object.__setattr__(self, "value", float(self.value))
        object.__setattr__(self, "standard_error", float(self.standard_error))
        object.__setattr__(self, "interval", (low, high))

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        low, high = self.interval
        heading = f"{self.quantity} {self.value:.6g} +- {self.standard_error:.2g}"
        lines = [self._title(f"{heading}, within {low:.6g} .. {high:.6g} at {100 * self.level:g}%")]
        if self.sampling_error is not None:
            lines.append(
                f"sampling  +- {self.sampling_error:.2g} more from the random subset of samples"
            )
        lines += self._describe_run(_describe_cost(self))
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class Estimates(Result):
    """Numbers with their standard errors and pointwise confidence intervals.

    Args:
        quantity: "diagonal" or "spectral_moments".
        values: (n,) the estimates.
        standard_errors: (n,) from the random vectors; rounding alone where the numbers are exact.
        interval: (n, 2) where each lies with probability `level`.
        level: the probability of the interval.
        probes: independent random vectors.
        rank: dimension of the subspace that was summed exactly.
        products: Hessian products computed.
        status: how the run ended, as a sentence.
        method: "hutch++" or "hutchinson".
        run: how the numbers were computed; its evaluations are products.

    Raises:
        ValueError: shapes that do not fit together.

    Example:
        >>> moments = landscape.hessian(model, data).spectral_moments(2)
        >>> moments.values.shape, moments.interval.shape
        ((2,), (2, 2))
    """

    kind: ClassVar[str] = "estimates"
    arrays: ClassVar[tuple[str, ...]] = ("values", "standard_errors", "interval")

    quantity: str
    values: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    interval: NDArray[np.float64]
    _: KW_ONLY
    level: float
    probes: int
    rank: int
    products: int
    status: str
    method: str
    run: Run

    def __post_init__(self) -> None:
        count = np.size(self.values)
        for name, shape in zip(self.arrays, ((count,), (count,), (count, 2)), strict=True):
            object.__setattr__(self, name, freeze_array(getattr(self, name), name, shape))

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        lines = [
            self._title(f"{self.quantity}, {len(self)} numbers, intervals at {100 * self.level:g}%")
        ]
        rows = zip(self.values, self.standard_errors, self.interval, strict=True)
        for index, (value, error, (low, high)) in enumerate(rows):
            if index == _SHOWN:
                lines.append(f"  ... and {len(self) - _SHOWN} more")
                break
            lines.append(f"  {value:12.6g} +- {error:8.2g}   {low:12.6g} .. {high:.6g}")
        lines += self._describe_run(_describe_cost(self))
        return "\n".join(lines)


def _describe_cost(result: Estimate | Estimates) -> str:
    vectors = f"{result.probes} probes beside {result.rank} directions"
    return f"{result.products}: {result.method}, {vectors}"

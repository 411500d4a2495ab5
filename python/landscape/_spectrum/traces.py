"""Traces and what else random probes tell: from the options of a call to a result.

Depends on the iteration and on the results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from landscape import _core
from landscape._results import Diagonal, Moments, Trace

if TYPE_CHECKING:
    from landscape._spectrum.iteration import Iteration
    from landscape._spectrum.matrix import Matrix

__all__ = ["Estimator", "Precision", "diagonal", "moments", "trace"]

Estimator = Literal["hutchinson", "hutch++", "xtrace"]
_ESTIMATORS = ("hutchinson", "hutch++", "xtrace")


@dataclass(frozen=True)
class Precision:
    """When an estimate is good enough, and when it is given up."""

    relative_error: float | None
    absolute_error: float | None
    max_products: int
    seed: int
    level: float = 0.95

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: An option is out of its range.
        """
        for name in ("relative_error", "absolute_error"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value}, expected a positive standard error, or None")
        if self.max_products < 1:
            raise ValueError(f"max_products={self.max_products}, expected at least 1")
        if not 0 < self.level < 1:
            raise ValueError(f"level={self.level}, expected a number between 0 and 1")

    @property
    def wanted(self) -> str:
        """The target in words."""
        named = ((self.relative_error, "relative"), (self.absolute_error, "absolute"))
        asked = [f"{value:g} {kind}" for value, kind in named if value is not None]
        return " or ".join(asked) or "none"


def trace(matrix: Matrix, method: Estimator, precision: Precision, iteration: Iteration) -> Trace:
    """See :meth:`landscape.Hessian.trace`."""
    if method not in _ESTIMATORS:
        raise ValueError(f"method={method!r}, expected {', '.join(map(repr, _ESTIMATORS))}")
    precision.check()
    iteration.begun()
    solver = _core.Trace(
        matrix.dim,
        matrix.dtype.name,
        method=method,
        relative_error=precision.relative_error,
        absolute_error=precision.absolute_error,
        max_products=precision.max_products,
        seed=precision.seed,
        level=precision.level,
    )
    iteration.execute(solver, _shown)
    status = _described(solver.status, precision, iteration)
    return Trace(
        value=solver.value,
        standard_error=solver.standard_error,
        interval=solver.interval(),
        level=precision.level,
        products=solver.products,
        status=status,
        method=method,
        run=iteration.run(solver.products, status, precision.seed),
    )


def diagonal(matrix: Matrix, precision: Precision, iteration: Iteration) -> Diagonal:
    """See :meth:`landscape.Hessian.diagonal`."""
    precision.check()
    iteration.begun()
    solver = _core.Diagonal(
        matrix.dim,
        matrix.dtype.name,
        relative_error=precision.relative_error,
        max_products=precision.max_products,
        seed=precision.seed,
    )
    iteration.execute(solver, _shown)
    status = _described(solver.status, precision, iteration)
    return Diagonal(
        values=solver.values(),
        standard_errors=solver.standard_errors(),
        products=solver.products,
        status=status,
        run=iteration.run(solver.products, status, precision.seed),
    )


def moments(matrix: Matrix, order: int, precision: Precision, iteration: Iteration) -> Moments:
    """See :meth:`landscape.Hessian.spectral_moments`."""
    precision.check()
    if order < 1:
        raise ValueError(f"order={order}, expected at least 1")
    iteration.begun()
    solver = _core.Moments(
        matrix.dim,
        matrix.dtype.name,
        order=order,
        relative_error=precision.relative_error,
        max_products=precision.max_products,
        seed=precision.seed,
    )
    iteration.execute(solver, _shown)
    status = _described(solver.status, precision, iteration)
    return Moments(
        values=solver.values(),
        standard_errors=solver.standard_errors(),
        products=solver.products,
        status=status,
        run=iteration.run(solver.products, status, precision.seed),
    )


def _shown(value: float, standard_error: float) -> Mapping[str, float]:
    return {"value": value, "error": standard_error}


def _described(status: str, precision: Precision, iteration: Iteration) -> str:
    if iteration.interrupted:
        return "interrupted before the standard error was reached; the interval says how far it is"
    if status == "converged":
        return f"converged: the standard error is at most {precision.wanted}"
    if status == "exact":
        return "exact: the probes span the whole space"
    return (
        f"stopped at max_products={precision.max_products} before the standard error was "
        f"{precision.wanted}; raise max_products or the error asked for"
    )

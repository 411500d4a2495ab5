"""Gradients of L, its Hessian and other curvatures, at points of one's own.

Depends on the function and on its engines.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from landscape._export import Unsupported
from landscape._objective.engines import Engine
from landscape._objective.function import Function
from landscape._objective.kinds import Curvature, Products
from landscape._objective.output_products import OutputCurvatureAtPoint
from landscape._objective.points import Rows
from landscape._objective.sample_curvatures import sample_curvatures
from landscape._objective.strategy import Strategy
from landscape._objective.weight_decay import WeightDecay

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Differentiable"]

_HESSIAN = Curvature()


class Differentiable(Function):
    """A function with its derivatives; see :class:`Objective`."""

    @cached_property
    def derivatives(self) -> Engine:
        """How gradients and products are evaluated, measured at the first need and then kept."""
        return Engine.for_derivatives(self._supply, torch.from_numpy(self.theta), self.engine)

    def engine_of(self, curvature: Curvature) -> Engine:
        """How products with a curvature are evaluated: PyTorch where native networks have none.

        Raises:
            Unsupported: The native engine was asked for, and has no such matrix.
        """
        found = self.derivatives
        if found.strategy.kind != "native" or curvature.native is not None:
            return found
        if self.engine == "native":
            raise Unsupported(
                f"curvature={curvature.kind!r}", "random targets are drawn by engine='torch' alone"
            )
        return Engine(self._plain, f"native has no {curvature.kind}")

    def gradient(self, theta: ArrayLike | None = None) -> NDArray[Any]:
        """The gradient of L at one point, shape (d,)."""
        _, slopes = self.gradients(self._vector(theta)[None])
        found: NDArray[Any] = slopes[0]
        return found

    def gradients(
        self, points: ArrayLike, *, strategy: Strategy | None = None
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Losses, shape (k,), and gradients, shape (k, d), of L at several points.

        Args:
            points: Parameter vectors, shape (k, d).
            strategy: How they are evaluated; chosen when None.
        """
        rows = self._rows(points)
        chosen = self._checked(strategy) or self._derivatives_for(len(rows))
        return self._regularised(rows, self._supply.gradients(rows, chosen, self._facts.weight))

    def gradients_on(
        self, points: ArrayLike, batches: Sequence[int], *, strategy: Strategy | None = None
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Losses and gradients of mini-batch means: point i on batch ``batches[i]`` of the split.

        Args:
            points: Parameter vectors, shape (k, d).
            batches: One index below :attr:`batches` for each point.
            strategy: How they are evaluated; chosen when None.

        Returns:
            Losses, shape (k,), and gradients, shape (k, d).

        Raises:
            ValueError: A batch index is out of range, or their number is not k.
        """
        rows = self._rows(points)
        if len(batches) != len(rows) or not all(0 <= b < self.batches for b in batches):
            raise ValueError(
                f"got batches={list(batches)} for {len(rows)} points, expected one index from 0 "
                f"to {self.batches - 1} for each point"
            )
        chosen = self._checked(strategy) or self.derivatives.strategy
        return self._regularised(rows, self._supply.gradients_on(rows, batches, chosen))

    def hessian_product(self, vector: ArrayLike, theta: ArrayLike | None = None) -> NDArray[Any]:
        """H v at one point, shape (d,) or (k, d); :meth:`hessian_at` is for many products."""
        return self.hessian_at(theta)(vector)

    def hessian_at(self, theta: ArrayLike | None = None) -> Products:
        """The Hessian at one point, as an operator that keeps what its products share."""
        return self.curvature_at(theta)

    def curvature_at(
        self,
        theta: ArrayLike | None = None,
        curvature: Curvature = _HESSIAN,
        *,
        strategy: Strategy | None = None,
    ) -> Products:
        """A curvature at one point, as an operator that keeps what its products share.

        Args:
            theta: The point, shape (d,); the model's own parameters when None.
            curvature: Which matrix; the Hessian unless told.
            strategy: How it is evaluated; that of :meth:`engine_of` when None.

        Raises:
            ValueError: The loss has no likelihood, and the kind needs one.
        """
        return self._supply.curvature_at(
            self._rows(self._vector(theta)[None]),
            self._checked(strategy) or self.engine_of(curvature).strategy,
            curvature,
            weight=self._facts.weight,
            weight_decay=self._decay,
            budget=self.memory_budget,
        )

    def curvature_errors(
        self,
        vectors: ArrayLike,
        theta: ArrayLike | None = None,
        coefficients: NDArray[np.float64] | None = None,
        *,
        curvature: Curvature = _HESSIAN,
    ) -> NDArray[np.float64] | None:
        """Standard errors of v' A v, for k vectors at one point, shape (k, d) to (k,).

        They are those of the drawing of samples (``samples=`` a count), to first order in it; None
        where nothing was drawn. With coefficients, shape (k,), that of the sum: shape (1,).
        """
        if self._facts.spread is None:
            return None
        point, directions = self._rows(self._vector(theta)[None]), self._rows(vectors)
        shares, weights = self._shares(point, directions, curvature)
        if coefficients is not None:
            shares = torch.from_numpy(coefficients)[None] @ shares
        totals = torch.stack([shares.square().sum(1), shares @ weights], dim=1)
        means, weight = shares.sum(1) / self._facts.weight, self._facts.weight
        return self._facts.spread.standard_errors(
            means.numpy(), totals.numpy(), weight, curvature.power
        )

    def _shares(
        self, point: Rows, directions: Rows, curvature: Curvature
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What every sample adds to v' A v times the denominator of L, and to the denominator."""
        vectors, weight = directions.rows, self._facts.weight
        if curvature.kind == "hessian":
            return sample_curvatures(self._evaluator, point, vectors, self._plain)
        denominator = curvature.denominator(weight, self.samples)
        products = OutputCurvatureAtPoint(
            curvature,
            self._evaluator,
            point,
            self._plain,
            weight=denominator,
            weight_decay=WeightDecay(0.0),
            budget=self.memory_budget,
        )
        centre = None
        if curvature.centred:
            _, slopes = self._supply.gradients(point, self._plain, weight)
            centre = vectors.double() @ slopes[0].double() * (weight / self.samples)
        shares, weights = products.shares(vectors, centre)
        return shares * (weight / denominator), weights

    def _derivatives_for(self, points: int) -> Strategy:
        several = points > 1 or self.engine == "native"
        return self.derivatives.strategy if several else self._plain

    def _regularised(
        self, rows: Rows, found: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        losses, slopes = found
        self._decay.add_derivative(rows.rows, slopes)
        return losses.numpy() + self._decay.penalties(rows, rows.rows), slopes.numpy()

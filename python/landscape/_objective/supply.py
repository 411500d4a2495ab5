"""Who answers: PyTorch's evaluator, or the native network made from the same model and data.

Depends on both. What asks hands over a strategy, and its kind says which of the two is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from landscape._export import Unsupported
from landscape._objective.evaluate import Evaluator, Measurement
from landscape._objective.gradients import (
    gradients,
    gradients_on,
    refuse_recalibrated,
    sample_losses,
)
from landscape._objective.native import NativeNetwork
from landscape._objective.native_products import NativeHessianAtPoint
from landscape._objective.native_sums import Sums
from landscape._objective.natives import Natives
from landscape._objective.points import Points
from landscape._objective.products import HessianAtPoint
from landscape._objective.strategy import Strategy
from landscape._objective.weight_decay import WeightDecay

__all__ = ["Supply"]


@dataclass(frozen=True)
class Supply:
    """The function that takes points to sums, whoever computes it."""

    evaluator: Evaluator
    natives: Natives = field(default_factory=Natives, compare=False)

    @property
    def native(self) -> NativeNetwork:
        """The native network, made at the first need.

        Raises:
            Unsupported: There is none.
        """
        return self.natives.of(self.evaluator)

    def measures(self, measurement: Measurement) -> bool:
        """Whether the native network could compute these sums."""
        return all(metric.separable for metric in measurement.metrics)

    def sums(self, points: Points, strategy: Strategy) -> Tensor:
        """The measurement's sums, float64, shape (points, columns)."""
        evaluator = self.evaluator
        if strategy.kind != "native":
            return evaluator.sums(points, strategy)
        wanted = self._wanted()  # before a network is made that could not be asked
        return self.native.sums(points, wanted, evaluator.batch_norm)

    def gradients(self, points: Points, strategy: Strategy, weight: float) -> tuple[Tensor, Tensor]:
        """Losses, shape (k,), and gradients, shape (k, d), of L without its weight decay."""
        if strategy.kind != "native":
            return gradients(self.evaluator, points, strategy, weight)
        refuse_recalibrated(self.evaluator, "gradients")
        weights = np.full(len(points), weight)
        return self.native.gradients(points, weights, self.evaluator.batch_norm)

    def gradients_on(
        self, points: Points, batches: Sequence[int], strategy: Strategy
    ) -> tuple[Tensor, Tensor]:
        """The same of mini-batch means: point i on batch ``batches[i]`` of the split."""
        evaluator = self.evaluator
        if strategy.kind != "native":
            return gradients_on(evaluator, points, batches)
        refuse_recalibrated(evaluator, "gradients")
        criterion = evaluator.measurement.criterion
        parts = {index: evaluator.batches.batch(index) for index in set(batches)}
        weight = {i: criterion.weight(part.content, part.size) for i, part in parts.items()}
        return self.native.gradients(
            points,
            np.array([weight[index] for index in batches]),
            evaluator.batch_norm,
            np.array(batches, np.int64),
        )

    def sample_losses(self, points: Points, strategy: Strategy, weight: float) -> Tensor:
        """Every sample's share of L, times the number of samples, shape (k, n)."""
        if strategy.kind != "native":
            return sample_losses(self.evaluator, points, strategy, weight)
        found = self.native.sample_losses(points, self.evaluator.batch_norm)
        return found * (self.evaluator.batches.samples / weight)

    def hessian_at(
        self,
        point: Points,
        strategy: Strategy,
        *,
        weight: float,
        weight_decay: WeightDecay,
        budget: int,
    ) -> HessianAtPoint | NativeHessianAtPoint:
        """The Hessian of L at one point."""
        evaluator = self.evaluator
        if strategy.kind != "native":
            return HessianAtPoint(
                evaluator,
                point,
                strategy,
                weight=weight,
                weight_decay=weight_decay,
                budget=budget,
            )
        refuse_recalibrated(evaluator, "Hessian products")
        theta = point.stacked(0, 1)[0].contiguous().numpy()
        curvature = self.native.curvature(
            theta, "hessian", weight=weight, policy=evaluator.batch_norm, memory=budget
        )
        return NativeHessianAtPoint(curvature, evaluator.layout, theta.dtype, weight_decay)

    def _wanted(self) -> Sums:
        measurement = self.evaluator.measurement
        if not self.measures(measurement):
            raise Unsupported("metrics", "a user's function needs PyTorch's outputs")
        metrics = tuple(metric.name for metric in measurement.metrics)
        weights = measurement.weights(self.evaluator.batches)[1:] if metrics else ()
        return Sums(metrics, tuple(weights), spread=measurement.spread)

"""Who answers: PyTorch's evaluator, or the native network made from the same model and data.

Depends on both. What asks hands over a strategy, and its kind says which of the two is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from landscape._export import Unsupported
from landscape._objective.centred import Centred
from landscape._objective.evaluate import Evaluator
from landscape._objective.gradients import (
    gradients,
    gradients_on,
    refuse_recalibrated,
    sample_losses,
)
from landscape._objective.kinds import Curvature, Products
from landscape._objective.measurement import Measurement
from landscape._objective.native import NativeNetwork
from landscape._objective.native_products import NativeAtPoint
from landscape._objective.native_sums import Sums
from landscape._objective.natives import Natives
from landscape._objective.output_products import OutputCurvatureAtPoint
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

    def curvature_at(
        self,
        point: Points,
        strategy: Strategy,
        curvature: Curvature,
        *,
        weight: float,
        weight_decay: WeightDecay,
        budget: int,
    ) -> Products:
        """A curvature of L at one point, of a kind that the strategy's engine has.

        Raises:
            ValueError: The loss has no likelihood, and the kind needs one.
        """
        evaluator = self.evaluator
        refuse_recalibrated(evaluator, "curvatures")
        denominator = curvature.denominator(weight, evaluator.batches.samples)
        decay = weight_decay if curvature.penalised else WeightDecay(0.0)
        products: Products
        if strategy.kind == "native":
            theta = point.stacked(0, 1)[0].contiguous().numpy()
            found = self.native.curvature(
                theta,
                curvature.native or "",
                weight=denominator,
                policy=evaluator.batch_norm,
                memory=budget,
            )
            products = NativeAtPoint(found, evaluator.layout, theta.dtype, decay)
        else:
            options: dict[str, Any] = {
                "weight": denominator,
                "weight_decay": decay,
                "budget": budget,
            }
            given = evaluator, point, strategy
            products = (
                HessianAtPoint(*given, **options)
                if curvature.kind == "hessian"
                else OutputCurvatureAtPoint(curvature, *given, **options)
            )
        if not curvature.centred:
            return products
        _, slopes = self.gradients(point, strategy, weight)
        return Centred(products, slopes[0].numpy())

    def _wanted(self) -> Sums:
        measurement = self.evaluator.measurement
        if not self.measures(measurement):
            raise Unsupported("metrics", "a user's function needs PyTorch's outputs")
        metrics = tuple(metric.name for metric in measurement.metrics)
        weights = measurement.weights(self.evaluator.batches)[1:] if metrics else ()
        return Sums(metrics, tuple(weights), spread=measurement.spread)

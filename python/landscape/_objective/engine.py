"""Which engine evaluates: what the user said, or whichever a short measurement finds faster.

Depends on the tuning of PyTorch's strategies and on the backends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape._export import Unsupported
from landscape._objective.curvature import CentredOperator, Curvature, CurvatureOperator
from landscape._objective.losses.reductions import Reductions
from landscape._objective.native_backend.cache import NativeCache
from landscape._objective.native_backend.curvature import NativeOperator
from landscape._objective.native_backend.network import NativeNetwork, Sums
from landscape._objective.points import Plane, Points, Rows
from landscape._objective.strategy import Strategy, choose_chunk, timed
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.torch_backend.ggn import GaussNewtonOperator
from landscape._objective.torch_backend.gradients import (
    gradients,
    gradients_on,
    refuse_recalibrated,
    sample_losses,
)
from landscape._objective.torch_backend.hessian import HessianOperator
from landscape._objective.torch_backend.tuning import default_strategy, measure_strategy
from landscape._objective.weight_decay import WeightDecay

__all__ = ["ENGINES", "Backends", "Engine", "check_recorded_strategy"]

ENGINES = ("auto", "torch", "native")

_NATIVE = Strategy(kind="native")
_CLEARLY = 2.0  # so many times faster than the plain loop, no other strategy needs to be tried
_SLOWER = "the native network was slower in a short measurement."
_TRIAL_POINTS = 8
_PATIENCE = 2.0  # seconds that timing one engine may take


@dataclass(frozen=True)
class Engine:
    """A strategy, and why it is not the native one where it is not."""

    strategy: Strategy
    why: str = ""

    @property
    def name(self) -> str:
        """What the run record says: "native", or "torch" with the reason."""
        if self.strategy.kind == "native":
            return "native"
        return f"torch: {self.why}" if self.why else "torch"

    @classmethod
    def for_losses(cls, backends: Backends, theta: torch.Tensor, asked: str) -> Engine:
        """The engine for losses at many points.

        Args:
            backends: Both engines.
            theta: A point, shape (d,).
            asked: ``"auto"``, ``"torch"`` or ``"native"``.

        Raises:
            Unsupported: The native engine was asked for, and there is none.
        """
        if asked == "torch":
            return cls(measure_strategy(backends.evaluator, theta))
        try:
            native, seconds = _native_losses(backends, theta)
        except Unsupported as reason:
            if asked == "native":
                raise
            return cls(measure_strategy(backends.evaluator, theta), _refusal(reason))
        native = replace(native, chunk=choose_chunk(native, seconds))
        if asked == "native":
            return cls(native)
        rows = Rows(theta[None])
        plain = default_strategy(backends.evaluator)
        by_torch = _seconds(lambda: backends.evaluator.sums(rows, plain), 1)
        if seconds * _CLEARLY < by_torch:
            return cls(native)
        rival = measure_strategy(backends.evaluator, theta)
        stack = Rows(theta.expand(rival.points, -1))
        by_torch = _seconds(lambda: backends.evaluator.sums(stack, rival), rival.points)
        return cls(native) if seconds < by_torch else cls(rival, _SLOWER)

    @classmethod
    def for_derivatives(cls, backends: Backends, theta: torch.Tensor, asked: str) -> Engine:
        """The engine for gradients and products at many points; see :meth:`for_losses`."""
        plain = cls(default_strategy(backends.evaluator))
        if asked == "torch":
            return plain
        try:
            native = backends.native
        except Unsupported as reason:
            if asked == "native":
                raise
            return replace(plain, why=_refusal(reason))
        policy, normalises = backends.evaluator.batch_norm, native.normalises
        if asked == "native" or (policy == "recalibrated" and normalises):
            return cls(_NATIVE)
        rows = Rows(theta[None])
        ours = _seconds(lambda: backends.gradients(rows, _NATIVE, 1.0), 1)
        theirs = _seconds(lambda: backends.gradients(rows, plain.strategy, 1.0), 1)
        return cls(_NATIVE) if ours < theirs else replace(plain, why=_SLOWER)


def check_recorded_strategy(backends: Backends, strategy: Strategy, asked: str) -> None:
    """Refuse to go on with a strategy of another engine than the one that was asked for.

    Args:
        backends: Both engines.
        strategy: How a run was begun.
        asked: ``"auto"``, ``"torch"`` or ``"native"``.

    Raises:
        ValueError: Points before and after would come from two engines.
    """
    begun = "native" if strategy.kind == "native" else "torch"
    if asked not in ("auto", begun):
        raise ValueError(
            f"these points were begun with engine={begun!r} and engine={asked!r} was asked for, "
            f"whose last bits differ; pass {begun!r} or 'auto' to go on, or begin anew with "
            "another file"
        )
    if begun == "native":
        try:
            _ = backends.native
        except Unsupported as reason:
            raise ValueError(
                f"these points were begun with engine='native', which is no longer possible "
                f"({reason}); begin anew with another file"
            ) from reason


def _native_losses(backends: Backends, theta: torch.Tensor) -> tuple[Strategy, float]:
    """The native strategy and its seconds a point, on a small plane."""
    zero = torch.zeros_like(theta)
    coordinates = np.zeros((_TRIAL_POINTS, 1)).tolist()
    plane = Plane(theta, (zero,), coordinates)
    return _NATIVE, _seconds(lambda: backends.sums(plane, _NATIVE), _TRIAL_POINTS)


def _seconds(run: Callable[[], object], points: int) -> float:
    """Seconds a point, the least of a few runs."""
    return timed(run, _PATIENCE) / points


@dataclass(frozen=True)
class Backends:
    """The function that takes points to sums, whoever computes it."""

    evaluator: Evaluator
    native_cache: NativeCache = field(default_factory=NativeCache, compare=False)

    @property
    def native(self) -> NativeNetwork:
        """The native network, made at the first need.

        Raises:
            Unsupported: There is none.
        """
        return self.native_cache.get(self.evaluator)

    def measures(self, reductions: Reductions) -> bool:
        """Whether the native network could compute these sums."""
        return all(metric.separable for metric in reductions.metrics)

    def sums(self, points: Points, strategy: Strategy) -> Tensor:
        """The reductions' sums, float64, shape (points, columns)."""
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
        criterion = evaluator.reductions.criterion
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
    ) -> CurvatureOperator:
        """A curvature of L at one point, of a kind that the strategy's engine has.

        Raises:
            ValueError: The loss has no likelihood, and the kind needs one.
        """
        evaluator = self.evaluator
        refuse_recalibrated(evaluator, "curvatures")
        denominator = curvature.denominator(weight, evaluator.batches.samples)
        decay = weight_decay if curvature.penalised else WeightDecay(0.0)
        products: CurvatureOperator
        if strategy.kind == "native":
            theta = point.stacked(0, 1)[0].contiguous().numpy()
            found = self.native.curvature(
                theta,
                curvature.native or "",
                weight=denominator,
                policy=evaluator.batch_norm,
                memory=budget,
            )
            products = NativeOperator(found, evaluator.layout, theta.dtype, decay)
        else:
            options: dict[str, Any] = {
                "weight": denominator,
                "weight_decay": decay,
                "budget": budget,
            }
            given = evaluator, point, strategy
            products = (
                HessianOperator(*given, **options)
                if curvature.kind == "hessian"
                else GaussNewtonOperator(curvature, *given, **options)
            )
        if not curvature.centred:
            return products
        _, slopes = self.gradients(point, strategy, weight)
        return CentredOperator(products, slopes[0].numpy())

    def _wanted(self) -> Sums:
        reductions = self.evaluator.reductions
        if not self.measures(reductions):
            raise Unsupported("metrics", "a user's function needs PyTorch's outputs")
        metrics = tuple(metric.name for metric in reductions.metrics)
        weights = reductions.weights(self.evaluator.batches)[1:] if metrics else ()
        return Sums(metrics, tuple(weights), spread=reductions.spread)


def _refusal(reason: Unsupported) -> str:
    return f"the native network does not support {reason}."

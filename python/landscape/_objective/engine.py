"""The two backends, PyTorch and the native network, and the choice between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from landscape import _core
from landscape._export import Unsupported
from landscape._objective.curvature import CentredOperator, Curvature, CurvatureOperator
from landscape._objective.data.batches import ResidentBatches
from landscape._objective.data.pytree import iter_tensors
from landscape._objective.losses.likelihood import check_curvature
from landscape._objective.losses.reductions import Reductions
from landscape._objective.native_backend.build import identify_loss
from landscape._objective.native_backend.cache import NativeCache
from landscape._objective.native_backend.curvature import NativeOperator
from landscape._objective.native_backend.findings import find
from landscape._objective.native_backend.network import NativeNetwork, NativeReductions
from landscape._objective.points import AffinePoints, Points, Rows
from landscape._objective.strategy import Strategy, choose_chunk
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.torch_backend.ggn import GaussNewtonOperator
from landscape._objective.torch_backend.gradients import (
    compute_batch_gradients,
    compute_gradients,
    compute_sample_losses,
    refuse_recalibrated,
)
from landscape._objective.torch_backend.hessian import HessianOperator
from landscape._objective.torch_backend.tuning import default_strategy, measure_strategy
from landscape._objective.trials import Run, Trials
from landscape._objective.weight_decay import WeightDecay

__all__ = ["ENGINES", "Backends", "Engine", "check_recorded_strategy", "recall_engine"]

ENGINES = ("auto", "torch", "native")

_NATIVE = Strategy(kind="native")
_LEAD = 2.0  # native is left where PyTorch is predicted, and then found, to be so many times faster
_LINE = 8  # points of a line that is timed for the driver's chunk
_DERIVATIVES = 100  # gradients and products of a run, whose number nobody knows beforehand
_SLOWER = "the native network took more than twice the processor time in a short measurement."


@dataclass(frozen=True)
class Backends:
    """PyTorch's evaluator and the native network of the same model and data.

    Every method takes a strategy, whose kind says which of the two computes.
    """

    evaluator: Evaluator
    native_cache: NativeCache = field(default_factory=NativeCache, compare=False)

    @property
    def native(self) -> NativeNetwork:
        """The native network, built at the first use.

        Raises:
            Unsupported: The model, its data or its loss cannot be native.
        """
        return self.native_cache.get(self.evaluator)

    def require_native(self) -> NativeNetwork:
        """The native network, where it has these reductions too.

        Raises:
            Unsupported: The model, its data, its loss or a metric cannot be native.
        """
        # before the network is built, which is slow and may be in vain
        _to_native_reductions(self.evaluator.reductions, self.evaluator)
        return self.native

    def sums(self, points: Points, strategy: Strategy) -> Tensor:
        """The reductions' sums, float64, shape (points, columns)."""
        evaluator = self.evaluator
        if strategy.kind != "native":
            return evaluator.sums(points, strategy)
        # before the network is built, which is slow and may be in vain
        reductions = _to_native_reductions(evaluator.reductions, evaluator)
        return self.native.sums(points, reductions, evaluator.batch_norm)

    def gradients(self, points: Points, strategy: Strategy, weight: float) -> tuple[Tensor, Tensor]:
        """Losses, shape (k,), and gradients, shape (k, d), of L without its weight decay."""
        if strategy.kind != "native":
            return compute_gradients(self.evaluator, points, strategy, weight)
        refuse_recalibrated(self.evaluator, "gradients")
        weights = np.full(len(points), weight)
        return self.native.gradients(points, weights, self.evaluator.batch_norm)

    def gradients_on(
        self, points: Points, batches: Sequence[int], strategy: Strategy
    ) -> tuple[Tensor, Tensor]:
        """The same of mini-batch means: point i on batch ``batches[i]`` of the split."""
        evaluator = self.evaluator
        if strategy.kind != "native":
            return compute_batch_gradients(evaluator, points, batches)
        refuse_recalibrated(evaluator, "gradients")
        criterion = evaluator.reductions.criterion
        contents = {index: evaluator.batches.batch(index) for index in set(batches)}
        weights = {i: criterion.weight(b.content, b.weight) for i, b in contents.items()}
        return self.native.gradients(
            points,
            np.array([weights[index] for index in batches]),
            evaluator.batch_norm,
            np.array(batches, np.int64),
        )

    def sample_losses(self, points: Points, strategy: Strategy, weight: float) -> Tensor:
        """Every sample's share of L, times the number of samples, shape (k, n)."""
        if strategy.kind != "native":
            return compute_sample_losses(self.evaluator, points, strategy, weight)
        losses = self.native.sample_losses(points, self.evaluator.batch_norm)
        return losses * (self.evaluator.batches.samples / weight)

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
        """A curvature matrix of L at one point, of a kind that the strategy's engine has.

        Raises:
            ValueError: The loss has no likelihood, and the kind needs one.
        """
        evaluator = self.evaluator
        refuse_recalibrated(evaluator, "curvatures")
        if curvature.kind != "hessian":
            check_curvature(curvature.kind, evaluator.reductions.recognised_loss)
        denominator = curvature.denominator(weight, evaluator.batches.samples)
        decay = weight_decay if curvature.penalised else WeightDecay(0.0)
        operator: CurvatureOperator
        if strategy.kind == "native":
            theta = point.stack(0, 1)[0].contiguous().numpy()
            products = self.native.curvature(
                theta,
                curvature.native or "",
                weight=denominator,
                policy=evaluator.batch_norm,
                memory=budget,
            )
            operator = NativeOperator(products, evaluator.layout, theta.dtype, decay)
        elif curvature.kind == "hessian":
            operator = HessianOperator(
                evaluator, point, strategy, weight=denominator, weight_decay=decay, budget=budget
            )
        else:
            operator = GaussNewtonOperator(
                curvature,
                evaluator,
                point,
                strategy,
                weight=denominator,
                weight_decay=decay,
                budget=budget,
            )
        if not curvature.centred:
            return operator
        _, gradients = self.gradients(point, strategy, weight)
        return CentredOperator(operator, gradients[0].numpy())


@dataclass(frozen=True)
class Engine:
    """The strategy by which points are evaluated, and the reason where it is not the native one."""

    strategy: Strategy
    why: str = ""
    """A sentence."""

    @property
    def name(self) -> str:
        """The engine in the run record: "native", or "torch" with the reason."""
        if self.strategy.kind == "native":
            return "native"
        return f"torch: {self.why}" if self.why else "torch"

    points: float = math.inf
    """The number of points of a run up to which nothing more would be tried."""

    @classmethod
    def for_losses(cls, backends: Backends, theta: Tensor, requested: str, points: float) -> Engine:
        """Choose the engine for losses at many points.

        The native network is taken wherever there is one, unless a count of its multiply-adds
        predicts that PyTorch is twice as fast, and a measurement confirms it.

        Args:
            backends: The two backends.
            theta: A point, shape (d,).
            requested: ``"auto"``, ``"torch"`` or ``"native"``.
            points: The number of points of the run, a tenth of whose time the choice may take.

        Raises:
            Unsupported: ``"native"``, and there is no native network.
        """
        evaluator = backends.evaluator
        trials = Trials(points, on_cpu=evaluator.model.device.type == "cpu")
        if requested == "torch":
            return cls._by_torch(backends, theta, trials)
        try:
            slowness = backends.require_native().slowness
        except Unsupported as reason:
            if requested == "native":
                raise
            return cls._by_torch(backends, theta, trials, _describe_refusal(reason))
        if not trials.admits(1):
            return cls(_NATIVE, points=points)
        zero = torch.zeros_like(theta)

        def evaluate(count: int) -> Run:
            line = AffinePoints(theta, (zero,), [[0.0]] * count)
            return Run(lambda: backends.sums(line, _NATIVE), count)

        seconds = trials.estimate(evaluate(1))
        complete = True
        if requested == "auto" and slowness >= _LEAD:
            plain = Run(lambda: evaluator.sums(Rows(theta[None]), default_strategy(evaluator)))
            complete = trials.affords_duel(plain, evaluate(1), seconds)
            if complete and trials.duel(plain, evaluate(1), seconds, _LEAD):
                return cls._by_torch(backends, theta, trials, _SLOWER)
        if trials.affords(_LINE * seconds.wall):
            seconds = seconds.least(trials.time(evaluate(_LINE)))
        native = replace(_NATIVE, chunk=choose_chunk(_NATIVE, seconds.wall))
        return cls(native, points=math.inf if complete else points)

    @classmethod
    def _by_torch(cls, backends: Backends, theta: Tensor, trials: Trials, why: str = "") -> Engine:
        strategy, complete = measure_strategy(backends.evaluator, theta, trials)
        return cls(strategy, why, math.inf if complete else trials.points)

    @classmethod
    def for_derivatives(cls, backends: Backends, theta: Tensor, requested: str) -> Engine:
        """Choose the engine for gradients and products at many points; see :meth:`for_losses`."""
        plain = cls(default_strategy(backends.evaluator))
        if requested == "torch":
            return plain
        try:
            native = backends.native
        except Unsupported as reason:
            if requested == "native":
                raise
            return replace(plain, why=_describe_refusal(reason))
        recalibrates = backends.evaluator.batch_norm == "recalibrated" and native.normalises
        if requested == "native" or recalibrates or native.slowness < _LEAD:
            return cls(_NATIVE)  # under "recalibrated" there are no gradients to time
        rows, trials = Rows(theta[None]), Trials(_DERIVATIVES)
        prior, rival = (
            Run(partial(backends.gradients, rows, strategy, 1.0))
            for strategy in (_NATIVE, plain.strategy)
        )
        seconds = trials.estimate(prior)
        if trials.affords_duel(rival, prior, seconds) and trials.duel(rival, prior, seconds, _LEAD):
            return replace(plain, why=_SLOWER)
        return cls(_NATIVE)


def recall_engine(
    backends: Backends, requested: str, what: str, points: float, choose: Callable[[], Engine]
) -> Engine:
    """The engine that was chosen for the same function before, or else the one chosen now.

    Args:
        backends: The two backends.
        requested: ``"auto"``, ``"torch"`` or ``"native"``.
        what: What is evaluated.
        points: The number of points of the run: a longer one may try what another could not.
        choose: Makes the choice.
    """
    evaluator = backends.evaluator
    function = _identify_function(evaluator)
    if function is None:
        return choose()
    choices = find(evaluator.model.module).choices
    key = what, requested, function
    known: Engine | None = choices.get(key)
    if known is None or points > known.points:
        known = choices[key] = choose()
    return known


def _identify_function(evaluator: Evaluator) -> Hashable | None:
    """What the seconds of a function depend on besides its model; None where that is unknown."""
    reductions, batches = evaluator.reductions, evaluator.batches
    loss = reductions.criterion.recognised
    if loss is None or not all(metric.separable for metric in reductions.metrics):
        return None
    content = batches.content if isinstance(batches, ResidentBatches) else ()
    return (
        *(identify_loss(loss), tuple(metric.name for metric in reductions.metrics)),
        *(type(batches), batches.sizes, evaluator.statistics is batches, reductions.squares),
        tuple((tuple(t.shape), t.dtype, t.device) for t in iter_tensors(content)),
        *(evaluator.batch_norm, evaluator.dropout, evaluator.model.behaviour),
        *(evaluator.dtype, tuple(evaluator.model.dtypes), evaluator.model.device),
        *(evaluator.layout.entries, evaluator.model.frozen_fingerprint()),
        *(torch.get_num_threads(), _core.threads()),
    )


def check_recorded_strategy(backends: Backends, strategy: Strategy, requested: str) -> None:
    """Refuse to continue under a strategy of another engine than the requested one.

    Args:
        backends: The two backends.
        strategy: The strategy that a run was started with.
        requested: ``"auto"``, ``"torch"`` or ``"native"``.

    Raises:
        ValueError: Points before and after would come from two engines.
    """
    recorded = "native" if strategy.kind == "native" else "torch"
    if requested not in ("auto", recorded):
        raise ValueError(
            f"these points were begun with engine={recorded!r} and engine={requested!r} was asked "
            f"for, whose last bits differ; pass {recorded!r} or 'auto' to go on, or begin anew "
            "with another file"
        )
    if recorded == "native":
        try:
            _ = backends.native
        except Unsupported as reason:
            raise ValueError(
                f"these points were begun with engine='native', which is no longer possible "
                f"({reason}); begin anew with another file"
            ) from reason


def _to_native_reductions(reductions: Reductions, evaluator: Evaluator) -> NativeReductions:
    """Convert reductions to those of the core.

    Raises:
        Unsupported: A metric is a user's function.
    """
    if not all(metric.separable for metric in reductions.metrics):
        raise Unsupported("metrics", "a user's function needs PyTorch's outputs")
    metrics = tuple(metric.name for metric in reductions.metrics)
    weights = reductions.weights(evaluator.batches)[1:] if metrics else ()
    return NativeReductions(metrics, tuple(weights), squares=reductions.squares)


def _describe_refusal(reason: Unsupported) -> str:
    return f"the native network does not support {reason}."

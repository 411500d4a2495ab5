"""The Objective: a model, data and a loss as one function L(theta) of a flat vector."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import nn

from landscape import _core
from landscape._export import Unsupported
from landscape._objective.build import (
    build_evaluator,
    describe_policy,
    read_other_data,
    replace_data,
    replace_loss,
    summarise_data,
    validate_model,
    validate_numbers,
    validate_option,
)
from landscape._objective.curvature import Curvature, CurvatureKind, CurvatureOperator
from landscape._objective.data.batches import ResidentBatches
from landscape._objective.data.changed import change_inputs
from landscape._objective.data.pytree import take_rows
from landscape._objective.data.reading import split_into_batches
from landscape._objective.engine import (
    ENGINES,
    Backends,
    Engine,
    check_recorded_strategy,
    recall_engine,
)
from landscape._objective.losses.arguments import make_example_inputs, read_arguments
from landscape._objective.losses.likelihood import check_curvature
from landscape._objective.losses.metrics import MetricLike, choose_metrics
from landscape._objective.losses.recognised import ClassLoss
from landscape._objective.losses.reductions import Reductions
from landscape._objective.native_backend.cache import NativeCache
from landscape._objective.points import Rows
from landscape._objective.strategy import Strategy
from landscape._objective.subspace import Subspace, as_vector
from landscape._objective.torch_backend.batch_norm import POLICIES, BatchNormPolicy, BatchNorms
from landscape._objective.torch_backend.evaluator import copy_model_at
from landscape._objective.torch_backend.ggn import GaussNewtonOperator
from landscape._objective.torch_backend.gradients import compute_outputs, refuse_recalibrated
from landscape._objective.torch_backend.hessian import compute_sample_curvatures
from landscape._objective.torch_backend.model_state import SwappedModel
from landscape._objective.torch_backend.recording import record_activations
from landscape._objective.torch_backend.tuning import default_strategy
from landscape._objective.verify import CHECKS, FunctionCheck
from landscape._objective.weight_decay import WeightDecay
from landscape._parameters import ParameterLayout, host_array
from landscape._progress import stage

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from landscape._objective.torch_backend.evaluator import Evaluator

__all__ = ["Objective"]

_MEMORY_BUDGET = 2 << 30
_MANY = 1000  # points of a run that does not say how many it evaluates
_HESSIAN = Curvature()
_CACHED_ENGINES = ("_loss_engine", "_derivative_engine", "_metric_engine")


class Objective:
    r"""L(theta): the mean loss over samples as a function of the model's parameters.

    .. math:: L(\theta) = \frac{\sum_i w_i \ell(f_\theta(x_i), y_i)}{\sum_i w_i}
              + \frac{\lambda}{2} \lVert\theta\rVert^2

    The sums run over *all* samples, so L does not depend on how they are batched. Which function
    L is (loss, batch-norm policy, dropout, subset) is fixed here and kept in every result. The
    model is borrowed, never copied: it is bit-identical after every call, also after an exception.

    Args:
        model: The trained module. Data-parallel and compilation wrappers are removed.
        data: ``(inputs, targets)`` tensors, arrays or data frames, a Dataset (also a list of
            samples, or one of the library ``datasets``), a DataLoader, a graph or a list of them,
            or any re-iterable of batches (tuples, mappings, or what a :func:`batch_loss`
            understands). Read once and kept where it fits ``memory_budget``, else streamed. A
            batch's samples are what its targets, lengths and first axes agree on.
        loss: None infers it (integer targets: cross-entropy; float targets: mean squared error;
            a model output with ``.loss``: that), a torch loss, ``f(outputs, targets)``, or
            ``landscape.batch_loss(f)``. Losses PyTorch knows are exact means over samples, in
            float64 from the outputs onward, and so is a model's own ``.loss`` that is one of them
            on its logits and labels (-100 is ignored); others are weighted by batch size.
        engine: ``"torch"``; ``"native"``, the core's own evaluator of exported networks, on a CPU;
            or ``"auto"``: native where the model exports, unless a count of its multiply-adds
            predicts that it is slow, and a short measurement confirms it.
        batch_norm: ``"frozen"`` (running statistics as stored), ``"recalibrated"`` (re-estimated
            at every theta; losses only), ``"batch"`` (the batch's own), or None: frozen around one
            model, recalibrated by functions that join several.
        device: Where to evaluate; the parameters' own device when None.
        dtype: The dtype to compute in, such as ``torch.float64``; the model's own when None.
        parameters: Names, module prefixes or patterns of the parameters to vary; the rest are
            frozen.
        samples: A count (a seeded random subset; losses then carry a standard error) or indices.
        dropout: ``"off"``, or ``"seeded"``: the same random masks at every theta.
        weight_decay: lambda, over the varied parameters.
        seed: Seeds the subset, the split and the dropout masks, in separate streams.
        batch_size: The split of data that come without batches (batch statistics, opaque losses,
            mini-batch gradients), seeded; one batch of all when None.
        weight: Weights of batches for losses that PyTorch does not know: ``f(batch)`` is the
            number of samples (or tokens) that the batch's loss is a mean over, and
            :math:`L = \sum_b w_b \ell_b / \sum_b w_b`. Needed where the parts of a batch do not
            agree on its number of samples.
        memory_budget: Bytes that kept data, and separately a kept graph, may take.
        check: ``"on"`` compares L with the model and the loss as they are, on at most two batches
            and 512 samples, at two points; and before the first gradient or Hessian product that
            with a difference of losses or gradients. ``"off"`` does not, which is recorded.

    Raises:
        TypeError: The model, the data or the loss is of an unsupported type.
        ValueError: L is not what the model and the loss compute by themselves. The data are empty,
            targets do not fit, there is nothing to vary, a parameter is not finite, batches do not
            show how many samples they have and ``weight`` is missing, or ``engine="native"`` finds
            something that it does not support.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> objective = Objective(nn.Linear(2, 1), (torch.ones(4, 2), torch.zeros(4, 1)))
        >>> objective.dim, objective.samples
        (3, 4)
    """

    def __init__(
        self,
        model: nn.Module,
        data: Any,
        loss: Any = None,
        *,
        engine: Literal["auto", "torch", "native"] = "auto",
        batch_norm: BatchNormPolicy | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        parameters: str | Iterable[str] | None = None,
        samples: int | Sequence[int] | None = None,
        dropout: Literal["off", "seeded"] = "off",
        weight_decay: float = 0.0,
        seed: int = 0,
        batch_size: int | None = None,
        weight: Callable[[Any], Any] | None = None,
        memory_budget: int = _MEMORY_BUDGET,
        check: Literal["on", "off"] = "on",
    ) -> None:
        validate_option("engine", engine, ENGINES)
        validate_option("batch_norm", batch_norm, (None, *POLICIES))
        validate_option("dropout", dropout, ("off", "seeded"))
        validate_option("check", check, CHECKS)
        validate_numbers(weight_decay=weight_decay, seed=seed, memory_budget=memory_budget)
        self.model = validate_model(model)
        """The module itself, without wrappers."""
        self.layout = ParameterLayout.of(self.model, parameters)
        self.batch_norm: BatchNormPolicy | None = batch_norm
        self.seed = seed
        self.memory_budget = memory_budget
        self._batch_size = batch_size
        self._reading, self._evaluator = build_evaluator(
            self.model,
            self.layout,
            data,
            loss,
            batch_norm=batch_norm or "frozen",
            dropout=dropout,
            device=device,
            dtype=dtype,
            samples=samples,
            batch_size=batch_size,
            weigh=weight,
            memory_budget=memory_budget,
            seed=seed,
        )
        self._summary = summarise_data(self._evaluator, self._reading)
        self._weight_decay = WeightDecay(float(weight_decay))
        self._check = FunctionCheck(check, loss)
        with stage("checking the loss against the model's own"):
            self._check.compare_losses(self._evaluator)
        self._native_cache = NativeCache()
        self.engine = engine
        """The requested engine; the one that evaluates is in a result's ``run.engine``."""
        if engine == "native":
            _ = self._backends.native  # raise Unsupported now rather than at the first evaluation

    @property
    def dim(self) -> int:
        """The number d of parameters that vary."""
        return self.layout.size

    @property
    def samples(self) -> int:
        """The number of samples that L is a mean over."""
        return self._evaluator.batches.samples

    @property
    def is_random_subset(self) -> bool:
        """Whether the samples are a random subset, so that numbers have a sampling error."""
        return self._summary.standard_error is not None

    @property
    def is_resident(self) -> bool:
        """Whether the data are kept in memory as one set of tensors, of which some can be taken."""
        return isinstance(self._evaluator.batches, ResidentBatches)

    @property
    def samples_independent(self) -> bool:
        """Whether the loss is a mean of sample losses, none of which depends on other samples."""
        return self._evaluator.samples_independent and not self.recalibrates

    @property
    def recalibrates(self) -> bool:
        """Whether there are batch statistics, and they are re-estimated at every point."""
        return self._evaluator.recalibrates

    @property
    def batches(self) -> int:
        """The number of batches in the fixed split, for :meth:`gradients_on`."""
        return len(self._evaluator.batches.sizes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The flat vector's dtype, float32 or float64."""
        return np.dtype(str(self._evaluator.dtype).removeprefix("torch."))

    @property
    def epsilon(self) -> float:
        """The relative rounding of what the model computes in: that of its coarsest parameter."""
        return max(torch.finfo(dtype).eps for dtype in self._evaluator.model.dtypes)

    @property
    def theta(self) -> NDArray[Any]:
        """The model's parameters as they are now, shape (d,), a copy."""
        return self.layout.flatten(self.model).astype(self.dtype, copy=False)

    @property
    def device(self) -> torch.device:
        """Where the model is evaluated."""
        return self._evaluator.model.device

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the user: dropped samples, frozen augmentation, frozen parameters."""
        return (*self._summary.notes, *self._check.notes)

    @property
    def check(self) -> dict[str, Any]:
        """What the check of L found, and what it cost, as plain data for the run record."""
        return self._check.record()

    @property
    def policy(self) -> dict[str, Any]:
        """Which function L is, as plain data for the run record."""
        return describe_policy(self._evaluator, self._summary, self._weight_decay.weight)

    @property
    def has_inferred_loss(self) -> bool:
        """Whether the loss was inferred from the targets or the model's outputs (``loss=None``)."""
        return self._check.loss is None

    # Variants of the same function

    def with_model(self, model: nn.Module) -> Self:
        """The same function for another module of the same layout, with its buffers.

        Args:
            model: The module whose buffers and frozen parameters count from now on.

        Returns:
            An Objective that shares the data and the loss.
        """
        module, before = validate_model(model), self._evaluator.model
        swapped = SwappedModel(
            module, self.layout, device=before.device, dtype=before.dtype, seed=before.seed
        )
        swapped.behaviour = before.behaviour
        evaluator = dataclasses.replace(self._evaluator, model=swapped, norms=BatchNorms(module))
        twin = self._with_evaluator(evaluator)
        twin.model, twin._native_cache = module, NativeCache()
        twin._check = FunctionCheck(self._check.mode, self._check.loss)
        return twin

    def with_data(self, data: Any) -> Self:
        """The same function of other data, such as a test set.

        Under ``batch_norm="recalibrated"`` the statistics still come from the first data, as they
        would for a model in use.

        Args:
            data: As for the Objective, or an Objective, whose data are used.

        Returns:
            An Objective that shares the model, the loss and the policy.
        """
        if isinstance(data, Objective):
            ours, theirs = ((o.device, o.policy["dtype"]) for o in (self, data))
            if ours != theirs:
                raise ValueError(
                    f"the other Objective's data lie on {theirs[0]} for {theirs[1]}, expected "
                    f"{ours[0]} and {ours[1]}; pass the data themselves"
                )
            reading = data._reading
        else:
            reading = read_other_data(
                self._evaluator,
                data,
                batch_size=self._batch_size,
                memory_budget=self.memory_budget,
                seed=self.seed,
            )
        twin = self._with_evaluator(replace_data(self._evaluator, reading))
        twin._reading = reading
        twin._summary = summarise_data(twin._evaluator, reading)
        return twin

    def with_samples(self, rows: ArrayLike) -> Self:
        """The same function of some of the samples, as one batch.

        Args:
            rows: Their indices in the order of the data, at least one.

        Returns:
            An Objective that shares the model, the loss and the policy.

        Raises:
            ValueError: The data are not kept as one set of tensors, or there is no row.
        """
        whole, picked = self._evaluator.batches, torch.as_tensor(np.asarray(rows), dtype=torch.long)
        if not isinstance(whole, ResidentBatches) or not len(picked):
            raise ValueError(
                f"got {len(picked)} rows of {type(whole).__name__}, expected at least one row of "
                "data that are kept in memory as one set of tensors"
            )
        batches = dataclasses.replace(
            whole,
            content=take_rows(picked, whole.content),
            samples=len(picked),
            sizes=(len(picked),),
            order=None,
        )
        twin = self._with_evaluator(dataclasses.replace(self._evaluator, batches=batches))
        twin._reading = dataclasses.replace(self._reading, batches=batches)
        twin._summary = summarise_data(twin._evaluator, twin._reading)
        twin._native_cache = NativeCache()
        return twin

    def with_loss(self, loss: Any) -> Self:
        """The same model and data under another loss.

        Args:
            loss: As for the Objective; it is compared with the user's program anew.

        Returns:
            An Objective that shares the model and the data.

        Raises:
            ValueError: L is not what the model and the loss compute by themselves.
        """
        twin = self._with_evaluator(replace_loss(self._evaluator, self._reading, loss))
        twin._summary = summarise_data(twin._evaluator, self._reading)
        twin._native_cache = NativeCache()
        twin._check = FunctionCheck(self._check.mode, loss)
        twin._check.compare_losses(twin._evaluator)
        return twin

    def with_inputs(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Self:
        """The same function of the same samples with other inputs, such as noisy ones.

        Under ``batch_norm="recalibrated"`` the statistics still come from the first inputs.

        Args:
            change: From a floating-point input, shape (n, ...), to an array of the same shape; it
                is called for one after the other, and never for targets.

        Returns:
            An Objective that shares the model, the targets and the policy.

        Raises:
            ValueError: The data are streamed, no input is a floating-point tensor, batches are not
                (inputs, targets), or `change` returns another shape.
        """
        evaluator = self._evaluator
        batches = change_inputs(evaluator.batches, change)
        twin = self._with_evaluator(dataclasses.replace(evaluator, batches=batches))
        twin._reading = dataclasses.replace(self._reading, batches=batches)
        twin._summary = dataclasses.replace(self._summary, checksum=batches.checksum())
        return twin

    def with_batch_norm(self, batch_norm: BatchNormPolicy) -> Self:
        """The same model, data and loss under another batch-norm policy: another function.

        Args:
            batch_norm: The policy, whatever the user chose.

        Returns:
            An Objective that shares model and data.
        """
        twin = self._with_evaluator(dataclasses.replace(self._evaluator, batch_norm=batch_norm))
        twin.batch_norm = batch_norm
        return twin

    def with_default_batch_norm(self, batch_norm: BatchNormPolicy) -> Self:
        """The same function under this batch-norm policy, unless the user chose one.

        Args:
            batch_norm: The policy where the user left it None.

        Returns:
            An Objective that shares model and data; this one where nothing changes.
        """
        if self.batch_norm is not None or batch_norm == self._evaluator.batch_norm:
            return self
        return self.with_batch_norm(batch_norm)

    def with_batch_size(self, size: int) -> Self:
        """The same samples in a seeded split into equal batches of about this size.

        Args:
            size: The number of samples in a batch.

        Returns:
            An Objective that shares model and data; this one where the user chose the split, or
            where the data come in batches already or are no more than one.
        """
        whole = self._evaluator.batches
        is_split = self._batch_size is not None or len(whole.sizes) > 1
        if is_split or not isinstance(whole, ResidentBatches) or whole.samples < 2 * size:
            return self
        count = round(whole.samples / size)
        batches = split_into_batches(whole, -(-whole.samples // count), self.seed)
        return self._with_evaluator(
            dataclasses.replace(self._evaluator, batches=batches, statistics=batches)
        )

    def with_strategies(self, losses: Strategy, derivatives: Strategy) -> Self:
        """The same function, evaluated as another run recorded it, without a new measurement.

        Args:
            losses: How losses at several points are evaluated.
            derivatives: How gradients and products are evaluated.

        Returns:
            An Objective that shares model and data.

        Raises:
            ValueError: A strategy is of another engine than the requested one.
        """
        for strategy in (losses, derivatives):
            self._validate_strategy(strategy)
        twin = copy.copy(self)
        known = [self.__dict__.get(name) for name in ("_loss_engine", "_derivative_engine")]
        for name, strategy, engine in zip(
            ("_loss_engine", "_derivative_engine"), (losses, derivatives), known, strict=True
        ):
            same = engine is not None and engine.strategy == strategy
            twin.__dict__[name] = engine if same else Engine(strategy)
        return twin

    def _with_evaluator(self, evaluator: Evaluator) -> Self:
        twin = copy.copy(self)
        for name in _CACHED_ENGINES:
            twin.__dict__.pop(name, None)
        twin._evaluator = evaluator
        return twin

    # Losses and metrics

    def loss(self, theta: ArrayLike | None = None) -> float:
        """L at one point, shape (d,); at the model's own parameters when None."""
        return float(self.losses(self._read_theta(theta)[None])[0])

    def losses(self, points: ArrayLike, *, strategy: Strategy | None = None) -> NDArray[np.float64]:
        """L at each of several points, shape (k, d) to (k,).

        Args:
            points: Parameter vectors, shape (k, d).
            strategy: How they are evaluated; chosen when None.
        """
        rows = self._read_points(points)
        strategy = self._validate_strategy(strategy) or self._strategy_for_losses(len(rows))
        sums = self._backends.sums(rows, strategy)[:, 0].numpy()
        return sums / self._summary.weight + self._weight_decay.penalties(rows, rows.rows)

    def standard_error(self, theta: ArrayLike | None = None) -> float:
        """The standard error of L at one point for a random subset (``samples=`` a count)."""
        subspace = self._subspace_at(theta)
        if subspace.standard_error is None:
            raise ValueError(
                "the standard error needs a random subset of the samples and a recognised loss; "
                "pass samples= a count"
            )
        return float(subspace.evaluate([[0.0]])[0, -1])

    def sample_losses(self, points: ArrayLike) -> NDArray[np.float64]:
        """Every sample's loss, shape (k, n), in the order of the data.

        Each row's mean is L without its weight decay.
        """
        rows = self._read_points(points)
        strategy = self._strategy_for_losses(len(rows))
        return self._backends.sample_losses(rows, strategy, self._summary.weight).numpy()

    def difference_error(self, theta: ArrayLike, other: ArrayLike) -> float | None:
        """The standard error of L(theta) - L(other) on a random subset; None where all are used.

        Both losses are means over the same samples, so that it is less than the sum of theirs.
        """
        standard_error, evaluator = self._summary.standard_error, self._evaluator
        if standard_error is None:
            return None
        first, second = self.sample_losses(
            np.stack([self._read_theta(theta), self._read_theta(other)])
        )
        differences = (first - second) * (self._summary.weight / self.samples)
        blocks = evaluator.batches.iter_blocks(None)
        weights = torch.cat([evaluator.reductions.sample_weights(b).cpu() for b in blocks])
        sums = np.array([[differences @ differences, differences @ weights.double().numpy()]])
        mean = np.array([differences.sum() / self._summary.weight])
        return float(standard_error.estimate(mean, sums, self._summary.weight)[0])

    def metrics(
        self, metrics: Sequence[MetricLike] | MetricLike, theta: ArrayLike | None = None
    ) -> dict[str, float]:
        """Metrics at one point, by name; each is ``"accuracy"``, ``"error"`` or a function."""
        subspace = self._subspace_at(theta, metrics)
        return {name: float(value[0]) for name, value in subspace.metrics([[0.0]]).items()}

    def column_names(self, metrics: Sequence[MetricLike] | MetricLike = ()) -> tuple[str, ...]:
        """The columns that a subspace with these metrics evaluates at each point."""
        names = [m.name for m in choose_metrics(metrics, self._evaluator.reductions.criterion)]
        return ("loss", *names, *(("standard_error",) if self.is_random_subset else ()))

    def subspace(
        self,
        origin: ArrayLike | None,
        basis: Sequence[ArrayLike],
        *,
        metrics: Sequence[MetricLike] | MetricLike = (),
        strategy: Strategy | None = None,
        points: int | None = None,
    ) -> Subspace:
        """Restrict L to theta = origin + sum_j c_j basis_j.

        Args:
            origin: Shape (d,); the model's own parameters when None.
            basis: m vectors, shape (d,) each.
            metrics: Evaluated beside the loss.
            strategy: How points are evaluated; chosen when None.
            points: How many points are to be evaluated: the choice takes at most a tenth of their
                time. Many when None.

        Returns:
            The subspace, evaluated in batches of coordinates.

        Raises:
            ValueError: A vector has the wrong length, a metric does not fit the loss, or the
                strategy is of another engine than the requested one.
        """
        evaluator = self._evaluator
        strategy = self._validate_strategy(strategy)
        criterion = evaluator.reductions.criterion
        reductions = Reductions(
            criterion, tuple(choose_metrics(metrics, criterion)), squares=self.is_random_subset
        )
        vectors = tuple(
            as_vector(vector, self.dim, evaluator.dtype, f"basis vector {index}").to(self.device)
            for index, vector in enumerate(basis)
        )
        if not vectors:
            raise ValueError("basis is empty, expected at least one vector of shape (d,)")
        return Subspace(
            backends=Backends(evaluator.with_reductions(reductions), self._native_cache),
            origin=torch.from_numpy(self._read_theta(origin)).to(self.device),
            basis=vectors,
            strategy=strategy or self._strategy_for_reductions(reductions, points or _MANY),
            weights=tuple(reductions.weights(evaluator.batches)),
            weight_decay=self._weight_decay,
            standard_error=self._summary.standard_error,
        )

    def _subspace_at(
        self, theta: ArrayLike | None, metrics: Sequence[MetricLike] | MetricLike = ()
    ) -> Subspace:
        """A subspace whose origin alone is evaluated, under a strategy that needs no timing."""
        zero = np.zeros(self.dim, self.dtype)
        strategy = self._strategy_for_losses(1)
        return self.subspace(theta, [zero], metrics=metrics, strategy=strategy)

    # Gradients and curvature

    def gradient(self, theta: ArrayLike | None = None) -> NDArray[Any]:
        """The gradient of L at one point, shape (d,)."""
        _, gradients = self.gradients(self._read_theta(theta)[None])
        gradient: NDArray[Any] = gradients[0]
        return gradient

    def gradients(
        self, points: ArrayLike, *, strategy: Strategy | None = None
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Losses, shape (k,), and gradients, shape (k, d), of L at several points.

        Args:
            points: Parameter vectors, shape (k, d).
            strategy: How they are evaluated; chosen when None.
        """
        rows = self._read_points(points)
        self._check.require_gradient(self._evaluator)
        strategy = self._validate_strategy(strategy) or self._strategy_for_gradients(len(rows))
        losses, gradients = self._backends.gradients(rows, strategy, self._summary.weight)
        return self._add_weight_decay(rows, losses, gradients)

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
        rows = self._read_points(points)
        if len(batches) != len(rows) or not all(0 <= b < self.batches for b in batches):
            raise ValueError(
                f"got batches={list(batches)} for {len(rows)} points, expected one index from 0 "
                f"to {self.batches - 1} for each point"
            )
        self._check.require_gradient(self._evaluator)
        strategy = self._validate_strategy(strategy) or self.derivative_engine.strategy
        return self._add_weight_decay(rows, *self._backends.gradients_on(rows, batches, strategy))

    def hessian_product(self, vector: ArrayLike, theta: ArrayLike | None = None) -> NDArray[Any]:
        """H v at one point, shape (d,) or (k, d); :meth:`hessian_at` is for many products."""
        return self.hessian_at(theta)(vector)

    def hessian_at(self, theta: ArrayLike | None = None) -> CurvatureOperator:
        """The Hessian at one point, as an operator that keeps what its products share."""
        return self.curvature_at(theta)

    def curvature_at(
        self,
        theta: ArrayLike | None = None,
        curvature: Curvature = _HESSIAN,
        *,
        strategy: Strategy | None = None,
    ) -> CurvatureOperator:
        """A curvature matrix at one point, as an operator that keeps what its products share.

        Args:
            theta: The point, shape (d,); the model's own parameters when None.
            curvature: Which matrix; the Hessian by default.
            strategy: How it is evaluated; that of :meth:`choose_engine` when None.

        Raises:
            ValueError: The loss has no likelihood, and the kind needs one.
        """
        point = self._read_points(self._read_theta(theta)[None])
        self._check.require_gradient(self._evaluator)
        strategy = self._validate_strategy(strategy) or self.choose_engine(curvature).strategy
        if curvature.kind == "hessian" and strategy.kind != "native":
            self._check.require_product(self._evaluator)
        return self._backends.curvature_at(
            point,
            strategy,
            curvature,
            weight=self._summary.weight,
            weight_decay=self._weight_decay,
            budget=self.memory_budget,
        )

    def require_curvature(self, kind: CurvatureKind) -> None:
        """Refuse a curvature that the loss does not have, before anything is computed.

        Raises:
            ValueError: The loss is not recognised or has no likelihood, and the kind needs one; or
                batch statistics are re-estimated at every point.
        """
        if kind != "hessian":
            check_curvature(kind, self._evaluator.reductions.recognised_loss)
        refuse_recalibrated(self._evaluator, "curvatures")

    def curvature_errors(
        self,
        vectors: ArrayLike,
        theta: ArrayLike | None = None,
        coefficients: NDArray[np.float64] | None = None,
        *,
        curvature: Curvature = _HESSIAN,
    ) -> NDArray[np.float64] | None:
        """Standard errors of v' A v, for k vectors at one point, shape (k, d) to (k,).

        They are those of drawing the samples at random (``samples=`` a count), to first order;
        None where all samples are used. With coefficients, shape (k,), the standard error of the
        weighted sum: shape (1,).
        """
        standard_error, weight = self._summary.standard_error, self._summary.weight
        if standard_error is None:
            return None
        point = self._read_points(self._read_theta(theta)[None])
        forms, weights = self._sample_quadratic_forms(point, self._read_points(vectors), curvature)
        if coefficients is not None:
            forms = torch.from_numpy(coefficients)[None] @ forms
        sums = torch.stack([forms.square().sum(1), forms @ weights], dim=1)
        means = forms.sum(1) / weight
        return standard_error.estimate(means.numpy(), sums.numpy(), weight, curvature.power)

    def _sample_quadratic_forms(
        self, point: Rows, directions: Rows, curvature: Curvature
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Each sample's term of v' A v times the denominator of L, and of the denominator."""
        vectors, weight = directions.rows, self._summary.weight
        strategy = self._default_strategy
        self._check.require_gradient(self._evaluator)
        if curvature.kind == "hessian":
            self._check.require_product(self._evaluator)
            return compute_sample_curvatures(self._evaluator, point, vectors, strategy)
        denominator = curvature.denominator(weight, self.samples)
        operator = GaussNewtonOperator(
            curvature,
            self._evaluator,
            point,
            strategy,
            weight=denominator,
            weight_decay=WeightDecay(0.0),
            budget=self.memory_budget,
        )
        centre = None
        if curvature.centred:
            _, gradients = self._backends.gradients(point, strategy, weight)
            centre = vectors.double() @ gradients[0].double() * (weight / self.samples)
        forms, weights = operator.sample_quadratic_forms(vectors, centre)
        return forms * (weight / denominator), weights

    def _add_weight_decay(
        self, points: Rows, losses: torch.Tensor, gradients: torch.Tensor
    ) -> tuple[NDArray[np.float64], NDArray[Any]]:
        self._weight_decay.add_derivative(points.rows, gradients)
        penalties = self._weight_decay.penalties(points, points.rows)
        return losses.numpy() + penalties, gradients.numpy()

    def batch_weights(self) -> NDArray[np.float64]:
        """The denominators of the mini-batch means, shape (batches,)."""
        criterion, batches = self._evaluator.reductions.criterion, self._evaluator.batches
        contents = (batches.batch(index) for index in range(self.batches))
        return np.array([criterion.weight(batch.content, batch.weight) for batch in contents])

    def native_objective(
        self, strategy: Strategy, batch_weights: NDArray[np.float64]
    ) -> _core.NetworkObjective | None:
        """L as an object of the core, which solvers evaluate without calling Python.

        Its losses, gradients and Hessian products have the bits of :meth:`losses`,
        :meth:`gradients`, :meth:`gradients_on` and :meth:`curvature_at`.

        Args:
            strategy: How L is evaluated.
            batch_weights: The denominators of the mini-batch means; empty without mini-batches.

        Returns:
            None where L is not native under this strategy, has no derivatives, or has weight decay,
            whose penalty PyTorch computes.
        """
        self._validate_strategy(strategy)
        plain = not self.recalibrates and self._weight_decay.weight == 0
        if strategy.kind != "native" or not plain:
            return None
        self._check.require_gradient(self._evaluator)
        return self._backends.native.objective(
            self._summary.weight, batch_weights, self._evaluator.batch_norm, self.memory_budget
        )

    # The model itself

    def outputs(self, points: ArrayLike) -> Iterator[NDArray[Any]]:
        """The model's outputs at one point after another, by PyTorch.

        Args:
            points: Parameter vectors, shape (k, d).

        Yields:
            k arrays, each of shape (n, ...), samples in the order of the data.

        Raises:
            ValueError: The loss is not a recognised one, so that the form of the outputs is
                unknown.
        """
        _ = self._evaluator.reductions.recognised_loss
        rows = self._read_points(points)
        for outputs in compute_outputs(self._evaluator, rows, self._default_strategy):
            yield host_array(outputs)

    def record_activations(self, modules: Mapping[str, int]) -> dict[str, NDArray[np.float64]]:
        """The outputs of inner modules over all data, at the model's own parameters, by PyTorch.

        Args:
            modules: Their names in the model, and which axis of their outputs counts channels.

        Returns:
            Names to arrays, shape (channels, observations); modules that are not called are left
            out.

        Raises:
            ValueError: The loss is not a recognised one, so that the form of the outputs is
                unknown.
        """
        _ = self._evaluator.reductions.recognised_loss
        point = self._read_points(self.theta[None])
        recorded = record_activations(self._evaluator, point, self._default_strategy, modules)
        return {name: values.numpy() for name, values in recorded.items()}

    def example_inputs(self, count: int = 3) -> tuple[Any, ...]:
        """The first inputs of the data, by position: the model can be traced on them.

        Raises:
            ValueError: Batches are not tuples or columns of tensors.
        """
        content = next(iter(self._evaluator.batches.iter_batches())).content
        return make_example_inputs(self.model, content, count)

    def inputs(self) -> NDArray[Any]:
        """The inputs of all samples where each is one tensor of numbers, shape (n, ...).

        Raises:
            ValueError: The model takes several inputs or other ones, or samples differ in shape.
        """
        parts = []
        for batch in self._evaluator.batches.iter_blocks(None):
            arguments, keywords = read_arguments(batch.content)
            found = [*arguments, *keywords.values()]
            if len(found) != 1 or not (
                isinstance(found[0], torch.Tensor) and found[0].is_floating_point()
            ):
                raise ValueError("a sample is not one tensor of real numbers")
            parts.append(found[0].cpu())
        if len({part.shape[1:] for part in parts}) > 1:
            raise ValueError("samples differ in shape")
        inputs: NDArray[Any] = torch.cat(parts).numpy()
        return inputs

    def targets(self) -> NDArray[Any]:
        """The targets of all samples as the loss reads them, shape (n, ...).

        Raises:
            ValueError: The batches have none.
        """
        reductions = self._evaluator.reductions
        blocks = self._evaluator.batches.iter_blocks(None)
        parts = [reductions.targets(batch.content).cpu() for batch in blocks]
        targets: NDArray[Any] = torch.cat(parts).numpy()
        return targets

    def expected_classes(self) -> NDArray[np.int64] | None:
        """The class of each sample, shape (n, ...), -1 where ignored; None without classes."""
        reductions = self._evaluator.reductions
        loss = reductions.criterion.recognised
        if not isinstance(loss, ClassLoss):
            return None
        parts = []
        for batch in self._evaluator.batches.iter_blocks(None):
            targets = reductions.targets(batch.content).cpu()
            if targets.is_floating_point():  # class probabilities
                parts.append(targets.argmax(1))
            else:
                ignored = targets == loss.options["ignore_index"]
                parts.append(torch.where(ignored, -1, targets.long()))
        classes: NDArray[np.int64] = torch.cat(parts).numpy()
        return classes

    def model_at(self, theta: ArrayLike | None = None) -> nn.Module:
        """A copy of the model with the parameters of one point, and the matching buffers.

        Where batch statistics are re-estimated (``batch_norm="recalibrated"``) the copy has those
        of that point; otherwise it has the buffers of the model.

        Args:
            theta: The point, shape (d,); the model's own parameters when None.

        Returns:
            A new module, without gradients.
        """
        return copy_model_at(self._evaluator, self._read_points(self._read_theta(theta)[None]))

    # Engines and strategies

    @property
    def strategy(self) -> Strategy:
        """The strategy for many points: chosen at the first use, then cached."""
        return self._choose_loss_engine(_MANY).strategy

    def allows(self, strategy: Strategy) -> bool:
        """Whether L can be evaluated under a strategy.

        Args:
            strategy: Of another function, or of an earlier run.
        """
        try:
            self._validate_strategy(strategy)
        except ValueError:
            return False
        return True

    @property
    def plain_strategy(self) -> Strategy:
        """The strategy that needs no measurement: one point after another, by PyTorch."""
        return self._default_strategy

    @property
    def derivative_engine(self) -> Engine:
        """The engine for gradients and products: measured at the first use, then cached."""
        return self._derivative_engine

    def choose_engine(self, curvature: Curvature) -> Engine:
        """The engine for products with a curvature: PyTorch where native networks have none.

        Raises:
            Unsupported: ``engine="native"``, which has no such matrix.
        """
        engine = self.derivative_engine
        if engine.strategy.kind != "native" or curvature.native is not None:
            return engine
        if self.engine == "native":
            raise Unsupported(
                f"curvature={curvature.kind!r}", "random targets are drawn by engine='torch' alone"
            )
        reason = f"the native network has no {curvature.kind} matrix."
        return Engine(self._default_strategy, reason)

    def describe_engine(self, strategy: Strategy) -> str:
        """The name of a strategy's engine, with the reason where it is not the native one."""
        measured = [self.__dict__.get(name) for name in ("_loss_engine", "_metric_engine")]
        equal: list[Engine] = [e for e in measured if e is not None and e.strategy == strategy]
        same = [engine for engine in equal if engine.strategy is strategy]
        return (same or equal or [Engine(strategy)])[0].name

    _loss_engine: Engine
    """The engine for losses, chosen at the first use."""

    def _choose_loss_engine(self, points: int) -> Engine:
        """The engine for so many losses: the one chosen before, unless more may be tried now."""
        known: Engine | None = self.__dict__.get("_loss_engine")
        if known is None or points > known.points:
            theta, backends = torch.from_numpy(self.theta), self._backends

            def choose() -> Engine:
                with stage("choosing how losses are evaluated"):
                    return Engine.for_losses(backends, theta, self.engine, points)

            known = recall_engine(backends, self.engine, "losses", points, choose)
            self.__dict__["_loss_engine"] = known
        return known

    @cached_property
    def _derivative_engine(self) -> Engine:
        theta, backends = torch.from_numpy(self.theta), self._backends

        def choose() -> Engine:
            with stage("choosing how derivatives are evaluated"):
                return Engine.for_derivatives(backends, theta, self.engine)

        return recall_engine(backends, self.engine, "derivatives", 0, choose)

    _metric_engine: Engine
    """The engine of the last subspace whose metrics are functions of the user's."""

    @property
    def _backends(self) -> Backends:
        return Backends(self._evaluator, self._native_cache)

    @property
    def _default_strategy(self) -> Strategy:
        return default_strategy(self._evaluator)

    def _validate_strategy(self, strategy: Strategy | None) -> Strategy | None:
        """Refuse a strategy of another engine than the requested one."""
        if strategy is not None:
            check_recorded_strategy(self._backends, strategy, self.engine)
        return strategy

    def _strategy_for_losses(self, points: int) -> Strategy:
        measured = points > 1 or self.engine == "native"
        return self._choose_loss_engine(points).strategy if measured else self._default_strategy

    def _strategy_for_gradients(self, points: int) -> Strategy:
        measured = points > 1 or self.engine == "native"
        return self.derivative_engine.strategy if measured else self._default_strategy

    def _strategy_for_reductions(self, reductions: Reductions, points: int) -> Strategy:
        if all(metric.separable for metric in reductions.metrics):
            return self._choose_loss_engine(points).strategy
        # a user's function needs the batches as they are, and may fail under vmap
        backends = Backends(self._evaluator.with_reductions(reductions), self._native_cache)
        theta = torch.from_numpy(self.theta)
        self.__dict__["_metric_engine"] = Engine.for_losses(backends, theta, self.engine, points)
        return self._metric_engine.strategy

    def _read_theta(self, theta: ArrayLike | None) -> NDArray[Any]:
        if theta is None:
            return self.theta
        return as_vector(theta, self.dim, self._evaluator.dtype, "theta").cpu().numpy()

    def _read_points(self, points: ArrayLike) -> Rows:
        rows = np.ascontiguousarray(points, dtype=self.dtype)
        if rows.ndim != 2 or rows.shape[1] != self.dim:
            raise ValueError(f"got points of shape {rows.shape}, expected (points, {self.dim})")
        return Rows(torch.from_numpy(rows if rows.flags.writeable else rows.copy()))

"""The Objective: a model, data and a loss as one function L(theta) of a flat vector.

Depends on the function and its derivatives. Everything that measures a model stands on this class.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from torch import nn

from landscape._export import Unsupported
from landscape._objective.build import (
    build_evaluator,
    describe_policy,
    read_other_data,
    replace_data,
    summarise_data,
    validate_model,
    validate_numbers,
    validate_option,
)
from landscape._objective.curvature import Curvature, CurvatureOperator
from landscape._objective.data.batches import ResidentBatches
from landscape._objective.data.reading import resplit
from landscape._objective.engine import ENGINES, Backends, Engine, check_recorded_strategy
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
from landscape._objective.torch_backend.gradients import outputs
from landscape._objective.torch_backend.hessian import compute_sample_curvatures
from landscape._objective.torch_backend.model_state import SwappedModel
from landscape._objective.torch_backend.tuning import default_strategy
from landscape._objective.weight_decay import WeightDecay
from landscape._parameters import ParameterLayout

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from landscape._objective.torch_backend.evaluator import Evaluator

__all__ = ["Objective"]

_MEMORY_BUDGET = 2 << 30
_HESSIAN = Curvature()


class Objective:
    r"""L(theta): the mean loss over samples as a function of the model's parameters.

    .. math:: L(\theta) = \frac{\sum_i w_i \ell(f_\theta(x_i), y_i)}{\sum_i w_i}
              + \frac{\lambda}{2} \lVert\theta\rVert^2

    The sums run over *all* samples, so L does not depend on how they are batched. Which function
    L is (loss, batch-norm policy, dropout, subset) is fixed here and kept in every result. The
    model is lent, never copied: it is bit-identical after every call, also after an exception.

    Args:
        model: The trained module. Data-parallel and compilation wrappers are looked through.
        data: ``(inputs, targets)`` tensors or arrays, a Dataset, a DataLoader, or any re-iterable
            of batches (tuples, mappings, or what a :func:`batch_loss` understands). Read once and
            kept where it fits ``memory_budget``, else streamed.
        loss: None infers it (integer targets: cross-entropy; float targets: mean squared error;
            a model output with ``.loss``: that), a torch loss, ``f(outputs, targets)``, or
            ``landscape.batch_loss(f)``. Losses PyTorch knows are exact means over samples, in
            float64 from the outputs onward; others are weighted by batch size.
        engine: ``"torch"``; ``"native"``, the core's own evaluator of exported networks, on a CPU;
            or ``"auto"``: native where the model exports and a short measurement finds it faster.
        batch_norm: ``"frozen"`` (running statistics as stored), ``"recalibrated"`` (re-estimated
            at every theta; losses only), ``"batch"`` (the batch's own), or None: frozen around one
            model, recalibrated by functions that join several.
        device: Where to evaluate; the parameters' own device when None.
        dtype: The dtype to compute in, such as ``torch.float64``; the model's own when None.
        parameters: Names, module prefixes or patterns of the parameters to vary; the rest is held.
        samples: A count (a seeded random subset; losses then carry a standard error) or indices.
        dropout: ``"off"``, or ``"seeded"``: the same random masks at every theta.
        weight_decay: lambda, over the varied parameters.
        seed: Seeds the subset, the split and the dropout masks, in separate streams.
        batch_size: The split of data that come without batches (batch statistics, opaque losses,
            mini-batch gradients), seeded; one batch of all when None.
        memory_budget: Bytes that kept data, and separately a kept graph, may take.

    Raises:
        TypeError: The model, the data or the loss is of no known kind.
        ValueError: The data are empty, targets do not fit, there is nothing to vary, a parameter
            is not finite, or ``engine="native"`` finds something that it does not support.

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
        memory_budget: int = _MEMORY_BUDGET,
    ) -> None:
        validate_option("engine", engine, ENGINES)
        validate_option("batch_norm", batch_norm, (None, *POLICIES))
        validate_option("dropout", dropout, ("off", "seeded"))
        validate_numbers(weight_decay=weight_decay, seed=seed, memory_budget=memory_budget)
        self.model = validate_model(model)
        """The module itself, without wrappers."""
        self.layout = ParameterLayout.of(self.model, parameters)
        self.batch_norm: BatchNormPolicy | None = batch_norm
        self.seed = seed
        self.memory_budget = memory_budget
        self._batch_size = batch_size
        reading, evaluator = build_evaluator(
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
            memory_budget=memory_budget,
            seed=seed,
        )
        self._evaluator = evaluator
        self._reading = reading
        self._summary = summarise_data(evaluator, reading)
        self._decay = WeightDecay(float(weight_decay))
        self._native_cache = NativeCache()
        self.engine = engine
        """The engine that was asked for; the one that evaluates is in a result's ``run.engine``."""
        if engine == "native":
            _ = self._backends.native  # or the reason why not, now rather than later

    @property
    def dim(self) -> int:
        """The number d of parameters that vary."""
        return self.layout.size

    @property
    def samples(self) -> int:
        """The number of samples that L is a mean over."""
        return self._evaluator.batches.samples

    @property
    def drawn(self) -> bool:
        """Whether the samples are a random subset, so that numbers have a sampling error."""
        return self._summary.spread is not None

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
    def theta(self) -> NDArray[Any]:
        """The model's parameters as they are now, shape (d,), a copy."""
        return self.layout.flatten(self.model).astype(self.dtype, copy=False)

    @property
    def device(self) -> torch.device:
        """Where the model is evaluated."""
        return self._evaluator.model.device

    @property
    def strategy(self) -> Strategy:
        """How many points are evaluated fastest here, measured at the first need and then kept."""
        return self._for_losses.strategy

    @cached_property
    def _for_losses(self) -> Engine:
        return Engine.for_losses(self._backends, torch.from_numpy(self.theta), self.engine)

    _for_functions: Engine
    """The engine of the last reductions with a user's functions."""

    @property
    def _backends(self) -> Backends:
        return Backends(self._evaluator, self._native_cache)

    def evaluated_by(self, strategy: Strategy) -> str:
        """The engine of a strategy, with the reason where native was possible but not taken."""
        known = [self.__dict__.get(name) for name in ("_for_losses", "_for_functions")]
        found: list[Engine] = [e for e in known if e is not None and e.strategy == strategy]
        exact = [engine for engine in found if engine.strategy is strategy]
        return (exact or found or [Engine(strategy)])[0].name

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know: dropped samples, frozen augmentation, held parameters."""
        return self._summary.notes

    @property
    def policy(self) -> dict[str, Any]:
        """Which function L is, as plain data for the run record."""
        return describe_policy(self._evaluator, self._summary, self._decay.weight)

    def with_default_batch_norm(self, batch_norm: BatchNormPolicy) -> Self:
        """The same function with its batch-norm policy settled.

        Args:
            batch_norm: The policy where the user left it None.

        Returns:
            An Objective that shares model and data; this one where the user chose a policy.
        """
        if self.batch_norm is not None or batch_norm == self._evaluator.batch_norm:
            return self
        return self.with_batch_norm(batch_norm)

    def with_batch_norm(self, batch_norm: BatchNormPolicy) -> Self:
        """The same model, data and loss under another batch-norm policy: another function.

        Args:
            batch_norm: The policy, whatever the user chose.

        Returns:
            An Objective that shares model and data.
        """
        twin = self._twin(dataclasses.replace(self._evaluator, batch_norm=batch_norm))
        twin.batch_norm = batch_norm
        return twin

    def with_batch_size(self, size: int) -> Self:
        """The same samples in a seeded split of equal batches of about this size.

        Args:
            size: Of a batch.

        Returns:
            An Objective that shares model and data; this one where the user chose the split, or
            where the data come in batches already or are no more than one.
        """
        whole = self._evaluator.batches
        chosen = self._batch_size is not None or len(whole.sizes) > 1
        if chosen or not isinstance(whole, ResidentBatches) or whole.samples < 2 * size:
            return self
        count = round(whole.samples / size)
        parts = resplit(whole, -(-whole.samples // count), self.seed)
        return self._twin(dataclasses.replace(self._evaluator, batches=parts, statistics=parts))

    def with_model(self, model: nn.Module) -> Self:
        """The same function for another module of the same layout, with its buffers.

        Args:
            model: The module whose buffers and held parameters count from now on.

        Returns:
            An Objective that shares the data and the loss.
        """
        module, before = validate_model(model), self._evaluator.model
        swapped = SwappedModel(
            module, self.layout, device=before.device, dtype=before.dtype, seed=before.seed
        )
        swapped.behaviour = before.behaviour
        norms = BatchNorms(module)
        twin = self._twin(dataclasses.replace(self._evaluator, model=swapped, norms=norms))
        twin.model, twin._native_cache = module, NativeCache()
        return twin

    def _twin(self, evaluator: Evaluator) -> Self:
        twin = copy.copy(self)
        _forget_measurements(twin)
        twin._evaluator = evaluator
        return twin

    def with_data(self, data: Any) -> Self:
        """The same function of other data, such as a test set.

        Under ``batch_norm="recalibrated"`` the statistics still come from the first data, as they
        would for a model in use.

        Args:
            data: As for the Objective, or an Objective whose data are meant.

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
        twin = self._twin(replace_data(self._evaluator, reading))
        twin._reading = reading
        twin._summary = summarise_data(twin._evaluator, reading)
        return twin

    def _vector(self, theta: ArrayLike | None) -> NDArray[Any]:
        if theta is None:
            return self.theta
        return as_vector(theta, self.dim, self._evaluator.dtype, "theta").cpu().numpy()

    def _rows(self, points: ArrayLike) -> Rows:
        rows = np.ascontiguousarray(points, dtype=self.dtype)
        if rows.ndim != 2 or rows.shape[1] != self.dim:
            raise ValueError(f"got points of shape {rows.shape}, expected (points, {self.dim})")
        return Rows(torch.from_numpy(rows if rows.flags.writeable else rows.copy()))

    def _checked(self, strategy: Strategy | None) -> Strategy | None:
        """A strategy that was handed in, which must be of the engine that was asked for."""
        if strategy is not None:
            check_recorded_strategy(self._backends, strategy, self.engine)
        return strategy

    def _strategy_for(self, points: int) -> Strategy:
        return self.strategy if points > 1 or self.engine == "native" else self._plain

    @property
    def _plain(self) -> Strategy:
        return default_strategy(self._evaluator)

    @cached_property
    def derivatives(self) -> Engine:
        """How gradients and products are evaluated, measured at the first need and then kept."""
        return Engine.for_derivatives(self._backends, torch.from_numpy(self.theta), self.engine)

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
        return Engine(self._plain, f"the native network has no {curvature.kind} matrix.")

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
        return self._regularised(rows, self._backends.gradients(rows, chosen, self._summary.weight))

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
        return self._regularised(rows, self._backends.gradients_on(rows, batches, chosen))

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
        """A curvature at one point, as an operator that keeps what its products share.

        Args:
            theta: The point, shape (d,); the model's own parameters when None.
            curvature: Which matrix; the Hessian unless told.
            strategy: How it is evaluated; that of :meth:`engine_of` when None.

        Raises:
            ValueError: The loss has no likelihood, and the kind needs one.
        """
        return self._backends.curvature_at(
            self._rows(self._vector(theta)[None]),
            self._checked(strategy) or self.engine_of(curvature).strategy,
            curvature,
            weight=self._summary.weight,
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
        if self._summary.spread is None:
            return None
        point, directions = self._rows(self._vector(theta)[None]), self._rows(vectors)
        shares, weights = self._shares(point, directions, curvature)
        if coefficients is not None:
            shares = torch.from_numpy(coefficients)[None] @ shares
        totals = torch.stack([shares.square().sum(1), shares @ weights], dim=1)
        means, weight = shares.sum(1) / self._summary.weight, self._summary.weight
        return self._summary.spread.standard_errors(
            means.numpy(), totals.numpy(), weight, curvature.power
        )

    def _shares(
        self, point: Rows, directions: Rows, curvature: Curvature
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What every sample adds to v' A v times the denominator of L, and to the denominator."""
        vectors, weight = directions.rows, self._summary.weight
        if curvature.kind == "hessian":
            return compute_sample_curvatures(self._evaluator, point, vectors, self._plain)
        denominator = curvature.denominator(weight, self.samples)
        products = GaussNewtonOperator(
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
            _, slopes = self._backends.gradients(point, self._plain, weight)
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

    def loss(self, theta: ArrayLike | None = None) -> float:
        """L at one point, shape (d,); at the model's own parameters when None."""
        return float(self.losses(self._vector(theta)[None])[0])

    def losses(self, points: ArrayLike, *, strategy: Strategy | None = None) -> NDArray[np.float64]:
        """L at each of several points, shape (k, d) to (k,).

        Args:
            points: Parameter vectors, shape (k, d).
            strategy: How they are evaluated; chosen when None.
        """
        rows = self._rows(points)
        chosen = self._checked(strategy) or self._strategy_for(len(rows))
        sums = self._backends.sums(rows, chosen)[:, 0].numpy()
        return sums / self._summary.weight + self._decay.penalties(rows, rows.rows)

    def standard_error(self, theta: ArrayLike | None = None) -> float:
        """The standard error of L at one point for a random subset (``samples=`` a count)."""
        subspace = self._at(theta)
        if subspace.spread is None:
            raise ValueError(
                "the standard error needs a random subset of the samples and a recognised loss; "
                "pass samples= a count"
            )
        return float(subspace.evaluate([[0.0]])[0, -1])

    def sample_losses(self, points: ArrayLike) -> NDArray[np.float64]:
        """Every sample's loss, shape (k, n), in the order of the data.

        Each row's mean is L without its weight decay.
        """
        rows = self._rows(points)
        strategy = self._strategy_for(len(rows))
        return self._backends.sample_losses(rows, strategy, self._summary.weight).numpy()

    def difference_error(self, theta: ArrayLike, other: ArrayLike) -> float | None:
        """The standard error of L(theta) - L(other) on a random subset; None where all are used.

        Both losses are means over the same samples, so that it is less than the sum of theirs.
        """
        spread, evaluator = self._summary.spread, self._evaluator
        if spread is None:
            return None
        here, there = self.sample_losses(np.stack([self._vector(theta), self._vector(other)]))
        shares = (here - there) * (self._summary.weight / self.samples)
        blocks = evaluator.batches.blocks(None)
        weights = torch.cat([evaluator.reductions.sample_weights(b).cpu() for b in blocks])
        sums = np.array([[shares @ shares, shares @ weights.double().numpy()]])
        mean = np.array([shares.sum() / self._summary.weight])
        return float(spread.standard_errors(mean, sums, self._summary.weight)[0])

    def example_inputs(self, count: int = 3) -> tuple[torch.Tensor, ...]:
        """The first inputs of the data, as the model takes them: what it can be traced with.

        Raises:
            ValueError: Batches are not tuples of tensors.
        """
        content = next(iter(self._evaluator.batches.split())).content
        parts = (content[:-1] or content) if isinstance(content, (tuple, list)) else (content,)
        if not all(isinstance(part, torch.Tensor) for part in parts):
            raise ValueError(
                "the batches are not tuples of tensors, so that the model cannot be traced on "
                "them; pass (inputs, targets)"
            )
        # two samples at least: a batch of one is a special case of its own
        return tuple(part[[i % len(part) for i in range(count)]] for part in parts)

    def outputs(self, points: ArrayLike) -> Iterator[NDArray[Any]]:
        """The model's outputs at one point after another, by PyTorch.

        Args:
            points: Parameter vectors, shape (k, d).

        Yields:
            k arrays, each of shape (n, ...), samples in the order of the data.

        Raises:
            ValueError: The loss is not a recognised one, so that what is output is not known.
        """
        _ = self._evaluator.reductions.recognised_loss
        for found in outputs(self._evaluator, self._rows(points), self._plain):
            yield found.numpy()

    def expected_classes(self) -> NDArray[np.int64] | None:
        """The class of each sample, shape (n, ...), -1 where ignored; None without classes."""
        reductions = self._evaluator.reductions
        loss = reductions.criterion.recognised
        if not isinstance(loss, ClassLoss):
            return None
        parts = []
        for batch in self._evaluator.batches.blocks(None):
            targets = reductions.targets(batch.content).cpu()
            if targets.is_floating_point():  # class probabilities
                parts.append(targets.argmax(1))
            else:
                ignored = targets == loss.options["ignore_index"]
                parts.append(torch.where(ignored, -1, targets.long()))
        found: NDArray[np.int64] = torch.cat(parts).numpy()
        return found

    def metrics(
        self, metrics: Sequence[MetricLike] | MetricLike, theta: ArrayLike | None = None
    ) -> dict[str, float]:
        """Metrics at one point, by name; each is ``"accuracy"``, ``"error"`` or a function."""
        subspace = self._at(theta, metrics)
        return {name: float(value[0]) for name, value in subspace.metrics([[0.0]]).items()}

    def column_names(self, metrics: Sequence[MetricLike] | MetricLike = ()) -> tuple[str, ...]:
        """What a subspace with these metrics evaluates at each point."""
        names = [m.name for m in choose_metrics(metrics, self._evaluator.reductions.criterion)]
        return ("loss", *names, *(("standard_error",) if self._summary.spread else ()))

    def model_at(self, theta: ArrayLike | None = None) -> nn.Module:
        """A copy of the model with the parameters of one point, and buffers that go with them.

        Where batch statistics are re-estimated (``batch_norm="recalibrated"``) the copy has those
        of that point; otherwise it has the buffers of the model.

        Args:
            theta: The point, shape (d,); the model's own parameters when None.

        Returns:
            A module of its own, without gradients.
        """
        return copy_model_at(self._evaluator, self._rows(self._vector(theta)[None]))

    def subspace(
        self,
        origin: ArrayLike | None,
        basis: Sequence[ArrayLike],
        *,
        metrics: Sequence[MetricLike] | MetricLike = (),
        strategy: Strategy | None = None,
    ) -> Subspace:
        """Restrict L to theta = origin + sum_j c_j basis_j.

        Args:
            origin: Shape (d,); the model's own parameters when None.
            basis: m vectors, shape (d,) each.
            metrics: Evaluated beside the loss.
            strategy: How points are evaluated; measured when None.

        Returns:
            The subspace, evaluated in batches of coordinates.

        Raises:
            ValueError: A vector has the wrong length, a metric does not fit the loss, or the
                strategy is of another engine than the one that was asked for.
        """
        evaluator = self._evaluator
        strategy = self._checked(strategy)
        criterion = evaluator.reductions.criterion
        chosen = tuple(choose_metrics(metrics, criterion))
        reductions = Reductions(criterion, chosen, spread=self._summary.spread is not None)
        device = evaluator.model.device
        vectors = tuple(
            as_vector(vector, self.dim, evaluator.dtype, f"basis vector {index}").to(device)
            for index, vector in enumerate(basis)
        )
        if not vectors:
            raise ValueError("basis is empty, expected at least one vector of shape (d,)")
        return Subspace(
            backends=Backends(evaluator.with_reductions(reductions), self._native_cache),
            origin=torch.from_numpy(self._vector(origin)).to(device),
            basis=vectors,
            strategy=strategy or self._strategy_of(reductions),
            weights=tuple(reductions.weights(evaluator.batches)),
            weight_decay=self._decay,
            spread=self._summary.spread,
        )

    def _at(
        self, theta: ArrayLike | None, metrics: Sequence[MetricLike] | MetricLike = ()
    ) -> Subspace:
        """A subspace for its origin alone, which no measurement of strategies would repay."""
        nowhere = np.zeros(self.dim, self.dtype)
        return self.subspace(theta, [nowhere], metrics=metrics, strategy=self._strategy_for(1))

    def _strategy_of(self, reductions: Reductions) -> Strategy:
        if all(metric.separable for metric in reductions.metrics):
            return self.strategy
        # a user's function needs the batches as they are, and may not run under vmap
        backends = Backends(self._evaluator.with_reductions(reductions), self._native_cache)
        theta = torch.from_numpy(self.theta)
        self.__dict__["_for_functions"] = Engine.for_losses(backends, theta, self.engine)
        return self._for_functions.strategy


def _forget_measurements(objective: Objective) -> None:
    for name in ("_for_losses", "derivatives", "_for_functions"):
        objective.__dict__.pop(name, None)

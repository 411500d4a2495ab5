"""The Objective: a model, data and a loss as one function L(theta) of a flat vector.

Depends on the function and its derivatives. Everything that measures a model stands on this class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from landscape._objective.derivatives import Differentiable
from landscape._objective.engines import Engine
from landscape._objective.gradients import outputs
from landscape._objective.heads import ClassHead
from landscape._objective.measurement import Measurement
from landscape._objective.metrics import MetricLike, choose_metrics
from landscape._objective.modules import module_at
from landscape._objective.strategy import Strategy
from landscape._objective.subspace import Subspace, as_vector
from landscape._objective.supply import Supply

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import nn

__all__ = ["Objective"]


class Objective(Differentiable):
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
        sums = self._supply.sums(rows, chosen)[:, 0].numpy()
        return sums / self._facts.weight + self._decay.penalties(rows, rows.rows)

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
        return self._supply.sample_losses(rows, strategy, self._facts.weight).numpy()

    def difference_error(self, theta: ArrayLike, other: ArrayLike) -> float | None:
        """The standard error of L(theta) - L(other) on a random subset; None where all are used.

        Both losses are means over the same samples, so that it is less than the sum of theirs.
        """
        spread, evaluator = self._facts.spread, self._evaluator
        if spread is None:
            return None
        here, there = self.sample_losses(np.stack([self._vector(theta), self._vector(other)]))
        shares = (here - there) * (self._facts.weight / self.samples)
        blocks = evaluator.batches.blocks(None)
        weights = torch.cat([evaluator.measurement.sample_weights(b).cpu() for b in blocks])
        sums = np.array([[shares @ shares, shares @ weights.double().numpy()]])
        mean = np.array([shares.sum() / self._facts.weight])
        return float(spread.standard_errors(mean, sums, self._facts.weight)[0])

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
        _ = self._evaluator.measurement.head
        for found in outputs(self._evaluator, self._rows(points), self._plain):
            yield found.numpy()

    def expected_classes(self) -> NDArray[np.int64] | None:
        """The class of each sample, shape (n, ...), -1 where ignored; None without classes."""
        measurement = self._evaluator.measurement
        head = measurement.criterion.head
        if not isinstance(head, ClassHead):
            return None
        parts = []
        for batch in self._evaluator.batches.blocks(None):
            targets = measurement.targets(batch.content).cpu()
            if targets.is_floating_point():  # class probabilities
                parts.append(targets.argmax(1))
            else:
                ignored = targets == head.options["ignore_index"]
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
        names = [m.name for m in choose_metrics(metrics, self._evaluator.measurement.criterion)]
        return ("loss", *names, *(("standard_error",) if self._facts.spread else ()))

    def model_at(self, theta: ArrayLike | None = None) -> nn.Module:
        """A copy of the model with the parameters of one point, and buffers that go with them.

        Where batch statistics are re-estimated (``batch_norm="recalibrated"``) the copy has those
        of that point; otherwise it has the buffers of the model.

        Args:
            theta: The point, shape (d,); the model's own parameters when None.

        Returns:
            A module of its own, without gradients.
        """
        return module_at(self._evaluator, self._rows(self._vector(theta)[None]))

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
        criterion = evaluator.measurement.criterion
        chosen = tuple(choose_metrics(metrics, criterion))
        measurement = Measurement(criterion, chosen, spread=self._facts.spread is not None)
        device = evaluator.stage.device
        vectors = tuple(
            as_vector(vector, self.dim, evaluator.dtype, f"basis vector {index}").to(device)
            for index, vector in enumerate(basis)
        )
        if not vectors:
            raise ValueError("basis is empty, expected at least one vector of shape (d,)")
        return Subspace(
            supply=Supply(evaluator.measuring(measurement), self._natives),
            origin=torch.from_numpy(self._vector(origin)).to(device),
            basis=vectors,
            strategy=strategy or self._strategy_of(measurement),
            weights=tuple(measurement.weights(evaluator.batches)),
            weight_decay=self._decay,
            spread=self._facts.spread,
        )

    def _at(
        self, theta: ArrayLike | None, metrics: Sequence[MetricLike] | MetricLike = ()
    ) -> Subspace:
        """A subspace for its origin alone, which no measurement of strategies would repay."""
        nowhere = np.zeros(self.dim, self.dtype)
        return self.subspace(theta, [nowhere], metrics=metrics, strategy=self._strategy_for(1))

    def _strategy_of(self, measurement: Measurement) -> Strategy:
        if all(metric.separable for metric in measurement.metrics):
            return self.strategy
        # a user's function needs the batches as they are, and may not run under vmap
        supply = Supply(self._evaluator.measuring(measurement), self._natives)
        theta = torch.from_numpy(self.theta)
        self.__dict__["_for_functions"] = Engine.for_losses(supply, theta, self.engine)
        return self._for_functions.strategy

"""Reductions over samples: sums of losses, metrics and squares."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from landscape._objective.data.batches import Batch, Batches
from landscape._objective.losses.criterion import Criterion, get_targets
from landscape._objective.losses.metrics import Metric
from landscape._objective.losses.recognised import RecognisedLoss

__all__ = ["Reductions", "SubsetStandardError"]


@dataclass(frozen=True)
class Reductions:
    """The sums over all samples at a point: the loss, each metric, and squares where requested."""

    criterion: Criterion
    metrics: tuple[Metric, ...] = ()
    _: KW_ONLY
    squares: bool = False
    """Whether to sum the squares that a standard error needs (recognised losses only)."""

    @property
    def columns(self) -> int:
        """The number of sums."""
        return 1 + len(self.metrics) + 2 * self.squares

    def totals(self, module: torch.nn.Module, batch: Batch) -> Tensor:
        """The sums of one batch, float64, shape (columns,)."""
        content, weight = batch.content, batch.weight
        raw = self.criterion.raw_outputs(module, content)
        outputs = self.criterion.arrange(raw)
        sums = [self.criterion.total(outputs, content, weight)]
        for metric in self.metrics:
            targets = self.targets(content)
            if metric.separable:
                sums.append(metric.total(outputs, targets, weight))
            else:  # a user's function is given what the model and the data have
                logits = getattr(raw, "logits", raw)
                sums.append(metric.total(logits, get_targets(content), weight))
        if self.squares:
            sums += self._squares(outputs, content)
        return torch.stack(sums)

    def weights(self, batches: Batches) -> list[float]:
        """The denominators of the loss and of each metric, from one pass over the data."""
        sums = [0.0] * (1 + len(self.metrics))
        # a user's weight is that of a whole batch
        exact = self.criterion.recognised is not None
        for batch in batches.iter_blocks(None) if exact else batches.iter_batches():
            weight = batch.weight
            sums[0] += self.criterion.weight(batch.content, weight)
            for column, metric in enumerate(self.metrics, start=1):
                sums[column] += metric.weight(self.targets(batch.content), weight)
        return sums

    def per_sample(self, module: torch.nn.Module, batch: Batch) -> Tensor:
        """The weighted sum of each sample's losses, shape (batch,) (recognised losses only)."""
        outputs = self.criterion.outputs(module, batch.content)
        return self.recognised_loss.per_sample(outputs, self.targets(batch.content))

    def sample_weights(self, batch: Batch) -> Tensor:
        """Each sample's term of the denominator of L (recognised losses only)."""
        return self.recognised_loss.sample_weights(self.targets(batch.content))

    @property
    def recognised_loss(self) -> RecognisedLoss:
        """The loss itself.

        Raises:
            ValueError: It is not a recognised one.
        """
        if self.criterion.recognised is None:
            raise ValueError(
                f"this needs a recognised loss, and {self.criterion.name!r} is known only by its "
                "batch means; pass a torch.nn loss"
            )
        return self.criterion.recognised

    def targets(self, content: Any) -> Tensor:
        """The targets of a batch's content.

        Raises:
            ValueError: The batches have no targets.
        """
        targets = self.criterion.targets(content)
        if targets is None:
            raise ValueError(
                "a metric needs targets, and the batches have none; pass (inputs, targets)"
            )
        return targets

    def _squares(self, outputs: Any, content: Any) -> list[Tensor]:
        """The sums of t_i^2 and t_i w_i; see :class:`SubsetStandardError`."""
        losses = self.recognised_loss.per_sample(outputs, self.targets(content))
        weights = self.recognised_loss.sample_weights(self.targets(content)).to(losses.device)
        return [losses.square().sum(), (losses * weights).sum()]


@dataclass(frozen=True)
class SubsetStandardError:
    r"""The ratio estimator's standard error under sampling without replacement.

    L = sum t_i / sum w_i with sample totals t_i and weights w_i has the linearised variance
    (1 - n/N) n/(n-1) sum (t_i - L w_i)^2 / (sum w_i)^2; with unit weights this is the textbook
    standard error of a mean.

    Reference:
        Cochran, Sampling Techniques, 3rd edition (1977), sections 2.6 and 2.11.
    """

    samples: int
    population: int
    squared_weights: float
    """sum w_i^2."""

    def estimate(
        self,
        losses: NDArray[np.float64],
        sums: NDArray[np.float64],
        weight: float,
        power: int = 1,
    ) -> NDArray[np.float64]:
        """Standard errors of losses, shape (k,).

        Args:
            losses: L at each point, shape (k,).
            sums: sum t_i^2 and sum t_i w_i at each point, shape (k, 2).
            weight: sum w_i.
            power: The exponent of sum w_i in the denominator: 2 for n sum t_i / (sum w_i)^2, whose
                numerators are then n t_i / sum w_i.

        Returns:
            One standard error per point; NaN for a single sample, whose variance is unknown.
        """
        n = self.samples
        if n < 2:
            return np.full(len(losses), np.nan)
        with np.errstate(invalid="ignore", over="ignore"):  # non-finite losses are data
            slopes = power * losses
            squares = sums[:, 0] - 2 * slopes * sums[:, 1] + slopes**2 * self.squared_weights
            squares -= ((power - 1) * losses * weight) ** 2 / n  # of their mean, 0 for a ratio
            finite_population = 1 - n / self.population
            variance = finite_population * n / (n - 1) * squares / weight**2
            # rounding can take a vanishing sum of squares just below zero
            return np.sqrt(np.where(variance < 0, 0.0, variance))

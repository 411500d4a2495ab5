"""What is summed over samples: the loss, metrics, and squares for a standard error.

Depends on the criterion, the metrics and the data.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch import Tensor

from landscape._objective.criterion import Criterion
from landscape._objective.data import Batch, Batches
from landscape._objective.heads import Head
from landscape._objective.metrics import Metric

__all__ = ["Measurement"]


@dataclass(frozen=True)
class Measurement:
    """What is summed over the samples at a point: the loss, then the metrics, then its spread."""

    criterion: Criterion
    metrics: tuple[Metric, ...] = ()
    _: KW_ONLY
    spread: bool = False
    """Also sum the squares that a standard error needs (recognised losses only)."""

    @property
    def columns(self) -> int:
        """How many sums there are."""
        return 1 + len(self.metrics) + 2 * self.spread

    def totals(self, model: torch.nn.Module, batch: Batch) -> Tensor:
        """The sums of one batch, float64, shape (columns,)."""
        content, size = batch.content, batch.size
        outputs = self.criterion.outputs(model, content)
        sums = [self.criterion.total(outputs, content, size)]
        if self.metrics:
            targets, found = self.targets(content), getattr(outputs, "logits", outputs)
            sums += [metric.total(found, targets, size) for metric in self.metrics]
        if self.spread:
            sums += self._squares(outputs, content)
        return torch.stack(sums)

    def weights(self, batches: Batches) -> list[float]:
        """The denominators of the loss and of each metric, from one pass over the data."""
        sums = [0.0] * (1 + len(self.metrics))
        for batch in batches.blocks(None):
            sums[0] += self.criterion.weight(batch.content, batch.size)
            for column, metric in enumerate(self.metrics, start=1):
                sums[column] += metric.weight(self.targets(batch.content), batch.size)
        return sums

    def per_sample(self, model: torch.nn.Module, batch: Batch) -> Tensor:
        """The weighted sum of each sample's losses, shape (batch,) (recognised losses only)."""
        outputs = self.criterion.outputs(model, batch.content)
        return self.head.per_sample(outputs, self.targets(batch.content))

    def sample_weights(self, batch: Batch) -> Tensor:
        """What each sample adds to the denominator of L (recognised losses only)."""
        return self.head.sample_weights(self.targets(batch.content))

    @property
    def head(self) -> Head:
        """The loss itself.

        Raises:
            ValueError: It is not a recognised one.
        """
        if self.criterion.head is None:
            raise ValueError(
                f"this needs a recognised loss, and {self.criterion.name!r} is known only by its "
                "batch means; pass a torch.nn loss"
            )
        return self.criterion.head

    def targets(self, content: Any) -> Tensor:
        """What outputs are compared with.

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
        losses = self.head.per_sample(outputs, self.targets(content))
        weights = self.head.sample_weights(self.targets(content)).to(losses.device)
        return [losses.square().sum(), (losses * weights).sum()]

"""Losses and metrics of many points: sums over all samples, one point at a time or in batches.

Depends on the stage, the criterion, the data and the batch-norm policy. Knows nothing of
gradients, and nothing of who asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from landscape._objective.batch_norm import BatchNormPolicy, BatchNorms
from landscape._objective.data import Batch, Batches, Resident, Streamed
from landscape._objective.measurement import Measurement
from landscape._objective.points import Points
from landscape._objective.stage import PointBuffer, Stage
from landscape._objective.strategy import Strategy
from landscape._objective.tree import map_tensors
from landscape._parameters import ParameterLayout

__all__ = ["Evaluator"]


@dataclass(frozen=True)
class Evaluator:
    """The function that takes points to sums, for one model, one set of data and one policy."""

    stage: Stage
    layout: ParameterLayout
    dtype: torch.dtype
    """The flat vector's."""
    batches: Batches
    measurement: Measurement
    norms: BatchNorms
    statistics: Batches
    """The data that batch statistics are re-estimated on: those of L, also for test data."""
    batch_norm: BatchNormPolicy
    dropout: str

    def measuring(self, measurement: Measurement) -> Evaluator:
        """The same evaluator with other sums."""
        return replace(self, measurement=measurement)

    @property
    def recalibrates(self) -> bool:
        """Whether there are batch statistics, and they are re-estimated at every point."""
        return self.batch_norm == "recalibrated" and bool(self.norms)

    @property
    def cuttable(self) -> bool:
        """Whether samples do not see each other, so that blocks may be of any size."""
        return (
            self.measurement.criterion.head is not None
            and all(metric.separable for metric in self.measurement.metrics)
            and self.batch_norm != "batch"
            and not self.norms.always_batch
            and not self.stage.behaviour.mixes
            and self.dropout == "off"
        )

    @property
    def stackable(self) -> bool:
        """Whether several points may share a pass: nothing in it may belong to one point."""
        return (
            self.batch_norm != "recalibrated"
            and self.dropout == "off"
            and not self.stage.behaviour.remembers
        )

    def blocks(self, strategy: Strategy) -> Iterator[Batch]:
        """The data in the blocks and the memory format in which they are evaluated."""
        found = self.batches.blocks(strategy.block) if self.cuttable else self.batches.split()
        if strategy.memory_format != "channels_last":
            return found
        return (
            replace(batch, content=map_tensors(_channels_last, batch.content)) for batch in found
        )

    def buffer(self) -> PointBuffer:
        """Room for one point: the only vector of size d that an evaluation allocates."""
        return PointBuffer(
            self.layout, self.stage.dtypes, dtype=self.dtype, device=self.stage.device
        )

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Lend the model under this policy."""
        with torch.inference_mode(mode=False), self.stage.lent(dropout=self.dropout):
            if self.batch_norm == "batch":
                self.norms.use_batch_statistics()
            yield

    @contextmanager
    def without_graph(self) -> Iterator[None]:
        """Record no graph, but let models and losses differentiate by themselves."""
        if self.stage.behaviour.differentiates:
            with torch.enable_grad():
                yield
        else:
            with torch.inference_mode():
                yield

    def passes(self, blocks: Iterable[Batch], first: int = 0) -> Iterator[Batch]:
        """Go through the data at the installed point, after its batch statistics are made.

        Args:
            blocks: All the data, or a part of the split.
            first: The part's place in the split, which its random numbers belong to.
        """
        self.stage.reset()
        if self.recalibrates:
            self.norms.recalibrate(
                self.measurement.criterion.outputs,
                self.stage.model,
                self._seeded(self.statistics.split()),
            )
            self.stage.reset()
        yield from self._seeded(blocks, first)

    def _seeded(self, blocks: Iterable[Batch], first: int = 0) -> Iterator[Batch]:
        """The batches for one pass, with the same random numbers in every one."""
        for index, batch in enumerate(blocks, start=first):
            self.stage.begin_batch(index)
            yield self._handed(batch)

    def _handed(self, batch: Batch) -> Batch:
        """The batch as the model may have it: a copy, where it would be written into."""
        return batch.copied() if self.stage.behaviour.overwrites else batch

    def sums(self, points: Points, strategy: Strategy) -> Tensor:
        """Evaluate every point on all samples.

        Args:
            points: The parameter vectors.
            strategy: How they are evaluated.

        Returns:
            The measurement's sums, float64, on the CPU, shape (points, columns).
        """
        with self.ready(), self.without_graph():
            if strategy.kind == "vmap":
                if not self.stackable:
                    raise ValueError(
                        "a vmap strategy cannot evaluate recalibrated batch norm, seeded dropout "
                        "or a model that remembers; use the loop"
                    )
                found = self._vectorised(points, strategy)
            elif isinstance(self.batches, Streamed) and self.forgetful:
                found = self._batch_by_batch(points, strategy)
            else:
                found = self._point_by_point(points, strategy)
            return found.cpu()

    @property
    def forgetful(self) -> bool:
        """Whether a batch's losses do not depend on the batches before it."""
        return self.batch_norm != "recalibrated" and not self.stage.behaviour.remembers

    def _point_by_point(self, points: Points, strategy: Strategy) -> Tensor:
        buffer, model = self.buffer(), self.stage.model
        self.stage.install(buffer.tensors)
        blocks = self._repeatable(strategy)
        found = self._zeros(len(points))
        for index in range(len(points)):
            buffer.fill(points, index)
            for batch in self.passes(self.blocks(strategy) if blocks is None else blocks):
                found[index] += self.measurement.totals(model, batch).detach()
        return found

    def _batch_by_batch(self, points: Points, strategy: Strategy) -> Tensor:
        """One pass over streamed data for all points, not one each."""
        buffer, model = self.buffer(), self.stage.model
        self.stage.install(buffer.tensors)
        found = self._zeros(len(points))
        for position, batch in enumerate(self.blocks(strategy)):
            for index in range(len(points)):
                buffer.fill(points, index)
                self.stage.reset()
                self.stage.begin_batch(position)
                found[index] += self.measurement.totals(model, self._handed(batch)).detach()
        return found

    def _vectorised(self, points: Points, strategy: Strategy) -> Tensor:
        blocks = self._repeatable(strategy)
        chunks = []
        for start in range(0, len(points), strategy.points):
            stop = min(start + strategy.points, len(points))
            stack = points.stacked(start, stop).to(self.stage.device)
            tensors = [
                stack[:, entry.span].view(-1, *entry.shape).to(dtype)
                for entry, dtype in zip(self.layout.entries, self.stage.dtypes, strict=True)
            ]
            sums = self._zeros(len(stack))
            for batch in self.passes(self.blocks(strategy) if blocks is None else blocks):
                sums += torch.vmap(self._on_stack(batch), randomness="same")(tensors).detach()
            chunks.append(sums)
        return torch.cat(chunks) if chunks else self._zeros(0)

    def _on_stack(self, batch: Batch) -> Any:
        def totals(tensors: list[Tensor]) -> Tensor:
            self.stage.install(tensors)
            return self.measurement.totals(self.stage.model, batch)

        return totals

    def _repeatable(self, strategy: Strategy) -> Iterable[Batch] | None:
        """The blocks as a list, where they are views that cost nothing to hold."""
        resident = isinstance(self.batches, Resident) and self.batches.on_device
        views = resident and strategy.memory_format == "contiguous" and self.cuttable
        return list(self.blocks(strategy)) if views else None

    def _zeros(self, count: int) -> Tensor:
        shape = (count, self.measurement.columns)
        return torch.zeros(shape, dtype=torch.float64, device=self.stage.device)


def _channels_last(tensor: Tensor) -> Tensor:
    if tensor.ndim != 4 or not tensor.is_floating_point():
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)

"""Losses and metrics of many points: sums over all samples, one point at a time or in batches.

Depends on the model, the criterion, the data and the batch-norm policy. Knows nothing of
gradients, and nothing of who asks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from landscape._objective.data.batches import Batch, Batches, ResidentBatches, StreamedBatches
from landscape._objective.data.pytree import map_tensors
from landscape._objective.losses.reductions import Reductions
from landscape._objective.points import PointBuffer, Points, Rows
from landscape._objective.strategy import Strategy
from landscape._objective.torch_backend.batch_norm import BatchNormPolicy, BatchNorms
from landscape._objective.torch_backend.model_state import SwappedModel
from landscape._parameters import ParameterLayout

__all__ = ["Evaluator", "copy_model_at"]


@dataclass(frozen=True)
class Evaluator:
    """The function that takes points to sums, for one model, one set of data and one policy."""

    model: SwappedModel
    layout: ParameterLayout
    dtype: torch.dtype
    """The flat vector's."""
    batches: Batches
    reductions: Reductions
    norms: BatchNorms
    statistics: Batches
    """The data that batch statistics are re-estimated on: those of L, also for test data."""
    batch_norm: BatchNormPolicy
    dropout: str

    def with_reductions(self, reductions: Reductions) -> Evaluator:
        """The same evaluator with other sums."""
        return replace(self, reductions=reductions)

    @property
    def recalibrates(self) -> bool:
        """Whether there are batch statistics, and they are re-estimated at every point."""
        return self.batch_norm == "recalibrated" and bool(self.norms)

    @property
    def samples_independent(self) -> bool:
        """Whether samples do not see each other, so that blocks may be of any size."""
        return (
            self.reductions.criterion.recognised is not None
            and all(metric.separable for metric in self.reductions.metrics)
            and self.batch_norm != "batch"
            and not self.norms.always_batch
            and not self.model.behaviour.mixes
            and self.dropout == "off"
        )

    @property
    def supports_vmap(self) -> bool:
        """Whether several points may share a pass: nothing in it may belong to one point."""
        return (
            self.batch_norm != "recalibrated"
            and self.dropout == "off"
            and not self.model.behaviour.remembers
        )

    def blocks(self, strategy: Strategy) -> Iterator[Batch]:
        """The data in the blocks and the memory format in which they are evaluated."""
        found = (
            self.batches.blocks(strategy.block)
            if self.samples_independent
            else self.batches.split()
        )
        if strategy.memory_format != "channels_last":
            return found
        return (
            replace(batch, content=map_tensors(_channels_last, batch.content)) for batch in found
        )

    def buffer(self) -> PointBuffer:
        """Room for one point: the only vector of size d that an evaluation allocates."""
        return PointBuffer(
            self.layout, self.model.dtypes, dtype=self.dtype, device=self.model.device
        )

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Lend the model under this policy."""
        with torch.inference_mode(mode=False), self.model.swapped_in(dropout=self.dropout):
            if self.batch_norm == "batch":
                self.norms.use_batch_statistics()
            yield

    @contextmanager
    def no_graph(self) -> Iterator[None]:
        """Record no graph, but let models and losses differentiate by themselves."""
        if self.model.behaviour.differentiates:
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
        self.model.reset()
        if self.recalibrates:
            self.norms.recalibrate(
                self.reductions.criterion.outputs,
                self.model.module,
                self._seeded(self.statistics.split()),
            )
            self.model.reset()
        yield from self._seeded(blocks, first)

    def _seeded(self, blocks: Iterable[Batch], first: int = 0) -> Iterator[Batch]:
        """The batches for one pass, with the same random numbers in every one."""
        for index, batch in enumerate(blocks, start=first):
            self.model.begin_batch(index)
            yield self._handed(batch)

    def _handed(self, batch: Batch) -> Batch:
        """The batch as the model may have it: a copy, where it would be written into."""
        return batch.copied() if self.model.behaviour.overwrites else batch

    def sums(self, points: Points, strategy: Strategy) -> Tensor:
        """Evaluate every point on all samples.

        Args:
            points: The parameter vectors.
            strategy: How they are evaluated.

        Returns:
            The reductions' sums, float64, on the CPU, shape (points, columns).
        """
        with self.swapped_in(), self.no_graph():
            if strategy.kind == "vmap":
                if not self.supports_vmap:
                    raise ValueError(
                        "a vmap strategy cannot evaluate recalibrated batch norm, seeded dropout "
                        "or a model that remembers; use the loop"
                    )
                found = self._vectorised(points, strategy)
            elif isinstance(self.batches, StreamedBatches) and self.batches_independent:
                found = self._batch_by_batch(points, strategy)
            else:
                found = self._point_by_point(points, strategy)
            return found.cpu()

    @property
    def batches_independent(self) -> bool:
        """Whether a batch's losses do not depend on the batches before it."""
        return self.batch_norm != "recalibrated" and not self.model.behaviour.remembers

    def _point_by_point(self, points: Points, strategy: Strategy) -> Tensor:
        buffer, module = self.buffer(), self.model.module
        self.model.install(buffer.tensors)
        blocks = self._repeatable(strategy)
        found = self._zeros(len(points))
        for index in range(len(points)):
            buffer.fill(points, index)
            for batch in self.passes(self.blocks(strategy) if blocks is None else blocks):
                found[index] += self.reductions.totals(module, batch).detach()
        return found

    def _batch_by_batch(self, points: Points, strategy: Strategy) -> Tensor:
        """One pass over streamed data for all points, not one each."""
        buffer, module = self.buffer(), self.model.module
        self.model.install(buffer.tensors)
        found = self._zeros(len(points))
        for position, batch in enumerate(self.blocks(strategy)):
            for index in range(len(points)):
                buffer.fill(points, index)
                self.model.reset()
                self.model.begin_batch(position)
                found[index] += self.reductions.totals(module, self._handed(batch)).detach()
        return found

    def _vectorised(self, points: Points, strategy: Strategy) -> Tensor:
        blocks = self._repeatable(strategy)
        chunks = []
        for start in range(0, len(points), strategy.points):
            stop = min(start + strategy.points, len(points))
            stack = points.stacked(start, stop).to(self.model.device)
            tensors = [
                stack[:, entry.span].view(-1, *entry.shape).to(dtype)
                for entry, dtype in zip(self.layout.entries, self.model.dtypes, strict=True)
            ]
            sums = self._zeros(len(stack))
            for batch in self.passes(self.blocks(strategy) if blocks is None else blocks):
                sums += torch.vmap(self._on_stack(batch), randomness="same")(tensors).detach()
            chunks.append(sums)
        return torch.cat(chunks) if chunks else self._zeros(0)

    def _on_stack(self, batch: Batch) -> Any:
        def totals(tensors: list[Tensor]) -> Tensor:
            self.model.install(tensors)
            return self.reductions.totals(self.model.module, batch)

        return totals

    def _repeatable(self, strategy: Strategy) -> Iterable[Batch] | None:
        """The blocks as a list, where they are views that cost nothing to hold."""
        resident = isinstance(self.batches, ResidentBatches) and self.batches.on_device
        views = resident and strategy.memory_format == "contiguous" and self.samples_independent
        return list(self.blocks(strategy)) if views else None

    def _zeros(self, count: int) -> Tensor:
        shape = (count, self.reductions.columns)
        return torch.zeros(shape, dtype=torch.float64, device=self.model.device)


def _channels_last(tensor: Tensor) -> Tensor:
    if tensor.ndim != 4 or not tensor.is_floating_point():
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)


@torch.inference_mode(mode=False)
def copy_model_at(evaluator: Evaluator, point: Rows) -> nn.Module:
    """A copy of the evaluator's model at a point.

    Under "recalibrated" its batch norms have the statistics of that point, otherwise those of the
    model.
    """
    made = copy.deepcopy(evaluator.model.module)
    made.zero_grad(set_to_none=True)
    with torch.no_grad():
        for name, tensor in evaluator.layout.unflatten(point.rows[0].numpy()).items():
            made.get_parameter(name).copy_(tensor)
        if evaluator.recalibrates:
            for path, (mean, variance) in _statistics(evaluator, point).items():
                made.get_buffer(f"{path}.running_mean").copy_(mean)
                made.get_buffer(f"{path}.running_var").copy_(variance)
    return made


def _statistics(evaluator: Evaluator, point: Rows) -> dict[str, tuple[Tensor, ...]]:
    """The re-estimated mean and variance of every batch norm, by its path."""
    buffer = evaluator.buffer()
    paths = {id(module): path for path, module in evaluator.model.module.named_modules()}
    with evaluator.swapped_in(), evaluator.no_graph():
        evaluator.model.install(buffer.tensors)
        buffer.fill(point, 0)
        for _ in evaluator.passes(()):
            pass  # no data are needed once the statistics are made
        return {
            paths[id(layer)]: tuple(
                layer.get_buffer(name).clone() for name in ("running_mean", "running_var")
            )
            for layer in evaluator.norms.layers
        }

"""Losses and metrics of many points by PyTorch: the sums over all samples at each point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from landscape._copies import copy_module, recompute_derived_weights
from landscape._objective.data.batches import Batch, Batches, ResidentBatches, StreamedBatches
from landscape._objective.data.pytree import map_tensors
from landscape._objective.losses.reductions import Reductions
from landscape._objective.points import PointBuffer, Points, Rows
from landscape._objective.strategy import Strategy
from landscape._objective.torch_backend.batch_norm import BatchNormPolicy, BatchNorms
from landscape._objective.torch_backend.loss_state import LossState
from landscape._objective.torch_backend.model_state import SwappedModel
from landscape._parameters import ParameterLayout
from landscape._turns import undisturbed

__all__ = ["Evaluator", "copy_model_at", "estimate_statistics"]


@dataclass(frozen=True)
class Evaluator:
    """L as PyTorch evaluates it: one model, one set of data, one batch-norm and dropout policy."""

    model: SwappedModel
    layout: ParameterLayout
    dtype: torch.dtype
    """The dtype of the flat vector."""
    batches: Batches
    reductions: Reductions
    norms: BatchNorms
    statistics: Batches
    """The data on which batch statistics are re-estimated: those of L, also for test data."""
    batch_norm: BatchNormPolicy
    dropout: str
    loss_state: LossState

    def with_reductions(self, reductions: Reductions) -> Evaluator:
        """The same evaluator with other sums."""
        return replace(self, reductions=reductions)

    @property
    def recalibrates(self) -> bool:
        """Whether there are batch statistics, and they are re-estimated at every point."""
        return self.batch_norm == "recalibrated" and bool(self.norms)

    @property
    def samples_independent(self) -> bool:
        """Whether no output depends on other samples, so that blocks may be of any size."""
        return (
            self.reductions.criterion.recognised is not None
            and all(metric.separable for metric in self.reductions.metrics)
            and self.batch_norm != "batch"
            and not self.norms.always_batch
            and not self.model.behaviour.mixes_samples
            and not self.model.behaviour.is_random
            and not self.model.behaviour.remembers
            and self.dropout == "off"
        )

    @property
    def supports_vmap(self) -> bool:
        """Whether several points may share a pass, because no state in it belongs to one point."""
        return (
            self.batch_norm != "recalibrated"
            and self.dropout == "off"
            and not self.model.behaviour.is_stateful
            and not self.model.behaviour.is_random
        )

    def iter_blocks(self, strategy: Strategy) -> Iterator[Batch]:
        """Yield the data in the blocks and the memory format of a strategy."""
        blocks = (
            self.batches.iter_blocks(strategy.block)
            if self.samples_independent
            else self.batches.iter_batches()
        )
        if strategy.memory_format != "channels_last":
            return blocks
        return (
            replace(batch, content=map_tensors(_channels_last, batch.content)) for batch in blocks
        )

    def new_buffer(self) -> PointBuffer:
        """A buffer for one point: the only vector of size d that an evaluation allocates."""
        return PointBuffer(
            self.layout, self.model.dtypes, dtype=self.dtype, device=self.model.device
        )

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Swap the model in under this policy; it is restored after the block."""
        draws = not all(metric.separable for metric in self.reductions.metrics)
        swapped = self.model.swapped_in(dropout=self.dropout, draws=draws)
        preserved = self.loss_state.preserved()
        with torch.inference_mode(mode=False), swapped, preserved:
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

    def iter_pass(self, blocks: Iterable[Batch], first: int = 0) -> Iterator[Batch]:
        """Iterate over the data at the installed point, after its batch statistics are estimated.

        Args:
            blocks: All the data, or a part of the split.
            first: The part's index in the split, which seeds its random numbers.
        """
        self._reset()
        if self.recalibrates:
            self.norms.recalibrate(
                self.reductions.criterion.outputs,
                self.model.module,
                self._iter_seeded(self.statistics.iter_batches()),
            )
            self._reset()
        yield from self._iter_seeded(blocks, first)

    def _reset(self) -> None:
        """Undo what the last pass did to the model and the loss."""
        self.model.reset()
        self.loss_state.reset()

    def _iter_seeded(self, blocks: Iterable[Batch], first: int = 0) -> Iterator[Batch]:
        """Yield the batches of one pass, with the same random numbers in every pass."""
        for index, batch in enumerate(blocks, start=first):
            self.model.begin_batch(index)
            yield self._clone_if_overwritten(batch)

    def _clone_if_overwritten(self, batch: Batch) -> Batch:
        """Clone a batch where the model writes into its inputs."""
        return batch.clone() if self.model.behaviour.overwrites_inputs else batch

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
                        "a vmap strategy cannot evaluate recalibrated batch norm, seeded dropout, "
                        "a model that draws random numbers or one that changes its own state; use "
                        "the loop"
                    )
                sums = self._sum_by_vmap(points, strategy)
            elif isinstance(self.batches, StreamedBatches) and self.batches_independent:
                sums = self._sum_by_batch(points, strategy)
            else:
                sums = self._sum_by_point(points, strategy)
            return sums.cpu()

    @property
    def batches_independent(self) -> bool:
        """Whether a batch's losses do not depend on the batches before it."""
        return self.batch_norm != "recalibrated" and not self.model.behaviour.is_stateful

    def _sum_by_point(self, points: Points, strategy: Strategy) -> Tensor:
        buffer, module = self.new_buffer(), self.model.module
        self.model.install(buffer.tensors)
        blocks = self._list_views(strategy)
        sums = self._zeros(len(points))
        for index in range(len(points)):
            buffer.fill(points, index)
            for batch in self.iter_pass(self.iter_blocks(strategy) if blocks is None else blocks):
                sums[index] += self.reductions.totals(module, batch).detach()
        return sums

    def _sum_by_batch(self, points: Points, strategy: Strategy) -> Tensor:
        """One pass over streamed data for all points, not one each."""
        buffer, module = self.new_buffer(), self.model.module
        self.model.install(buffer.tensors)
        sums = self._zeros(len(points))
        for position, batch in enumerate(self.iter_blocks(strategy)):
            for index in range(len(points)):
                buffer.fill(points, index)
                self._reset()
                self.model.begin_batch(position)
                sums[index] += self.reductions.totals(
                    module, self._clone_if_overwritten(batch)
                ).detach()
        return sums

    def _sum_by_vmap(self, points: Points, strategy: Strategy) -> Tensor:
        blocks = self._list_views(strategy)
        chunks = []
        for start in range(0, len(points), strategy.points):
            stop = min(start + strategy.points, len(points))
            stack = points.stack(start, stop).to(self.model.device)
            tensors = [
                stack[:, entry.span].view(-1, *entry.shape).to(dtype)
                for entry, dtype in zip(self.layout.entries, self.model.dtypes, strict=True)
            ]
            sums = self._zeros(len(stack))
            for batch in self.iter_pass(self.iter_blocks(strategy) if blocks is None else blocks):
                sums += torch.vmap(self._totals_of(batch), randomness="same")(tensors).detach()
            chunks.append(sums)
        return torch.cat(chunks) if chunks else self._zeros(0)

    def _totals_of(self, batch: Batch) -> Any:
        def totals(tensors: list[Tensor]) -> Tensor:
            self.model.install(tensors)
            return self.reductions.totals(self.model.module, batch)

        return totals

    def _list_views(self, strategy: Strategy) -> Iterable[Batch] | None:
        """The blocks as a list, where they are views that cost nothing to keep."""
        resident = isinstance(self.batches, ResidentBatches) and self.batches.on_device
        is_view = resident and strategy.memory_format == "contiguous" and self.samples_independent
        return list(self.iter_blocks(strategy)) if is_view else None

    def _zeros(self, count: int) -> Tensor:
        shape = (count, self.reductions.columns)
        return torch.zeros(shape, dtype=torch.float64, device=self.model.device)


def _channels_last(tensor: Tensor) -> Tensor:
    if tensor.ndim != 4 or not tensor.is_floating_point():
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)


@torch.inference_mode(mode=False)
def copy_model_at(evaluator: Evaluator, point: Rows) -> nn.Module:
    """A copy of the model with the parameters of a point.

    Under "recalibrated" its batch norms have the statistics of that point, otherwise those of the
    model.
    """
    with undisturbed(evaluator.model.module):
        twin = copy_module(evaluator.model.module)
    twin.zero_grad(set_to_none=True)
    with torch.no_grad():
        for name, tensor in evaluator.layout.unflatten(point.rows[0].numpy()).items():
            twin.get_parameter(name).copy_(tensor)
        recompute_derived_weights(twin)
        if evaluator.recalibrates:
            for path, (mean, variance) in estimate_statistics(evaluator, point).items():
                twin.get_buffer(f"{path}.running_mean").copy_(mean)
                twin.get_buffer(f"{path}.running_var").copy_(variance)
    return twin


def estimate_statistics(evaluator: Evaluator, point: Rows) -> dict[str, tuple[Tensor, ...]]:
    """The re-estimated mean and variance of every batch norm, by its path."""
    buffer = evaluator.new_buffer()
    paths = {id(module): path for path, module in evaluator.model.module.named_modules()}
    with evaluator.swapped_in(), evaluator.no_graph():
        evaluator.model.install(buffer.tensors)
        buffer.fill(point, 0)
        for _ in evaluator.iter_pass(()):
            pass  # a pass over no batches estimates the statistics
        return {
            paths[id(layer)]: tuple(
                layer.get_buffer(name).clone() for name in ("running_mean", "running_var")
            )
            for layer in evaluator.norms.layers
        }

"""Policies of batch normalisation: frozen, recalibrated or batch statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

if TYPE_CHECKING:
    from landscape._objective.data.batches import Batch

__all__ = ["POLICIES", "BatchNormPolicy", "BatchNorms"]

BatchNormPolicy = Literal["frozen", "recalibrated", "batch"]
POLICIES: tuple[BatchNormPolicy, ...] = ("frozen", "recalibrated", "batch")


class BatchNorms:
    """The batch-normalisation layers of a model."""

    def __init__(self, model: nn.Module) -> None:
        layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
        self.layers = [layer for layer in layers if layer.running_mean is not None]
        self.always_batch = len(layers) - len(self.layers)
        """Layers without running statistics, which normalise by the batch under every policy."""

    def __bool__(self) -> bool:
        return bool(self.layers) or self.always_batch > 0

    def use_batch_statistics(self) -> None:
        """Normalise by the statistics of each batch (policy "batch").

        Without running statistics PyTorch falls back on the batch, and there is nothing to update.
        """
        for layer in self.layers:
            layer._buffers["running_mean"] = None
            layer._buffers["running_var"] = None

    def recalibrate(
        self, run: Callable[[nn.Module, Any], Any], model: nn.Module, batches: Iterable[Batch]
    ) -> None:
        """Re-estimate the running statistics at the parameters now installed.

        One pass over the fixed split in train mode; batch means and unbiased variances are
        averaged with the batch sizes as weights, in float64.

        Args:
            run: Runs the model on a batch's content.
            model: The module, swapped in.
            batches: One pass over the fixed split.
        """
        sums = [_zeros(layer, torch.float64) for layer in self.layers]
        samples = 0
        for batch in batches:
            self._add_batch(run, model, batch, sums)
            samples += batch.size
        for layer, (mean, variance) in zip(self.layers, sums, strict=True):
            layer.__dict__["training"] = False
            dtype = _statistics(layer)[0].dtype
            layer._buffers["running_mean"] = (mean / samples).to(dtype)
            layer._buffers["running_var"] = (variance / samples).to(dtype)

    def _add_batch(
        self,
        run: Callable[[nn.Module, Any], Any],
        model: nn.Module,
        batch: Batch,
        sums: list[tuple[Tensor, Tensor]],
    ) -> None:
        for layer in self.layers:
            # a momentum of None averages over the calls of this batch: one, or several where a
            # layer is shared
            layer.__dict__.update(training=True, momentum=None)
            layer._buffers["running_mean"], layer._buffers["running_var"] = _zeros(layer)
            layer._buffers["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
        run(model, batch.content)
        for layer, (mean, variance) in zip(self.layers, sums, strict=True):
            batch_mean, batch_variance = _statistics(layer)
            mean.add_(batch_mean, alpha=batch.size)
            variance.add_(batch_variance, alpha=batch.size)


def _statistics(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The running mean and variance of a layer that has them."""
    return cast("tuple[Tensor, Tensor]", (layer.running_mean, layer.running_var))


def _zeros(layer: _BatchNorm, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    mean, variance = _statistics(layer)
    return torch.zeros_like(mean, dtype=dtype), torch.zeros_like(variance, dtype=dtype)

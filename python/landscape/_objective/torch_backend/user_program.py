"""The user's own program: the module with its own tensors, and the loss as it was passed.

It is the reference that L is checked against. L is evaluated by other tensors swapped into the
module; here the module keeps its own parameters, and a point is written into them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from landscape._objective.data.batches import Batch
from landscape._objective.data.pytree import map_tensors
from landscape._objective.losses.criterion import (
    BatchLoss,
    call_model,
    get_own_loss,
    get_targets,
)
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.torch_backend.model_state import SwappedModel
from landscape._turns import undisturbed

__all__ = ["UserProgram"]


class UserProgram:
    """The user's model and loss, called on whole batches in their order.

    Flags, random numbers and kernels are those under which L is evaluated: eval mode, the
    batch-norm and dropout policy, the seed. Parameters, dtype and device are the module's own.

    Args:
        evaluator: The function that is checked.
        loss: The loss as the user passed it.
    """

    def __init__(self, evaluator: Evaluator, loss: Any) -> None:
        model = evaluator.model
        module, layout = model.module, evaluator.layout
        self._parameters = [module.get_parameter(entry.name) for entry in layout.entries]
        first = self._parameters[0]
        own = SwappedModel(module, layout, device=first.device, dtype=None, seed=model.seed)
        own.behaviour = model.behaviour
        self._evaluator = replace(evaluator, model=own)
        self._loss = loss
        self._dtype = None if model.dtype is None else first.dtype
        self.output_scale = 0.0
        """The largest output seen: rounding errors of a loss of classes are in units of it."""
        self.epsilon = 0.0
        """That of the coarsest dtype of a loss seen, which a model may compute in float32."""

    def mean_loss(self, batches: Sequence[Batch]) -> float:
        """The mean of the batches' losses, weighted as in L; batches without weight are left out.

        Args:
            batches: One pass over them, in order.
        """
        evaluator = self._evaluator
        criterion, model = evaluator.reductions.criterion, evaluator.model
        total = weights = 0.0
        with self._preserved(), evaluator.swapped_in(), evaluator.no_graph():
            model.install(self._parameters)
            for batch in evaluator.iter_pass(batches):
                weight = criterion.weight(batch.content, batch.weight)
                value = self._call(model.module, self._place(batch.content))
                if value.is_floating_point():
                    self.epsilon = max(self.epsilon, torch.finfo(value.dtype).eps)
                if weight:
                    total += weight * float(value.detach())
                    weights += weight
        return total / weights if weights else float("nan")

    @contextmanager
    def moved_to(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """Write a point into the module's own parameters; their bits are put back after the block.

        Args:
            tensors: One for each varied parameter.
        """
        with self._preserved():
            for parameter, tensor in zip(self._parameters, tensors, strict=True):
                parameter.data.copy_(tensor)
            yield

    @contextmanager
    def _preserved(self) -> Iterator[None]:
        """Put back the bits and gradients of the parameters after the block.

        An embedding may renormalise its rows, and a loss may call backward(). Through ``.data``,
        which leaves no trace in graphs that the user keeps.
        """
        with undisturbed(self._evaluator.model.module):
            stored = [(p, p.data.clone(), p.grad) for p in self._parameters]
            try:
                for parameter in self._parameters:
                    parameter.grad = None
                yield
            finally:
                for parameter, data, gradient in stored:
                    parameter.data.copy_(data)
                    parameter.grad = gradient

    def _call(self, module: nn.Module, content: Any) -> Any:
        """The user's loss of a batch."""
        if isinstance(self._loss, BatchLoss):
            return self._loss.function(module, content)
        outputs = call_model(module, content)
        if self._loss is None and (own := get_own_loss(outputs)) is not None:
            return own
        tensor = outputs if isinstance(outputs, Tensor) else getattr(outputs, "logits", outputs)
        largest = tensor.detach().abs().max().nan_to_num(0, 0, 0) if tensor.numel() else 0.0
        self.output_scale = max(self.output_scale, float(largest))
        recognised = self._evaluator.reductions.criterion.recognised
        targets = get_targets(content)
        if recognised is None:
            return self._loss(tensor, targets)
        targets = recognised.cast_targets(targets)
        if targets.is_floating_point():
            targets = targets.to(tensor.dtype)
        if self._loss is not None:
            return self._loss(tensor, targets)
        options = {
            name: value.to(tensor.dtype) if isinstance(value, Tensor) else value
            for name, value in recognised.options.items()
        }
        return recognised.function(tensor, targets, **options)

    def _place(self, content: Any) -> Any:
        """A batch on the module's own device, and in its own dtype where another was asked for."""
        device, dtype = self._evaluator.model.device, self._dtype

        def place(tensor: Tensor) -> Tensor:
            is_cast = dtype is not None and tensor.is_floating_point()
            return tensor.to(device=device, dtype=dtype if is_cast else tensor.dtype)

        return map_tensors(place, content)

"""A module of one's own at a point: a copy of the user's, with weights and statistics.

Depends on the evaluator.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from landscape._objective.evaluate import Evaluator
from landscape._objective.points import Rows

__all__ = ["module_at"]


@torch.inference_mode(mode=False)
def module_at(evaluator: Evaluator, point: Rows) -> nn.Module:
    """A copy of the evaluator's model at a point.

    Under "recalibrated" its batch norms have the statistics of that point, otherwise those of the
    model.
    """
    model = evaluator.stage.model
    made = copy.deepcopy(model)
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
    model, buffer = evaluator.stage.model, evaluator.buffer()
    paths = {id(module): path for path, module in model.named_modules()}
    with evaluator.ready(), evaluator.without_graph():
        evaluator.stage.install(buffer.tensors)
        buffer.fill(point, 0)
        for _ in evaluator.passes(()):
            pass  # no data are needed once the statistics are made
        return {
            paths[id(layer)]: tuple(
                layer.get_buffer(name).clone() for name in ("running_mean", "running_var")
            )
            for layer in evaluator.norms.layers
        }

"""Gradients, and the losses and outputs of single samples, by PyTorch, point by point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from landscape._objective.data.batches import Batch, ResidentBatches
from landscape._objective.points import Points
from landscape._objective.strategy import Strategy
from landscape._objective.torch_backend.evaluator import Evaluator

__all__ = [
    "compute_batch_gradients",
    "compute_gradients",
    "compute_outputs",
    "compute_sample_losses",
    "refuse_recalibrated",
]


def refuse_recalibrated(evaluator: Evaluator, what: str) -> None:
    """Refuse derivatives of a function whose statistics are re-estimated at every point.

    Raises:
        ValueError: The policy is "recalibrated" and the model has batch norm.
    """
    if evaluator.recalibrates:
        raise ValueError(
            f"{what} are not defined under batch_norm='recalibrated', whose statistics are "
            "constants that change with the point; use 'batch' (differentiates through them) or "
            "'frozen'"
        )


@torch.inference_mode(mode=False)
def compute_gradients(
    evaluator: Evaluator, points: Points, strategy: Strategy, weight: float
) -> tuple[Tensor, Tensor]:
    """Losses and gradients of L at every point.

    Args:
        evaluator: The function.
        points: The parameter vectors.
        strategy: Its block and memory format are used.
        weight: The denominator of L.

    Returns:
        Losses, float64, shape (k,), and gradients in the flat dtype, shape (k, d), on the CPU.
    """
    refuse_recalibrated(evaluator, "gradients")
    losses = torch.empty(len(points), dtype=torch.float64)
    gradients = torch.empty(len(points), evaluator.layout.size, dtype=evaluator.dtype)
    buffer = evaluator.new_buffer()
    with evaluator.swapped_in():
        for index in range(len(points)):
            buffer.fill(points, index)
            losses[index] = _write_gradient(
                evaluator,
                buffer.leaves(),
                evaluator.iter_blocks(strategy),
                weight,
                gradients[index],
            )
    return losses, gradients


@torch.inference_mode(mode=False)
def compute_batch_gradients(
    evaluator: Evaluator, points: Points, batches: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Losses and gradients of mini-batch means: point i on batch ``batches[i]`` of the split."""
    refuse_recalibrated(evaluator, "gradients")
    losses = torch.empty(len(points), dtype=torch.float64)
    gradients = torch.empty(len(points), evaluator.layout.size, dtype=evaluator.dtype)
    buffer = evaluator.new_buffer()
    criterion = evaluator.reductions.criterion
    with evaluator.swapped_in():
        for index, position in enumerate(batches):
            buffer.fill(points, index)
            batch = evaluator.batches.batch(position)
            weight = criterion.weight(batch.content, batch.weight)
            losses[index] = _write_gradient(
                evaluator, buffer.leaves(), [batch], weight, gradients[index], first=position
            )
    return losses, gradients


def _write_gradient(
    evaluator: Evaluator,
    leaves: list[Tensor],
    blocks: Iterable[Batch],
    weight: float,
    out: Tensor,
    *,
    first: int = 0,
) -> float:
    """Write the gradient of a mean over blocks into a vector, and return the mean."""
    evaluator.model.install(leaves)
    out.zero_()
    loss = 0.0
    with torch.enable_grad():
        for batch in evaluator.iter_pass(blocks, first):
            total = evaluator.reductions.totals(evaluator.model.module, batch)[0] / weight
            loss += float(total.detach())
            if not total.requires_grad:  # no varied parameter reaches this batch's loss
                continue
            pieces = torch.autograd.grad(total, leaves, allow_unused=True)
            for entry, piece in zip(evaluator.layout.entries, pieces, strict=True):
                if piece is not None:
                    out[entry.span] += piece.to_dense().reshape(-1).to(out)
    return loss


@torch.inference_mode(mode=False)
def compute_sample_losses(
    evaluator: Evaluator, points: Points, strategy: Strategy, weight: float
) -> Tensor:
    """Every sample's share of L, times the number of samples, in the order of the data.

    Args:
        evaluator: The function; its loss must be a recognised one.
        points: The parameter vectors.
        strategy: Its block and memory format are used.
        weight: The denominator of L.

    Returns:
        float64, shape (k, n), on the CPU; each row's mean is L.

    Raises:
        ValueError: The loss is opaque.
    """
    reductions, module = evaluator.reductions, evaluator.model.module
    if reductions.criterion.recognised is None:
        raise ValueError(
            "per-sample losses need a recognised loss, and "
            f"{reductions.criterion.name!r} is known only by "
            "its batch means; pass a torch.nn loss"
        )
    samples = evaluator.batches.samples
    losses = torch.empty(len(points), samples, dtype=torch.float64)
    buffer = evaluator.new_buffer()
    with evaluator.swapped_in(), evaluator.no_graph():
        evaluator.model.install(buffer.tensors)
        for index in range(len(points)):
            buffer.fill(points, index)
            rows = [
                reductions.per_sample(module, batch).detach().cpu()
                for batch in evaluator.iter_pass(evaluator.iter_blocks(strategy))
            ]
            losses[index, _row_order(evaluator)] = torch.cat(rows)
    return losses * (samples / weight)


@torch.inference_mode(mode=False)
def compute_outputs(evaluator: Evaluator, points: Points, strategy: Strategy) -> Iterator[Tensor]:
    """The model's outputs for all samples, in the order of the data, at one point after another.

    Args:
        evaluator: The function; its loss must be a recognised one.
        points: The parameter vectors.
        strategy: Its block and memory format are used.

    Yields:
        A tensor on the CPU whose first axis counts samples.
    """
    criterion, buffer = evaluator.reductions.criterion, evaluator.new_buffer()
    for index in range(len(points)):
        with evaluator.swapped_in(), evaluator.no_graph():
            evaluator.model.install(buffer.tensors)
            buffer.fill(points, index)
            rows = torch.cat(
                [
                    criterion.outputs(evaluator.model.module, batch.content).detach().cpu()
                    for batch in evaluator.iter_pass(evaluator.iter_blocks(strategy))
                ]
            )
        ordered = torch.empty_like(rows)
        ordered[_row_order(evaluator)] = rows
        yield ordered


def _row_order(evaluator: Evaluator) -> Tensor | slice:
    """The rows of the data in the order of a pass."""
    batches = evaluator.batches
    shuffled = not evaluator.samples_independent and isinstance(batches, ResidentBatches)
    if shuffled and isinstance(batches, ResidentBatches) and batches.order is not None:
        return batches.order
    return slice(None)

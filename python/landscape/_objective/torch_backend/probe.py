"""The first look: run the model once, choose the criterion, and refuse data that do not fit.

Depends on the model, the criterion and the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import torch

from landscape._objective.data.batches import Batch, Batches, checksum
from landscape._objective.data.pytree import iter_tensors, map_tensors
from landscape._objective.isolation import read_random_state
from landscape._objective.losses.criterion import (
    Criterion,
    RecognisedCriterion,
    call_model,
    choose_criterion,
)
from landscape._objective.points import PointBuffer
from landscape._objective.torch_backend.model_state import Behaviour, SwappedModel

__all__ = ["probe_model", "probe_other_data"]

T = TypeVar("T")
_PROBE_SAMPLES = 64


def probe_model(
    model: SwappedModel, batches: Batches, loss: Any, point: PointBuffer, *, dropout: str
) -> tuple[Criterion, Behaviour]:
    """Evaluate a few samples at the model's own parameters to learn what its loss is.

    Args:
        model: The model; its batch norm reads stored statistics here.
        batches: The data.
        loss: The user's loss, or None.
        point: The model's own parameters.
        dropout: Whether dropout is off or seeded.

    Returns:
        The criterion, its weights on the device; and what else the model does.

    Raises:
        ValueError: Targets do not fit the outputs or the inputs, or the loss returns no number.
    """

    def look(batch: Batch) -> tuple[Criterion, Behaviour]:
        def outputs() -> Any:
            with torch.enable_grad():
                return call_model(model.module, batch.copied().content)

        with _prepared(model, point, dropout):
            criterion = choose_criterion(loss, outputs, batch.content)
        if isinstance(criterion, RecognisedCriterion):
            criterion = RecognisedCriterion(criterion.recognised.to(model.device))
        with _prepared(model, point, dropout):
            return criterion, _behaviour(criterion, model, batch, batches)

    return _on_a_few(look, batches)


def probe_other_data(
    criterion: Criterion, model: SwappedModel, batches: Batches, point: PointBuffer, *, dropout: str
) -> Behaviour:
    """Run a known criterion on a few samples of other data, and compare all their targets.

    Returns:
        What the model did besides.

    Raises:
        ValueError: Targets do not fit the outputs or the inputs, or the loss returns no number.
    """

    def look(batch: Batch) -> Behaviour:
        with _prepared(model, point, dropout):
            return _behaviour(criterion, model, batch, batches)

    return _on_a_few(look, batches)


def _on_a_few(look: Callable[[Batch], T], batches: Batches) -> T:
    """Look at a few samples; at a whole batch of the split where a part of one will not do."""
    few = next(iter(batches.blocks(_PROBE_SAMPLES)))
    try:
        return look(few)
    except Exception:
        if few.size >= batches.sizes[0]:
            raise
    return look(batches.batch(0))


def _behaviour(
    criterion: Criterion, model: SwappedModel, batch: Batch, batches: Batches
) -> Behaviour:
    attributes, streams, given = model.attributes(), read_random_state(), batch.copied()
    outputs, differentiates = _outputs(criterion, model, given)
    if isinstance(criterion, RecognisedCriterion):
        _check_targets(criterion, outputs, batch, batches)
    with torch.enable_grad():
        criterion.total(outputs, given.content, given.size)
    marked = any(tensor.requires_grad for tensor in iter_tensors(given.content))
    draws = streams != read_random_state()
    return Behaviour(
        draws=draws,
        remembers=attributes.changed() or model.buffers_changed(),
        overwrites=marked or checksum(given.content) != checksum(batch.content),
        differentiates=differentiates,
        mixes=not draws and _mixes(criterion, model, batch, outputs),
    )


def _mixes(criterion: Criterion, model: SwappedModel, batch: Batch, outputs: Any) -> bool:
    """Whether the first half of a batch gives other outputs alone than in company."""
    half = batch.size // 2
    if not isinstance(criterion, RecognisedCriterion) or half == 0:
        return False
    content = map_tensors(lambda tensor: tensor[:half], batch.copied().content)
    try:
        alone, _ = _outputs(criterion, model, Batch(content, half))
    except Exception:
        return True
    if alone.shape[1:] != outputs.shape[1:]:
        return True
    together = outputs[:half].detach().double()
    # far above what another summation order does, far below what company does
    scale = torch.where(together.isfinite(), together, 0).abs().max()
    tolerance = torch.finfo(outputs.dtype).eps ** 0.5 * float(scale)
    return not torch.allclose(
        alone.detach().double(), together, rtol=0, atol=tolerance, equal_nan=True
    )


def _outputs(criterion: Criterion, model: SwappedModel, batch: Batch) -> tuple[Any, bool]:
    """Run the model without a graph, or with one where it cannot do without."""

    def outputs() -> Any:
        return criterion.outputs(model.module, batch.content)

    if isinstance(criterion, RecognisedCriterion):
        try:
            with torch.inference_mode():
                return outputs(), False
        except RuntimeError:
            with torch.enable_grad(), suppress(Exception):
                return outputs(), True
            raise
    with torch.enable_grad():
        return outputs(), True


@contextmanager
def _prepared(model: SwappedModel, point: PointBuffer, dropout: str) -> Iterator[None]:
    with torch.inference_mode(mode=False), model.swapped_in(dropout=dropout):
        model.install(point.tensors)
        yield


def _check_targets(
    criterion: RecognisedCriterion, outputs: torch.Tensor, probed: Batch, batches: Batches
) -> None:
    """Check shapes where the model was run, and lengths and classes everywhere."""
    for batch in batches.blocks(None):
        targets = criterion.targets(batch.content)
        if len(targets) != batch.size:
            raise ValueError(
                f"data has {batch.size} inputs and {len(targets)} targets; expected one target "
                "for each sample"
            )
        criterion.recognised.check_values(outputs, targets)
    criterion.recognised.check_shapes(outputs, criterion.targets(probed.content))

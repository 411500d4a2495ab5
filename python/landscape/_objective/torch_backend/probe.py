"""The first run of a model: its criterion and behaviour, and whether the data fit its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

import torch

from landscape._objective.data.batches import (
    Batch,
    Batches,
    ResidentBatches,
    compute_checksum,
)
from landscape._objective.data.counting import SampleCounts
from landscape._objective.data.pytree import iter_tensors, take_rows
from landscape._objective.isolation import read_random_state
from landscape._objective.losses.criterion import (
    Criterion,
    OpaqueCriterion,
    RecognisedCriterion,
    call_model,
    choose_criterion,
)
from landscape._objective.losses.weights import (
    check_inferred,
    check_opaque_weights,
    check_output_weights,
    has_labels,
)
from landscape._objective.points import PointBuffer
from landscape._objective.torch_backend.loss_state import LossState
from landscape._objective.torch_backend.model_state import Behaviour, SwappedModel

__all__ = ["probe_model", "probe_other_data"]

T = TypeVar("T")
_PROBE_SAMPLES, _PROBE_TEXTS = 64, 8


def probe_model(
    model: SwappedModel,
    batches: Batches,
    loss: Any,
    point: PointBuffer,
    *,
    dropout: str,
    loss_state: LossState,
    counts: SampleCounts,
) -> tuple[Criterion, Behaviour]:
    """Evaluate a few samples at the model's own parameters to choose the criterion.

    Args:
        model: The model; its batch norm reads its stored statistics.
        batches: The data.
        loss: The user's loss, or None.
        point: The model's own parameters.
        dropout: Whether dropout is off or seeded.
        loss_state: The state of the loss.
        counts: What the batches' parts say about their numbers of samples.

    Returns:
        The criterion, with its weights on the device, and the model's behaviour.

    Raises:
        ValueError: Targets do not fit the outputs or the inputs, the loss returns no number, or
            the weights of the batches are unknown.
    """

    def probe(batch: Batch, part: int | None) -> tuple[Criterion, Behaviour]:
        def outputs() -> Any:
            model.install(point.leaves())  # a model's own loss is compared by its gradient too
            with torch.enable_grad():
                return call_model(model.module, batch.clone().content)

        with _swapped_in(model, point, dropout):
            criterion = choose_criterion(loss, outputs, batch.content, batches.weigh)
        if isinstance(criterion, RecognisedCriterion):
            criterion = replace(criterion, recognised=criterion.recognised.to(model.device))
        with _swapped_in(model, point, dropout), loss_state.preserved():
            _check_counts(criterion, model, batch, batches, counts)
        with _swapped_in(model, point, dropout), loss_state.preserved():
            return criterion, _observe_behaviour(
                criterion, model, loss_state, batch, batches, part=part
            )

    with _explained(counts):
        return _probe_few_samples(probe, batches)


@contextmanager
def _explained(counts: SampleCounts) -> Iterator[None]:
    """Say in a note to an exception of the model how the data were read."""
    try:
        yield
    except Exception as error:
        if len(counts.batches) > 1:
            error.add_note(
                f"the data were read as {len(counts.batches)} batches, the first with "
                f"{counts.batches[0]}; where these are single samples, pass "
                "torch.utils.data.DataLoader(data, batch_size=...)"
            )
        raise


def probe_other_data(
    criterion: Criterion,
    model: SwappedModel,
    batches: Batches,
    point: PointBuffer,
    *,
    dropout: str,
    loss_state: LossState,
    counts: SampleCounts,
) -> Behaviour:
    """Run a known criterion on a few samples of other data, and validate all their targets.

    Returns:
        The model's behaviour.

    Raises:
        ValueError: Targets do not fit the outputs or the inputs, or the loss returns no number.
    """

    def probe(batch: Batch, part: int | None) -> Behaviour:
        with _swapped_in(model, point, dropout), loss_state.preserved():
            _check_counts(criterion, model, batch, batches, counts)
        with _swapped_in(model, point, dropout), loss_state.preserved():
            return _observe_behaviour(criterion, model, loss_state, batch, batches, part=part)

    with _explained(counts):
        return _probe_few_samples(probe, batches)


def _probe_few_samples(probe: Callable[[Batch, int | None], T], batches: Batches) -> T:
    """Probe with a few samples; with a whole batch of the split where they fail.

    The few are the end of one batch and the start of another where batches are small. They are run
    again in two parts, cut where a batch ends; None says that they failed.
    """
    few = _find_samples(batches.iter_blocks(_count_probed(batches)))
    is_joined = few.size > batches.sizes[0]
    try:
        return probe(few, batches.sizes[0] if is_joined else few.size // 2)
    except Exception:
        if few.size == batches.sizes[0]:
            raise
    return probe(_find_samples(batches.iter_batches()), None)


def _count_probed(batches: Batches) -> int:
    """The number of samples to probe with: fewer of texts, whose logits are large."""
    labels = None
    if isinstance(batches, ResidentBatches) and isinstance(batches.content, Mapping):
        labels = batches.content.get("labels")
    is_text = isinstance(labels, torch.Tensor) and labels.ndim > 1
    return _PROBE_TEXTS if is_text else _PROBE_SAMPLES


def _find_samples(blocks: Iterator[Batch]) -> Batch:
    """The first block with labels that are not all ignored, of which nothing can be learnt."""
    first: Batch | None = None
    for block in blocks:
        if has_labels(block.content):
            return block
        first = first or block
    if first is None:
        raise RuntimeError("data without a batch passed for data with samples")
    return first


def _observe_behaviour(
    criterion: Criterion,
    model: SwappedModel,
    loss_state: LossState,
    batch: Batch,
    batches: Batches,
    *,
    part: int | None,
) -> Behaviour:
    attributes, random_state, clone = model.attributes(), read_random_state(), batch.clone()
    outputs, differentiates = _run_model(criterion, model, clone)
    if isinstance(criterion, RecognisedCriterion):
        _check_targets(criterion, outputs, batch, batches)
    with torch.enable_grad():
        total = criterion.total(outputs, clone.content, clone.size).detach()
    has_graph = any(tensor.requires_grad for tensor in iter_tensors(clone.content))
    is_random = random_state != read_random_state()
    is_stateful = attributes.changed() or model.buffers_changed() or loss_state.changed()
    return Behaviour(
        is_random=is_random,
        is_stateful=is_stateful,
        remembers=is_stateful and _remembers(criterion, model, batch, total),
        overwrites_inputs=has_graph
        or compute_checksum(clone.content) != compute_checksum(batch.content),
        differentiates=differentiates,
        mixes_samples=not is_random and _mixes_samples(criterion, model, batch, part, outputs),
    )


def _remembers(
    criterion: Criterion, model: SwappedModel, batch: Batch, first: torch.Tensor
) -> bool:
    """Whether the same batch gives another loss after a first call, whose traces are kept."""
    with torch.enable_grad():
        clone = batch.clone()
        outputs, _ = _run_model(criterion, model, clone)
        again = criterion.total(outputs, clone.content, clone.size).detach()
    return not torch.equal(first.nan_to_num(), again.nan_to_num())


def _mixes_samples(
    criterion: Criterion, model: SwappedModel, batch: Batch, part: int | None, outputs: Any
) -> bool:
    """Whether a batch has other outputs as a whole than in two parts."""
    if part is None:
        return True
    if not isinstance(criterion, RecognisedCriterion) or part == 0:
        return False
    pieces = []
    try:
        for rows in (slice(part), slice(part, batch.size)):
            content = take_rows(rows, batch.clone().content)
            size = len(range(batch.size)[rows])
            piece, _ = _run_model(criterion, model, Batch(content, size))
            if len(piece) != size:
                return True
            pieces.append(piece.detach().double())
        alone, together = torch.cat(pieces), outputs.detach().double()
    except Exception:
        return True
    if alone.shape != together.shape:
        return True
    # far above the effect of another summation order, far below that of other samples
    scale = torch.where(together.isfinite(), together, 0).abs().max()
    tolerance = torch.finfo(outputs.dtype).eps ** 0.5 * float(scale)
    return not torch.allclose(alone, together, rtol=0, atol=tolerance, equal_nan=True)


def _run_model(criterion: Criterion, model: SwappedModel, batch: Batch) -> tuple[Any, bool]:
    """Run the model, with a graph only where it needs one; also return whether it did."""

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
def _swapped_in(model: SwappedModel, point: PointBuffer, dropout: str) -> Iterator[None]:
    with torch.inference_mode(mode=False), model.swapped_in(dropout=dropout):
        model.install(point.tensors)
        yield


def _check_counts(
    criterion: Criterion, model: SwappedModel, batch: Batch, batches: Batches, counts: SampleCounts
) -> None:
    """Refuse batches whose weights in L are unknown; see :mod:`losses.weights`."""
    if batches.weigh is not None:
        return
    if isinstance(criterion, OpaqueCriterion) and criterion.kind != "outputs":
        check_opaque_weights(criterion, batches, counts)
        return
    index = counts.disputed
    if index is None and (criterion.recognised is not None or len(counts.batches) == 1):
        return
    probed = batch if index is None else batches.batch(index)
    outputs, _ = _run_model(criterion, model, probed.clone())
    check_output_weights(criterion, outputs, counts, probed.size)


def _check_targets(
    criterion: RecognisedCriterion, outputs: torch.Tensor, probed: Batch, batches: Batches
) -> None:
    """Check shapes where the model was run, and lengths and classes everywhere."""
    loss = criterion.recognised
    is_binary = criterion.inferred
    for batch in batches.iter_blocks(None):
        targets = criterion.targets(batch.content)
        loss.check_values(outputs, targets)
        is_binary = is_binary and bool(((targets == 0) | (targets == 1)).all())
    targets = criterion.targets(probed.content)
    loss.check_shapes(outputs, targets)
    if criterion.inferred:
        check_inferred(loss, outputs, targets, is_binary=is_binary)

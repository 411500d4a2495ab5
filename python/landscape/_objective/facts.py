"""What is known about the samples before any point is evaluated, and the record of which L it is.

Depends on the evaluator and on how the data were read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from landscape._objective.batch_norm import BatchNorms
from landscape._objective.evaluate import Evaluator
from landscape._objective.reading import Reading
from landscape._objective.spread import Spread

__all__ = ["SampleFacts", "policy_record", "sample_facts"]


@dataclass(frozen=True)
class SampleFacts:
    """Numbers that no parameter changes."""

    weight: float
    """The denominator of L."""
    population: int
    """The samples that a subset was drawn from; all of them without one."""
    spread: Spread | None
    """How a standard error follows, where the samples are a random subset."""
    checksum: int
    """CRC-32 of all samples, so that a run is resumed on the same data only."""
    notes: tuple[str, ...]
    """What the user should know."""


def sample_facts(evaluator: Evaluator, reading: Reading) -> SampleFacts:
    """Go through the targets once.

    Args:
        evaluator: The function.
        reading: How its data were read.

    Raises:
        ValueError: The total weight is zero, so that there is nothing to average.
    """
    weight = evaluator.measurement.weights(evaluator.batches)[0]
    if not weight > 0:
        raise ValueError(
            f"the total weight of the data is {weight}: every target is ignored or its class has "
            "weight 0; check ignore_index and the class weights"
        )
    recognised = evaluator.measurement.criterion.head is not None
    spread = _spread(evaluator, reading.population) if reading.at_random and recognised else None
    notes = (
        *reading.notes,
        *_model_notes(
            evaluator.stage.model, evaluator.norms, mixes=evaluator.stage.behaviour.mixes
        ),
    )
    return SampleFacts(weight, reading.population, spread, evaluator.batches.checksum(), notes)


def policy_record(evaluator: Evaluator, facts: SampleFacts, weight_decay: float) -> dict[str, Any]:
    """Which function L is, as plain data; the samples themselves are named by their checksum."""
    criterion, stage, batches = evaluator.measurement.criterion, evaluator.stage, evaluator.batches
    return {
        "loss": criterion.name,
        "loss_options": criterion.options,
        "reduction": criterion.reduction,
        "batch_norm": evaluator.batch_norm if evaluator.norms else "none in the model",
        "batches": f"{len(batches.sizes)} of at most {max(batches.sizes)} samples",
        "dropout": evaluator.dropout,
        "samples": batches.samples,
        "population": facts.population,
        "data": f"crc32 {facts.checksum:08x}",
        "seed": stage.seed,
        "weight_decay": weight_decay,
        "held": f"crc32 {stage.held_checksum():08x}",
        "parameters": evaluator.layout.size,
        "dtype": str(stage.dtype or evaluator.dtype).removeprefix("torch."),
        "device": str(stage.device),
    }


def _spread(evaluator: Evaluator, population: int) -> Spread:
    squares = 0.0
    for batch in evaluator.batches.blocks(None):
        squares += float(evaluator.measurement.sample_weights(batch).square().sum())
    return Spread(evaluator.batches.samples, population, squares)


def _model_notes(model: nn.Module, norms: BatchNorms, *, mixes: bool) -> tuple[str, ...]:
    notes = []
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    if frozen:
        notes.append(
            f"{len(frozen)} parameters with requires_grad=False are held and not varied, "
            f"{frozen[0]} among them"
        )
    if norms.always_batch:
        notes.append(
            f"{norms.always_batch} batch-norm layers without running statistics normalise by the "
            "batch under every policy"
        )
    if mixes:
        notes.append("the samples of a batch see each other: batches are evaluated as they are")
    return tuple(notes)

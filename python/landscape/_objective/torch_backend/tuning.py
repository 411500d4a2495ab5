"""Candidate strategies of the PyTorch backend for a model and its data, and their timing."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import torch
from torch import nn

from landscape._objective.data.batches import ResidentBatches, StreamedBatches
from landscape._objective.data.pytree import iter_tensors
from landscape._objective.points import Rows
from landscape._objective.strategy import Choices, Strategy, choose_strategy
from landscape._objective.torch_backend.evaluator import Evaluator
from landscape._objective.trials import Trials
from landscape._threadwise import thread_warnings

__all__ = ["count_fitting_samples", "default_strategy", "measure_strategy"]

_SMALLEST_BLOCK = 64
_LARGEST_BLOCK = {"cpu": 2048, "cuda": 32768}
_STACKS = {"cpu": (8, 16, 64), "cuda": (8, 64, 512)}
_STACK_BYTES = 1 << 28
_BLOCK_BYTES = {"cpu": 1 << 26, "cuda": 1 << 30}  # of inputs: activations take many times more
_STACK_INPUT_BYTES = {"cpu": 1 << 23, "cuda": 1 << 30}  # of inputs, times the points
_STREAMED_POINTS = 32
_AGREEMENT = 1e-3  # relative, between two strategies; a wrong kernel is off by far more


def default_strategy(evaluator: Evaluator) -> Strategy:
    """The plain loop in blocks that surely fit: a single point does not repay a measurement."""
    return Strategy(block=_list_choices(evaluator, 0).blocks[0])


def measure_strategy(
    evaluator: Evaluator, theta: torch.Tensor, trials: Trials
) -> tuple[Strategy, bool]:
    """Time a few strategies on some of the model's own data, and pick the fastest.

    Args:
        evaluator: The function to be evaluated many times.
        theta: A point, shape (d,).
        trials: Times them, and knows what may be spent.

    Returns:
        The strategy, and whether all candidates were tried. Streamed data are not read for a
        measurement: they take the plain loop.

    Raises:
        RuntimeError: Even the smallest block does not fit the memory.
    """
    batches = evaluator.batches
    if isinstance(batches, StreamedBatches):  # one pass evaluates several points, where possible
        return Strategy(chunk=_STREAMED_POINTS if evaluator.batches_independent else 1), True
    choices = _list_choices(evaluator, len(theta) * theta.element_size())
    sample = batches
    if isinstance(batches, ResidentBatches) and evaluator.samples_independent:
        sample = batches.take_first(choices.blocks[0] or batches.samples)
    trial = replace(evaluator, batches=sample)
    expected: list[torch.Tensor] = []
    failures: list[Exception] = []

    def evaluate(strategy: Strategy) -> bool:
        points = Rows(theta.expand(strategy.points, -1))
        plain = strategy.kind == "loop" and strategy.memory_format == "contiguous"
        try:
            # vmap warns when it falls back on a slow loop
            with nullcontext() if plain else thread_warnings("error"):
                sums = trial.sums(points, strategy)
        except Exception as error:  # any failure of a rival disqualifies it
            if plain and not _is_out_of_memory(error):
                raise  # the plain loop is the definition: its error is the user's
            failures.append(error)
            return False
        expected.append(sums[0])
        return torch.allclose(sums, expected[0], rtol=_AGREEMENT, equal_nan=True)

    share = sample.samples / batches.samples
    try:
        return choose_strategy(evaluate, choices, trials, share)
    except ValueError:
        if not expected:
            raise failures[0] from None
        raise


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        "not enough memory" in str(error)
    )


def count_fitting_samples(batches: ResidentBatches, device: torch.device) -> int:
    """The number of samples whose activations surely fit the memory."""
    kind = "cpu" if device.type == "cpu" else "cuda"
    largest = min(_LARGEST_BLOCK[kind], max(_BLOCK_BYTES[kind] // _sample_bytes(batches), 1))
    return min(largest, batches.largest_block or largest)


def _list_choices(evaluator: Evaluator, point_bytes: int) -> Choices:
    behaviour = evaluator.model.behaviour
    blocks = _list_blocks(evaluator)
    if behaviour.is_random or behaviour.is_stateful:
        # block sizes change the random numbers and states of samples: timing must not decide them
        blocks = blocks[:1]
    convolves = any(isinstance(m, nn.Conv2d) for m in evaluator.model.module.modules())
    stacks = _list_stacks(evaluator, blocks[0], point_bytes) if evaluator.supports_vmap else ()
    return Choices(blocks, convolves and not behaviour.is_random, stacks)


def _list_blocks(evaluator: Evaluator) -> tuple[int | None, ...]:
    """Block sizes from the largest that surely fits down."""
    batches = evaluator.batches
    if not (evaluator.samples_independent and isinstance(batches, ResidentBatches)):
        return (None,)
    largest = count_fitting_samples(batches, evaluator.model.device)
    powers = [2**n for n in range(16, 5, -1) if 2**n < batches.samples]
    whole = [None] if batches.samples <= largest else []
    return (*whole, *(n for n in powers if _SMALLEST_BLOCK <= n <= largest)) or (largest,)


def _list_stacks(evaluator: Evaluator, block: int | None, point_bytes: int) -> tuple[int, ...]:
    """Numbers of points to evaluate at once, as far as their parameters and inputs fit."""
    batches, device = evaluator.batches, _device_kind(evaluator)
    samples = block or batches.samples
    inputs = samples * _sample_bytes(batches) if isinstance(batches, ResidentBatches) else 0
    return tuple(
        n
        for n in _STACKS[device]
        if n * point_bytes <= _STACK_BYTES and n * inputs <= _STACK_INPUT_BYTES[device]
    )


def _sample_bytes(batches: ResidentBatches) -> int:
    return sum(tensor.nbytes for tensor in iter_tensors(batches.content)) // batches.samples + 1


def _device_kind(evaluator: Evaluator) -> str:
    return "cpu" if evaluator.model.device.type == "cpu" else "cuda"

"""The arguments that a batch is for the model, and examples of them to trace it on."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from landscape._objective.data.pytree import can_slice, is_samples

__all__ = ["describe_mismatch", "is_one_argument", "make_example_inputs", "read_arguments"]


def read_arguments(content: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The positional and the keyword arguments of the model: all parts but the targets."""
    if isinstance(content, Mapping):
        return (), dict(content)
    if not isinstance(content, (tuple, list)) or is_one_argument(content):
        return (content,), {}
    inputs = content[:-1] or content  # all of them are inputs where there are no targets
    if len(inputs) == 1:
        only = inputs[0]
        if isinstance(only, Mapping):
            return (), dict(only)
        if isinstance(only, (tuple, list)) and not is_one_argument(only):
            return tuple(only), {}
    return tuple(inputs), {}


def is_one_argument(value: Any) -> bool:
    """Whether a tuple or list is one argument of the model, not several."""
    return is_samples(value) or isinstance(value, PackedSequence)


def describe_mismatch(
    model: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> str | None:
    """Why the model's forward cannot be called like this; None where it can."""
    try:
        signature = inspect.signature(model.forward)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*arguments, **keywords)
    except TypeError as error:
        reason = error
    else:
        return None
    if keywords:
        passed = f"the columns {', '.join(map(repr, keywords))} of the batches"
        advice = "leave out the columns that it does not take"
        if "label" in keywords and "labels" not in keywords:
            advice = "rename 'label', for targets are called 'labels'"
    else:
        passed = f"{len(arguments)} inputs (all parts of the batches but the last, the targets)"
        advice = "pass batches of (inputs, targets)"
    return (
        f"{type(model).__name__}.forward{signature} cannot be called with {passed}: {reason}; "
        f"{advice}, or landscape.batch_loss(f) with f(model, batch)"
    )


def make_example_inputs(model: nn.Module, content: Any, count: int) -> tuple[Any, ...]:
    """The first inputs of a batch as positional arguments of the model, on which it can be traced.

    Columns are put where the model's forward has them, without labels and without a cache of keys
    and values, which are outputs of a conversation and not of a sample.

    Args:
        model: The module.
        content: A batch.
        count: The number of samples; they are repeated where there are fewer.

    Returns:
        Tensors of ``count`` samples, and None or other defaults of the forward.

    Raises:
        ValueError: Inputs are no tensors, or cannot be passed by position.
    """
    arguments, keywords = read_arguments(content)
    if keywords:
        keywords = {name: value for name, value in keywords.items() if name != "labels"}
        arguments = tuple(keywords.values())
    if not all(isinstance(part, Tensor) and can_slice(part) for part in arguments):
        raise ValueError(
            "the batches are not tuples or columns of tensors, so that the model cannot be traced "
            "on them; pass (inputs, targets)"
        )

    def take(tensor: Tensor) -> Tensor:
        # repeated where there are too few: tracers take a batch of one for a constant
        return tensor[[i % len(tensor) for i in range(count)]]

    if not keywords:
        return tuple(map(take, arguments))
    return _place_by_name(model, {name: take(value) for name, value in keywords.items()})


def _place_by_name(model: nn.Module, columns: dict[str, Tensor]) -> tuple[Any, ...]:
    parameters = inspect.signature(model.forward).parameters
    by_position = [
        name for name, p in parameters.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    missing = [name for name in columns if name not in by_position]
    if missing:
        raise ValueError(
            f"{type(model).__name__}.forward takes {missing[0]!r} by name alone, so that it cannot "
            "be traced; pass (inputs, targets)"
        )
    given: dict[str, Any] = dict(columns)
    if "use_cache" in by_position:
        given["use_cache"] = False
    last = max(by_position.index(name) for name in given)
    return tuple(given.get(name, parameters[name].default) for name in by_position[: last + 1])

"""Whether a second model is another function than the first with its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from landscape._copies import copy_module, recompute_derived_weights
from landscape._directions import open_weights
from landscape._objective import validate_model
from landscape._outside.attributes import equal_tensors
from landscape._outside.differences import (
    STATISTICS,
    Differences,
    compare_modules,
    compare_tensors,
    iter_outside,
)
from landscape._parameters import ParameterLayout, named_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective

__all__ = [
    "Outside",
    "adopt_weights",
    "compare_outside",
    "compare_with",
    "holds_statistics",
    "validate_outside",
]

Outside = Literal["error", "first"]

_RELATIVE = {"float64": 1e-8, "float32": 1e-4}
"""The relative difference of losses that counts, by the dtype computed in: far above rounding."""
_COARSE = 3e-2  # the same in half precision


def validate_outside(outside: str) -> None:
    """Refuse an unknown choice.

    Raises:
        ValueError: It is neither ``"error"`` nor ``"first"``.
    """
    if outside not in ("error", "first"):
        raise ValueError(
            f"outside={outside!r}, expected 'error' (models that differ outside theta are refused) "
            "or 'first' (the first model's is meant)"
        )


def compare_outside(
    objective: Objective, source: Any, *, name: str, outside: Outside
) -> tuple[str, ...]:
    """Compare what a source of weights holds outside theta with the model of an Objective.

    Args:
        objective: The function of the first model.
        source: A module, a state dict, a ``.safetensors`` path, or a flat vector, which holds
            nothing else; its weights fit the layout.
        name: The source's name in messages.
        outside: What to do where its own loss is another one than L at its weights.

    Returns:
        Notes: of differences that leave the loss as it is, or that are accepted.

    Raises:
        ValueError: The loss of the source by itself is not L at its weights, and ``outside`` is
            ``"error"``.
    """

    def evaluate(module: nn.Module) -> NDArray[Any]:
        function = objective.with_model(module)
        function.engine = "torch"  # one point does not pay for an export
        return np.array([function.loss()])

    tolerance = _RELATIVE.get(str(objective.policy["dtype"]), _COARSE)
    return compare_with(
        objective.model,
        source,
        objective.layout,
        name=name,
        outside=outside,
        evaluate=evaluate,
        tolerance=tolerance,
    )


def compare_with(
    first: nn.Module,
    source: Any,
    layout: ParameterLayout,
    *,
    name: str,
    outside: Outside,
    evaluate: Callable[[nn.Module], NDArray[Any]],
    tolerance: float,
    quantity: str = "loss",
) -> tuple[str, ...]:
    """The same for a function that is given as what a module evaluates to.

    Args:
        first: The model whose code and buffers count.
        source: As for :func:`compare_outside`.
        layout: Of the parameters that vary.
        name: The source's name in messages.
        outside: As for :func:`compare_outside`.
        evaluate: From a module to the numbers that are compared.
        tolerance: Their difference that counts, relative to their size.
        quantity: What these numbers are.
    """
    validate_outside(outside)
    source = open_weights(source)
    if isinstance(source, nn.Module):
        source = _read_module(source, name)
        found = compare_modules(first, source, layout)
    elif isinstance(source, Mapping):
        found = compare_tensors(first, source, layout)
    else:
        found = Differences()  # a flat vector holds nothing else
    if outside == "first":
        if found.lines:
            return (f"outside='first': the first model is meant where {name} differs in {found}",)
        return ("outside='first': beyond their parameters all models count as the first",)
    notes = found.notes(name)
    if found.is_equal:
        return notes
    own = _as_module(first, source, layout)
    twin = adopt_weights(first, source, layout)
    try:
        values = evaluate(_match_dtype(own, first))
    except Exception as error:
        raise ValueError(
            f"{name} cannot be evaluated by itself on the same data ({_first_line(error)}), so "
            f"that it is another function than the first model. It differs in: {found}. Pass "
            "outside='first' where the first model with its parameters is meant"
        ) from error
    expected = evaluate(twin)
    if _relative_difference(values, expected) > tolerance:
        raise ValueError(_describe_conflict(name, found, values, expected, quantity))
    if found.lines:
        gap = _relative_difference(values, expected)
        effect = f"differs by {gap:.1g} of its size" if gap else "is the same"
        notes += (f"{name} differs from the first model in {found}; its {quantity} {effect}",)
    return notes


def adopt_weights(first: nn.Module, source: Any, layout: ParameterLayout) -> nn.Module:
    """A copy of the first model with the parameters and batch-norm statistics of another.

    Args:
        first: The model whose code, buffers and frozen parameters are kept.
        source: A module or a mapping of tensors.
        layout: Of the parameters that vary.
    """
    source = open_weights(source)
    twin = copy_module(first)
    tensors = _tensors(source, layout)
    with torch.no_grad():
        for entry, tensor in layout.unflatten(layout.flatten(source)).items():
            twin.get_parameter(entry).copy_(tensor)
        for name, own in _list_statistics(twin).items():
            if name in tensors and tuple(tensors[name].shape) == tuple(own.shape):
                own.copy_(torch.as_tensor(tensors[name]))
    recompute_derived_weights(twin)
    return twin


def holds_statistics(first: nn.Module, source: Any, layout: ParameterLayout) -> bool:
    """Whether a source of weights has all the batch-norm statistics of a model."""
    if not isinstance(source, (nn.Module, Mapping)):
        return False
    needed = {n for n in _list_statistics(first) if not n.endswith("num_batches_tracked")}
    return needed <= _tensors(source, layout).keys()


def _list_statistics(module: nn.Module) -> dict[str, Tensor]:
    """The buffers of batch norms."""
    return {
        f"{path}.{name}" if path else name: buffer
        for path, part in module.named_modules(remove_duplicate=False)
        for name in (STATISTICS if isinstance(part, _BatchNorm) else ())
        if (buffer := part._buffers.get(name)) is not None
    }


def _describe_conflict(
    name: str, found: Differences, own: NDArray[Any], expected: NDArray[Any], quantity: str
) -> str:
    if own.size == 1:
        numbers = (
            f"its {quantity} is {float(own[0]):.6g} by itself, and {float(expected[0]):.6g} with "
            "what the first model holds"
        )
    else:
        gap = _relative_difference(own, expected)
        numbers = f"its {quantity} differ by {gap:.3g} of their size from the first model's"
    remedy = "give both models the same, or pass outside='first' where the first model's is meant"
    if found.computes_weights:
        remedy = (
            "spectral norm and other parametrisations compute a weight by buffers that belong to "
            "one model's weights: fold it into them in both models "
            "(torch.nn.utils.remove_spectral_norm, or "
            "torch.nn.utils.parametrize.remove_parametrizations), or pass outside='first'"
        )
    return (
        f"{name} is another function than the first model outside the parameters that vary: "
        f"{numbers}. They differ in: {found}; {remedy}"
    )


def _as_module(first: nn.Module, source: Any, layout: ParameterLayout) -> nn.Module:
    """The source as a module of its own; a state dict in a copy of the first model."""
    if isinstance(source, nn.Module):
        return source
    tensors = _tensors(source, layout)
    module = adopt_weights(first, source, layout)
    with torch.no_grad():
        for _, name, own in iter_outside(module, layout):
            if name in tensors and tuple(own.shape) == tuple(tensors[name].shape):
                own.copy_(torch.as_tensor(tensors[name]))
        for entry in layout.entries:
            held = [n for n in (entry.name, *entry.aliases) if n in tensors]
            for other in held[1:]:
                if not equal_tensors(tensors[held[0]], tensors[other]):
                    path, _, local = other.rpartition(".")
                    value = torch.as_tensor(tensors[other]).to(module.get_parameter(entry.name))
                    module.get_submodule(path)._parameters[local] = nn.Parameter(value.clone())
    recompute_derived_weights(module)
    return module


def _match_dtype(module: nn.Module, first: nn.Module) -> nn.Module:
    """The module in the dtype of the first model, where each has one."""
    dtypes = [{p.dtype for p in m.parameters() if p.is_floating_point()} for m in (module, first)]
    if dtypes[0] == dtypes[1] or len(dtypes[1]) != 1:
        return module
    return copy_module(module).to(dtypes[1].pop())


def _relative_difference(own: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference, relative to the largest number; equal NaN and infinities are none."""
    if own.shape != expected.shape:
        return float("inf")
    finite = np.isfinite(own) & np.isfinite(expected)
    if not np.array_equal(own[~finite], expected[~finite], equal_nan=True):
        return float("inf")
    a, b = own[finite], expected[finite]
    size = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return float(np.abs(a - b).max(initial=0) / size) if size else 0.0


def _read_module(module: nn.Module, name: str) -> nn.Module:
    """A module that can be evaluated by itself, without wrappers."""
    try:
        return validate_model(module)
    except TypeError as error:
        raise TypeError(
            f"{name}: {error}; its weights alone can be passed as a state dict"
        ) from None


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"


def _tensors(source: nn.Module | Mapping[str, Any], layout: ParameterLayout) -> Mapping[str, Any]:
    """Parameters and buffers by all their names."""
    tensors = named_tensors(source, layout)
    buffers = source.named_buffers if isinstance(source, nn.Module) else dict
    return {**tensors, **dict(buffers())}

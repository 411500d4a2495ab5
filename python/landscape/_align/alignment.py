"""`align`: permute one model's hidden units so that it lies close to another model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from landscape._align.activations import record_unit_activations, weight_axis
from landscape._align.matching import Matching, match_activations, match_weights
from landscape._align.shared import find_shared_symmetry
from landscape._copies import copy_module, recompute_derived_weights
from landscape._environment import environment, versions
from landscape._objective import Objective, compute_float64_outputs, validate_model
from landscape._outside import (
    Outside,
    adopt_weights,
    compare_outside,
    compare_with,
    validate_outside,
)
from landscape._parameters import ParameterLayout, named_tensors
from landscape._results import Alignment, Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["align", "as_model"]

Method = Literal["weights", "activations"]

_TOLERANCE = 1e-9  # of the outputs' size, in float64


def align(
    model_a: nn.Module | Objective,
    model_b: nn.Module | Mapping[str, Any],
    data: Any = None,
    loss: Any = None,
    *,
    method: Method = "weights",
    outside: Outside = "error",
    sweeps: int = 100,
    seed: int = 0,
) -> Alignment:
    r"""Permute the hidden units of one model so that it lies close to another.

    .. math:: \max_{P_1, P_2, \dots} \; \langle \theta_A, \; P(\theta_B) \rangle

    over permutations P_l of the units of each group, which leave the function as it is. Groups are
    read off the traced graph: units of linear layers and convolutions, the channels of a residual
    stream as one group, whole attention heads, each with the normalisations and the columns that
    read them. Under group normalisation whole groups are permuted, and units within them. Units
    that flow through unsupported operations are not permuted, and are named; nor are those whose
    permutation would change a buffer or a frozen parameter that both models share. A tensor with
    several names (tied weights) is permuted as one, under all of them.

    Args:
        model_a: The model to align to, or an Objective of it.
        model_b: The model to permute: a module or a state dict of the same architecture. It is
            not changed.
        data: As for the Objective; its first inputs trace the model. Only a model that begins with
            a linear layer can be traced without.
        loss: As for the Objective, for ``"activations"``.
        method: ``"weights"``: coordinate ascent over the groups in seeded random order, each
            with the best permutation while the others stay, until none improves.
            ``"activations"``: the units whose activations over the data correlate most; needs
            data.
        outside: What to do where model_b, once permuted, holds something else than model_a
            besides its parameters and batch-norm statistics (buffers, frozen parameters, ties,
            activations, code), and is therefore another function than model_a with its parameters:
            ``"error"``, which lists what differs, or ``"first"``: model_a with these parameters is
            meant, and is what the result holds.
        sweeps: The maximum number of sweeps of weight matching.
        seed: Of the order of the groups.

    Returns:
        The permutations, and the permuted model as ``.model``: its buffers are permuted too.

    Raises:
        TypeError: A model is neither a module nor a state dict.
        ValueError: The layouts differ, the model cannot be traced, it has no hidden units, or the
            models are different functions outside their parameters.

    Reference:
        Ainsworth, Hayase and Srinivasa, "Git Re-Basin: Merging Models modulo Permutation
        Symmetries" (2023), sections 3.1 and 3.2, algorithm 1; Li, Yosinski, Clune, Lipson and
        Hopcroft, "Convergent Learning" (2016), for activations.

    Example:
        >>> from torch import nn
        >>> a, b = (nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)) for _ in range(2))
        >>> alignment = landscape.align(a, b, data)
        >>> nearer = landscape.barrier(a, alignment.model, data)
    """
    started = time.perf_counter()
    if method not in ("weights", "activations"):
        raise ValueError(f"method={method!r}, expected 'weights' or 'activations'")
    validate_outside(outside)
    objective, inputs = _read_inputs(model_a, data, loss, method)
    first = objective.model if objective is not None else validate_model(model_a)
    layout = ParameterLayout.of(first) if objective is None else objective.layout
    second = as_model(model_b, first)
    if outside == "first":
        second = adopt_weights(first, second, layout)
    symmetry = find_shared_symmetry(first, second, inputs, layout)
    groups = symmetry.groups
    matching = Matching(_read_parameters(first, first), _read_parameters(second, first), groups)
    distance = matching.distance()
    count = 1
    notes: list[str] = []
    if method == "weights":
        count = match_weights(matching, seed=seed, sweeps=sweeps)
    else:
        if objective is None:
            raise ValueError("activations need data; pass them")
        activations = [record_unit_activations(objective.with_model(m)) for m in (first, second)]
        axes = {name: weight_axis(first.get_submodule(name)) for name in activations[0]}
        notes += [
            f"no module computes the units of {name}, which are not permuted"
            for name in match_activations(matching, axes, *activations)
        ]
    status = f"{sum(g.size for g in groups)} units in {len(groups)} groups"
    seconds = time.perf_counter() - started
    alignment = Alignment(
        matching.permutations,
        tuple((g.name, *axis) for g in groups for axis in g.entries),
        tuple(entries for g in groups for entries in g.entries.values()),
        unsupported=symmetry.unsupported,
        method=method,
        distances=(distance, matching.distance()),
        sweeps=count,
        difference=0.0,
        status=status,
        run=_describe_run(objective, seed, seconds, status),
    )
    permuted = _permute(alignment, second)
    before, after = (compute_float64_outputs(model, inputs) for model in (second, permuted))
    size = float(before.abs().max()) or 1.0
    difference = float((before - after).abs().max()) / size

    def compare(source: Any) -> tuple[str, ...]:
        if objective is not None:
            return compare_outside(objective, source, name="model_b", outside=outside)
        return compare_with(
            first,
            source,
            layout,
            name="model_b",
            outside=outside,
            evaluate=lambda module: compute_float64_outputs(module, inputs).numpy(),
            tolerance=_TOLERANCE,
            quantity="outputs",
        )

    if not difference <= _TOLERANCE:
        compare(second)  # of another code the graph says nothing: refused with what differs
        raise RuntimeError(
            f"the permuted model's outputs differ by {difference:.3g} of their size, which is a "
            "fault of landscape: please report it with the model's architecture"
        )
    is_mapping = isinstance(model_b, Mapping) and outside == "error"
    notes += compare(alignment.apply(named_tensors(model_b, layout)) if is_mapping else permuted)
    run = replace(alignment.run, notes=(*alignment.run.notes, *notes))
    return replace(alignment, difference=difference, permuted=permuted, run=run)


def as_model(source: Any, like: nn.Module) -> nn.Module:
    """A new module with the weights and buffers of a module or a state dict."""
    if not isinstance(source, (nn.Module, Mapping)):
        raise TypeError(
            f"model_b is a {type(source).__name__}, expected a module or a state dict: flat "
            "vectors have no buffers, which must be permuted too"
        )
    layout = ParameterLayout.of(like)
    layout.flatten(source)  # refuses other layers, by name
    if isinstance(source, nn.Module):
        return copy_module(validate_model(source))
    twin = copy_module(like)
    tensors = {
        name: torch.as_tensor(value) for name, value in named_tensors(source, layout).items()
    }
    twin.load_state_dict(tensors, strict=False)
    recompute_derived_weights(twin)
    return twin


def _read_inputs(
    model_a: Any, data: Any, loss: Any, method: str
) -> tuple[Objective | None, tuple[Tensor, ...]]:
    """An Objective where there are data, and inputs on which the model can be traced."""
    if isinstance(model_a, Objective):
        return model_a, model_a.example_inputs()
    if data is not None:
        objective = Objective(model_a, data, loss)
        return objective, objective.example_inputs()
    if method == "activations":
        raise ValueError("method='activations' needs data over which units are compared; pass them")
    return None, _make_example_inputs(model_a)


def _make_example_inputs(model: nn.Module) -> tuple[Tensor, ...]:
    """Inputs of a model that begins with a linear layer.

    Raises:
        ValueError: It begins with another layer, whose inputs only data can show.
    """
    layers = (m for m in model.modules() if any(True for _ in m.parameters(recurse=False)))
    first = next(layers, None)
    if not isinstance(first, nn.Linear):
        raise ValueError(
            "data is missing, and the model's first layer does not say what inputs it takes; pass "
            "data, as for landscape.Objective"
        )
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(3, first.in_features, generator=generator, dtype=first.weight.dtype),)


def _read_parameters(model: nn.Module, like: nn.Module) -> dict[str, NDArray[np.float64]]:
    """A model's parameters, by their names in another."""
    names = [name for name, _ in like.named_parameters()]
    return {name: model.get_parameter(name).detach().double().cpu().numpy() for name in names}


def _permute(alignment: Alignment, second: nn.Module) -> nn.Module:
    """A copy of the second model with its units permuted, its buffers included."""
    permuted = copy_module(second)
    tensors = alignment.apply(dict(second.state_dict()))
    permuted.load_state_dict({name: value.clone() for name, value in tensors.items()})
    temporary = dict(second.named_buffers(remove_duplicate=False))
    temporary = {name: tensor for name, tensor in temporary.items() if name not in tensors}
    with torch.no_grad():
        for name, tensor in alignment.apply(temporary).items():
            permuted.get_buffer(name).copy_(tensor.clone())
    recompute_derived_weights(permuted)
    return permuted


def _describe_run(objective: Objective | None, seed: int, seconds: float, status: str) -> Run:
    device = torch.device("cpu") if objective is None else objective.device
    return Run(
        engine="core",
        strategy={"threads": torch.get_num_threads(), **environment(device)},
        policy={} if objective is None else objective.policy,
        evaluations=0,
        seconds=seconds,
        seed=seed,
        status=status,
        versions=versions(),
    )

"""`align`: permute one model's hidden units so that it lies close to another model."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from landscape._align.activations import record_unit_activations
from landscape._align.matching import Matching, match_activations, match_weights
from landscape._align.symmetry import Symmetry, find_symmetry
from landscape._environment import environment, versions
from landscape._export import Unsupported, trace
from landscape._objective import Objective, compute_float64_outputs
from landscape._parameters import ParameterLayout
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
    sweeps: int = 100,
    seed: int = 0,
) -> Alignment:
    r"""Permute the hidden units of one model so that it lies close to another.

    .. math:: \max_{P_1, P_2, \dots} \; \langle \theta_A, \; P(\theta_B) \rangle

    over permutations P_l of the units of each group, which leave the function as it is. Groups are
    read off the traced graph: units of linear layers and convolutions, the channels of a residual
    stream as one group, whole attention heads, each with the normalisations and the columns that
    read them. Units that flow through unsupported operations are not permuted, and are named.

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
        sweeps: The maximum number of sweeps of weight matching.
        seed: Of the order of the groups.

    Returns:
        The permutations, and the permuted model as ``.model``: its buffers are permuted too.

    Raises:
        TypeError: A model is neither a module nor a state dict.
        ValueError: The layouts differ, the model cannot be traced, or it has no hidden units.

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
    objective, inputs = _read_inputs(model_a, data, loss, method)
    first = objective.model if objective is not None else model_a
    if not isinstance(first, nn.Module):
        raise TypeError(f"model_a is a {type(first).__name__}, expected a module or an Objective")
    second = as_model(model_b, first)
    symmetry = _find_symmetry(first, inputs)
    groups = symmetry.groups
    matching = Matching(_read_parameters(first), _read_parameters(second), groups)
    distance = matching.distance()
    count = 1
    notes: tuple[str, ...] = ()
    if method == "weights":
        count = match_weights(matching, seed=seed, sweeps=sweeps)
    else:
        if objective is None:
            raise ValueError("activations need data; pass them")
        activations = [record_unit_activations(objective.with_model(m)) for m in (first, second)]
        notes = tuple(
            f"no module computes the units of {name}, which are not permuted"
            for name in match_activations(matching, *activations)
        )
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
        run=_describe_run(objective, seed, seconds, status, notes),
    )
    return _permute_and_verify(alignment, second, inputs)


def as_model(source: Any, like: nn.Module) -> nn.Module:
    """A new module with the weights and buffers of a module or a state dict."""
    if not isinstance(source, (nn.Module, Mapping)):
        raise TypeError(
            f"model_b is a {type(source).__name__}, expected a module or a state dict: flat "
            "vectors have no buffers, which must be permuted too"
        )
    ParameterLayout.of(like).flatten(source)  # refuses other layers, by name
    if isinstance(source, nn.Module):
        return copy.deepcopy(source)
    twin = copy.deepcopy(like)
    twin.load_state_dict(dict(source), strict=False)
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


def _find_symmetry(model: nn.Module, inputs: tuple[Tensor, ...]) -> Symmetry:
    try:
        symmetry = find_symmetry(trace(model, inputs))
    except Unsupported as reason:
        raise ValueError(
            f"the model's units cannot be matched, because it cannot be traced ({reason}); permute "
            "it by hand, or connect the models as they are"
        ) from reason
    if not symmetry.groups:
        operations = "; ".join(f"{op} ({why})" for op, why in symmetry.unsupported.items())
        raise ValueError(
            "the model has no hidden units that could be permuted"
            + (f": units were not followed through {operations}" if operations else "")
        )
    return symmetry


def _read_parameters(model: nn.Module) -> dict[str, NDArray[np.float64]]:
    return {name: p.detach().double().cpu().numpy() for name, p in model.named_parameters()}


def _permute_and_verify(
    alignment: Alignment, second: nn.Module, inputs: tuple[Tensor, ...]
) -> Alignment:
    """Add the permuted model, and check that its outputs equal those of the original."""
    permuted = copy.deepcopy(second)
    tensors = alignment.apply(dict(second.state_dict()))
    permuted.load_state_dict({name: value.clone() for name, value in tensors.items()})
    before, after = (compute_float64_outputs(model, inputs) for model in (second, permuted))
    size = float(before.abs().max()) or 1.0
    difference = float((before - after).abs().max()) / size
    if not difference <= _TOLERANCE:
        raise RuntimeError(
            f"the permuted model's outputs differ by {difference:.3g} of their size, which is a "
            "fault of landscape: please report it with the model's architecture"
        )
    return replace(alignment, difference=difference, permuted=permuted)


def _describe_run(
    objective: Objective | None, seed: int, seconds: float, status: str, notes: tuple[str, ...]
) -> Run:
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
        notes=notes,
    )

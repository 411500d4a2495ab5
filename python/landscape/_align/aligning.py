"""`align`: from two models to permutations, and the second one in the first one's order.

Depends on the traced graph, the units, the matching and the Objective.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from landscape._align.activations import activations, example_inputs
from landscape._align.matching import Matching, by_activations, by_weights
from landscape._align.units import Units, units_of
from landscape._environment import environment, versions
from landscape._export import Unsupported, traced
from landscape._objective import Objective
from landscape._parameters import ParameterLayout
from landscape._results import Alignment, Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["align", "as_model"]

Method = Literal["weights", "activations"]

_UNCHANGED = 1e-9  # of the outputs' size, in float64


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
    stream as one, whole attention heads, with the normalisations and the columns that go with
    them. What flows through operations that are not understood keeps its place and is named.

    Args:
        model_a: The model to align to, or an Objective of it.
        model_b: The model to permute: a module or a state dict of the same architecture. It is
            not changed.
        data: As for the Objective; its first inputs trace the model. Only a model that begins with
            a linear layer can be traced without.
        loss: As for the Objective, for ``"activations"``.
        method: ``"weights"``: the groups in turns, in seeded random order, each with the best
            permutation while the others stay, until none improves. ``"activations"``: the units
            whose activations over the data correlate most; needs data.
        sweeps: The most sweeps of weight matching.
        seed: Of their order.

    Returns:
        The permutations, and the permuted model as ``.model``: its buffers are permuted too.

    Raises:
        TypeError: A model is of no known kind.
        ValueError: The layouts differ, the model cannot be traced, or there are no units to move.

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
    objective, inputs = _given(model_a, data, loss, method)
    first = objective.model if objective is not None else model_a
    if not isinstance(first, nn.Module):
        raise TypeError(f"model_a is a {type(first).__name__}, expected a module or an Objective")
    second = as_model(model_b, first)
    units = _units(first, inputs)
    matching = Matching(_parameters(first), _parameters(second), units.groups)
    before = _distance(matching)
    count = 1
    notes: tuple[str, ...] = ()
    if method == "weights":
        count = by_weights(matching, seed=seed, sweeps=sweeps)
    else:
        kept = by_activations(matching, *activations(objective, first, second))
        notes = tuple(
            f"no module makes the units of {name}, which keep their places" for name in kept
        )
    places = [(g.name, *axis) for g in units.groups for axis in g.places]
    units_moved = sum(g.size for g in units.groups)
    status = f"{units_moved} units in {len(units.groups)} groups"
    seconds = time.perf_counter() - started
    made = Alignment(
        matching.permutations,
        tuple(places),
        tuple(rows for g in units.groups for rows in g.places.values()),
        unsupported=units.held,
        method=method,
        distances=(before, _distance(matching)),
        sweeps=count,
        difference=0.0,
        status=status,
        run=_record(objective, seed, seconds, status, notes),
    )
    return _checked(made, second, inputs)


def as_model(source: Any, like: nn.Module) -> nn.Module:
    """A source of weights and buffers as a module of its own."""
    if not isinstance(source, (nn.Module, Mapping)):
        raise TypeError(
            f"model_b is a {type(source).__name__}, expected a module or a state dict: flat "
            "vectors have no buffers, which must be permuted too"
        )
    ParameterLayout.of(like).flatten(source)  # refuses other layers, by name
    if isinstance(source, nn.Module):
        return copy.deepcopy(source)
    made = copy.deepcopy(like)
    made.load_state_dict(dict(source), strict=False)
    return made


def _given(
    model_a: Any, data: Any, loss: Any, method: str
) -> tuple[Objective | None, tuple[Tensor, ...]]:
    if isinstance(model_a, Objective):
        return model_a, model_a.example_inputs()
    if data is not None:
        objective = Objective(model_a, data, loss)
        return objective, objective.example_inputs()
    if method == "activations":
        raise ValueError("method='activations' needs data over which units are compared; pass them")
    return None, example_inputs(model_a)


def _units(model: nn.Module, inputs: tuple[Tensor, ...]) -> Units:
    try:
        found = units_of(traced(model, inputs))
    except Unsupported as reason:
        raise ValueError(
            f"the model's units cannot be matched, because it cannot be traced ({reason}); permute "
            "it by hand, or connect the models as they are"
        ) from reason
    if not found.groups:
        held = "; ".join(f"{where} ({why})" for where, why in found.held.items())
        raise ValueError(
            "the model has no hidden units that could be permuted"
            + (f": units were not followed through {held}" if held else "")
        )
    return found


def _parameters(model: nn.Module) -> dict[str, NDArray[np.float64]]:
    return {name: p.detach().double().cpu().numpy() for name, p in model.named_parameters()}


def _distance(matching: Matching) -> float:
    squares = [
        float(np.square(values - matching.moved(name)).sum())
        for name, values in matching.first.items()
    ]
    return float(np.sqrt(sum(squares)))


def _checked(made: Alignment, second: nn.Module, inputs: tuple[Tensor, ...]) -> Alignment:
    """With the permuted model, whose function must be that of the model it was made of."""
    permuted = copy.deepcopy(second)
    moved = made.apply(dict(second.state_dict()))
    permuted.load_state_dict({name: value.clone() for name, value in moved.items()})
    wide = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    with torch.random.fork_rng(), torch.inference_mode():
        outputs = [copy.deepcopy(m).double().eval()(*wide) for m in (second, permuted)]
    flat = [torch.cat([o.reshape(-1) for o in _tensors(output)]) for output in outputs]
    size = float(flat[0].abs().max()) or 1.0
    difference = float((flat[0] - flat[1]).abs().max()) / size
    if not difference <= _UNCHANGED:
        raise RuntimeError(
            f"the permuted model's outputs differ by {difference:.3g} of their size, which is a "
            "fault of landscape: please report it with the model's architecture"
        )
    return replace(made, difference=difference, permuted=permuted)


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, Mapping) else output
    return [tensor for part in parts for tensor in _tensors(part)]


def _record(
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

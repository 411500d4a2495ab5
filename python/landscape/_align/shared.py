"""The symmetry that two models share: of the first one's graph, and of what both hold."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from landscape._align.permutation import UnitGroup
from landscape._align.reparametrised import advise_on_hooks, trace_reparametrised
from landscape._align.symmetry import Symmetry, find_symmetry
from landscape._export import Unsupported
from landscape._parameters import ParameterLayout, host_array

__all__ = ["find_shared_symmetry"]


def find_shared_symmetry(
    first: nn.Module, second: nn.Module, inputs: tuple[Tensor, ...], layout: ParameterLayout
) -> Symmetry:
    """Find the permutations of the second model's units that keep its function.

    Tensors that either model ties are one. What both models hold alike outside theta, a buffer or
    a frozen parameter, is left as it is: on a path between them it is the first model's.

    Args:
        first: The model that is traced.
        second: The model of the same architecture that is permuted.
        inputs: On which the first can be traced.
        layout: Of the parameters that vary.

    Raises:
        ValueError: The model cannot be traced, or has no hidden units.
    """
    symmetry = _find_symmetry(first, second, inputs)
    groups = tuple(_keep_shared(group, first, second, layout) for group in symmetry.groups)
    return replace(symmetry, groups=groups)


def _find_symmetry(model: nn.Module, second: nn.Module, inputs: tuple[Tensor, ...]) -> Symmetry:
    """The symmetry of the first model, in which tensors that either model ties are one."""
    names = _list_names(model, second)
    tied = {name: every[0] for every in names.values() for name in every}
    try:
        symmetry = find_symmetry(trace_reparametrised(model, inputs), tied)
    except Unsupported as reason:
        raise ValueError(
            f"the model's units cannot be matched, because it cannot be traced ({reason}); "
            f"{advise_on_hooks(model)}permute it by hand, or connect the models as they are"
        ) from reason
    groups = tuple(
        replace(
            group,
            entries={
                (name, axis): entries
                for (first_name, axis), entries in group.entries.items()
                for name in names.get(first_name, (first_name,))
            },
        )
        for group in symmetry.groups
    )
    if not groups:
        operations = "; ".join(f"{op} ({why})" for op, why in symmetry.unsupported.items())
        raise ValueError(
            "the model has no hidden units that could be permuted"
            + (f": units were not followed through {operations}" if operations else "")
            + _advise_on_computed_weights(model)
        )
    return replace(symmetry, groups=groups)


def _advise_on_computed_weights(model: nn.Module) -> str:
    computed = [path for path, m in model.named_modules() if parametrize.is_parametrized(m)]
    if not computed:
        return ""
    return (
        f". The weight of {computed[0]} is computed by a parametrisation: fold it into the weight "
        "in both models (torch.nn.utils.parametrize.remove_parametrizations)"
    )


def _list_names(*models: nn.Module) -> dict[str, tuple[str, ...]]:
    """All names of each tensor that one of the models ties, by the first of them."""
    groups: dict[str, list[str]] = {}
    for model in models:
        by_identity: dict[int, list[str]] = {}
        for name, tensor in _list_tensors(model):
            by_identity.setdefault(id(tensor), []).append(name)
        for names in by_identity.values():
            joined = list(dict.fromkeys(n for name in names for n in groups.get(name, [name])))
            groups.update(dict.fromkeys(joined, joined))
    return {names[0]: tuple(names) for names in groups.values()}


def _list_tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers under all their names."""
    return [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]


def _keep_shared(
    group: UnitGroup, first: nn.Module, second: nn.Module, layout: ParameterLayout
) -> UnitGroup:
    """Restrict a group to permutations that leave what both models share outside theta as it is."""
    varied = {name for entry in layout.entries for name in (entry.name, *entry.aliases)}
    followed = {
        f"{path}.{name}" if path else name
        for path, module in first.named_modules(remove_duplicate=False)
        if isinstance(module, _BatchNorm)
        for name in module._buffers
    }
    sides = [
        dict(
            (*m.named_parameters(remove_duplicate=False), *m.named_buffers(remove_duplicate=False))
        )
        for m in (first, second)
    ]
    for (name, axis), entries in group.entries.items():
        own, other = (side.get(name) for side in sides)
        if name in varied or name in followed or own is None or other is None:
            continue
        if torch.equal(own, other.to(own)):
            slices = own.detach().movedim(axis, 0)[torch.from_numpy(entries)].cpu()
            group = group.restrict([host_array(rows).tobytes() for rows in slices])
    return group

"""Weights that a model computes from others: weight and spectral normalisation, parametrisations.

A tensor's name in the graph is that of what is stored, `0.weight_v` or
`0.parametrizations.weight.original1`; its module is found by the name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, remove_weight_norm
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from landscape._copies import copy_module, derived_weights
from landscape._export import TracedGraph, trace

__all__ = [
    "advise_on_hooks",
    "find_norm_of_weight",
    "is_computed",
    "owner_of_weight",
    "trace_reparametrised",
]

_STORED_NAMES = (
    *(".parametrizations.weight.original1", ".parametrizations.weight.original"),
    *(".weight_v", ".weight_orig", ".weight"),
)
"""How the tensor ends whose axes are those of a module's weight."""


def owner_of_weight(name: str) -> str:
    """The module whose weight is stored under a name; the name itself where it is no weight."""
    for suffix in _STORED_NAMES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return "" if f".{name}" in _STORED_NAMES else name


def is_computed(module: nn.Module) -> bool:
    """Whether a module's weight is computed from other tensors."""
    return "weight" in derived_weights(module) or parametrize.is_parametrized(module, "weight")


def find_norm_of_weight(module: nn.Module) -> tuple[Tensor, int] | None:
    """The norms that weight normalisation multiplies a module's weight by, and their axis."""
    hook = derived_weights(module).get("weight")
    if isinstance(hook, WeightNorm):
        return module.get_parameter("weight_g"), hook.dim
    if parametrize.is_parametrized(module, "weight"):
        chain: Any = module.get_submodule("parametrizations.weight")
        if len(chain) == 1 and isinstance(chain[0], parametrizations._WeightNorm):
            return chain.original0, chain[0].dim
    return None


def advise_on_hooks(model: nn.Module) -> str:
    """What to do about weights that hooks compute, through which a model cannot be traced."""
    advice = {
        SpectralNorm: "torch.nn.utils.remove_spectral_norm",
        BasePruningMethod: "torch.nn.utils.prune.remove",
    }
    for path, module in model.named_modules():
        for name, hook in derived_weights(module).items():
            for kind, function in advice.items():
                if isinstance(hook, kind):
                    return f"fold the hook into {path}.{name} in both models ({function}), or "
    return ""


def trace_reparametrised(model: nn.Module, inputs: Sequence[Any]) -> TracedGraph:
    """Trace a model; legacy weight norms, whose hooks tracing refuses, as parametrisations.

    Returns:
        The graph, with the model's own names.

    Raises:
        Unsupported: The model cannot be traced.
    """
    twin = copy_module(model)
    names: dict[str, str] = {}
    for path, module in twin.named_modules():
        for name, hook in derived_weights(module).items():
            if isinstance(hook, WeightNorm):
                remove_weight_norm(module, name)
                parametrizations.weight_norm(module, name, hook.dim)
                stem = f"{path}." if path else ""
                names[f"{stem}parametrizations.{name}.original0"] = f"{stem}{name}_g"
                names[f"{stem}parametrizations.{name}.original1"] = f"{stem}{name}_v"
    if not names:
        return trace(model, inputs)
    graph = trace(twin, inputs)
    leaves = tuple(
        replace(leaf, target=names.get(leaf.target, leaf.target)) for leaf in graph.leaves
    )
    return replace(graph, leaves=leaves)

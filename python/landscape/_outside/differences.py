"""What two models hold outside theta, compared tensor by tensor and module by module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm

from landscape._copies import derived_weights
from landscape._outside.attributes import AttributeComparison, equal_tensors, type_name
from landscape._parameters import ParameterLayout, host_array, named_tensors

__all__ = ["STATISTICS", "Differences", "compare_modules", "compare_tensors", "iter_outside"]

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Buffers of batch norm, which follow the batch-norm policy."""
_SHOWN = 6  # differences in a message
_CHUNK = 1 << 20  # numbers that are compared at once


@dataclass
class Differences:
    """What was found to differ, in words."""

    lines: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Buffers and frozen parameters that the source does not have, so that the first model's
    count."""
    uncertain: bool = False
    """Whether something could not be compared, so that only numbers can tell."""
    computes_weights: bool = False
    """Whether a buffer differs by which a weight is computed, as by spectral norm."""

    @property
    def is_equal(self) -> bool:
        return not self.lines and not self.uncertain

    def notes(self, name: str) -> tuple[str, ...]:
        if not self.missing:
            return ()
        listed = _shorten(self.missing, ", ")
        return (f"{name} comes without {listed}: the first model's are used",)

    def __str__(self) -> str:
        return _shorten(self.lines, "; ") or (
            "nothing that can be seen in their modules (code that reads something else)"
        )


def compare_tensors(
    first: nn.Module, source: Mapping[str, Any], layout: ParameterLayout
) -> Differences:
    """Compare buffers, frozen parameters and ties with those of a state dict."""
    found = Differences()
    tensors = named_tensors(source, layout)
    temporary = _temporary_buffers(first)
    computing = _buffers_of_computed_weights(first)
    for kind, name, tensor in iter_outside(first, layout):
        if name in temporary:
            continue
        if name not in tensors:
            found.missing.append(f"{kind} {name}")
        elif text := _tensor_difference(tensor, tensors[name]):
            found.lines.append(f"{kind} {name} ({text})")
            found.computes_weights |= name in computing
    for entry in layout.entries:
        held = [n for n in (entry.name, *entry.aliases) if n in tensors]
        found.lines += [
            f"{other} and {held[0]} are one tensor in the first model, and two here"
            for other in held[1:]
            if not equal_tensors(tensors[held[0]], tensors[other])
        ]
    return found


def compare_modules(first: nn.Module, second: nn.Module, layout: ParameterLayout) -> Differences:
    """Compare tensors outside theta, ties, and every module's type and attributes."""
    found = Differences()
    computing = _buffers_of_computed_weights(first)
    own = {name: (kind, t) for kind, name, t in iter_outside(first, layout)}
    others = {name: (kind, t) for kind, name, t in iter_outside(second, layout)}
    varied = {name for entry in layout.entries for name in (entry.name, *entry.aliases)}
    for name in dict.fromkeys((*own, *others)):
        if name in varied:
            continue
        if name not in own or name not in others:
            kind, _ = own.get(name) or others[name]
            where = "the first model" if name in own else "the other"
            found.lines.append(f"{kind} {name} (only in {where})")
        elif text := _tensor_difference(own[name][1], others[name][1]):
            found.lines.append(f"{own[name][0]} {name} ({text})")
            found.computes_weights |= name in computing
    found.lines += _compare_ties(first, second)
    _compare_attributes(first, second, found)
    return found


def iter_outside(module: nn.Module, layout: ParameterLayout) -> Iterator[tuple[str, str, Tensor]]:
    """Kind, name and value of frozen parameters, and of buffers but batch-norm statistics."""
    varied = {name for entry in layout.entries for name in (entry.name, *entry.aliases)}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if name not in varied:
            yield "frozen parameter", name, parameter
    for path, part in module.named_modules(remove_duplicate=False):
        excluded = STATISTICS if isinstance(part, _BatchNorm) else ()
        if isinstance(part, _NormBase):
            excluded = (*excluded, "num_batches_tracked")
        for name, buffer in part._buffers.items():
            if buffer is not None and name not in excluded:
                yield "buffer", _join(path, name), buffer


def _temporary_buffers(module: nn.Module) -> set[str]:
    """Buffers that no state dict holds."""
    return {
        _join(path, name)
        for path, part in module.named_modules(remove_duplicate=False)
        for name in part._non_persistent_buffers_set
    }


def _buffers_of_computed_weights(module: nn.Module) -> set[str]:
    """Buffers by which a weight is computed: the state of spectral norms, of parametrisations."""
    names = set()
    for path, part in module.named_modules(remove_duplicate=False):
        if isinstance(part, parametrize.ParametrizationList):
            names |= {_join(path, name) for name, _ in part.named_buffers()}
        for name, hook in derived_weights(part).items():
            if isinstance(hook, SpectralNorm):
                names |= {_join(path, f"{name}_u"), _join(path, f"{name}_v")}
    return names


def _compare_ties(first: nn.Module, second: nn.Module) -> list[str]:
    """Names that are one parameter in one of the models alone."""
    ours, theirs = _tied_pairs(first), _tied_pairs(second)
    return [
        f"{b} is tied to {a} in {'the first model' if (a, b) in ours else 'the other'} alone"
        for a, b in (*ours, *theirs)
        if ((a, b) in ours) != ((a, b) in theirs)
    ]


def _tied_pairs(module: nn.Module) -> dict[tuple[str, str], None]:
    names: dict[int, str] = {}
    pairs: dict[tuple[str, str], None] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        before = names.setdefault(id(parameter), name)
        if before != name:
            pairs[before, name] = None
    return pairs


def _compare_attributes(first: nn.Module, second: nn.Module, found: Differences) -> None:
    comparison = AttributeComparison(first, second)
    ours = dict(first.named_modules(remove_duplicate=False))
    theirs = dict(second.named_modules(remove_duplicate=False))
    for path in dict.fromkeys((*ours, *theirs)):
        shown = f"module {path}" if path else "the model"
        if path not in ours or path not in theirs:
            where = "the first model" if path in ours else "the other"
            found.lines.append(f"{shown} (only in {where})")
            continue
        one, other = ours[path], theirs[path]
        if type_name(one) != type_name(other):
            found.lines.append(f"{shown} ({type(one).__name__} against {type(other).__name__})")
            continue
        # a class that was defined twice, as in a notebook: its code may differ
        found.uncertain |= _base_class(one) is not _base_class(other)
        for name, verdict, values in comparison.differences(one, other):
            if verdict == "unknown":
                found.uncertain = True
            elif verdict == "different":
                found.lines.append(
                    f"{_join(path, name)} ({_show(values[0])} against {_show(values[1])})"
                )


def _base_class(module: nn.Module) -> type[nn.Module]:
    """A module's class; parametrised modules have one each, made for them alone."""
    kind = type(module)
    return kind.__bases__[0] if parametrize.is_parametrized(module) else kind


def _tensor_difference(one: Any, other: Any) -> str | None:
    """By how much two tensors differ, in words; None where they are equal."""
    if tuple(one.shape) != tuple(other.shape):
        return f"shape {tuple(one.shape)} against {tuple(other.shape)}"
    if equal_tensors(one, other):
        return None
    a, b = (host_array(t).reshape(-1) for t in (one, other))
    gap, size = 0.0, 0.0
    for start in range(0, a.size, _CHUNK):
        parts = [v[start : start + _CHUNK].astype(np.complex128) for v in (a, b)]
        with np.errstate(invalid="ignore"):
            gap = max(gap, float(np.nanmax(np.abs(parts[0] - parts[1]), initial=0)))
        size = max(size, *(float(np.nanmax(np.abs(part), initial=0)) for part in parts))
    return f"by up to {gap:.3g}, with numbers up to {size:.3g}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _show(value: Any) -> str:
    text = getattr(value, "__name__", None) or (
        f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
    )
    return text if len(text) <= 40 else f"{text[:37]}..."


def _shorten(lines: list[str], separator: str) -> str:
    shown = separator.join(lines[:_SHOWN])
    hidden = len(lines) - _SHOWN
    return f"{shown}{separator}and {hidden} more" if hidden > 0 else shown

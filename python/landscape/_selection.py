"""Selection of parameters by names, module prefixes and shell patterns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["match_parameters", "select_parameters"]


def select_parameters(model: nn.Module, parameters: str | Iterable[str] | None) -> tuple[str, ...]:
    """The names of the trainable parameters that names, prefixes or patterns select."""
    trainable = tuple(name for name, p in model.named_parameters() if p.requires_grad)
    first_names = {id(p): name for name, p in model.named_parameters()}
    known = {  # a tied parameter may be chosen by any of its names
        name: first_names[id(p)]
        for name, p in model.named_parameters(remove_duplicate=False)
        if p.requires_grad
    }
    if not trainable:
        raise ValueError(
            "the model has no trainable parameter, so there is nothing to vary; call "
            "model.requires_grad_(True) first, or pass a model with parameters"
        )
    if parameters is None:
        return trainable
    chosen = match_parameters(parameters, known)
    return tuple(name for name in trainable if name in chosen)


def match_parameters(patterns: str | Iterable[str], known: Mapping[str, str]) -> set[str]:
    """Match names of parameters with patterns.

    Args:
        patterns: Names, module prefixes or shell patterns.
        known: Every name, and the one under which its parameter is listed.

    Raises:
        ValueError: A pattern matches nothing, or there is no pattern.
    """
    every = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    matched = {pattern: {known[name] for name in _matches(pattern, known)} for pattern in every}
    for pattern, names in matched.items():
        if not names:
            listed = _format_names(tuple(dict.fromkeys(known.values())))
            raise ValueError(
                f"parameters={pattern!r} matches no trainable parameter; the model has {listed}"
            )
    if not matched:
        raise ValueError("parameters is empty, so there is nothing to vary; pass names or patterns")
    return set().union(*matched.values())


def _matches(pattern: str, names: Iterable[str]) -> set[str]:
    return {name for name in names if fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")}


def _format_names(names: Sequence[str], limit: int = 40) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more

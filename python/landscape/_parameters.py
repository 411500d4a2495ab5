"""The layout of a model's parameters in one flat vector: names, shapes, offsets, filters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from landscape._filters import FilterGrid, filter_grid, parameter_owners
from landscape._selection import match_parameters, select_parameters
from landscape._turns import undisturbed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = ["ParameterEntry", "ParameterLayout", "host_array", "named_tensors"]

_WRAPPER_PREFIXES = ("module.", "_orig_mod.")
_SHOWN_DIFFERENCES = 5


@dataclass(frozen=True)
class ParameterEntry:
    """One parameter tensor and its position in the flat vector."""

    name: str
    """The first name under which the model lists the tensor."""
    aliases: tuple[str, ...]
    """Every further name of the same tensor (tied weights)."""
    shape: tuple[int, ...]
    offset: int
    dtype: str
    """The dtype that the model stores, such as ``"float32"`` or ``"bfloat16"``."""
    filters: FilterGrid | None
    """How the tensor splits into filters; None for biases, scales and other 1-D tensors."""

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def span(self) -> slice:
        """The slice of the flat vector."""
        return slice(self.offset, self.offset + self.size)


@dataclass(frozen=True)
class ParameterLayout:
    r"""The bijection between named parameter tensors and one flat vector theta in R^d.

    Tensors follow each other in the order of ``model.named_parameters()``, each in C order; a
    tensor with several names (tied weights) appears once. Two models can be joined by a line when
    their layouts are equal: the same names and shapes in the same order.

    Example:
        >>> from torch import nn
        >>> layout = ParameterLayout.of(nn.Linear(3, 2))
        >>> layout.size, [entry.name for entry in layout.entries]
        (8, ['weight', 'bias'])
    """

    entries: tuple[ParameterEntry, ...]
    frozen: tuple[str, ...] = ()
    """The names of the model's parameters that do not vary."""

    @classmethod
    def of(cls, model: nn.Module, parameters: str | Iterable[str] | None = None) -> ParameterLayout:
        """Read the layout of a model's trainable parameters.

        Args:
            model: The module to describe.
            parameters: Names, module prefixes or shell patterns of the parameters to vary; all
                trainable ones when None.

        Returns:
            The layout of the chosen parameters, in the model's own order.

        Raises:
            ValueError: A pattern matches no trainable parameter, or there is none at all.
        """
        with undisturbed(model):
            return cls._read(model, parameters)

    @classmethod
    def _read(cls, model: nn.Module, parameters: str | Iterable[str] | None) -> ParameterLayout:
        chosen = select_parameters(model, parameters)
        owners = parameter_owners(model)
        names: dict[int, list[str]] = {}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            names.setdefault(id(parameter), []).append(name)
        entries, offset = [], 0
        for name in chosen:
            parameter = model.get_parameter(name)
            module, local_name = owners[id(parameter)]
            entry = ParameterEntry(
                name=name,
                aliases=tuple(alias for alias in names[id(parameter)] if alias != name),
                shape=tuple(parameter.shape),
                offset=offset,
                dtype=str(parameter.dtype).removeprefix("torch."),
                filters=filter_grid(module, local_name, parameter.shape),
            )
            entries.append(entry)
            offset += entry.size
        varied = {name for entry in entries for name in (entry.name, *entry.aliases)}
        every = (name for name, _ in model.named_parameters(remove_duplicate=False))
        return cls(tuple(entries), tuple(name for name in every if name not in varied))

    @property
    def size(self) -> int:
        """The dimension d of the flat vector."""
        return self.entries[-1].span.stop if self.entries else 0

    @property
    def dtype(self) -> np.dtype[Any]:
        """The flat vector's dtype: float64 where any tensor is float64, otherwise float32."""
        wide = any(entry.dtype == "float64" for entry in self.entries)
        return np.dtype(np.float64 if wide else np.float32)

    def positions(self, patterns: str | Iterable[str]) -> tuple[int, ...]:
        """The indices of the entries that names or patterns select, in the layout's order.

        Raises:
            ValueError: A pattern matches nothing; the names are listed.
        """
        known = {
            name: entry.name for entry in self.entries for name in (entry.name, *entry.aliases)
        }
        chosen = match_parameters(patterns, known)
        return tuple(i for i, entry in enumerate(self.entries) if entry.name in chosen)

    def part(self, positions: Sequence[int]) -> ParameterLayout:
        """The layout of some of the entries, one after the other; the others are frozen."""
        entries, offset = [], 0
        for position in positions:
            entries.append(replace(self.entries[position], offset=offset))
            offset = entries[-1].span.stop
        others = [entry for i, entry in enumerate(self.entries) if i not in set(positions)]
        names = (name for entry in others for name in (entry.name, *entry.aliases))
        return ParameterLayout(tuple(entries), (*self.frozen, *names))

    def difference(self, other: ParameterLayout) -> str | None:
        """Say in words how another layout differs, or None where the two can be joined."""
        own = {entry.name: entry.shape for entry in self.entries}
        others = {entry.name: entry.shape for entry in other.entries}
        lines = [
            f"{name}: {_shape_or_missing(own.get(name))} here, "
            f"{_shape_or_missing(others.get(name))} there"
            for name in dict.fromkeys((*own, *others))
            if own.get(name) != others.get(name)
        ]
        if not lines:
            return None if list(own) == list(others) else "the same tensors in another order"
        shown = "; ".join(lines[:_SHOWN_DIFFERENCES])
        hidden = len(lines) - _SHOWN_DIFFERENCES
        return f"{shown}; and {hidden} more" if hidden > 0 else shown

    def flatten(self, source: nn.Module | Mapping[str, Any]) -> NDArray[Any]:
        """Copy named tensors into one flat vector.

        Args:
            source: A module, or a mapping from names to tensors or arrays. Entries that the
                layout does not list (buffers, frozen parameters) are left out; the prefixes of
                ``DataParallel`` and ``torch.compile`` are removed.

        Returns:
            The vector theta, shape (d,), in the layout's dtype.

        Raises:
            ValueError: A tensor is missing or has another shape; every one that does is named.
        """
        if isinstance(source, torch.nn.Module):
            with undisturbed(source):
                return self._flatten(source)
        return self._flatten(source)

    def _flatten(self, source: nn.Module | Mapping[str, Any]) -> NDArray[Any]:
        tensors = named_tensors(source, self)
        problems, flat = self._find_foreign(source, tensors), np.empty(self.size, self.dtype)
        for entry in self.entries:
            tensor = next((tensors[n] for n in (entry.name, *entry.aliases) if n in tensors), None)
            shape = None if tensor is None else tuple(tensor.shape)
            if tensor is None or shape != entry.shape:
                problems.append(
                    f"{entry.name}: expected {entry.shape}, got {_shape_or_missing(shape)}"
                )
                continue
            flat[entry.span] = host_array(tensor).reshape(-1)
        if problems:
            shown = "; ".join(problems[:_SHOWN_DIFFERENCES])
            raise ValueError(
                f"the weights do not fit the model ({len(problems)} of {len(self.entries)} tensors "
                f"differ): {shown}; pass weights of a model with the same layers"
            )
        return flat

    def _find_foreign(self, source: Any, tensors: Mapping[str, Any]) -> list[str]:
        """Parameters of another module that the layout's model lacks."""
        if not isinstance(source, torch.nn.Module):
            return []  # a state dict also lists buffers, which the layout does not
        known = {name for entry in self.entries for name in (entry.name, *entry.aliases)}
        known.update(self.frozen)
        return [f"{name}: expected none, got one" for name in tensors if name not in known]

    def unflatten(self, theta: NDArray[Any] | Tensor) -> dict[str, Tensor]:
        """Split a flat vector into named tensors: the inverse of :meth:`flatten`.

        Args:
            theta: The vector, shape (d,).

        Returns:
            New tensors by name, in the dtypes that the model stores, tied names included, so that
            ``model.load_state_dict(..., strict=False)`` takes them.

        Raises:
            ValueError: The vector's length is not d.
        """
        if isinstance(theta, np.ndarray) and not theta.flags.writeable:
            theta = theta.copy()  # torch warns about read-only arrays, which results hold
        flat = torch.as_tensor(theta)
        if flat.shape != (self.size,):
            raise ValueError(
                f"got a vector of shape {tuple(flat.shape)}, expected ({self.size},): one number "
                "for each parameter that varies"
            )
        state: dict[str, Tensor] = {}
        for entry in self.entries:
            piece = flat[entry.span].reshape(entry.shape)
            tensor = piece.to(getattr(torch, entry.dtype), copy=True)
            state.update(dict.fromkeys((entry.name, *entry.aliases), tensor))
        return state

    def filter_table(self, one_dimensional: str = "zero") -> NDArray[np.int64]:
        """The offset of each tensor and its split into filters, for the core.

        Args:
            one_dimensional: ``"zero"`` leaves biases and normalisation scales out, ``"include"``
                takes each as one filter.

        Returns:
            Rows (offset, blocks, outer, filters, inner), shape (tensors, 5).
        """
        rows = []
        for entry in self.entries:
            if entry.filters is not None:
                rows.append((entry.offset, *entry.filters))
            elif one_dimensional == "include":
                rows.append((entry.offset, *FilterGrid(1, 1, 1, entry.size)))
        return np.array(rows, dtype=np.int64).reshape(-1, 5)


def _shape_or_missing(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else str(shape)


def named_tensors(
    source: nn.Module | Mapping[str, Any], layout: ParameterLayout
) -> Mapping[str, Any]:
    """Parameters by all their names, or a mapping as it is; without the prefixes of wrappers."""
    named: Mapping[str, Any] = (
        dict(source.named_parameters(remove_duplicate=False))
        if isinstance(source, torch.nn.Module)
        else source
    )
    # unless the prefix is a child's own name: a model may have a child called "module"
    while named and not any(entry.name in named for entry in layout.entries):
        prefixes = (p for p in _WRAPPER_PREFIXES if all(name.startswith(p) for name in named))
        prefix = next(prefixes, None)
        if prefix is None:
            break
        named = {name.removeprefix(prefix): tensor for name, tensor in named.items()}
    return named


def host_array(tensor: Any) -> NDArray[Any]:
    """A tensor's or array's values on the host; half precision, which NumPy lacks, as float32."""
    if not isinstance(tensor, torch.Tensor):
        return np.asarray(tensor)
    host = tensor.detach().cpu()
    return (host.float() if host.dtype in (torch.bfloat16, torch.float16) else host).numpy()

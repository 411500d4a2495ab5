"""Sources of weights: modules, state dicts, safetensors files, flat vectors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from landscape._parameters import host_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._parameters import ParameterLayout

__all__ = ["open_weights", "read_weights"]


def read_weights(
    source: Any, layout: ParameterLayout, dtype: np.dtype[Any], name: str
) -> NDArray[Any]:
    """Read the flat vector of any source of weights.

    Args:
        source: A module, a state dict, a ``.safetensors`` path, or a flat vector, shape (d,).
        layout: The layout that the weights must fit.
        dtype: The result's dtype.
        name: The source's name in error messages.

    Returns:
        The vector, shape (d,), C-contiguous.

    Raises:
        TypeError: The source is none of these.
        ValueError: The weights do not fit the layout, or are not finite.
    """
    source = open_weights(source)
    if isinstance(source, (torch.nn.Module, Mapping)):
        try:
            flat = layout.flatten(source)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    elif isinstance(source, (np.ndarray, torch.Tensor)):
        flat = host_array(source)
        if flat.shape != (layout.size,):
            raise ValueError(
                f"{name} has shape {flat.shape}, expected ({layout.size},): one number for each "
                "parameter that varies"
            )
    else:
        raise TypeError(
            f"{name} is a {type(source).__name__}; pass a module, a state dict, a .safetensors "
            "path or a flat vector"
        )
    if not np.isfinite(flat).all():
        raise ValueError(f"{name} has values that are NaN or infinite; pass finite weights")
    return np.ascontiguousarray(flat, dtype=dtype)


def open_weights(source: Any) -> Any:
    """The mapping of a ``.safetensors`` file; any other source as it is."""
    return _read_safetensors(Path(source)) if isinstance(source, (str, os.PathLike)) else source


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    if path.suffix != ".safetensors":
        raise ValueError(
            f"{path} is not a .safetensors file; load it yourself and pass the module or the "
            "state dict (pickled checkpoints are never opened)"
        )
    try:
        from safetensors.torch import load_file  # noqa: PLC0415 - an optional extra
    except ImportError:
        raise ImportError(
            "reading .safetensors needs an extra: pip install 'landscape-geometry[safetensors]'"
        ) from None
    tensors: Mapping[str, Any] = load_file(path)
    return tensors

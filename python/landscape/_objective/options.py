"""The Objective's options, checked and turned into what they mean.

Depends on PyTorch and the parameter layout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from landscape._parameters import ParameterLayout

__all__ = ["check_numbers", "check_option", "chosen_device", "chosen_dtype"]


def check_option(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Refuse a value that an option does not have.

    Raises:
        ValueError: The value is not among the allowed ones.
    """
    if value not in allowed:
        listed = ", ".join(repr(choice) for choice in allowed)
        raise ValueError(f"{name}={value!r}, expected one of {listed}")


def check_numbers(*, weight_decay: float, seed: int, memory_budget: int) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        ValueError: A number is negative, not finite, or not whole where it must be.
    """
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise ValueError(f"weight_decay={weight_decay!r}, expected a finite number from 0 up")
    if not (isinstance(seed, (int, np.integer)) and 0 <= seed < 2**63):
        raise ValueError(f"seed={seed!r}, expected a whole number from 0 to 2**63 - 1")
    if not memory_budget >= 0:
        raise ValueError(f"memory_budget={memory_budget!r}, expected a number of bytes from 0 up")


def chosen_device(device: torch.device | str | None, model: nn.Module) -> torch.device:
    """The device to evaluate on: the parameters' own by default.

    Raises:
        ValueError: The parameters lie on several devices and none was named.
    """
    if device is not None:
        return torch.empty(0, device=device).device  # "cuda" becomes "cuda:0", or fails here
    found = {parameter.device for parameter in model.parameters()}
    if len(found) > 1:
        listed = ", ".join(sorted(map(str, found)))
        raise ValueError(f"the parameters lie on several devices ({listed}); pass device=")
    return found.pop()


def chosen_dtype(
    dtype: torch.dtype | str | None, layout: ParameterLayout
) -> tuple[torch.dtype | None, torch.dtype]:
    """The dtype that the user fixed for the model, if any, and the flat vector's.

    Raises:
        ValueError: The dtype is no floating-point one.
    """
    working = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if dtype is not None and not (isinstance(working, torch.dtype) and working.is_floating_point):
        raise ValueError(f"dtype={dtype!r}, expected a floating-point dtype such as torch.float64")
    if working is None:
        return None, torch.float64 if layout.dtype == "float64" else torch.float32
    return working, torch.float64 if working == torch.float64 else torch.float32

"""The environment of a run: versions, processor and precision, which decide last bits."""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

import numpy as np
import torch

__all__ = ["CPU", "environment", "thread_count", "versions"]

CPU = torch.device("cpu")


def versions() -> dict[str, str]:
    """The versions that a result records."""
    return {
        "landscape": metadata.version("landscape-geometry"),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def environment(device: torch.device) -> dict[str, str]:
    """Version, processor and precision: with the thread count, what PyTorch's kernels depend on."""
    cpu = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "none"
    precision = torch.get_float32_matmul_precision()
    return {"torch": str(torch.__version__), "cpu": cpu, "gpu": gpu, "matmul": precision}


_LOCK = threading.Lock()
_CHANGED: list[int] = []
"""The count before it was changed, and the changed one for each block that needs it."""


@contextmanager
def thread_count(count: int) -> Iterator[None]:
    """Set PyTorch's thread count inside the block, to that of the run that is resumed.

    It is one for all threads; the last block that needs another one restores it.

    Raises:
        RuntimeError: Another thread needs a third count at the same time.
    """
    with _LOCK:
        before = _CHANGED[0] if _CHANGED else torch.get_num_threads()
        changes = count != before
        if changes and _CHANGED and count != _CHANGED[-1]:
            raise RuntimeError(
                f"this run was begun with {count} threads of PyTorch, and another thread resumes "
                f"one with {_CHANGED[-1]}: their number is one for all. Resume one after the other"
            )
        if changes:
            _CHANGED.extend([count] if _CHANGED else [before, count])
            torch.set_num_threads(count)
    try:
        yield
    finally:
        if changes:
            with _LOCK:
                _CHANGED.pop()
                if len(_CHANGED) == 1:
                    torch.set_num_threads(_CHANGED.pop())

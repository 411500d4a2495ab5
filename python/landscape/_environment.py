"""The environment of a run: versions, processor and precision, which decide last bits."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

import numpy as np
import torch

__all__ = ["environment", "thread_count", "versions"]


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


@contextmanager
def thread_count(count: int) -> Iterator[None]:
    """Set PyTorch's thread count inside the block, to that of the run that is resumed."""
    before = torch.get_num_threads()
    try:
        if count != before:
            torch.set_num_threads(count)
        yield
    finally:
        if count != before:
            torch.set_num_threads(before)

"""A provenance record with every kind of value, for tests of results."""

from __future__ import annotations

import math
from typing import Any

from landscape import Run


def make_run(**changes: Any) -> Run:
    values: dict[str, Any] = {
        "engine": "torch",
        "strategy": {"kind": "loop", "chunk": 8, "threads": 2, "device": "cpu", "dtype": "float32"},
        "policy": {
            "loss": "cross-entropy",
            "batch_norm": "frozen",
            "weights": [1.0, math.nan, (2, [3])],
        },
        "evaluations": 12,
        "seconds": 0.25,
        "seed": 7,
        "status": "complete",
        "versions": {"landscape": "0.1.0", "torch": "2.15"},
        "notes": ("3 samples dropped by the loader", "augmentation frozen"),
    }
    return Run(**(values | changes))

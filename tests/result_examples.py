"""Results and provenance with every kind of value, for tests of results."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from landscape import Measure, Run, Sharpness


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


def make_measure(**changes: Any) -> Measure:
    values: dict[str, Any] = {
        "name": "noise_rise",
        "value": 0.25,
        "standard_error": 0.01,
        "interval": (0.23, 0.27),
        "rescaling": "no",
        "permutation": "exact",
        "cost": 11.0,
        "reference": "a paper",
        "options": {"sigma": 0.01, "draws": 16},
        "details": {"values": [1.0, 2.0], "note": "text"},
        "curves": {"pairs": np.arange(4.0)},
    }
    return Measure(**{**values, **changes})


def make_sharpness(**changes: Any) -> Sharpness:
    none = make_measure(
        name="margin", value=None, standard_error=None, interval=None, curves={},
        status="not applicable: the loss is MSE", rescaling="not applicable",
    )  # fmt: skip
    values: dict[str, Any] = {
        "measures": (make_measure(), none),
        "loss": 0.5,
        "dim": 10,
        "samples": 20,
        "descent_gain": 0.1,
        "run": make_run(),
    }
    return Sharpness(**{**values, **changes})

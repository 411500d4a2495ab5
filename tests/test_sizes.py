"""Sizes that do not fit are refused with the bytes that they take; a panic is an exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import landscape
from landscape import _core

DATA = (torch.linspace(-1, 1, 360).reshape(60, 6).sin(), torch.arange(60) % 3)
BIG = 10**11
MANY = (300_000, 300_000)
OFF: dict[str, Any] = {"engine": "torch", "progress": "off"}


def make_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def connect(**options: Any) -> Any:
    return landscape.connect(make_model(), make_model(1), DATA, **OFF, **options)


CALLS: dict[str, Callable[[], Any]] = {
    "line": lambda: landscape.line(make_model(), DATA, points=BIG, **OFF),
    "surface": lambda: landscape.surface(make_model(), DATA, points=MANY, **OFF),
    "planes": lambda: landscape.surface(make_model(), DATA, points=3, **OFF).trust(planes=BIG),
    "curvature_map": lambda: landscape.curvature_map(make_model(), DATA, points=MANY, **OFF),
    "pivots": lambda: connect(method=landscape.AutoNEB(pivots=BIG, max_pivots=BIG)),
    "control points": lambda: connect(method=landscape.Bezier(control_points=BIG)),
    "corners": lambda: connect(method=landscape.Polychain(control_points=BIG)),
    "path": lambda: connect(method=landscape.Linear(), points=BIG),
    "barrier": lambda: landscape.barrier(make_model(), make_model(1), DATA, points=BIG, **OFF),
    "simplex": lambda: landscape.simplex(
        [make_model(), make_model(1)], DATA, points=BIG, cycles=[(1, 0.01)], **OFF
    ),
    "starts": lambda: landscape.critical_points(make_model(), DATA, starts=BIG, **OFF),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_does_not_fit_is_refused_with_its_bytes(name: str) -> None:
    with pytest.raises(MemoryError, match=r"would take [0-9.]+ (GB|TB|PB) of memory, and .* free"):
        CALLS[name]()


def function(block: Any) -> Any:
    return block


ACCURACY: dict[str, Any] = {
    "relative": 0.1,
    "absolute": 0.0,
    "max_products": 10**15,
    "level": 0.95,
    "seed": 0,
}
CORE: dict[str, Callable[[int], Any]] = {
    "axis": lambda n: _core.axis(0.0, 1.0, n),
    "gaussian": lambda n: _core.gaussian(n, seed=0, stream=0, dtype="float64"),
    "simplex_weights": lambda n: _core.simplex_weights(n, n, seed=0, stream=0),
    "asymmetry": lambda n: _core.asymmetry(function, n, "float64", 0),
    "lanczos": lambda n: _core.Lanczos(
        n,
        "float64",
        count=1,
        which="largest",
        tolerance=0.1,
        relative_to="end",
        basis=n,
        max_products=9,
        seed=0,
    ),
    "power": lambda n: _core.PowerIteration(
        n, "float64", count=n, which="largest", tolerance=0.1, max_products=9, seed=0
    ),
    "density": lambda n: _core.Density(
        9, "float64", probes=n, steps=9, block=n, seed=0, known=[], products=0
    ),
    "density steps": lambda n: _core.Density(
        n, "float64", probes=9, steps=n, block=1, seed=0, known=[], products=0
    ),
    "trace": lambda n: _core.Trace(
        n, "float64", powers=1, target=0, logarithm=None, rows=n, block=1, **ACCURACY
    ),
    "powers": lambda n: _core.Trace(
        9, "float64", powers=n, target=0, logarithm=None, rows=0, block=1, **ACCURACY
    ),
    "block": lambda n: _core.Trace(
        9, "float64", powers=1, target=0, logarithm=None, rows=0, block=n, **ACCURACY
    ),
    "xtrace": lambda n: _core.XTrace(n, "float64", rows=n, block=1, **ACCURACY),
    "diagonal": lambda n: _core.Diagonal(n, "float64", rows=n, block=n, **ACCURACY),
}


@pytest.mark.parametrize("size", [BIG, 2**40, 2**62, 2**63, 2**64 - 1])
@pytest.mark.parametrize("name", CORE)
def test_no_size_reaches_an_allocation_of_the_core(name: str, size: int) -> None:
    with pytest.raises((MemoryError, ValueError, OverflowError)):
        CORE[name](size)


def test_a_panic_is_an_error_that_asks_for_a_report() -> None:
    with pytest.raises(RuntimeError, match=r"a fault of landscape.*boom.*memory\.rs:.*report it"):
        _core.panic_for_tests("boom")
    assert _core.threads() > 0  # and the core goes on
    assert len(_core.gaussian(3, seed=0, stream=0, dtype="float64")) == 3

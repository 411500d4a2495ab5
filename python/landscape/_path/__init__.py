"""Paths between minima: methods, searches, their evaluation and evidence."""

from landscape._path.connection import barrier, connect
from landscape._path.methods import (
    AutoNEB,
    Bezier,
    Cycles,
    Linear,
    Optimizer,
    Polychain,
    core_cycles,
    core_optimizer,
    validate_cycles,
)
from landscape._path.pairs import connect_all
from landscape._path.solvers import batched_objective, describe_search
from landscape._path.stability import instability

__all__ = [
    "AutoNEB",
    "Bezier",
    "Cycles",
    "Linear",
    "Optimizer",
    "Polychain",
    "barrier",
    "batched_objective",
    "connect",
    "connect_all",
    "core_cycles",
    "core_optimizer",
    "describe_search",
    "instability",
    "validate_cycles",
]

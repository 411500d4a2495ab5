"""Paths between minima: methods, searches, evaluation, and evidence that the ends are minima."""

from landscape._path.connection import barrier, connect
from landscape._path.methods import (
    AutoNEB,
    Bezier,
    Cycles,
    Linear,
    Optimizer,
    Polychain,
    cycles_to_core,
    optimizer_to_core,
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
    "cycles_to_core",
    "describe_search",
    "instability",
    "optimizer_to_core",
    "validate_cycles",
]

"""Long computations as runs: checkpoint and resume, progress, interrupts and provenance.

A run evaluates a grid of points (`GridRun`) or advances a solver (`SolverRun`); both keep their
state in a `Checkpoint` and record how they were computed in a `RunPlan`.
"""

from landscape._runs.accuracy import Accuracy, ErrorScale, read_accuracy
from landscape._runs.adaptive import AdaptiveRun
from landscape._runs.checkpoint import Checkpoint, hash_array
from landscape._runs.descent import compute_descent_gain
from landscape._runs.fields import (
    check_options,
    read_array,
    read_mapping,
    read_number,
    read_rows,
    read_seconds,
)
from landscape._runs.functions import describe_metrics
from landscape._runs.grid import GridRun
from landscape._runs.objectives import (
    ObjectiveOptions,
    build_objective,
    build_objectives,
    check_option_names,
)
from landscape._runs.plan import RunPlan
from landscape._runs.problem import BatchedProblem, CallbackProblem, LossFunctions, Problem
from landscape._runs.refinement import sample_to_tolerance
from landscape._runs.sampling import grid_coordinates, sample_grid
from landscape._runs.solver import Interrupt, Solver, SolverRun, SolverState
from landscape._runs.sources import SubsetChoice

__all__ = [
    "Accuracy",
    "AdaptiveRun",
    "BatchedProblem",
    "CallbackProblem",
    "Checkpoint",
    "ErrorScale",
    "GridRun",
    "Interrupt",
    "LossFunctions",
    "ObjectiveOptions",
    "Problem",
    "RunPlan",
    "Solver",
    "SolverRun",
    "SolverState",
    "SubsetChoice",
    "build_objective",
    "build_objectives",
    "check_option_names",
    "check_options",
    "compute_descent_gain",
    "describe_metrics",
    "grid_coordinates",
    "hash_array",
    "read_accuracy",
    "read_array",
    "read_mapping",
    "read_number",
    "read_rows",
    "read_seconds",
    "sample_grid",
    "sample_to_tolerance",
]

"""The Objective: a model, data and a loss as L(theta). Only this package runs the user's model.

Its sub-packages, lowest first: `data`, `losses`, `torch_backend`, `native_backend`.
"""

from landscape._objective.build import validate_model
from landscape._objective.curvature import (
    CentredOperator,
    Curvature,
    CurvatureKind,
    CurvatureOperator,
)
from landscape._objective.engine import Engine
from landscape._objective.losses.criterion import BatchLoss, batch_loss, identify_function
from landscape._objective.losses.metrics import MetricLike, list_metrics
from landscape._objective.objective import Objective
from landscape._objective.strategy import Strategy
from landscape._objective.subspace import Subspace
from landscape._objective.torch_backend.recording import compute_float64_outputs

__all__ = [
    "BatchLoss",
    "CentredOperator",
    "Curvature",
    "CurvatureKind",
    "CurvatureOperator",
    "Engine",
    "MetricLike",
    "Objective",
    "Strategy",
    "Subspace",
    "batch_loss",
    "compute_float64_outputs",
    "identify_function",
    "list_metrics",
    "validate_model",
]

"""The Objective: who supplies L(theta). The only place that runs the user's model.

Depends on PyTorch, NumPy and the parameter layout; nothing here draws, saves or drives.
"""

from landscape._objective.centred import Centred
from landscape._objective.criterion import BatchLoss, batch_loss
from landscape._objective.engines import Engine
from landscape._objective.identity import identity
from landscape._objective.kinds import Curvature, CurvatureKind, Products
from landscape._objective.metrics import MetricLike, listed
from landscape._objective.objective import Objective
from landscape._objective.strategy import Strategy
from landscape._objective.subspace import Subspace

__all__ = [
    "BatchLoss",
    "Centred",
    "Curvature",
    "CurvatureKind",
    "Engine",
    "MetricLike",
    "Objective",
    "Products",
    "Strategy",
    "Subspace",
    "batch_loss",
    "identity",
    "listed",
]

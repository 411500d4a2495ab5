"""A PyTorch model as a graph: its operations traced, then lowered to the core's layers.

`trace` records a forward pass, or reads what `torch.export` finds; `lower` supports a closed list
of operations and names the first that is not on it.
"""

from landscape._export.builder import LoweredModel
from landscape._export.graph import BATCH, Reference, TracedGraph, TracedLeaf, TracedNode
from landscape._export.lowering import lower
from landscape._export.tracing import trace
from landscape._export.unsupported import Unsupported

__all__ = [
    "BATCH",
    "LoweredModel",
    "Reference",
    "TracedGraph",
    "TracedLeaf",
    "TracedNode",
    "Unsupported",
    "lower",
    "trace",
]

"""A PyTorch model as a graph: traced by `torch.export`, then lowered to the core's layers.

`trace` reads any model that `torch.export` supports; `lower` supports a closed list of operations
and names the first that is not on it.
"""

from landscape._export.builder import LoweredModel
from landscape._export.lowering import lower
from landscape._export.tracing import BATCH, Reference, TracedGraph, TracedLeaf, TracedNode, trace
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

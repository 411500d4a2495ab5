"""A PyTorch model as a graph: traced by `torch.export`, then lowered to the core's layers.

`trace` reads any model that `torch.export` understands; `lower` takes what a closed list of
operations covers and refuses the rest by name.
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

"""A PyTorch model as a graph: traced as it is, then lowered to the layers that run natively.

`traced` reads any model that `torch.export` understands; `lowered` takes what a closed list of
operations covers and refuses the rest by name.
"""

from landscape._export.lowering import lowered
from landscape._export.program import Lowered
from landscape._export.traced import BATCH, Reference, TracedGraph, TracedLeaf, TracedNode, traced
from landscape._export.unsupported import Unsupported

__all__ = [
    "BATCH",
    "Lowered",
    "Reference",
    "TracedGraph",
    "TracedLeaf",
    "TracedNode",
    "Unsupported",
    "lowered",
    "traced",
]

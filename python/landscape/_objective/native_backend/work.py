"""The work of a native network: where its multiply-adds lie, and what that says of its speed."""

from __future__ import annotations

import json
from math import prod

from landscape._export import LoweredModel

__all__ = ["predict_slowness"]

_CACHE = 2 << 20  # bytes of weights that stay in a core's own cache while panels of samples pass
_STREAMED = 3.0  # times PyTorch's seconds, where a linear layer's weights do not
_BYTES = {"float32": 4, "float64": 8}


def predict_slowness(exported: LoweredModel) -> float:
    """How many times PyTorch's seconds the native network takes where its products fill the time.

    The weights of a linear layer are read once for every few panels of samples. Those that fit a
    core's cache cost nothing; larger ones come from memory each time, where a matrix product in
    blocks, as PyTorch calls it, reads them once. The weights of a convolution serve many positions.

    Args:
        exported: The network.

    Returns:
        1 where no layer is that large, up to 3 where all multiply-adds are in such layers.
    """
    graph = json.loads(exported.graph)
    shapes = [parameter["shape"] for parameter in graph["parameters"]]
    fitting = streamed = 0
    for node in graph["nodes"]:
        if node["kind"] not in ("linear", "conv2d"):
            continue
        weight = prod(shapes[node["parameters"][0]])
        if node["kind"] == "conv2d":
            fitting += weight * prod(node["shape"][1:])
        elif weight * _BYTES[exported.dtype] <= _CACHE:
            fitting += weight
        else:
            streamed += weight
    total = fitting + streamed
    return (fitting + _STREAMED * streamed) / total if total else 1.0

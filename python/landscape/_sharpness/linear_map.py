"""A layer as a linear map of one sample: products with it, its transpose and its norms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

from landscape._sharpness.bounds.singular import compute_spectral_norm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["LinearMap"]

_CONVOLUTIONS: Mapping[str, Callable[..., Tensor]] = {
    "conv1d": F.conv1d,
    "conv2d": F.conv2d,
    "conv3d": F.conv3d,
}


@dataclass(frozen=True, eq=False)
class LinearMap:
    """x to W x + b for one sample, in float64; a convolution is the map of whole images."""

    name: str
    """That of the weight."""
    kind: Literal["linear", "conv1d", "conv2d", "conv3d", "scaling"]
    """A scaling multiplies every channel, the first axis of a sample, by a number."""
    weight: Tensor
    bias: Tensor | None
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    """Stride, padding, dilation and groups of a convolution."""
    parameters: tuple[str, ...] = ()
    """The names of its parameters."""

    @property
    def columns(self) -> int:
        """The number of inputs."""
        return int(torch.Size(self.input_shape).numel())

    @property
    def rows(self) -> int:
        """The number of outputs."""
        return int(torch.Size(self.output_shape).numel())

    def apply(self, value: Tensor) -> Tensor:
        """W x, without the bias, of shape (1, *input_shape)."""
        if self.kind == "linear":
            return F.linear(value, self.weight)
        if self.kind == "scaling":
            return value * self._along_channels(self.weight)
        return _CONVOLUTIONS[self.kind](value, self.weight, None, **self.options)

    def apply_transposed(self, value: Tensor) -> Tensor:
        """W'y, of shape (1, *output_shape)."""
        start = torch.zeros((1, *self.input_shape), dtype=torch.float64, requires_grad=True)
        with torch.enable_grad():
            image = self.apply(start)
        (found,) = torch.autograd.grad(image, start, value)
        return found

    def expand_bias(self) -> Tensor:
        """The bias of every output, of shape (1, *output_shape)."""
        shape = (1, *self.output_shape)
        if self.bias is None:
            return torch.zeros(shape, dtype=torch.float64)
        bias = self.bias if self.kind == "linear" else self._along_channels(self.bias)
        return bias.expand(shape)

    def map_weights(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The layer with a function of every weight and bias."""
        bias = None if self.bias is None else function(self.bias)
        return replace(self, weight=function(self.weight), bias=bias)

    def subtract(self, other: LinearMap) -> Self:
        """The layer whose weights are the differences to those of another one."""
        bias = self.bias
        if bias is not None and other.bias is not None:
            bias = bias - other.bias
        return replace(self, weight=self.weight - other.weight, bias=bias)

    def scale_outputs(self, scale: Tensor, shift: Tensor) -> Self:
        """The layer with its channels multiplied and shifted, as batch norm does."""
        weight = self.weight * scale.reshape(-1, *[1] * (self.weight.ndim - 1))
        bias = shift if self.bias is None else self.bias * scale + shift
        return replace(self, weight=weight, bias=bias)

    def row_squares(self) -> Tensor:
        """The squared norm of each row of (W, b), of shape output_shape."""
        squares = self.map_weights(torch.square)
        ones = torch.ones((1, *self.input_shape), dtype=torch.float64)
        return (squares.apply(ones) + squares.expand_bias())[0]

    def spectral_norm(self, *, keeps_constant: bool = False) -> float:
        """The largest singular value of (W, b).

        Args:
            keeps_constant: Whether there is another row (0, 1), which passes the constant 1 of the
                bias on to the next layer.
        """
        shape, bias = self.input_shape, self.expand_bias()
        has_bias, extra = self.bias is not None or keeps_constant, int(keeps_constant)

        def forward(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            value = torch.from_numpy(vector)
            image = self.apply(value[: self.columns].reshape(1, *shape))
            if has_bias:
                image = image + value[-1] * bias
            return torch.cat([image.reshape(-1), value[len(value) - extra :]]).numpy()

        def backward(vector: NDArray[np.float64]) -> NDArray[np.float64]:
            value = torch.from_numpy(vector)
            image = value[: self.rows].reshape(1, *self.output_shape)
            parts = [self.apply_transposed(image).reshape(-1)]
            if has_bias:
                constant = (image * bias).sum()
                parts.append((constant + value[-1] if extra else constant).reshape(1))
            return torch.cat(parts).numpy()

        return compute_spectral_norm(forward, backward, self.columns + has_bias)

    def _along_channels(self, vector: Tensor) -> Tensor:
        return vector.reshape(-1, *[1] * (len(self.output_shape) - 1))

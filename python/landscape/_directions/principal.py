"""The plane of a training trajectory by principal components."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._directions.axes import Axes, bounding_box, make_recipe
from landscape._directions.weights import read_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._parameters import ParameterLayout

__all__ = ["PrincipalComponents", "pca"]

_TOLERANCE = 1e-10  # of the first variance: below it the second component is rounding


@dataclass(frozen=True)
class PrincipalComponents:
    """The two main directions of a list of checkpoints; see :func:`pca`."""

    checkpoints: tuple[Any, ...]

    @property
    def models(self) -> dict[str, Any]:
        """The checkpoints, by their names in messages."""
        return {f"checkpoint {i}": checkpoint for i, checkpoint in enumerate(self.checkpoints)}

    def axes(self, theta: NDArray[Any], layout: ParameterLayout) -> Axes:
        """Find the components from the Gram matrix of the displacements."""
        steps = [
            read_weights(checkpoint, layout, theta.dtype, name) - theta
            for name, checkpoint in self.models.items()
        ]
        gram = _core.gram(steps)
        coefficients, explained = _compute_components(gram)
        basis = [_core.combine(steps, column) for column in coefficients.T]
        trajectory = np.array([[_core.dot(step, axis) for axis in basis] for step in steps])
        labels = [
            f"principal component {index} ({share:.1%} of the variance, unit length)"
            for index, share in enumerate(explained, start=1)
        ]
        recipe = make_recipe(
            "pca",
            theta,
            basis,
            labels,
            explained_variance=explained,
            trajectory=trajectory,
        )
        span = bounding_box(np.vstack([trajectory, np.zeros((1, 2))]))
        return Axes(theta, tuple(basis), recipe, span, joins_models=True)


def pca(checkpoints: Iterable[Any]) -> PrincipalComponents:
    r"""The plane of a training trajectory, for ``surface(..., directions=)``.

    The axes are the two leading unit eigenvectors of the checkpoints' covariance about their
    mean; the origin is the model itself, and every checkpoint is projected onto the plane.

    Args:
        checkpoints: At least three modules, state dicts, ``.safetensors`` paths or flat vectors,
            shape (d,), in the order of training.

    Returns:
        The directions. The surface's recipe holds the projected trajectory, shape
        (checkpoints, 2), and the share of the variance that each axis explains.

    Raises:
        ValueError: Fewer than three checkpoints; when used: they do not fit, or lie on a line.

    Reference:
        Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of Neural Nets"
        (2018), section 7.2.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> data = (torch.randn(64, 4), torch.randint(3, (64,)))
        >>> run = [nn.Linear(4, 3) for _ in range(4)]
        >>> surface = landscape.surface(run[-1], data, directions=landscape.pca(run), points=5)
        >>> surface.recipe.trajectory.shape
        (4, 2)
    """
    models = tuple(checkpoints)
    if len(models) < 3:
        raise ValueError(
            f"got {len(models)} checkpoints, expected at least 3 to span a plane; save more of "
            "them while training"
        )
    return PrincipalComponents(models)


def _compute_components(
    gram: NDArray[np.float64],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Coefficients of the two leading unit components, shape (checkpoints, 2), and their shares."""
    count = len(gram)
    centring = np.eye(count) - 1 / count
    values, vectors = np.linalg.eigh(centring @ gram @ centring)
    values, vectors = values[::-1][:2], vectors[:, ::-1][:, :2]
    total = float(np.trace(centring @ gram @ centring))
    if not values[1] > _TOLERANCE * values[0]:
        raise ValueError(
            "the checkpoints lie on a line or are all equal, so they span no plane; use "
            "landscape.line(to=), or more varied checkpoints"
        )
    # the sign of an eigenvector is arbitrary: the last coordinate shall exceed the first
    signs = np.where(vectors[-1] < vectors[0], -1.0, 1.0)
    shares = (float(values[0]) / total, float(values[1]) / total)
    return vectors * signs / np.sqrt(values), shares

"""The line between two models and the plane through three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._directions.axes import Axes, bounding_box, make_recipe
from landscape._directions.weights import read_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._parameters import ParameterLayout

__all__ = ["LineBetween", "PlaneThrough", "plane"]

_COLLINEAR = 1e-6  # of the distance: float32 weights cannot distinguish less from a line


@dataclass(frozen=True)
class LineBetween:
    """theta(t) = (1 - t) theta_A + t theta_B: t = 0 is the model, t = 1 the other one."""

    model_b: Any

    @property
    def models(self) -> dict[str, Any]:
        """The other model, by its name in messages."""
        return {"to": self.model_b}

    def axes(self, theta: NDArray[Any], layout: ParameterLayout) -> Axes:
        """Take the difference of the two models as the direction."""
        difference = _displacement(self.model_b, "to", theta, layout)
        label = f"t (0 = model, 1 = B, {_core.norm(difference):.4g} apart)"
        markers = {"model": (0.0,), "B": (1.0,)}
        recipe = make_recipe("between", theta, [difference], [label], markers=markers)
        return Axes(theta, (difference,), recipe, ((-0.5, 1.5),), joins_models=True)


@dataclass(frozen=True)
class PlaneThrough:
    """The plane through a model and two others; see :func:`plane`."""

    model_b: Any
    model_c: Any

    @property
    def models(self) -> dict[str, Any]:
        """The other models, by their names in messages."""
        return {"model_b": self.model_b, "model_c": self.model_c}

    def axes(self, theta: NDArray[Any], layout: ParameterLayout) -> Axes:
        """Orthogonalise the two differences and give both the length of the first."""
        u = _displacement(self.model_b, "model_b", theta, layout)
        w = _displacement(self.model_c, "model_c", theta, layout)
        v = _core.orthogonalise(w, [u])
        length, height = _core.norm(u), _core.norm(v)
        if height <= _COLLINEAR * _core.norm(w):
            raise ValueError(
                "the three models lie on a line, so they span no plane; use landscape.line(to=), "
                "or another third model"
            )
        v = _core.combine([v], np.array([length / height]))
        c = (_core.dot(w, u) / length**2, _core.dot(w, v) / length**2)
        markers = {"model": (0.0, 0.0), "B": (1.0, 0.0), "C": c}
        unit = f"1 = the distance from model to B, {length:.4g}"
        labels = (f"alpha ({unit})", f"beta ({unit})")
        recipe = make_recipe("plane", theta, [u, v], labels, markers=markers)
        span = bounding_box(np.array(list(markers.values())))
        return Axes(theta, (u, v), recipe, span, joins_models=True)


def plane(model_b: Any, model_c: Any) -> PlaneThrough:
    r"""The plane through a model A and two others, for ``surface(..., directions=)``.

    With u = B - A and w = C - A, the axes are u and v = w - (w.u / u.u) u, rescaled to the length
    of u: A lies at (0, 0), B at (1, 0), C wherever it falls, and both axes have one unit.

    Args:
        model_b: A module, a state dict, a ``.safetensors`` path, or a flat vector, shape (d,).
        model_c: Likewise.

    Returns:
        The directions. A surface's default span shows all three models.

    Raises:
        ValueError: When used: the models do not fit, two are equal, or all lie on a line.

    Reference:
        Garipov, Izmailov, Podoprikhin, Vetrov and Wilson, "Loss Surfaces, Mode Connectivity, and
        Fast Ensembling of DNNs" (2018), appendix A.1; there both axes have length 1.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> data = (torch.randn(64, 4), torch.randint(3, (64,)))
        >>> a, b, c = (nn.Linear(4, 3) for _ in range(3))
        >>> surface = landscape.surface(a, data, directions=landscape.plane(b, c), points=5)
        >>> surface.recipe.markers["B"]
        (1.0, 0.0)
    """
    return PlaneThrough(model_b, model_c)


def _displacement(
    model: Any, name: str, theta: NDArray[Any], layout: ParameterLayout
) -> NDArray[Any]:
    difference: NDArray[Any] = read_weights(model, layout, theta.dtype, name) - theta
    if not difference.any():
        raise ValueError(
            f"{name} has the same weights as the model (distance zero); pass a different one"
        )
    return difference

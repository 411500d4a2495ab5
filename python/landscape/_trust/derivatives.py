"""Gradient and curvature at the centre: of the slice beside those of the whole loss."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape import _core
from landscape._runs import compute_descent_gain
from landscape._spectrum import EigenvalueOptions, Hessian, compute_spectrum

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from landscape._directions import PlaneContext
    from landscape._progress import Choice

__all__ = ["GRADIENT_LOSSES", "compare_curvatures", "compare_gradients"]

GRADIENT_LOSSES = 6
"""Passes over the data of :func:`compare_gradients`: the gradient's, and five steps along it."""


def compare_gradients(context: PlaneContext, loss: float) -> dict[str, Any]:
    """The norm of the gradient, that of its projection onto the plane, and what a step gains.

    Args:
        context: The function and the plane.
        loss: The loss at the centre.

    Returns:
        Fields of the result.

    Raises:
        ValueError: The function has no gradient.
    """
    objective, axes = context.objective, context.axes
    gradient = objective.gradient(axes.origin)
    along = np.array([_core.dot(vector, gradient) for vector in axes.basis])
    projected = float(along @ np.linalg.solve(_core.gram(list(axes.basis)), along))

    def evaluate(points: Iterator[NDArray[Any]]) -> NDArray[np.float64]:
        return np.array([objective.loss(point) for point in points])

    return {
        "gradient_norm": _core.norm(gradient),
        "plane_gradient_norm": float(np.sqrt(max(projected, 0.0))),
        "descent_gain": compute_descent_gain(evaluate, axes.origin, loss, gradient),
    }


def compare_curvatures(
    context: PlaneContext,
    *,
    tolerance: float,
    trace_error: float,
    max_products: int,
    seed: int,
    progress: Choice,
) -> dict[str, Any]:
    """The Hessian within the plane, its extreme eigenvalues and its trace over d.

    Returns:
        Fields of the result.

    Raises:
        ValueError: The function has no curvature, or its Hessian is not symmetric.
        FloatingPointError: A product is not finite.
    """
    objective, axes = context.objective, context.axes
    objective.require_curvature("hessian")
    hessian = Hessian(objective, axes.origin)
    products = hessian.matmat(np.column_stack(axes.basis)).T
    entries = np.array(
        [[_core.dot(u, np.ascontiguousarray(h)) for h in products] for u in axes.basis]
    )
    norms = np.array(axes.recipe.norms)
    # relative to the largest of all: a small one at the other end takes many products, and is
    # of no interest where it is smaller than the error
    ends = EigenvalueOptions(
        1, "both", tolerance, max_products=max_products, seed=seed, relative_to="norm"
    )
    spectrum = compute_spectrum(hessian, ends, progress=progress)
    trace = hessian.trace(
        relative_error=trace_error, max_products=max_products, seed=seed, progress=progress
    )
    order = np.argsort(-spectrum.values)
    mean_error = math.hypot(trace.standard_error, trace.sampling_error or 0.0)
    return {
        "slice_curvature": (entries + entries.T) / 2 / np.outer(norms, norms),
        "eigenvalues": spectrum.values[order],
        "residuals": spectrum.residuals[order],
        "eigenvalue_errors": spectrum.errors[order],
        "mean_curvature": trace.value / objective.dim,
        "mean_curvature_error": mean_error / objective.dim,
        "products": 2 + spectrum.products + trace.products,
    }

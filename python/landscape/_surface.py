"""Surfaces and lines: from a model and data to the loss on a plane or along a line.

Depends on the plans of directions, the sampling and the results.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from landscape._plans import Normalize, OneDimensional, line_plan, prepared, surface_plan
from landscape._results import Line, Surface
from landscape._sampling import ObjectiveOptions, coordinates, objectives, sample

if TYPE_CHECKING:
    from torch import nn

    from landscape._objective import MetricLike, Objective
    from landscape._progress import Choice

__all__ = ["line", "surface"]


def surface(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    directions: Any = "random",
    normalize: Normalize = "auto",
    one_dimensional: OneDimensional = "zero",
    span: float | Sequence[Sequence[float]] | None = None,
    points: int | tuple[int, int] = 51,
    test: Any = None,
    seed: int = 0,
    metrics: Sequence[MetricLike] | MetricLike = (),
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Surface:
    r"""The loss on a plane through parameter space.

    .. math:: f(\alpha, \beta) = L(\theta + \alpha u + \beta v)

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: ``(inputs, targets)``, a Dataset, a DataLoader or any re-iterable of batches.
        loss: None (inferred), a torch loss, ``f(outputs, targets)`` or ``batch_loss(f)``.
        directions: ``"random"``; ``"eigen"`` (the top two eigenvectors of the Hessian) or
            :func:`landscape.eigenplane` of others; :func:`landscape.pca` of checkpoints;
            :func:`landscape.plane` through two more models; or a pair of flat vectors, shape (d,),
            or state dicts.
        normalize: ``"auto"`` (filter for random directions, none for all others), ``"filter"``,
            ``"layer"``, ``"model"`` or None.
        one_dimensional: Under normalisation, ``"zero"`` leaves biases and normalisation scales
            where they are, ``"include"`` moves each tensor of them like one filter.
        span: Half-width, or ``((a0, a1), (b0, b1))``, in unit steps of the directions. None is
            1.0, or the box around the models that a plane or a trajectory passes through.
        points: Grid points along each axis, or ``(n_alpha, n_beta)``; at least 2.
        test: Further data for the same plane; their surface is the result's ``.test``.
        seed: Of the directions, the sample subset, the batch split and the dropout masks.
        metrics: ``"accuracy"``, ``"error"`` or functions ``metric(outputs, targets)``.
        resume: A file that keeps the run: created when absent, continued when present.
        progress: None (a bar in a terminal), ``"bar"``, ``"off"``, or a function of (done, total).
        options: Those of :class:`landscape.Objective`.

    Returns:
        The surface; ``losses[i_beta, i_alpha]`` are mean losses over samples. NaN and infinities
        are kept as they came.

    Raises:
        ValueError: An option or the data do not fit; the text says what was expected.
        OSError: ``resume`` cannot be written.

    Reference:
        Li, Xu, Taylor, Studer and Goldstein, "Visualizing the Loss Landscape of Neural Nets"
        (2018), equation (1) and section 4.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        >>> data = (torch.randn(64, 4), torch.randint(3, (64,)))
        >>> landscape.surface(model, data, points=5).losses.shape
        (5, 5)
    """
    plan = surface_plan(directions, normalize, one_dimensional, seed)
    objective, tested = objectives(model, data, loss, test=test, seed=seed, options=options)
    axes, objective, tested = prepared(plan, objective, tested, progress)
    alpha, beta = coordinates(axes, span, points)
    fields, test_fields = sample(
        objective,
        tested,
        axes,
        (alpha, beta),
        label="surface",
        metrics=metrics,
        resume=resume,
        progress=progress,
    )
    tested_surface = Surface(alpha, beta, **test_fields) if test_fields else None
    return Surface(alpha, beta, **fields, test=tested_surface)


def line(
    model: nn.Module | Objective,
    data: Any = None,
    loss: Any = None,
    *,
    to: Any = None,
    direction: Any = "random",
    normalize: Normalize = "auto",
    one_dimensional: OneDimensional = "zero",
    span: float | Sequence[float] | None = None,
    points: int = 101,
    test: Any = None,
    seed: int = 0,
    metrics: Sequence[MetricLike] | MetricLike = (),
    resume: str | os.PathLike[str] | None = None,
    progress: Choice = None,
    **options: Unpack[ObjectiveOptions],
) -> Line:
    r"""The loss along a line through parameter space, or from one model to another.

    .. math:: f(t) = L(\theta + t u), \quad u = \theta_B - \theta \text{ when } to = B

    Args:
        model: The trained module, or an Objective in place of model, data and loss.
        data: As for :func:`surface`.
        loss: As for :func:`surface`.
        to: Another model (module, state dict, ``.safetensors`` path or flat vector): t = 0 is the
            first model and t = 1 is this one. Batch statistics are then re-estimated at every
            point, unless ``batch_norm=`` says otherwise.
        direction: Without ``to``: ``"random"``, ``"eigen"`` (the top eigenvector of the Hessian),
            a flat vector, shape (d,), or a state dict.
        normalize: As for :func:`surface`.
        one_dimensional: As for :func:`surface`.
        span: Half-width, or ``(low, high)``; None is 1.0, or (-0.5, 1.5) between two models.
        points: Points on the line, at least 2.
        test: Further data for the same line; their line is the result's ``.test``.
        seed: As for :func:`surface`.
        metrics: As for :func:`surface`.
        resume: As for :func:`surface`.
        progress: As for :func:`surface`.
        options: Those of :class:`landscape.Objective`.

    Returns:
        The line.

    Raises:
        ValueError: An option or the data do not fit; the text says what was expected.
        OSError: ``resume`` cannot be written.

    Reference:
        Goodfellow, Vinyals and Saxe, "Qualitatively Characterizing Neural Network Optimization
        Problems" (2015), section 3.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import landscape
        >>> data = (torch.randn(64, 4), torch.randint(3, (64,)))
        >>> a, b = nn.Linear(4, 3), nn.Linear(4, 3)
        >>> landscape.line(a, data, to=b, points=11).positions[0]
        np.float64(-0.5)
    """
    plan = line_plan(to, direction, normalize, one_dimensional, seed)
    objective, tested = objectives(model, data, loss, test=test, seed=seed, options=options)
    axes, objective, tested = prepared(plan, objective, tested, progress)
    (positions,) = coordinates(axes, span, points)
    fields, test_fields = sample(
        objective,
        tested,
        axes,
        (positions,),
        label="line",
        metrics=metrics,
        resume=resume,
        progress=progress,
    )
    tested_line = Line(positions, **test_fields) if test_fields else None
    return Line(positions, **fields, test=tested_line)

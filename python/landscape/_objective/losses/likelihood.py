"""The likelihood of targets that a loss implies: exact Fisher products, and random targets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from landscape._objective.losses.recognised import RecognisedLoss

__all__ = ["check_curvature", "draw_targets", "make_fisher_product"]

_NLL_ADVICE = (
    "it takes their logarithms of probabilities, in which it is linear. Leave LogSoftmax out of "
    "the model and pass torch.nn.CrossEntropyLoss(): L is the same, and its Fisher is its "
    "Gauss-Newton matrix. 'empirical_fisher' and 'hessian' work as they are"
)


_LIKELIHOODS = ("MSE", "BCE with logits", "cross-entropy")


def check_curvature(kind: str, loss: RecognisedLoss) -> None:
    """Refuse a curvature that the loss does not have, or that is zero for every model.

    Raises:
        ValueError: A Fisher matrix of a loss without a likelihood, or the Gauss-Newton matrix of
            one that is linear in the outputs almost everywhere.
    """
    if kind in ("fisher", "monte_carlo_fisher") and loss.name not in _LIKELIHOODS:
        raise _make_likelihood_error(loss)
    if kind == "gauss_newton" and loss.name == "NLL":
        raise ValueError(f"the Gauss-Newton matrix of NLL is zero for every model: {_NLL_ADVICE}")
    if kind == "gauss_newton" and loss.name == "L1":
        raise ValueError(
            "the Gauss-Newton matrix of L1 is zero for every model, because |z - t| is linear "
            "almost everywhere; pass curvature='empirical_fisher' or 'gradient_covariance', or "
            "loss=torch.nn.HuberLoss()"
        )


def make_fisher_product(
    loss: RecognisedLoss, outputs: Tensor, targets: Tensor
) -> Callable[[Tensor], Tensor]:
    r"""The product t -> E[s s'] t with each sample's block of the outputs' Fisher matrix.

    The expectation of s = d loss / d outputs is over targets from the likelihood that the loss
    implies: labels from the softmax (cross-entropy) or the sigmoid (BCE), numbers of variance 1/2
    around the outputs (MSE, for exp(-(z - t)^2) is that density).

    It equals the loss's second derivative by the outputs only where a label's weight does not
    depend on the label. With a ``pos_weight`` c of BCE, s = p - y for y = 0 and c (p - y) for
    y = 1, and E[s^2] = p (1 - p) (p + c^2 (1 - p)), but the second derivative is
    p (1 - p) (1 - y + c y).

    Args:
        loss: The loss.
        outputs: float64, the samples along the first dimension.
        targets: Only which of them are ignored matters.

    Raises:
        ValueError: The loss has no likelihood.
    """
    if loss.name == "MSE":
        return lambda tangent: 2 * tangent
    if loss.name == "BCE with logits":
        return _make_elementwise_product(loss, outputs)
    if loss.name == "cross-entropy":
        return _make_class_product(loss, outputs, targets)
    raise _make_likelihood_error(loss)


def _make_elementwise_product(loss: RecognisedLoss, outputs: Tensor) -> Callable[[Tensor], Tensor]:
    """(V + m m') t with the variances V and means m of s: elements are independent."""
    ones = torch.ones_like(outputs)
    weight = _weight_or_ones(loss.options.get("weight"), ones)
    positive = _weight_or_ones(loss.options.get("pos_weight"), ones)
    p = torch.sigmoid(outputs)
    bernoulli = p * (1 - p)  # the variance of a label
    mean = weight * bernoulli * (1 - positive)
    variance = bernoulli * (weight * (positive * (1 - p) + p)) ** 2

    def product(tangent: Tensor) -> Tensor:
        return variance * tangent + mean * _sum_samples(mean * tangent)

    return product


def _make_class_product(
    loss: RecognisedLoss, outputs: Tensor, targets: Tensor
) -> Callable[[Tensor], Tensor]:
    """The sum over labels of one position, and products of means between positions.

    With s(y) = w_y (1 - e) (p - e_y) + b at the label y, b being the term of the smoothing e.
    """
    classes = outputs.shape[1]
    smoothing: float = loss.options.get("label_smoothing", 0.0)
    shape = (1, classes, *[1] * (outputs.ndim - 2))
    ones = torch.ones(classes).to(outputs)
    weight = _weight_or_ones(loss.options.get("weight"), ones).reshape(shape)
    scale = (1 - smoothing) * weight
    p = outputs.softmax(1)
    smooth = smoothing / classes * (p * weight.sum() - weight)
    drift = p * ((p * scale).sum(1, keepdim=True) - scale)
    is_counted = torch.ones_like(p[:, :1])
    if not targets.is_floating_point():
        is_counted = (targets != loss.options["ignore_index"]).unsqueeze(1).to(p)

    def product(tangent: Tensor) -> Tensor:
        projections = scale * ((p * tangent).sum(1, keepdim=True) - tangent)
        mean = (p * projections).sum(1, keepdim=True)
        mean_projection = (mean + (smooth * tangent).sum(1, keepdim=True)) * is_counted
        result = p * ((p * scale * projections).sum(1, keepdim=True) - scale * projections)
        result = result - drift * mean + (drift + smooth) * _sum_samples(mean_projection)
        return result * is_counted

    return product


def draw_targets(
    loss: RecognisedLoss, outputs: Tensor, targets: Tensor, draws: int, random: np.random.Generator
) -> list[Tensor]:
    """Draw targets from the likelihood that the loss implies, as many sets as draws.

    Random numbers are taken sample by sample, so that the targets of a sample do not depend on how
    the samples are cut into blocks.

    Raises:
        ValueError: The loss has no likelihood.
    """
    if loss.name not in _LIKELIHOODS:
        raise _make_likelihood_error(loss)
    positions = outputs[:, 0] if loss.name == "cross-entropy" else outputs
    size = (len(outputs), draws, *positions.shape[1:])
    normal = loss.name == "MSE"
    numbers = random.standard_normal(size) if normal else random.random(size)
    noise = torch.from_numpy(numbers).to(outputs)
    if loss.name == "MSE":
        return [outputs + noise[:, i] * 0.5**0.5 for i in range(draws)]
    if loss.name == "BCE with logits":
        p = torch.sigmoid(outputs)
        return [(noise[:, i] < p).to(outputs) for i in range(draws)]
    cumulative = outputs.softmax(1).cumsum(1)
    last = outputs.shape[1] - 1
    labels = [(cumulative < noise[:, i].unsqueeze(1)).sum(1).clamp_max(last) for i in range(draws)]
    if targets.is_floating_point():
        return labels
    ignored = targets == loss.options["ignore_index"]
    return [torch.where(ignored, targets.long(), label) for label in labels]


def _sum_samples(tensor: Tensor) -> Tensor:
    """The sum of each sample, in a shape that broadcasts with the samples."""
    axes = tuple(range(1, tensor.ndim))
    return tensor.sum(dim=axes, keepdim=True) if axes else tensor


def _weight_or_ones(weight: Tensor | None, ones: Tensor) -> Tensor:
    return ones if weight is None else weight.to(ones)


def _make_likelihood_error(loss: RecognisedLoss) -> ValueError:
    if loss.name == "NLL":
        return ValueError(f"NLL has no likelihood of the model's outputs; {_NLL_ADVICE}")
    return ValueError(
        f"{loss.name} has no likelihood, so no Fisher matrix; pass curvature='empirical_fisher' or "
        "'gradient_covariance', which need none, or a loss with a likelihood"
    )

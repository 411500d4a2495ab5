"""Losses of logits that are divided by their spread, so that no scale of them matters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention

from landscape._sharpness.definition import NotApplicable

if TYPE_CHECKING:
    from torch import Tensor

    from landscape._objective import Objective
    from landscape._sharpness.context import Context

__all__ = ["normalised_logits"]

_EPSILON = 1e-12


def normalised_logits(context: Context) -> Objective:
    r"""L of cross-entropy on logits of mean 0 and variance 1 over the classes of each sample.

    .. math:: \tilde f(x)_k = \frac{f(x)_k - \bar f(x)}
        {\sqrt{\frac{1}{K} \sum_j (f(x)_j - \bar f(x))^2}}

    Raises:
        NotApplicable: The loss is not cross-entropy.

    Reference:
        Andriushchenko, Croce, Müller, Hein and Flammarion (2023), "A Modern Look at the
        Relationship between Sharpness and Generalization", section 3.
    """
    if not str(context.objective.policy["loss"]).startswith("cross-entropy"):
        raise NotApplicable(
            f"the loss is {context.objective.policy['loss']}: logits are normalised for "
            "cross-entropy alone"
        )
    return context.share(
        "normalised logits", lambda: context.objective.with_loss(compute_normalised_loss)
    )


def compute_normalised_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of normalised logits; the classes lie along axis 1."""
    centred = outputs - outputs.mean(1, keepdim=True)
    spread = (centred.square().mean(1, keepdim=True) + _EPSILON).sqrt()
    return F.cross_entropy(centred / spread, targets)

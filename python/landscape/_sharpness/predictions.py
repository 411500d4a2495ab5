"""Predictions of a classifier: the margin of every sample, and which are wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import NotApplicable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._sharpness.context import Context

__all__ = [
    "Predictions",
    "compute_predictions",
    "read_loss_name",
    "read_predictions",
    "require_classes",
    "require_single_predictions",
]

_BINARY = "BCE with logits"


@dataclass(frozen=True)
class Predictions:
    """The predictions that are scored, one a sample or a position; ignored targets are left out."""

    margins: NDArray[np.float64]
    """The score of the right class less the best other one, shape (m,)."""
    wrong: NDArray[np.bool_]
    """Whether the predicted class is another one, shape (m,)."""
    norms: NDArray[np.float64]
    """The Euclidean norm of the scores, shape (m,)."""
    classes: int
    """The number of classes."""

    @property
    def error(self) -> float:
        """The share of wrong predictions: the 0-1 loss."""
        return float(self.wrong.mean())


def read_loss_name(objective: Objective) -> str:
    """The name of the loss, without where it comes from."""
    return str(objective.policy["loss"]).partition(" (")[0]


def require_classes(objective: Objective) -> None:
    """Refuse a loss that has no classes.

    Raises:
        NotApplicable: The loss is neither a cross-entropy of classes nor a binary one.
    """
    loss = read_loss_name(objective)
    if loss not in ("cross-entropy", "NLL", _BINARY):
        raise NotApplicable(f"the loss {loss} has no classes")


def require_single_predictions(context: Context) -> None:
    """Refuse a loss without classes, and data with several predictions a sample.

    Raises:
        NotApplicable: A bound on the 0-1 loss needs one prediction for each independent sample.
    """
    require_classes(context.objective)
    targets = context.objective.targets()
    shape = targets.shape
    if targets.dtype.kind == "f" and read_loss_name(context.objective) != _BINARY:
        shape = (shape[0], *shape[2:])  # class probabilities
    if math.prod(shape[1:]) != 1:
        raise NotApplicable("a sample has several predictions, which are not independent")


def read_predictions(context: Context) -> Predictions:
    """The predictions at the model's parameters, which several measures share."""
    return context.share(
        "predictions", lambda: _score(context.objective, np.asarray(context.outputs))
    )


def compute_predictions(
    context: Context, objective: Objective, theta: NDArray[Any] | None = None
) -> Predictions:
    """The predictions on other data, or at other parameters.

    Args:
        context: Counts the cost.
        objective: The function whose data are predicted.
        theta: The parameters, shape (d,); the model's own when None.
    """
    point = context.theta if theta is None else theta
    outputs = next(iter(objective.outputs(point[None])))
    context.charge(LOSS * objective.samples / context.samples)
    return _score(objective, outputs)


def _score(objective: Objective, outputs: NDArray[Any]) -> Predictions:
    if read_loss_name(objective) == _BINARY:
        return _score_binary(outputs, objective.targets())
    expected = objective.expected_classes()
    if expected is None:
        raise NotApplicable(f"the loss {read_loss_name(objective)} has no classes")
    scores = np.moveaxis(outputs, 1, -1).reshape(-1, outputs.shape[1]).astype(np.float64)
    classes = expected.reshape(-1)
    scores, classes = scores[classes >= 0], classes[classes >= 0]
    if not len(classes):
        raise NotApplicable("every target is ignored")
    rows = np.arange(len(classes))
    wrong = scores.argmax(1) != classes
    norms = np.linalg.norm(scores, axis=1)
    right = scores[rows, classes]
    count = scores.shape[1]
    scores[rows, classes] = -np.inf
    return Predictions(right - scores.max(1), wrong, norms, count)


def _score_binary(outputs: NDArray[Any], targets: NDArray[Any]) -> Predictions:
    scores, labels = outputs.astype(np.float64).reshape(-1), targets.reshape(-1)
    if not np.isin(labels, (0, 1)).all():
        raise NotApplicable("targets between 0 and 1 are no classes")
    signs = np.where(labels > 0.5, 1.0, -1.0)
    return Predictions(signs * scores, (scores > 0) != (labels > 0.5), np.abs(scores), 2)

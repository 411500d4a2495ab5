"""`rademacher`: how well functions of the model's kind fit random signs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from landscape._sharpness.bounds.rademacher import (
    bound_linear_complexity,
    bound_network_complexity,
    estimate_linear_complexity,
)
from landscape._sharpness.chain import compute_input_norm, read_chain
from landscape._sharpness.context import LOSS
from landscape._sharpness.definition import Definition, NotApplicable, Outcome
from landscape._sharpness.predictions import read_loss_name
from landscape._sharpness.structure import read_structure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._objective import Objective
    from landscape._sharpness.chain import ChainLayer
    from landscape._sharpness.context import Context

__all__ = ["Rademacher"]

_METHODS = ("norm", "fit", "linear")
_DRAWS = {"fit": 5, "linear": 1000}


@dataclass(frozen=True)
class Rademacher(Definition):
    r"""The empirical Rademacher complexity of a class of functions around the model.

    .. math:: \hat{\mathfrak R}_n(F) = E_\sigma \sup_{f \in F} \frac{1}{n}
        \sum_{i=1}^n \sigma_i f(x_i), \quad \sigma_i = \pm 1

    Three methods answer for three classes:

    - ``"norm"``: an upper bound for the networks whose layers have at most the model's Frobenius
      norms, :math:`(\sqrt{2 d \ln 2} + 1) \lVert X \rVert_F \prod_i \lVert W_i \rVert_F / n`, for
      each single output. It needs a chain of linear layers, convolutions (as maps of whole images),
      averages, and ReLU or leaky ReLU. A bias is a column for an input that is always 1, which
      every layer passes on.
    - ``"linear"``: the complexity of linear functions of at most this norm,
      :math:`B \, E \lVert \sum_i \sigma_i x_i \rVert / n`, with the standard error of random signs;
      the detail "bound" has :math:`B \lVert X \rVert_F / n`. It needs a model of one linear layer.
    - ``"fit"``: the mean correlation with random signs of what ``fit=`` trains on them, from
      ``initial=`` where that is given: an estimate from below for the signs of all functions that
      the architecture computes. ``fit(model, (inputs, targets))`` returns the trained model, or
      None where it trains in place. Signs are the classes 0 and 1 for classifiers, whose function
      is 1 where class 1 is predicted and -1 elsewhere, and the targets -1 and 1 otherwise. The cost
      does not include training.

    Args:
        method: The class and how it is answered.
        radius: B of ``"linear"``; the largest norm of the model's own rows when None.
        draws: The number of random sign vectors, at least 2, for ``"linear"`` (1,000 when None)
            and ``"fit"`` (5 when None).

    Raises:
        ValueError: An option is out of range, or does not apply to the method.

    Example:
        >>> landscape.sharpness(model, data, measures=[landscape.measures.Rademacher("norm")])
    """

    name: ClassVar[str] = "rademacher"
    reference: ClassVar[str] = (
        "Bartlett and Mendelson (2002), Rademacher and Gaussian Complexities; Golowich, Rakhlin "
        "and Shamir (2018), Size-Independent Sample Complexity of Neural Networks, theorem 1"
    )
    rescaling: ClassVar = "no"

    method: Literal["norm", "fit", "linear"] = "norm"
    radius: float | None = None
    draws: int | None = None

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise ValueError(f"method={self.method!r}, expected one of {', '.join(_METHODS)}")
        if self.radius is not None and self.method != "linear":
            raise ValueError(f"radius= is an option of method='linear', and not of {self.method!r}")
        if self.draws is not None and self.method == "norm":
            raise ValueError("draws= is an option of 'linear' and 'fit', and not of 'norm'")
        if self.radius is not None and not 0 < self.radius < math.inf:
            raise ValueError(f"radius={self.radius}, expected a norm above 0")
        if self.draws is not None and self.draws < 2:
            raise ValueError(f"draws={self.draws}, expected at least 2 for a standard error")

    def require(self, context: Context) -> None:
        """Refuse networks of another structure, and a call without ``fit=``."""
        if self.method == "fit":
            if context.fit is None:
                raise NotApplicable("method='fit' needs fit=, a function that trains")
            _make_targets(context.objective, np.ones(context.samples))
            return
        layers = read_chain(read_structure(context))
        if self.method == "linear":
            if len(layers) != 1 or any(s.kind != "rearrangement" for s in layers[0].after):
                raise NotApplicable("the model is no linear function")
            return
        for step in (step for layer in layers for step in layer.after):
            activation = step.activation
            fits = activation is None or (activation.is_homogeneous and activation.lipschitz <= 1)
            if step.kind == "maximum" or not fits:
                raise NotApplicable(f"the bound does not hold for networks with {step.op}")

    def estimate_cost(self, context: Context) -> float:  # noqa: ARG002 - the same for any model
        """The outputs of each fitted model; the other methods evaluate nothing."""
        return LOSS * self._count_draws() if self.method == "fit" else 0.0

    def compute(self, context: Context) -> Outcome:
        """Answer by the method."""
        self.require(context)
        if self.method == "fit":
            return self._fit(context)
        layers = read_chain(read_structure(context))
        input_norm = compute_input_norm(context, layers)
        return (self._estimate if self.method == "linear" else self._bound)(
            context, layers, input_norm
        )

    def _bound(
        self, context: Context, layers: tuple[ChainLayer, ...], input_norm: float
    ) -> Outcome:
        norms = [layer.frobenius_norm * layer.lipschitz for layer in layers]
        norms[-1] = math.sqrt(float(layers[-1].map.row_squares().max())) * layers[-1].lipschitz
        value = bound_network_complexity(norms, input_norm, context.samples)
        details: dict[str, Any] = {
            "kind": "upper bound",
            "n": context.samples,
            "depth": len(layers),
            "norms": norms,
            "input_norm": input_norm,
        }
        return Outcome(value, details=details)

    def _estimate(
        self, context: Context, layers: tuple[ChainLayer, ...], input_norm: float
    ) -> Outcome:
        (layer,) = layers
        own = math.sqrt(float(layer.map.row_squares().max()))
        radius = own if self.radius is None else self.radius
        inputs = context.objective.inputs().reshape(context.samples, -1)
        if layer.takes_constant:
            inputs = np.hstack([inputs, np.ones((len(inputs), 1), inputs.dtype)])
        value, error = estimate_linear_complexity(
            inputs, radius, self._count_draws(), context.stream(self.name)
        )
        bound = bound_linear_complexity(input_norm, radius, context.samples)
        details: dict[str, Any] = {
            "kind": "estimate",
            "n": context.samples,
            "radius": radius,
            "bound": bound,
        }
        return Outcome(value, error, details=details)

    def _fit(self, context: Context) -> Outcome:
        generator = np.random.default_rng(context.stream(self.name))
        objective = context.objective
        try:
            inputs = torch.from_numpy(objective.inputs())
        except ValueError as reason:
            raise NotApplicable(str(reason)) from None
        start = context.theta if context.initial is None else context.initial
        found = []
        for _ in range(self._count_draws()):
            signs = generator.integers(0, 2, context.samples) * 2.0 - 1
            model = objective.model_at(start)
            fit: Any = context.fit
            trained = fit(model, (inputs.clone(), _make_targets(objective, signs)))
            fitted = objective.with_model(model if trained is None else trained)
            outputs = next(iter(fitted.outputs(fitted.theta[None])))
            context.charge(LOSS)
            found.append(float((signs * _read_signs(objective, outputs)).mean()))
        correlations = np.array(found)
        error = float(correlations.std(ddof=1) / math.sqrt(len(found)))
        details: dict[str, Any] = {"kind": "estimate from below", "n": context.samples}
        return Outcome(
            float(correlations.mean()),
            error,
            freedom=len(correlations) - 1,
            details=details,
            curves={"draws": correlations},
        )

    def _count_draws(self) -> int:
        return _DRAWS[self.method] if self.draws is None else self.draws


def _make_targets(objective: Objective, signs: NDArray[Any]) -> torch.Tensor:
    """Targets of the data's form that say which sign each sample has."""
    targets = objective.targets()
    if objective.expected_classes() is not None:
        if targets.dtype.kind == "f" or targets.ndim > 1:
            raise NotApplicable("method='fit' needs one class for each sample")
        return torch.from_numpy((signs > 0).astype(np.int64))
    if math.prod(targets.shape[1:]) != 1:
        raise NotApplicable("method='fit' needs one target for each sample")
    values = (signs > 0) if read_loss_name(objective) == "BCE with logits" else signs
    return torch.from_numpy(values.astype(targets.dtype).reshape(targets.shape))


def _read_signs(objective: Objective, outputs: NDArray[Any]) -> NDArray[Any]:
    """1 where the model says 1, and -1 elsewhere."""
    if objective.expected_classes() is not None:
        return np.where(outputs.argmax(1) == 1, 1.0, -1.0)
    return np.where(outputs.reshape(-1) > 0, 1.0, -1.0)

"""What a user's optimizer says about its steps: rates, momentum and preconditioner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape._parameters import host_array
from landscape._sharpness.definition import NotApplicable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from landscape._sharpness.context import Context

__all__ = ["OptimizerSteps", "read_rates", "read_steps"]

_ADAM = ("Adam", "AdamW", "NAdam", "RAdam")
_RECTIFIED = ("NAdam", "RAdam")
_PLAIN = ("SGD",)


@dataclass(frozen=True)
class OptimizerSteps:
    """How an optimizer turns a gradient into a step.

    Args:
        name: The optimizer's class, or "gradient descent" for a number.
        rates: The learning rate of each parameter, shape (d,).
        momentum: The factor of heavy-ball or Nesterov's momentum, or beta_1 of Adam.
        stability: The largest eigenvalue of the (preconditioned) Hessian times the rate at which
            steps on a quadratic do not diverge: 2 without momentum.
        preconditioner: The diagonal P, shape (d,); None where the gradient itself is followed.
    """

    name: str
    rates: NDArray[np.float64]
    momentum: float
    stability: float
    preconditioner: NDArray[np.float64] | None = None

    @property
    def rate(self) -> float | None:
        """The learning rate, where all parameters have one."""
        first = float(self.rates[0])
        return first if (self.rates == first).all() else None


def read_steps(context: Context) -> OptimizerSteps:
    """Read ``optimizer=``: a learning rate, SGD, Adam, AdamW or RMSprop.

    Raises:
        NotApplicable: It is missing, of another kind, has no state yet, or does not fit the model.
    """
    optimizer = context.optimizer
    if optimizer is None:
        raise NotApplicable("it needs optimizer=: the optimizer or a learning rate")
    rates = read_rates(context)
    if not hasattr(optimizer, "param_groups"):
        return OptimizerSteps("gradient descent", rates, 0.0, 2.0)
    kind = _find_kind(optimizer)
    group = optimizer.param_groups[0]
    if kind == "SGD":
        momentum, dampening = float(group["momentum"]), float(group["dampening"])
        numerator = (2 + 2 * momentum) / (1 - dampening if momentum else 1.0)
        stability = numerator / (1 + 2 * momentum) if group["nesterov"] else numerator
        return OptimizerSteps(kind, rates, momentum, stability)
    momentum = float(group["momentum"] if kind == "RMSprop" else group["betas"][0])
    stability = 2 + 2 * momentum if kind == "RMSprop" else (2 + 2 * momentum) / (1 - momentum)
    return OptimizerSteps(kind, rates, momentum, stability, _read_preconditioner(context, kind))


def read_rates(context: Context) -> NDArray[np.float64]:
    """The learning rate of each parameter, shape (d,).

    Raises:
        NotApplicable: There is none above 0, or the optimizer does not fit the model.
    """
    optimizer = context.optimizer
    if hasattr(optimizer, "param_groups"):
        rates = _spread(context, lambda group, _: group["lr"])
    elif isinstance(optimizer, (int, float, np.integer, np.floating)):
        rates = np.full(context.dim, float(optimizer))
    else:
        raise NotApplicable(
            f"optimizer= is a {type(optimizer).__name__}, expected a torch optimizer or a number"
        )
    if not (np.isfinite(rates).all() and (rates > 0).all()):
        raise NotApplicable(
            f"the learning rate is {float(rates.min()):g}, expected one above 0; where a schedule "
            "has ended, pass the rate of training as a number"
        )
    return rates


def _find_kind(optimizer: Any) -> str:
    """The name of the optimizer's algorithm.

    Raises:
        NotApplicable: It has no threshold of stability that is known here.
    """
    names = [base.__name__ for base in type(optimizer).__mro__]
    for known in ("SGD", "AdamW", "Adam", "RMSprop"):
        if known in names and not set(names) & set(_RECTIFIED):
            return known
    raise NotApplicable(
        f"the steps of {names[0]} have no known threshold of stability; SGD, Adam, AdamW, RMSprop "
        "and a learning rate have"
    )


def _read_preconditioner(context: Context, kind: str) -> NDArray[np.float64]:
    """The diagonal by which the optimizer divides, with the bias corrections of its last step."""
    states: Mapping[Any, Any] = context.optimizer.state

    def read(group: Mapping[str, Any], parameter: Any) -> Any:
        state = states.get(parameter, {})
        name = "square_avg" if kind == "RMSprop" else "exp_avg_sq"
        if name not in state:
            raise NotApplicable(
                f"the {kind} optimizer has no second moments yet; pass it after training, with the "
                "state it had then"
            )
        if kind == "RMSprop":
            second = _to_array(state["square_avg"])
            if group["centered"]:
                second = np.maximum(second - _to_array(state["grad_avg"]) ** 2, 0.0)
            return np.sqrt(second) + group["eps"]
        if group["amsgrad"]:
            name = "max_exp_avg_sq"
        first, other = group["betas"]
        steps = float(state["step"])
        corrected = np.sqrt(_to_array(state[name]) / (1 - other**steps))
        return (1 - first**steps) * (corrected + group["eps"])

    return _spread(context, read)


def _to_array(tensor: Any) -> NDArray[np.float64]:
    return host_array(tensor).astype(np.float64)


def _spread(context: Context, read: Any) -> NDArray[np.float64]:
    """One number for each parameter, from its group and its tensor in the optimizer."""
    groups = {
        id(parameter): (group, parameter)
        for group in context.optimizer.param_groups
        for parameter in group["params"]
    }
    matched = _match(context, [parameter for _, parameter in groups.values()])
    numbers = np.empty(context.dim)
    for entry in context.objective.layout.entries:
        group, parameter = groups[id(matched[entry.name])]
        value = np.asarray(read(group, parameter), np.float64)
        numbers[entry.span] = value.reshape(-1) if value.ndim else float(value)
    return numbers


def _match(context: Context, given: list[Any]) -> dict[str, Any]:
    """The optimizer's tensor of each of the model's parameters: the same, or of equal position.

    Raises:
        NotApplicable: A parameter has none.
    """
    objective = context.objective
    own = dict(objective.model.named_parameters())
    known = {id(parameter) for parameter in given}
    names = [entry.name for entry in objective.layout.entries]
    if all(id(own[name]) in known for name in names if name in own):
        return {name: own[name] for name in names}
    for candidates in (list(own), [name for name in own if own[name].requires_grad], names):
        shapes = [tuple(own[name].shape) for name in candidates]
        if shapes == [tuple(parameter.shape) for parameter in given]:
            return dict(zip(candidates, given, strict=True))
    missing = [name for name in names if id(own[name]) not in known]
    raise NotApplicable(
        f"optimizer= does not hold {missing[0]} of this model, and its {len(given)} tensors have "
        "other shapes than the model's parameters; pass the optimizer that trained it"
    )

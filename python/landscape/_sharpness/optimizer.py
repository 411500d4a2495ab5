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

__all__ = ["OptimizerSteps", "compute_update", "read_rates", "read_steps"]

_KINDS = ("SGD", "AdamW", "Adam", "RMSprop")
_DYNAMICS = ("momentum", "dampening", "nesterov", "betas", "maximize")


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


def compute_update(context: Context) -> NDArray[np.float64]:
    """The optimizer's next step at a learning rate of 1 (of its largest rate), shape (d,).

    The step is theta - rate * update, for the gradient over all data, with momentum and second
    moments as the state has them. Weight decay is not in it.

    Raises:
        NotApplicable: As :func:`read_steps` does.
    """
    steps = read_steps(context)
    gradient = context.gradient.astype(np.float64)
    update: NDArray[np.float64] = gradient
    if hasattr(context.optimizer, "param_groups"):
        steppers = {"SGD": _add_momentum, "RMSprop": _step_rmsprop}
        update = steppers.get(steps.name, _step_adam)(context, gradient)
    return np.asarray(steps.rates / steps.rates.max() * update, np.float64)


def _add_momentum(context: Context, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    momentum = _spread(context, lambda group, _: group["momentum"])
    dampening = _spread(context, lambda group, _: group["dampening"])
    nesterov = _spread(context, lambda group, _: float(group["nesterov"]))
    velocity = _read_state(context, "momentum_buffer")
    is_first = np.isnan(velocity)  # the first buffer is the gradient itself, not dampened
    velocity = np.where(is_first, gradient, momentum * velocity + (1 - dampening) * gradient)
    along = np.where(nesterov > 0, gradient + momentum * velocity, velocity)
    return np.where(momentum > 0, along, gradient)


def _step_rmsprop(context: Context, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    alpha = _spread(context, lambda group, _: group["alpha"])
    second = alpha * _read_state(context, "square_avg") + (1 - alpha) * gradient**2
    mean = np.nan_to_num(_read_state(context, "grad_avg"))
    is_centred = _spread(context, lambda group, _: float(group["centered"])) > 0
    mean = np.where(is_centred, alpha * mean + (1 - alpha) * gradient, 0.0)
    step = gradient / (
        np.sqrt(np.maximum(second - mean**2, 0.0)) + _spread(context, lambda group, _: group["eps"])
    )
    momentum = _spread(context, lambda group, _: group["momentum"])
    return step + momentum * np.nan_to_num(_read_state(context, "momentum_buffer"))


def _step_adam(context: Context, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    one = _spread(context, lambda group, _: group["betas"][0])
    two = _spread(context, lambda group, _: group["betas"][1])
    count = _read_state(context, "step") + 1
    first = one * _read_state(context, "exp_avg") + (1 - one) * gradient
    second = two * _read_state(context, "exp_avg_sq") + (1 - two) * gradient**2
    largest = _read_state(context, "max_exp_avg_sq")  # NaN without amsgrad
    second = np.where(np.isnan(largest), second, np.maximum(second, largest))
    scale = np.sqrt(second / (1 - two**count)) + _spread(context, lambda group, _: group["eps"])
    return first / (1 - one**count) / scale


def _read_state(context: Context, name: str) -> NDArray[np.float64]:
    """One entry of the optimizer's state for each parameter, NaN where it has none, shape (d,)."""

    def read(_: Any, parameter: Any) -> Any:
        value = context.optimizer.state.get(parameter, {}).get(name)
        return np.nan if value is None else _to_array(value)

    return _spread(context, read)


def _find_kind(optimizer: Any) -> str:
    """The name of the optimizer's algorithm.

    Raises:
        NotApplicable: It has no threshold of stability that is known here.
    """
    names = [base.__name__ for base in type(optimizer).__mro__]
    first, *others = optimizer.param_groups
    differing = [n for n in _DYNAMICS if any(g.get(n) != first.get(n) for g in others)]
    if differing:
        raise NotApplicable(
            f"the groups of optimizer= have different {differing[0]}, so that there is no one "
            "threshold of stability"
        )
    if first.get("maximize"):
        raise NotApplicable("optimizer= maximises the loss")
    for known in _KINDS:
        if known in names:
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

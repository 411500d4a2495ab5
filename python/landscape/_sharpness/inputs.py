"""What a call passes besides the function: test data, other weights, the optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import torch

from landscape._directions import read_weights
from landscape._objective import Objective, identify_function
from landscape._runs import hash_array

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

__all__ = ["Inputs"]


@dataclass(frozen=True)
class Inputs:
    """What some measures need besides the function.

    Args:
        test: L of further data, by name.
        initial: The parameters at initialisation, shape (d,).
        prior: The mean of a prior, shape (d,).
        optimizer: The user's optimizer, or a learning rate.
        fit: The user's function that trains a copy of the model.
    """

    test: Mapping[str, Objective] = field(default_factory=dict)
    initial: NDArray[Any] | None = None
    prior: NDArray[Any] | None = None
    optimizer: Any = None
    fit: Callable[..., Any] | None = None

    @classmethod
    def read(
        cls,
        objective: Objective,
        *,
        test: Any,
        initial: Any,
        prior: Any,
        optimizer: Any,
        fit: Any,
    ) -> Self:
        """What the user passed, in the form that measures use.

        Raises:
            TypeError: `fit` is no function, or weights are of another type.
            ValueError: Weights or test data do not fit the model.
        """
        if fit is not None and not callable(fit):
            raise TypeError(f"fit is a {type(fit).__name__}, expected fit(model, data)")

        def read(source: Any, name: str) -> NDArray[Any] | None:
            if source is None:
                return None
            return read_weights(source, objective.layout, objective.dtype, name)

        return cls(
            {name: objective.with_data(data) for name, data in _name_test_sets(test).items()},
            read(initial, "initial"),
            read(prior, "prior"),
            optimizer,
            fit,
        )

    def with_model(self, model: nn.Module) -> Self:
        """The same for a copy of the model."""
        test = {name: objective.with_model(model) for name, objective in self.test.items()}
        return replace(self, test=test)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What identifies them in a checkpoint, as plain data."""
        return {
            "test": [[name, test.policy] for name, test in self.test.items()],
            "initial": hash_array(self.initial),
            "prior": hash_array(self.prior),
            "optimizer": _describe_optimizer(self.optimizer),
            "fit": None if self.fit is None else identify_function(self.fit),
        }


def _describe_optimizer(optimizer: Any) -> Any:
    """A learning rate, or an optimizer's class with its options."""
    groups = getattr(optimizer, "param_groups", None)
    if groups is None:
        return optimizer
    options = [{k: repr(v) for k, v in group.items() if k != "params"} for group in groups]
    state = [
        hash_array(value.detach().cpu().double().numpy())
        for group in groups
        for parameter in group["params"]
        for _, value in sorted(optimizer.state.get(parameter, {}).items())
        if isinstance(value, torch.Tensor)
    ]
    return {"class": type(optimizer).__name__, "groups": options, "state": state}


def _name_test_sets(test: Any) -> dict[str, Any]:
    """Test sets by name. A mapping of text to tensors is one batch, as a DataLoader gives it."""
    if test is None:
        return {}
    if isinstance(test, Mapping) and not any(hasattr(value, "shape") for value in test.values()):
        return {str(name): data for name, data in test.items()}
    return {"test": test}
